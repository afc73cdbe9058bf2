import type { Db } from '../db.ts'

export interface RunGaps {
  /** Opened by this run, met again by it, and settled by it. */
  opened: number
  stillOwed: number
  settled: number
}

export async function countGapsOfRun(db: Db, runId: string): Promise<RunGaps> {
  const result = await db.query<RunGaps>(
    `select count(*) filter (where first_run_id = $1)::int as opened,
            count(*) filter (where last_run_id = $1 and settled_at is null)::int as "stillOwed",
            count(*) filter (where settled_run_id = $1)::int as settled
       from gap
      where first_run_id = $1 or last_run_id = $1 or settled_run_id = $1`,
    [runId],
  )
  return result.rows[0]!
}

export async function countQuarantined(db: Db, runId: string): Promise<number> {
  const result = await db.query<{ count: number }>(
    'select count(*)::int as count from quarantine where run_id = $1',
    [runId],
  )
  return result.rows[0]!.count
}

export interface RunTickets {
  op: string
  state: string
  count: number
  nextAt: Date | null
  error: string | null
}

/** Changes to tickets that were planned after this run, by what and how far. */
export async function countTicketOpsOfRun(db: Db, runId: string): Promise<RunTickets[]> {
  const result = await db.query<RunTickets>(
    `select op, state, count(*)::int as count,
            min(not_before) filter (where isfinite(not_before)) as "nextAt", max(error) as error
       from outbox where run_id = $1 group by 1, 2 order by 1, 2`,
    [runId],
  )
  return result.rows
}

/** The newest run of an integration with an id above this one, if any has begun since. */
export async function getRunIdAfter(
  db: Db,
  input: { integrationId: string; afterId: string },
): Promise<string | null> {
  const result = await db.query<{ id: string }>(
    'select id from run where integration_id = $1 and id > $2 order by id desc limit 1',
    [input.integrationId, input.afterId],
  )
  return result.rows[0]?.id ?? null
}

export interface LastRuns {
  /** The newest run of all. */
  newest: {
    id: string
    state: string
    message: string | null
    startedAt: Date
    finishedAt: Date | null
  } | null
  /** When the last one that pulled something ended. */
  lastGoodFinishedAt: Date | null
}

export async function getLastRuns(db: Db, integrationId: string): Promise<LastRuns> {
  const newest = await db.query<NonNullable<LastRuns['newest']>>(
    `select id, state, message, started_at as "startedAt", finished_at as "finishedAt"
       from run where integration_id = $1 order by id desc limit 1`,
    [integrationId],
  )
  const good = await db.query<{ at: Date }>(
    `select finished_at as at from run
      where integration_id = $1 and state in ('COMPLETE', 'PARTIAL') order by id desc limit 1`,
    [integrationId],
  )
  return { newest: newest.rows[0] ?? null, lastGoodFinishedAt: good.rows[0]?.at ?? null }
}

export interface TicketBacklog {
  /** Changes that are being sent, or could be now. */
  due: number
  /** Changes that were put off; the next of them is due then. */
  later: number
  nextAt: Date | null
}

/** What is still to be sent for the findings of one source, whichever run or rule asked for it. */
export async function getTicketBacklog(
  db: Db,
  input: { sourceIntegrationId: string; now: Date },
): Promise<TicketBacklog> {
  const result = await db.query<TicketBacklog>(
    `select count(*) filter (where o.state = 'sending' or o.not_before <= $2)::int as due,
            count(*) filter (where o.state = 'waiting' and o.not_before > $2)::int as later,
            min(o.not_before) filter (where o.state = 'waiting' and o.not_before > $2) as "nextAt"
       from outbox o
       join ticket t on t.id = o.ticket_id and t.state <> 'review'
       join ticket_rule r on r.id = t.rule_id and r.source_integration_id = $1
       join integration i on i.id = r.target_integration_id and i.is_enabled
      where o.state in ('waiting', 'sending')`,
    [input.sourceIntegrationId, input.now],
  )
  return result.rows[0]!
}
