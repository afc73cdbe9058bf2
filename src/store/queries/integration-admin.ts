import type { Db } from '../db.ts'
import type { IntegrationRow } from './integrations.ts'
import { getIntegration } from './integrations.ts'

export async function updateIntegration(
  db: Db,
  id: string,
  input: { name: string; config: Record<string, unknown> },
): Promise<void> {
  await db.query(
    `update integration set name = $2, config = $3, status = 'NEW', status_message = null, updated_at = now()
      where id = $1`,
    [id, input.name, input.config],
  )
}

export async function setIntegrationEnabled(db: Db, id: string, isEnabled: boolean): Promise<void> {
  await db.query('update integration set is_enabled = $2, updated_at = now() where id = $1', [id, isEnabled])
}

/** Holds the integration until the transaction ends, so that of many who want to change or start it one goes first. */
export async function lockIntegration(db: Db, id: string): Promise<IntegrationRow | null> {
  await db.query('select 1 from integration where id = $1 for update', [id])
  return getIntegration(db, id)
}

/** Of many who look for a name at once, one after the other finds its own. */
export async function lockNames(db: Db): Promise<void> {
  await db.query(`select pg_advisory_xact_lock(hashtext('patchbay integration names'))`)
}

export async function deleteSecretsExcept(
  db: Db,
  integrationId: string,
  fields: readonly string[],
): Promise<void> {
  await db.query(
    'delete from integration_secret where integration_id = $1 and not (field = any ($2::text[]))',
    [integrationId, fields],
  )
}

/** Whether hosts have been read by this integration. */
export async function hasHosts(db: Db, integrationId: string): Promise<boolean> {
  const result = await db.query('select 1 from host where integration_id = $1 limit 1', [integrationId])
  return result.rowCount !== 0
}

/** Runs that began or ended after this instant. */
export async function countRunsAfter(db: Db, instant: Date): Promise<number> {
  const result = await db.query<{ count: number }>(
    'select count(*)::int as count from run where greatest(started_at, finished_at) > $1',
    [instant],
  )
  return result.rows[0]!.count
}

export interface IntegrationFilter {
  id?: string | undefined
  type?: string | undefined
  subtype?: string | undefined
}

const MATCHES = `($1::bigint is null or id = $1) and ($2::text is null or type = $2) and ($3::text is null or subtype = $3)`

/** A numbered page, as the integration resource documents it; integrations are few. */
export async function pageIntegrations(
  db: Db,
  filter: IntegrationFilter,
  page: { skip: number; limit: number },
): Promise<{ ids: string[]; size: number }> {
  const values = [filter.id ?? null, filter.type ?? null, filter.subtype ?? null]
  const counted = await db.query<{ count: number }>(
    `select count(*)::int as count from integration where ${MATCHES}`,
    values,
  )
  const listed = await db.query<{ id: string }>(
    `select id from integration where ${MATCHES} order by integration.id limit $4 offset $5`,
    [...values, page.limit, page.skip],
  )
  return { ids: listed.rows.map((row) => row.id), size: counted.rows[0]!.count }
}
