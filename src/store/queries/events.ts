import type { Db } from '../db.ts'

const MONTHS_AHEAD = 1

/** Makes sure that this month and the next have their own partition; what is older goes where it is, or to the default. */
export async function ensureEventPartitions(db: Db, now: Date): Promise<void> {
  for (let ahead = 0; ahead <= MONTHS_AHEAD; ahead += 1) {
    const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1))
    const to = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 1))
    await ensurePartition(db, from, to)
  }
}

async function ensurePartition(db: Db, from: Date, to: Date): Promise<void> {
  const name = `event_${from.toISOString().slice(0, 7).replace('-', '_')}`
  const known = await db.query('select 1 from pg_class where oid = to_regclass($1)', [name])
  if (known.rowCount !== 0) return
  // Two processes may come here at once; `if not exists` alone does not make that safe.
  await db.query(
    `do $$ begin
       perform pg_advisory_xact_lock(hashtext('${name}'));
       create table if not exists ${name} partition of event
         for values from ('${from.toISOString()}') to ('${to.toISOString()}');
     exception when check_violation then
       -- The default partition holds events of that month already (a clock that jumped): they stay there.
       null;
     end $$`,
  )
}

/** What happened in a run, by old and new state. */
export async function countTransitions(
  db: Db,
  runId: string,
): Promise<{ oldState: string; newState: string; count: number }[]> {
  const result = await db.query<{ oldState: string; newState: string; count: number }>(
    `select old_state as "oldState", new_state as "newState", count(*)::int as count
       from event where run_id = $1 group by 1, 2 order by 1, 2`,
    [runId],
  )
  return result.rows
}
