import type { Db } from '../db.ts'

/**
 * Why nothing could be asked: the far side says that the budget is spent, or that too many calls are running; our own
 * share of the budget is spent, or our own calls are running; or something failed and was tried again later.
 */
export type WaitCause = 'rate_limit' | 'concurrency' | 'own_share' | 'own_slots' | 'trouble'

export interface NewWait {
  integrationId: string
  /** The endpoint or the module that could not be asked. */
  what: string
  cause: WaitCause
  reason: string
  sinceMs: number
  untilMs: number
}

const REASON_CHARS_MAX = 500

/** Writes a wait down for the run that is under way; one that overlaps the last of its kind lengthens it. */
export async function noteRunWait(db: Db, wait: NewWait): Promise<void> {
  await db.query(
    `insert into run_wait as w (run_id, what, cause, reason, waited_ms, first_at, until_at)
     select r.id, $2, $3, $4, extract(epoch from $6::timestamptz - $5::timestamptz) * 1000, $5, $6
       from run r where r.integration_id = $1 and r.state = 'RUNNING'
     on conflict (run_id, what, cause) do update
        set reason = excluded.reason,
            waits = w.waits + case when excluded.first_at > w.until_at then 1 else 0 end,
            waited_ms = w.waited_ms + greatest(0,
              extract(epoch from excluded.until_at - greatest(w.until_at, excluded.first_at)) * 1000),
            until_at = greatest(w.until_at, excluded.until_at)`,
    [
      wait.integrationId,
      wait.what,
      wait.cause,
      wait.reason.slice(0, REASON_CHARS_MAX),
      new Date(wait.sinceMs),
      new Date(Math.max(wait.sinceMs, wait.untilMs)),
    ],
  )
}

/** Counts a call for the run that is under way. */
export async function countRunCall(db: Db, call: { integrationId: string; endpoint: string }): Promise<void> {
  await db.query(
    `insert into run_call as c (run_id, endpoint, calls)
     select r.id, $2, 1 from run r where r.integration_id = $1 and r.state = 'RUNNING'
     on conflict (run_id, endpoint) do update set calls = c.calls + 1`,
    [call.integrationId, call.endpoint],
  )
}

export interface RunWait {
  what: string
  cause: WaitCause
  reason: string
  waits: number
  waitedMs: number
  firstAt: Date
  untilAt: Date
}

/** What a run has waited for until `now`, the longest first; a wait is over with its run. */
export async function listRunWaits(db: Db, input: { runId: string; now: Date }): Promise<RunWait[]> {
  const result = await db.query<RunWait>(
    `select w.what, w.cause, w.reason, w.waits, w.first_at as "firstAt", w.until_at as "untilAt",
            greatest(0, w.waited_ms
              - greatest(0, extract(epoch from w.until_at - coalesce(r.finished_at, $2)) * 1000))::float8 as "waitedMs"
       from run_wait w join run r on r.id = w.run_id
      where w.run_id = $1
      order by w.waited_ms desc, w.what, w.cause`,
    [input.runId, input.now],
  )
  return result.rows
}

export interface RunCalls {
  endpoint: string
  calls: number
  /** What the far side said last of its limit; null when it has not. */
  callsMax: number | null
  windowSec: number | null
  callsRemaining: number | null
  reportedAt: Date | null
}

/** The calls of a run, the most frequent first, beside what is known of the budget that they are taken from. */
export async function listRunCalls(db: Db, runId: string): Promise<RunCalls[]> {
  const result = await db.query<RunCalls>(
    `select c.endpoint, c.calls, q.calls_max as "callsMax", q.window_sec as "windowSec",
            q.calls_remaining as "callsRemaining", q.reported_at as "reportedAt"
       from run_call c
       join run r on r.id = c.run_id
       join integration i on i.id = r.integration_id
       left join quota q on q.subscription = i.subscription and q.endpoint = c.endpoint
      where c.run_id = $1
      order by c.calls desc, c.endpoint`,
    [runId],
  )
  return result.rows
}
