import type pg from 'pg'
import { singleLine } from '../../model/blocks.ts'
import { HubError } from '../../model/errors.ts'
import type { FindingState } from '../../model/finding.ts'
import { FINDING_STATES } from '../../model/finding.ts'
import type { TrendGrouping } from '../../model/report.ts'
import type { Tx } from '../../store/db.ts'
import {
  type CountKey,
  type DayBounds,
  type DayCounts,
  type GroupedDays,
  type TrendFilter,
  countsInformation,
  isTimeZone,
  listDayBounds,
  readClosedDays,
} from '../../store/queries/daily-counts.ts'
import { getEventFloor } from '../../store/queries/event-partitions.ts'
import { inTransaction } from '../../store/transaction.ts'
import { countDaysLive } from './close-days.ts'

export const TREND_DAYS_MAX = 1_100
/** In another zone than UTC every day is worked out from its events. */
const ZONED_DAYS_MAX = 400

export interface TrendRequest extends TrendFilter {
  now: Date
  days: number
  /** A name such as `Europe/Berlin`; days end at its midnight. */
  zone: string
}

/** How one group of findings stood at the end of a day, and what changed on it. */
export interface TrendRow {
  day: string
  /** True: written down when the day was over. False: worked out now, from findings and events. */
  isClosed: boolean
  /** '' when nothing but states is told apart; `unknown` for what has no severity or no type. */
  group: string
  counts: Record<FindingState, number>
  /** Seen for the first time, and open. */
  new: number
  fixed: number
  reopened: number
  /** From open to what is not open and is not fixed either, and back. */
  left: number
  back: number
  /** Of `left`, to which state. */
  leftTo: Partial<Record<FindingState, number>>
}

/**
 * How many findings stood in which state at the end of each day, as it was known then, and what changed on each. The day
 * that goes on counts as of now.
 */
export async function readTrend(pool: pg.Pool, request: TrendRequest): Promise<TrendRow[]> {
  return inTransaction(pool, async (tx) => {
    await tx.query('set transaction isolation level repeatable read read only')
    if (request.zone !== 'UTC') await checkZone(tx, request)
    const wanted = await listDayBounds(tx, request)
    const closed = request.zone === 'UTC' ? await readClosedDays(tx, wanted.days[0]!, request) : NOTHING
    const open = withoutClosed(wanted, closed.days)
    if (request.zone !== 'UTC') await refuseBeforeFloor(tx, open, request.zone)
    const live = open.days.length === 0 ? NOTHING : groupLive(await countDaysLive(tx, open), request)
    return toRows(wanted.days, [closed, live], new Set(closed.days))
  })
}

const NOTHING = { days: [], counts: [], flows: [] }

async function checkZone(tx: Tx, { zone, days }: TrendRequest): Promise<void> {
  if (!(await isTimeZone(tx, zone)))
    throw new HubError('config', `There is no time zone "${singleLine(zone).slice(0, 60)}".`, {
      code: 'bad_request',
      hint: 'Name it like Europe/Berlin, or leave it out for UTC.',
    })
  if (days > ZONED_DAYS_MAX)
    throw new HubError('config', `Outside of UTC at most ${ZONED_DAYS_MAX} days are counted.`, {
      code: 'bad_request',
      hint: 'Ask for fewer days, or leave the time zone out.',
    })
}

/** Days are closed one after the other, so what is not closed follows the last that is. */
function withoutClosed({ days, bounds }: DayBounds, closed: readonly string[]): DayBounds {
  const last = closed.at(-1)
  const from = last === undefined ? 0 : days.filter((day) => day <= last).length
  return { days: days.slice(from), bounds: bounds.slice(from) }
}

async function refuseBeforeFloor(tx: Tx, { bounds }: DayBounds, zone: string): Promise<void> {
  const floor = await getEventFloor(tx)
  if (floor === null || floor <= bounds[0]!) return
  throw new HubError('config', `Events from before ${floor.toISOString().slice(0, 10)} are gone.`, {
    code: 'bad_request',
    hint: `The days before are kept in UTC only: ask for fewer days, or leave ${zone} out.`,
  })
}

function groupLive({ counts, flows }: DayCounts, filter: TrendFilter): GroupedDays {
  const { by, integrationId } = filter
  const withInformation = countsInformation(filter)
  const isWanted = (key: CountKey) =>
    (integrationId === undefined || key.integrationId === integrationId) &&
    (withInformation || key.type !== 'Info')
  const group = <Row extends CountKey>(row: Row) => ({ ...row, group: groupOf(row, by) })
  return { counts: counts.filter(isWanted).map(group), flows: flows.filter(isWanted).map(group) }
}

/** Every day has a row for every group, so that a chart has no holes. */
function toRows(
  days: readonly string[],
  parts: readonly GroupedDays[],
  closed: ReadonlySet<string>,
): TrendRow[] {
  const counts = parts.flatMap((part) => part.counts)
  const flows = parts.flatMap((part) => part.flows)
  const groups = new Set([...counts, ...flows].map(({ group }) => group))
  if (groups.size === 0) groups.add('')
  const sorted = [...groups].toSorted()
  const rows = new Map<string, TrendRow>()
  for (const day of days)
    for (const group of sorted)
      rows.set(`${day} ${group}`, emptyRow({ day, group, isClosed: closed.has(day) }))
  for (const { day, group, state, findings } of counts) {
    const row = rows.get(`${day} ${group}`)
    if (row !== undefined) row.counts[state as FindingState] += findings
  }
  for (const one of flows) {
    const row = rows.get(`${one.day} ${one.group}`)
    if (row !== undefined) addChange(row, one)
  }
  return [...rows.values()]
}

function groupOf(key: CountKey, by: TrendGrouping): string {
  switch (by) {
    case 'state':
      return ''
    case 'severity':
      return key.severity === 0 ? 'unknown' : String(key.severity)
    case 'type':
      return key.type === '' ? 'unknown' : key.type
    case 'integration':
      return key.integrationId
  }
}

function emptyRow(key: Pick<TrendRow, 'day' | 'group' | 'isClosed'>): TrendRow {
  const counts = Object.fromEntries(FINDING_STATES.map((state) => [state, 0])) as TrendRow['counts']
  return { ...key, counts, new: 0, fixed: 0, reopened: 0, left: 0, back: 0, leftTo: {} }
}

function addChange(row: TrendRow, { oldState, newState, findings }: GroupedDays['flows'][number]): void {
  if (oldState === '') {
    if (newState === 'open') row.new += findings
    return
  }
  if (newState === 'fixed') row.fixed += findings
  else if (oldState === 'fixed') row.reopened += findings
  else if (oldState === 'open') {
    row.left += findings
    const state = newState as FindingState
    row.leftTo[state] = (row.leftTo[state] ?? 0) + findings
  } else if (newState === 'open') row.back += findings
}
