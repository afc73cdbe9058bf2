import type { Db } from '../db.ts'

export interface QueueHealth {
  /** Jobs that are due and that nobody has taken. */
  waiting: number
  /** For how long the oldest of them has been due; null when none is. */
  oldestWaitSeconds: number | null
}

export async function getQueueHealth(db: Db): Promise<QueueHealth> {
  const result = await db.query<QueueHealth>(
    `select count(*)::int as waiting, extract(epoch from now() - min(run_at))::float8 as "oldestWaitSeconds"
       from graphile_worker.jobs
      where locked_at is null and attempts < max_attempts and run_at <= now()`,
  )
  return result.rows[0]!
}

export async function getDatabaseClock(db: Db): Promise<Date> {
  const result = await db.query<{ now: Date }>('select clock_timestamp() as now')
  return result.rows[0]!.now
}
