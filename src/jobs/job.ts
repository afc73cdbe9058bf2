import type { z } from 'zod'
import type { EngineDeps } from '../engine/deps.ts'
import type { PushDeps } from '../engine/push-types.ts'
import type { Db } from '../store/db.ts'
import { addJob } from '../store/queries/jobs.ts'

/** What jobs are given by the composition root. */
export interface JobDeps {
  engine: EngineDeps
  /** The ticket system of an integration: its secrets opened. Throws `HubError` when it cannot be built. */
  connectTarget(integrationId: string): Promise<Pick<PushDeps, 'destination' | 'target'>>
  /** Syncs and helping hands that this process is busy with. */
  busy: { count: number }
  /** Whole months of events that are kept beside the one that goes on. */
  eventMonthsKept: number
}

/**
 * One task of the queue. The queue only wakes: it may forget a job or run it twice, and nothing breaks, because the
 * leases and claims in our own tables decide who does what. So no job has a queue name: a queue stays locked for hours
 * when its worker is killed, and a run has to go on within a minute.
 */
export interface Job<Payload> {
  name: string
  /** Ids only, never a secret: it stands in the database in plain text. */
  payload: z.ZodType<Payload>
  attemptsMax: number
  /** Of jobs with the same key only one waits at a time. */
  key(payload: Payload): string
  run(deps: JobDeps, payload: Payload, signal: AbortSignal): Promise<void>
}

/** Asks for a job in the transaction of `db`. */
export async function enqueue<Payload extends Record<string, unknown>>(
  db: Db,
  job: Job<Payload>,
  payload: Payload,
  runAt?: Date,
): Promise<void> {
  await addJob(db, {
    task: job.name,
    payload: job.payload.parse(payload) as Record<string, unknown>,
    key: job.key(payload),
    runAt,
    attemptsMax: job.attemptsMax,
  })
}
