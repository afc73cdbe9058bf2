import type { Db } from '../db.ts'

export interface NewJob {
  task: string
  /** Ids only: the payload stands in the database in plain text. */
  payload: Record<string, unknown>
  /** A job with this key that still waits is replaced. */
  key?: string | undefined
  runAt?: Date | undefined
  attemptsMax: number
}

/** Asks for work in the transaction of `db`: rolled back with it, and seen by workers when it is committed. */
export async function addJob(db: Db, job: NewJob): Promise<void> {
  await db.query(
    `select graphile_worker.add_job($1, payload := $2::json, run_at := $3, max_attempts := $4, job_key := $5)`,
    [job.task, JSON.stringify(job.payload), job.runAt ?? null, job.attemptsMax, job.key ?? null],
  )
}

/**
 * Whether a job with this key waits to be taken now, or was taken within this time. One that was taken longer ago may be
 * a dead process's: the queue does not know, so it does not count. The clock is read now and not at the start of the
 * transaction, which may have waited for the one that asked for the job.
 */
export async function isJobPending(db: Db, key: string, takenWithinSeconds: number): Promise<boolean> {
  const result = await db.query(
    `select 1 from graphile_worker.jobs
      where key = $1
        and (locked_at is null and attempts < max_attempts and run_at <= clock_timestamp()
             or locked_at > clock_timestamp() - make_interval(secs => $2))
      limit 1`,
    [key, takenWithinSeconds],
  )
  return result.rowCount !== 0
}

/** Whether a batch of any running run could be claimed now. */
export async function isWorkWaiting(db: Db, now: Date): Promise<boolean> {
  const result = await db.query(
    `select 1 from batch b join run r on r.id = b.run_id and r.state = 'RUNNING' and r.phase = 'fetching'
      where b.state = 'waiting' and b.not_before <= $1
         or b.state = 'claimed' and b.claim_expires_at < clock_timestamp()
      limit 1`,
    [now],
  )
  return result.rowCount !== 0
}

/** Integrations whose run goes on in the books although nobody drives it any more. */
export async function listAbandoned(db: Db): Promise<string[]> {
  const result = await db.query<{ id: string }>(
    `select r.integration_id as id
       from run r
       join integration i on i.id = r.integration_id and i.is_enabled
       left join lease l on l.integration_id = r.integration_id
      where r.state = 'RUNNING' and (l.holder is null or l.expires_at < clock_timestamp())`,
  )
  return result.rows.map((row) => row.id)
}

export interface DueIntegration {
  id: string
  /** Days between two runs, as configured. */
  frequency: unknown
  createdAt: Date
  /** Starts of the last run that pulled something, and of the last run at all: by their ids, since clocks can be wrong. */
  lastGoodAt: Date | null
  lastAt: Date | null
}

/** Enabled sources that need no person, with what decides whether they are due. */
export async function listSchedulable(db: Db): Promise<DueIntegration[]> {
  const result = await db.query<DueIntegration>(
    `select i.id, i.config -> 'autoSyncFrequency' as frequency, i.created_at as "createdAt",
            (array_agg(r.started_at order by r.id desc)
               filter (where r.state in ('COMPLETE', 'PARTIAL')))[1] as "lastGoodAt",
            (array_agg(r.started_at order by r.id desc))[1] as "lastAt"
       from integration i left join run r on r.integration_id = i.id
      where i.type = 'vaplugin' and i.is_enabled and i.status <> 'NEEDS_ATTENTION'
      group by i.id
     having count(*) filter (where r.state = 'RUNNING') = 0
      order by i.id`,
  )
  return result.rows
}

/** Targets for which changes could be sent now. */
export async function listDueTargets(db: Db, now: Date): Promise<string[]> {
  const result = await db.query<{ id: string }>(
    `select distinct r.target_integration_id as id
       from outbox o
       join ticket t on t.id = o.ticket_id and t.state <> 'review'
       join ticket_rule r on r.id = t.rule_id
       join integration i on i.id = r.target_integration_id and i.is_enabled
      where o.state = 'waiting' and o.not_before <= $1
         or o.state = 'sending' and o.claim_expires_at < clock_timestamp()`,
    [now],
  )
  return result.rows.map((row) => row.id)
}
