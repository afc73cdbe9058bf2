import type { Db, Tx } from '../db.ts'

/** Any fixed number but that of the migrations. */
const LOCK_KEY = '72824230'

export interface KeyIds {
  /** Of the key that seals, as the last process to start had it; null before the first start. */
  recorded: string | null
  /** Of the keys that stored secrets are sealed with. */
  used: string[]
}

/** Of many processes that start at once, one at a time looks at the key file; held until the transaction ends. */
export async function lockKeyRing(db: Tx): Promise<void> {
  await db.query('select pg_advisory_xact_lock($1)', [LOCK_KEY])
}

export async function readKeyIds(db: Db): Promise<KeyIds> {
  const recorded = await db.query<{ id: string }>('select key_id as id from key_ring')
  const used = await db.query<{ id: string }>(
    `select distinct sealed::jsonb ->> 'keyId' as id from integration_secret order by id`,
  )
  return { recorded: recorded.rows[0]?.id ?? null, used: used.rows.map(({ id }) => id) }
}

export async function recordKeyId(db: Db, keyId: string): Promise<void> {
  await db.query(
    `insert into key_ring (key_id) values ($1)
     on conflict (is_only) do update set key_id = excluded.key_id, recorded_at = now()
      where key_ring.key_id <> excluded.key_id`,
    [keyId],
  )
}
