import type { Db } from '../db.ts'

export interface IntegrationRow {
  id: string
  type: string
  subtype: string
  name: string
  config: Record<string, unknown>
  isEnabled: boolean
  status: 'NEW' | 'OK' | 'NEEDS_ATTENTION'
  statusMessage: string | null
  subscription: string | null
  createdAt: Date
  updatedAt: Date
}

const COLUMNS = `id, type, subtype, name, config, is_enabled as "isEnabled", status, status_message as "statusMessage",
  subscription, created_at as "createdAt", updated_at as "updatedAt"`

export async function insertIntegration(
  db: Db,
  input: { type: string; subtype: string; name: string; config: Record<string, unknown> },
): Promise<IntegrationRow> {
  const result = await db.query<IntegrationRow>(
    `insert into integration (type, subtype, name, config) values ($1, $2, $3, $4) returning ${COLUMNS}`,
    [input.type, input.subtype, input.name, input.config],
  )
  return result.rows[0]!
}

export async function getIntegration(db: Db, id: string): Promise<IntegrationRow | null> {
  const result = await db.query<IntegrationRow>(`select ${COLUMNS} from integration where id = $1`, [id])
  return result.rows[0] ?? null
}

export async function getIntegrationByName(db: Db, name: string): Promise<IntegrationRow | null> {
  const result = await db.query<IntegrationRow>(`select ${COLUMNS} from integration where name = $1`, [name])
  return result.rows[0] ?? null
}

export async function listIntegrations(
  db: Db,
  input: { afterId?: string | undefined; limit: number },
): Promise<IntegrationRow[]> {
  const result = await db.query<IntegrationRow>(
    `select ${COLUMNS} from integration where id > $1 order by id limit $2`,
    [input.afterId ?? '0', input.limit],
  )
  return result.rows
}

export async function setIntegrationStatus(
  db: Db,
  id: string,
  input: { status: IntegrationRow['status']; message: string | null },
): Promise<void> {
  await db.query(
    `update integration set status = $2, status_message = $3, updated_at = now()
      where id = $1 and (status, coalesce(status_message, '')) is distinct from ($2, coalesce($3, ''))`,
    [id, input.status, input.message],
  )
}

export async function setSubscription(db: Db, id: string, subscription: string): Promise<void> {
  await db.query(
    'update integration set subscription = $2 where id = $1 and subscription is distinct from $2',
    [id, subscription],
  )
}

export async function putSecret(
  db: Db,
  input: { integrationId: string; field: string; sealed: string },
): Promise<void> {
  await db.query(
    `insert into integration_secret (integration_id, field, sealed) values ($1, $2, $3)
     on conflict (integration_id, field) do update set sealed = excluded.sealed, updated_at = now()`,
    [input.integrationId, input.field, input.sealed],
  )
}

export async function listSecrets(
  db: Db,
  integrationId: string,
): Promise<{ field: string; sealed: string }[]> {
  const result = await db.query<{ field: string; sealed: string }>(
    'select field, sealed from integration_secret where integration_id = $1',
    [integrationId],
  )
  return result.rows
}
