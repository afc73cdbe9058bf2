import type { Db } from '../db.ts'

/** A lease lives this long without being renewed; the database's clock decides, since several machines share it. */
export const LEASE_SECONDS = 60

/**
 * Takes an integration's lease if nobody holds it, with a new epoch; null if somebody does. `holder` names the process
 * and is what a later refusal shows.
 */
export async function takeLease(
  db: Db,
  input: { integrationId: string; holder: string },
): Promise<{ epoch: string } | null> {
  const result = await db.query<{ epoch: string }>(
    `insert into lease as l (integration_id, epoch, holder, expires_at)
     values ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
     on conflict (integration_id) do update
        set epoch = l.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
      where l.expires_at < clock_timestamp() or l.holder is null
     returning epoch`,
    [input.integrationId, input.holder, LEASE_SECONDS],
  )
  return result.rows[0] ?? null
}

/** False when the lease was lost, or its integration was disabled: whoever called must stop at once. */
export async function renewLease(db: Db, input: { integrationId: string; epoch: string }): Promise<boolean> {
  const result = await db.query(
    `update lease set expires_at = clock_timestamp() + make_interval(secs => $3)
      where integration_id = $1 and epoch = $2 and holder is not null
        and exists (select 1 from integration i where i.id = $1 and i.is_enabled)`,
    [input.integrationId, input.epoch, LEASE_SECONDS],
  )
  return result.rowCount === 1
}

export async function releaseLease(db: Db, input: { integrationId: string; epoch: string }): Promise<void> {
  await db.query(`update lease set holder = null where integration_id = $1 and epoch = $2`, [
    input.integrationId,
    input.epoch,
  ])
}

/** Holds the epoch still until the transaction ends; false when it has moved on. */
export async function fenceByEpoch(
  db: Db,
  input: { integrationId: string; epoch: string },
): Promise<boolean> {
  const result = await db.query(
    'select 1 from lease where integration_id = $1 and epoch = $2 and holder is not null for share',
    [input.integrationId, input.epoch],
  )
  return result.rowCount === 1
}

export async function getLeaseHolder(db: Db, integrationId: string): Promise<string | null> {
  const result = await db.query<{ holder: string | null }>(
    'select holder from lease where integration_id = $1 and expires_at >= clock_timestamp()',
    [integrationId],
  )
  return result.rows[0]?.holder ?? null
}
