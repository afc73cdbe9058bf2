import { z } from '@hono/zod-openapi'
import { Run, id, instant } from './resources.ts'

/* What the API says of a run. */

/** What of a module was asked for, what came, and what became of it. */
export const Ledger = z
  .object({
    module: z.string(),
    batches: z.number(),
    batchesDone: z.number(),
    batchesOwed: z.number(),
    batchesOpen: z.number(),
    /** Went on as two halves; not among `batches`. */
    batchesSplit: z.number(),
    requestedHosts: z.number(),
    receivedHosts: z.number(),
    receivedRecords: z.number(),
    /** Came although nobody had asked for them; not taken. */
    unexpectedHosts: z.number(),
    /** Left out of the answer, and nothing was expected of them: they have no detections. */
    emptyHosts: z.number(),
    /** Asked for a second time, since something that was expected of them had not come. */
    askedAgainHosts: z.number(),
    missingRecords: z.number(),
    newRecords: z.number(),
    changedRecords: z.number(),
    seenRecords: z.number(),
    unchangedRecords: z.number(),
    olderRecords: z.number(),
    quarantinedRecords: z.number(),
    /** Came twice by all that identifies a record: the better one of each pair was taken. */
    collidedRecords: z.number(),
    staleRecords: z.number(),
    repairedChars: z.number(),
    bytes: z.string(),
  })
  .openapi('Ledger')
export type Ledger = z.infer<typeof Ledger>

export const RunReport = z
  .object({
    run: Run,
    ledger: z.array(Ledger),
    /** Hosts that were asked for and could not be had at all. */
    owedHosts: z.number(),
    transitions: z.array(z.object({ oldState: z.string(), newState: z.string(), count: z.number() })),
    gaps: z.object({ opened: z.number(), stillOwed: z.number(), settled: z.number() }),
    /** What was owed at the end of the run, by reason. */
    owed: z.array(
      z.object({
        kind: z.string(),
        reason: z.string(),
        count: z.number(),
        examples: z.array(z.string()),
        since: z.string(),
        triesMax: z.number(),
        nextTryAt: instant,
        settledSince: z.number(),
      }),
    ),
    quarantined: z.number(),
    /** What came and could not be understood, by reason, each with one example. */
    quarantine: z.array(
      z.object({ reason: z.string(), count: z.number(), hostId: id.nullable(), qid: z.string().nullable() }),
    ),
    /** Batches that did not come at the first try. */
    troubles: z.array(
      z.object({
        what: z.enum(['parked', 'retried', 'split', 'owed']),
        module: z.string(),
        reason: z.string(),
        batches: z.number(),
        hosts: z.number(),
        triesMax: z.number(),
        nextAt: instant,
      }),
    ),
    /** What the run waited for: which endpoint or module, why, how often, and how long in all. */
    waits: z.array(
      z.object({
        what: z.string(),
        cause: z.enum(['rate_limit', 'concurrency', 'own_share', 'own_slots', 'trouble']),
        reason: z.string(),
        waits: z.number(),
        waitedMs: z.number(),
        firstAt: z.string(),
        untilAt: z.string(),
      }),
    ),
    /** Calls that the run has made, beside what is known of the budget of each endpoint. */
    calls: z.array(
      z.object({
        endpoint: z.string(),
        calls: z.number(),
        callsMax: z.number().nullable(),
        windowSec: z.number().nullable(),
        callsRemaining: z.number().nullable(),
        reportedAt: instant,
      }),
    ),
    tickets: z.array(
      z.object({
        op: z.string(),
        state: z.string(),
        count: z.number(),
        nextAt: instant,
        error: z.string().nullable(),
      }),
    ),
  })
  .openapi('RunReport')
export type RunReport = z.infer<typeof RunReport>

/** One event of `GET /runs/:id/events`. */
export interface RunProgress {
  run: Run
  ledger: Ledger[]
  /** The integration waits for a person: its status says what to do. */
  needsPerson: boolean
  /** Tickets are planned or sent after the run; until then its end is not the end. */
  tickets: TicketProgress
}

export const TicketProgress = z
  .object({
    /** What the tickets should say is being decided. */
    planning: z.boolean(),
    /** Changes sent for this run. */
    done: z.number(),
    /** Changes that could be sent now, for this source. */
    waiting: z.number(),
    /** Changes that were put off, and until when. */
    later: z.number(),
    nextAt: instant,
  })
  .openapi('TicketProgress')
export type TicketProgress = z.infer<typeof TicketProgress>

export const Batch = z
  .object({
    id,
    module: z.string(),
    purpose: z.string(),
    state: z.string(),
    hosts: z.number(),
    firstHostId: id.nullable(),
    lastHostId: id.nullable(),
    attempt: z.number(),
    failures: z.number(),
    receivedHosts: z.number(),
    receivedRecords: z.number(),
    bytes: z.number(),
    durationMs: z.number().nullable(),
    notBefore: instant,
    error: z.string().nullable(),
    finishedAt: instant,
  })
  .openapi('Batch')
export type Batch = z.infer<typeof Batch>
