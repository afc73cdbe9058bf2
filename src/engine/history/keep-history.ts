import type { Clock } from '../../lib/clock.ts'
import { getDatabaseNow, getLastClosedDay } from '../../store/queries/daily-counts.ts'
import {
  type EventPartition,
  type PartitionOutcome,
  drainDefaultPartition,
  dropEventPartition,
  ensureEventPartitions,
  listEventPartitions,
  startOfMonth,
} from '../../store/queries/event-partitions.ts'
import type { EngineDeps } from '../deps.ts'
import { closeDays } from './close-days.ts'

export type HistoryDeps = Pick<EngineDeps, 'pool' | 'clock' | 'log'>

/** A table that is in use is asked for again after so long, and then left for the next time. */
const BUSY_WAITS_MS = [500, 2_000, 5_000] as const

/**
 * Keeps the history in shape: partitions for the months that come, stray events in their months, the days that are over
 * written down, and events older than `monthsKept` whole months dropped.
 */
export async function keepHistory(deps: HistoryDeps, monthsKept: number, signal: AbortSignal): Promise<void> {
  const { pool, log } = deps
  const now = await trustedNow(deps)
  await ensureEventPartitions(pool, now)
  for (const { month, outcome } of await drainDefaultPartition(pool))
    log.info({ month, outcome }, 'Events that had no partition of their month were looked after.')
  signal.throwIfAborted()
  const closed = await closeDays(pool, now)
  if (closed.length > 0) log.info({ days: closed.length, last: closed.at(-1) }, 'Days were closed.')
  await dropOldEvents(deps, { now, monthsKept, signal })
}

/**
 * Drops the partitions that lie wholly before the months to keep. A month whose days are not all closed stays: its counts
 * would be lost. Episodes need no events: the current one stands on the finding, those before it are kept.
 */
export async function dropOldEvents(
  deps: HistoryDeps,
  { now, monthsKept, signal }: { now: Date; monthsKept: number; signal: AbortSignal },
): Promise<string[]> {
  const { pool, log } = deps
  const before = startOfMonth(now, -monthsKept)
  const lastClosed = await getLastClosedDay(pool)
  const dropped: string[] = []
  for (const partition of await listEventPartitions(pool)) {
    if (partition.to > before) break
    if (lastClosed === null || lastDayOf(partition) > lastClosed) {
      log.warn({ partition: partition.name }, 'Old events are kept: not all of their days are closed yet.')
      break
    }
    const outcome = await whenFree(deps.clock, signal, () => dropEventPartition(pool, partition))
    if (outcome === 'done') dropped.push(partition.name)
    log.info({ partition: partition.name, outcome }, 'A month of old events was to be dropped.')
    if (outcome === 'busy') break
  }
  return dropped
}

/** Whoever reads or writes events has the right of way; we come again. */
async function whenFree(
  clock: Clock,
  signal: AbortSignal,
  change: () => Promise<PartitionOutcome>,
): Promise<PartitionOutcome> {
  for (const waitMs of BUSY_WAITS_MS) {
    const outcome = await change()
    if (outcome !== 'busy') return outcome
    await clock.sleep(waitMs, signal)
  }
  return change()
}

/**
 * The earlier of two clocks, ours and that of the database: a clock that runs ahead would close days that are not over and
 * drop events that are not old.
 */
async function trustedNow({ pool, clock }: HistoryDeps): Promise<Date> {
  const databaseNow = await getDatabaseNow(pool)
  return new Date(Math.min(databaseNow.getTime(), clock.nowMs()))
}

function lastDayOf({ to }: EventPartition): string {
  return new Date(to.getTime() - 1).toISOString().slice(0, 10)
}
