import type { Db } from '../db.ts'

export interface RunGaps {
  /** Opened by this run, owed at its end (or now, while it goes on), and settled by it. */
  opened: number
  stillOwed: number
  settled: number
}

/** In `sql`: what of an integration was owed when run $1 had ended, whoever settled it later. */
const OWED_AFTER = `g.integration_id = (select integration_id from run where id = $1)
  and g.first_run_id <= $1 and (g.settled_at is null or g.settled_run_id > $1)`

const GROUPS_MAX = 20
const EXAMPLES_MAX = 3

export async function countGapsOfRun(db: Db, runId: string): Promise<RunGaps> {
  const result = await db.query<RunGaps>(
    `select count(*) filter (where first_run_id = $1)::int as opened,
            count(*) filter (where ${OWED_AFTER})::int as "stillOwed",
            count(*) filter (where settled_run_id = $1)::int as settled
       from gap g
      where first_run_id <= $1 and integration_id = (select integration_id from run where id = $1)`,
    [runId],
  )
  return result.rows[0]!
}

export interface GapGroup {
  kind: string
  reason: string
  count: number
  /** Some of their keys. */
  examples: string[]
  since: Date
  triesMax: number
  nextTryAt: Date | null
  /** How many of them were settled after the run. */
  settledSince: number
}

/** What was owed at the end of a run, by reason; the reasons of the most first. */
export async function groupGapsOfRun(db: Db, runId: string): Promise<GapGroup[]> {
  const result = await db.query<GapGroup>(
    `select g.kind, g.reason, count(*)::int as count,
            (array_agg(g.key order by length(g.key), g.key))[1:${EXAMPLES_MAX}] as examples,
            min(g.since) as since, max(g.tries) as "triesMax",
            min(g.next_try_at) filter (where g.settled_at is null) as "nextTryAt",
            count(*) filter (where g.settled_at is not null)::int as "settledSince"
       from gap g
      where ${OWED_AFTER}
      group by g.kind, g.reason
      order by 3 desc, g.kind, g.reason
      limit ${GROUPS_MAX}`,
    [runId],
  )
  return result.rows
}

export interface QuarantineGroup {
  reason: string
  count: number
  hostId: string | null
  qid: string | null
}

/** What came and could not be understood, by reason, each with one example. */
export async function groupQuarantineOfRun(db: Db, runId: string): Promise<QuarantineGroup[]> {
  const result = await db.query<QuarantineGroup>(
    `select reason, count(*)::int as count, (array_agg(host_id order by id))[1] as "hostId",
            (array_agg(qid order by id))[1] as qid
       from quarantine
      where run_id = $1
      group by reason
      order by 2 desc, reason
      limit ${GROUPS_MAX}`,
    [runId],
  )
  return result.rows
}

export interface BatchTrouble {
  /** `parked` waits for its next try; `retried` came in the end; `split` went on as two halves; `owed` was given up. */
  what: 'parked' | 'retried' | 'split' | 'owed'
  module: string
  reason: string
  batches: number
  hosts: number
  triesMax: number
  nextAt: Date | null
}

/** The batches of a run that did not come at the first try, by what became of them and why. */
export async function groupBatchTroubles(db: Db, runId: string): Promise<BatchTrouble[]> {
  const result = await db.query<BatchTrouble>(
    `select case state when 'waiting' then 'parked' when 'done' then 'retried' else state end as what,
            module, error as reason, count(*)::int as batches, sum(cardinality(host_ids))::int as hosts,
            max(attempt) as "triesMax",
            min(not_before) filter (where state = 'waiting' and isfinite(not_before)) as "nextAt"
       from batch
      where run_id = $1 and error is not null
        and (state in ('waiting', 'split', 'owed') or state = 'done' and failures > 0)
      group by 1, 2, 3
      order by 1, 4 desc, 2, 3
      limit ${GROUPS_MAX}`,
    [runId],
  )
  return result.rows
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
