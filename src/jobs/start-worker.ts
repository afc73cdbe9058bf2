import { Logger, parseCronItems, run, type CronItem, type Runner, type TaskList } from 'graphile-worker'
import type pg from 'pg'
import { systemClock } from '../lib/clock.ts'
import { enqueue, type Job, type JobDeps } from './job.ts'
import { autoSyncJob } from './auto-sync.ts'
import { collectEvidenceJob } from './collect-evidence.ts'
import { keepHistoryJob } from './keep-history.ts'
import { planTicketsJob } from './plan-tickets.ts'
import { pushTicketsJob } from './push-tickets.ts'
import { resumeRunsJob } from './resume-runs.ts'
import { syncJob } from './sync.ts'
import { workBatchesJob } from './work-batches.ts'

export interface StartWorkerOptions {
  deps: JobDeps
  /** Aborting it lets every job go of its work; call `stop` afterwards. */
  signal: AbortSignal
  /** False: only what is asked for is done, nothing by the clock. */
  withCron: boolean
}

export interface Worker {
  stop(): Promise<void>
}

/** Jobs that this process has in hand at the same time; each sync has its own batches beside. */
const JOBS_MAX = 6
const POLL_INTERVAL_MS = 2_000
/** Jobs end by our own signal; one that does not is left to itself after this. */
const SHUTDOWN_ABORT_MS = 20_000
const OPEN_AGAIN_MS = 1_000
/** What the queue writes down after its end is a statement a job; a database that is gone must not hold us up. */
const WRITE_DOWN_MS_MAX = 5_000
const QUIET_POLL_MS = 10
/** The queue takes a moment, in which it has no connection, before it writes down that a job has ended. */
const QUIET_LOOKS = 5
const DAY_MS = 24 * 60 * 60_000

/**
 * Takes jobs from the queue until it is stopped. What a dead process has left is looked for at once. A queue that ends
 * by itself, as it does when the database fails while a job ends, is opened anew as soon as the database lets us.
 */
export async function startWorker(options: StartWorkerOptions): Promise<Worker> {
  const { log } = options.deps.engine
  const stopping = new AbortController()
  let runner = await openQueue(options)
  const keepOpen = async () => {
    for (;;) {
      // Why it ended has been logged.
      await runner.promise.catch(() => undefined)
      if (stopping.signal.aborted) return
      log.warn({}, 'The queue has ended by itself; it is opened anew.')
      runner = await openAgain(options, stopping.signal)
      if (stopping.signal.aborted) return runner.stop()
    }
  }
  const kept = keepOpen().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error
  })
  return {
    stop: async () => {
      stopping.abort(new Error('The worker is being stopped.'))
      // It may have ended by itself already.
      await runner.stop().catch(() => undefined)
      await kept
      await untilQuiet(options.deps.engine.pool)
    },
  }
}

/**
 * The queue says that it has ended before it has written down the end of its last jobs and given its connections back.
 * Whoever ends the pool before that leaves those jobs locked.
 */
async function untilQuiet(pool: pg.Pool): Promise<void> {
  let quiet = 0
  for (let waitedMs = 0; quiet < QUIET_LOOKS && waitedMs < WRITE_DOWN_MS_MAX; waitedMs += QUIET_POLL_MS) {
    await systemClock.sleep(QUIET_POLL_MS)
    quiet = pool.waitingCount === 0 && pool.totalCount === pool.idleCount ? quiet + 1 : 0
  }
}

async function openAgain(options: StartWorkerOptions, signal: AbortSignal): Promise<Runner> {
  for (;;) {
    await systemClock.sleep(OPEN_AGAIN_MS, signal)
    try {
      return await openQueue(options)
    } catch (error) {
      options.deps.engine.log.warn({ error }, 'The queue cannot be opened; it is tried again.')
    }
  }
}

async function openQueue({ deps, signal, withCron }: StartWorkerOptions): Promise<Runner> {
  const { pool } = deps.engine
  if (withCron) {
    await enqueue(pool, resumeRunsJob, {})
    await enqueue(pool, keepHistoryJob, {})
  }
  return run({
    pgPool: pool,
    taskList: taskList(deps, signal),
    parsedCronItems: parseCronItems(withCron ? SCHEDULE : []),
    noHandleSignals: true,
    logger: toLogger(deps),
    preset: {
      worker: {
        concurrentJobs: JOBS_MAX,
        pollInterval: POLL_INTERVAL_MS,
        gracefulShutdownAbortTimeout: SHUTDOWN_ABORT_MS,
        // Without a delay, a database that fails when the end of a job is written down ends the process: nobody waits
        // for that promise.
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  })
}

function taskList(deps: JobDeps, signal: AbortSignal): TaskList {
  return Object.fromEntries([
    toTask(syncJob, deps, signal),
    toTask(planTicketsJob, deps, signal),
    toTask(pushTicketsJob, deps, signal),
    toTask(workBatchesJob, deps, signal),
    toTask(resumeRunsJob, deps, signal),
    toTask(autoSyncJob, deps, signal),
    toTask(collectEvidenceJob, deps, signal),
    toTask(keepHistoryJob, deps, signal),
  ])
}

function toTask<Payload>(job: Job<Payload>, deps: JobDeps, signal: AbortSignal): [string, TaskList[string]] {
  return [
    job.name,
    async (payload, helpers) => {
      const ended = runLogged(job, { deps, payload, signal })
      // A queue that ends does not wait for it for ever; the job itself goes on.
      await Promise.race([ended, helpers.abortPromise])
    },
  ]
}

async function runLogged<Payload>(
  job: Job<Payload>,
  { deps, payload, signal }: { deps: JobDeps; payload: unknown; signal: AbortSignal },
): Promise<void> {
  try {
    await job.run(deps, job.payload.parse(payload), signal)
  } catch (error) {
    if (signal.aborted) return
    deps.engine.log.error({ job: job.name, error }, 'A job failed.')
    throw error
  }
}

function byTheClock(task: string, match: string): CronItem {
  return { task, match, options: { maxAttempts: 1, backfillPeriod: 0, jobKey: task } }
}

/** At a quiet hour (UTC); if nothing ran then, at the next start. */
function everyDay(task: string): CronItem {
  return { task, match: '17 3 * * *', options: { maxAttempts: 3, backfillPeriod: DAY_MS, jobKey: task } }
}

const SCHEDULE: CronItem[] = [
  byTheClock(resumeRunsJob.name, '* * * * *'),
  byTheClock(autoSyncJob.name, '* * * * *'),
  // A day is closed a little after its end.
  byTheClock(keepHistoryJob.name, '20 * * * *'),
  everyDay(collectEvidenceJob.name),
]

/** What the queue says of itself is of interest only to somebody who looks for a fault. */
function toLogger(deps: JobDeps): Logger {
  return new Logger(() => (level, message) => {
    if (level === 'error') deps.engine.log.warn({}, message)
    else deps.engine.log.debug({}, message)
  })
}
