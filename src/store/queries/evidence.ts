import type pg from 'pg'
import type { Db, Tx } from '../db.ts'
import { inTransaction } from '../transaction.ts'

/**
 * How texts that nobody uses any more are found and deleted, without an index on what findings refer to and without
 * losing one to a merge that uses it again at that very moment:
 *
 * 1. A look lists what no finding refers to. It reads the tables once and locks nothing.
 * 2. A merge writes the texts it refers to and then takes them off the list, all in the transaction of its findings.
 * 3. What was listed by an earlier look and is unused at this one is deleted, in pieces, behind a lock on `evidence` for
 *    which every merge that has written its texts must have ended. A merge that comes later writes the text anew.
 *
 * So whoever lets a finding refer to a text has to insert that text in the same transaction, even if it is there already.
 */
const LOCK_WAIT_MS_MAX = 2_000
const LOCK_NOT_AVAILABLE = '55P03'

/** Waits until no transaction is under way that has written evidence; false when that takes too long. */
export async function waitForMerges(pool: pg.Pool): Promise<boolean> {
  return (await behindMerges(pool, async () => true)) ?? false
}

export interface EvidenceLook {
  /** Texts that are unused now and were at the look before. */
  confirmed: number
  /** Texts that are unused at this look for the first time. */
  listed: number
  /** Texts that were listed and are in use again. */
  usedAgain: number
}

/**
 * Lists what no finding refers to. What was listed before and is unused still is confirmed; to be called after
 * `waitForMerges`, so that a merge which could not see the list then is seen here.
 */
export async function listOrphans(db: Db): Promise<EvidenceLook> {
  const result = await db.query<EvidenceLook>(
    `with orphan as materialized (
       select hash from evidence e where not exists (select 1 from finding f where f.evidence_hash = e.hash)
     ), confirmed as (
       update evidence_orphan o set is_confirmed = true from orphan where o.hash = orphan.hash returning 1
     ), used_again as (
       delete from evidence_orphan o where not exists (select 1 from orphan where orphan.hash = o.hash) returning 1
     ), listed as (
       insert into evidence_orphan (hash) select hash from orphan on conflict (hash) do nothing returning 1
     )
     select (select count(*) from confirmed)::int as confirmed, (select count(*) from listed)::int as listed,
            (select count(*) from used_again)::int as "usedAgain"`,
  )
  return result.rows[0]!
}

/** Deletes confirmed orphans, at most so many; null when a merge is in the way for too long. */
export async function deleteOrphans(pool: pg.Pool, textsMax: number): Promise<number | null> {
  return behindMerges(pool, async (tx) => {
    const result = await tx.query(
      `with gone as (
         delete from evidence_orphan
          where hash in (select hash from evidence_orphan where is_confirmed limit $1)
         returning hash
       )
       delete from evidence e using gone where e.hash = gone.hash`,
      [textsMax],
    )
    return result.rowCount ?? 0
  })
}

/** A merge holds `evidence` from its insert to its end; who cannot have the table soon lets the merges go first. */
async function behindMerges<T>(pool: pg.Pool, work: (tx: Tx) => Promise<T>): Promise<T | null> {
  try {
    return await inTransaction(pool, async (tx) => {
      await tx.query(`set local lock_timeout = ${LOCK_WAIT_MS_MAX}`)
      await tx.query('lock table evidence in share row exclusive mode')
      return work(tx)
    })
  } catch (error) {
    if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return null
    throw error
  }
}

/** One look at a time: false when another process is at it. Held by `tx` to its end. */
export async function holdCollection(tx: Tx): Promise<boolean> {
  const result = await tx.query<{ held: boolean }>(
    `select pg_try_advisory_xact_lock(hashtext('patchbay evidence collection')) as held`,
  )
  return result.rows[0]!.held
}
