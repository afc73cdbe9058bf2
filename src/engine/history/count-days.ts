import type { CountKey, DayCounts, HeldCount, MovedCount } from '../../store/queries/daily-counts.ts'

/**
 * What stood in which state at the end of each day, and what changed on it, worked out backwards: what is in a state now,
 * without what was seen later and with every later transition undone. Pure.
 */
export function countDays(
  days: readonly string[],
  held: readonly HeldCount[],
  moved: readonly MovedCount[],
): DayCounts {
  const stock = new Table(days.length)
  const firsts = new Table(days.length)
  const moves = new Table(days.length)
  for (const one of held) {
    stock.addFrom([one, one.state], one.born, one.findings)
    firsts.addOn([one, one.state], one.born, one.findings)
  }
  for (const one of moved) {
    const { oldState, newState, at, born, findings } = one
    moves.addOn([one, oldState, newState], at, findings)
    // On the days before the transition the finding was still in its old state, if it was known at all.
    for (const [state, count] of [
      [oldState, findings],
      [newState, -findings],
    ] as const) {
      stock.addBetween([one, state], { from: born, until: at }, count)
      firsts.addOn([one, state], born, count)
    }
  }
  return {
    counts: stock.sumsByDay(days, ([state = '']) => ({ state })),
    flows: [
      ...firsts.valuesByDay(days, ([newState = '']) => ({ oldState: '', newState })),
      ...moves.valuesByDay(days, ([oldState = '', newState = '']) => ({ oldState, newState })),
    ],
  }
}

type Cell = readonly [key: CountKey, ...states: string[]]

interface Row {
  key: CountKey
  states: readonly string[]
  values: Float64Array
}

/** Numbers by key and day. */
class Table {
  readonly #rows = new Map<string, Row>()
  readonly #days: number

  constructor(days: number) {
    this.#days = days
  }

  /** Adds on one day; what lies outside of the days is left out. */
  addOn(cell: Cell, day: number, count: number): void {
    if (day >= 0 && day < this.#days) this.#row(cell).values[day]! += count
  }

  /** Adds a difference that holds from this day on, for `sumsByDay`. */
  addFrom(cell: Cell, day: number, count: number): void {
    this.addOn(cell, Math.max(day, 0), count)
  }

  /** The same up to the day before `until`. */
  addBetween(cell: Cell, { from, until }: { from: number; until: number }, count: number): void {
    if (Math.max(from, 0) >= until) return
    this.addFrom(cell, from, count)
    this.addFrom(cell, until, -count)
  }

  valuesByDay<More>(days: readonly string[], more: (states: readonly string[]) => More) {
    return [...this.#rows.values()].flatMap((row) =>
      days.flatMap((day, index) => {
        const findings = row.values[index] ?? 0
        return findings === 0 ? [] : [{ ...row.key, ...more(row.states), day, findings }]
      }),
    )
  }

  sumsByDay<More>(days: readonly string[], more: (states: readonly string[]) => More) {
    for (const { values } of this.#rows.values())
      for (let day = 1; day < values.length; day += 1) values[day]! += values[day - 1]!
    return this.valuesByDay(days, more)
  }

  #row([{ integrationId, kind, severity, type }, ...states]: Cell): Row {
    const id = JSON.stringify([integrationId, kind, severity, type, ...states])
    const known = this.#rows.get(id)
    if (known !== undefined) return known
    const key = { integrationId, kind, severity, type }
    const row = { key, states, values: new Float64Array(this.#days) }
    this.#rows.set(id, row)
    return row
  }
}
