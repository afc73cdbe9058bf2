import type { Db, Tx } from '../db.ts'

/** Names of comments in Jira hold the ids of changes; those handed out after the backup are not handed out again. */
const OUTBOX_IDS_SKIPPED = 1_000_000

/**
 * Makes a database that has just been loaded from a backup one that hubs can go on with: what was under way is nobody's,
 * and what was about to be sent may have been sent since.
 */
export async function settleRestored(
  tx: Tx,
  input: { takenAt: Date; restoredAt: Date; withoutSecrets: boolean },
): Promise<void> {
  await tx.query('insert into restoration (taken_at, restored_at) values ($1, $2)', [
    input.takenAt,
    input.restoredAt,
  ])
  await tx.query('update lease set holder = null')
  await tx.query(`update batch set claim_expires_at = '-infinity' where state = 'claimed'`)
  await tx.query(
    `update outbox set tries = tries + 1,
            claim_expires_at = case when state = 'sending' then '-infinity'::timestamptz end
      where state in ('waiting', 'sending')`,
  )
  await tx.query(
    `select setval(seq, greatest(coalesce((select max(id) from outbox), 0),
                                 coalesce(pg_sequence_last_value(seq), 0)) + $1)
       from (select pg_get_serial_sequence('outbox', 'id')::regclass as seq) s`,
    [OUTBOX_IDS_SKIPPED],
  )
  if (input.withoutSecrets) await forgetSecrets(tx)
  // Where nothing is sealed any new key will do.
  await tx.query('delete from key_ring where not exists (select from integration_secret)')
}

async function forgetSecrets(tx: Tx): Promise<void> {
  const forgotten = await tx.query<{ id: string }>(
    'delete from integration_secret returning integration_id as id',
  )
  await tx.query(
    `update integration set status = 'NEEDS_ATTENTION',
            status_message = 'Its secrets were left out when the database was restored. Enter them: patchbay integration set ' || id
      where id = any($1)`,
    [forgotten.rows.map(({ id }) => id)],
  )
}

/** When this database was restored from a backup last; null when it never was. */
export async function getRestoredAt(db: Db): Promise<Date | null> {
  const result = await db.query<{ at: Date | null }>('select max(restored_at) as at from restoration')
  return result.rows[0]?.at ?? null
}
