/**
 * On which days a host was scanned, up to one day. Before day 1 it was scanned daily, since ever; a host that appears
 * later has no scans before its first day. What happens to a detection is seen by the next scan only.
 */
export class Timeline {
  readonly #days: readonly number[]
  readonly lastScan: number

  /** `scanDays`: the days from 1 on, ascending. */
  constructor(scanDays: readonly number[]) {
    this.#days = scanDays
    this.lastScan = scanDays.at(-1) ?? 0
  }

  /** The first scan on that day or later; Infinity when there was none yet. */
  next(day: number): number {
    if (day <= 0) return day
    for (const scan of this.#days) if (scan >= day) return scan
    return Number.POSITIVE_INFINITY
  }

  /** The last scan on that day or before. */
  previous(day: number): number {
    let last = Math.min(day, 0)
    for (const scan of this.#days) {
      if (scan > day) break
      last = scan
    }
    return last
  }

  /** How many scans from `from` on and before `before`. */
  count(from: number, before: number): number {
    return this.#until(before - 1) - this.#until(from - 1)
  }

  #until(day: number): number {
    if (day <= 0) return day
    let count = 0
    for (const scan of this.#days) {
      if (scan > day) break
      count++
    }
    return count
  }
}

export interface Lifecycle {
  status: 'New' | 'Active' | 'Re-Opened' | 'Fixed'
  firstFoundDay: number
  lastFoundDay: number
  timesFound: number
  fixedDay?: number
  firstReopenedDay?: number
  lastReopenedDay?: number
  timesReopened: number
  /** The day of the last change of status by a fix or a reopening. */
  changedDay?: number
}

/**
 * What Qualys would say about a problem that is there from `toggles[0]`, gone from `toggles[1]`, there again from
 * `toggles[2]`, and so on. Undefined when no scan has seen it yet. New and Re-Opened last for one scan, then it is Active.
 */
export function lifecycleOf(toggles: readonly number[], timeline: Timeline): Lifecycle | undefined {
  const seen = seenDays(toggles, timeline)
  const [firstFoundDay] = seen
  const last = seen.at(-1)
  if (firstFoundDay === undefined || last === undefined) return undefined
  const isOpen = seen.length % 2 === 1
  const lifecycle: Lifecycle = {
    status: statusOf(seen.length, last === timeline.lastScan),
    firstFoundDay,
    lastFoundDay: isOpen ? timeline.lastScan : timeline.previous(last - 1),
    timesFound: timesFound(seen, timeline),
    timesReopened: Math.floor((seen.length - 1) / 2),
  }
  const fixedDay = seen.at(isOpen ? -2 : -1)
  if (fixedDay === undefined || seen.length < 2) return lifecycle
  lifecycle.fixedDay = fixedDay
  lifecycle.changedDay = last
  if (lifecycle.timesReopened > 0) {
    lifecycle.firstReopenedDay = seen[2] ?? last
    lifecycle.lastReopenedDay = seen[lifecycle.timesReopened * 2] ?? last
  }
  return lifecycle
}

/** The scans at which a change came to light; two changes are never seen by the same scan. */
function seenDays(toggles: readonly number[], timeline: Timeline): number[] {
  const seen: number[] = []
  for (const toggle of toggles) {
    const day = timeline.next(Math.max(toggle, (seen.at(-1) ?? Number.NEGATIVE_INFINITY) + 1))
    if (day > timeline.lastScan) break
    seen.push(day)
  }
  return seen
}

function statusOf(changes: number, isJustChanged: boolean): Lifecycle['status'] {
  if (changes % 2 === 0) return 'Fixed'
  if (!isJustChanged) return 'Active'
  return changes === 1 ? 'New' : 'Re-Opened'
}

function timesFound(seen: readonly number[], timeline: Timeline): number {
  let count = 0
  for (let i = 0; i < seen.length; i += 2) {
    count += timeline.count(seen[i] ?? 0, seen[i + 1] ?? timeline.lastScan + 1)
  }
  return count
}
