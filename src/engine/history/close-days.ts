import type pg from 'pg'
import type { Tx } from '../../store/db.ts'
import {
  type DayCounts,
  countHeld,
  countMoved,
  getLastClosedDay,
  getRunBounds,
  listDayBounds,
  writeClosedDays,
} from '../../store/queries/daily-counts.ts'
import { inTransaction } from '../../store/transaction.ts'
import { countDays } from './count-days.ts'

/** What began on a day may be committed a little after it. */
const CLOSE_GRACE_MS = 15 * 60_000
const DAY_MS = 24 * 60 * 60_000
/** Closed in one go; what is more comes the next time. */
const DAYS_PER_PASS_MAX = 400

/**
 * Writes down how the days that are over ended, so that it is known when their events are gone. A day is over for us when
 * no run that began on it or before goes on. Days are closed once: what becomes known later counts on the day on which it
 * becomes known. Returns the days that were closed.
 */
export async function closeDays(pool: pg.Pool, now: Date): Promise<string[]> {
  return inTransaction(pool, async (tx) => {
    await tx.query('set transaction isolation level repeatable read')
    // Before the snapshot is taken, so that whoever waited here sees what the other one wrote.
    await tx.query('lock table closed_day in share row exclusive mode')
    const { days, bounds } = await listClosable(tx, now)
    if (days.length === 0) return []
    await writeClosedDays(tx, days, { ...(await countDaysLive(tx, { days, bounds })), now })
    return days
  })
}

/** The same from findings and events as they are now. Needs one snapshot, and the events of these days and all later ones. */
export async function countDaysLive(
  tx: Tx,
  { days, bounds }: { days: readonly string[]; bounds: readonly Date[] },
): Promise<DayCounts> {
  return countDays(days, await countHeld(tx, bounds), await countMoved(tx, bounds))
}

async function listClosable(tx: Tx, now: Date): Promise<{ days: string[]; bounds: Date[] }> {
  const { firstStartedAt, unfinishedSince } = await getRunBounds(tx)
  if (firstStartedAt === null) return { days: [], bounds: [] }
  const lastClosed = await getLastClosedDay(tx)
  const firstMs =
    lastClosed === null ? startOfDayMs(firstStartedAt.getTime()) : Date.parse(lastClosed) + DAY_MS
  const settledMs = Math.min(now.getTime() - CLOSE_GRACE_MS, unfinishedSince?.getTime() ?? Infinity)
  const count = Math.min((startOfDayMs(settledMs) - firstMs) / DAY_MS, DAYS_PER_PASS_MAX)
  if (count <= 0) return { days: [], bounds: [] }
  const last = new Date(firstMs + (count - 1) * DAY_MS)
  return listDayBounds(tx, { now: last, days: count, zone: 'UTC' })
}

function startOfDayMs(instantMs: number): number {
  return Math.floor(instantMs / DAY_MS) * DAY_MS
}
