import type { Db } from '../db.ts'

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
