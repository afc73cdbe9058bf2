import { badCombination, invalidValue, missing, onlyOneOf, unrecognized } from './api-error.ts'

export interface IdRange {
  min: number
  max: number
}

/** What a parameter may hold. `elsewhere` is one that Qualys knows and this fake refuses to pretend to know. */
export type ParamKind =
  | 'flag'
  | 'count'
  | 'id'
  | 'ids'
  | 'date'
  | 'text'
  | 'elsewhere'
  | readonly string[]
  | ListOf
interface ListOf {
  listOf: readonly string[] | 'ids'
}

export interface ParamRules {
  kinds: Readonly<Record<string, ParamKind>>
  /** At most one of each group: code 1904. */
  onlyOne: readonly (readonly string[])[]
  /** Pairs that do not go together: code 1907. */
  notTogether: readonly (readonly [string, string])[]
}

export class NotInTheFake extends Error {
  override readonly name = 'NotInTheFake'
}

const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?$/
const TRUNCATION_MAX = 1_000_000

/** Parameters of one call, already judged by the rules: reading one cannot fail any more. */
export class Params {
  readonly #values: ReadonlyMap<string, string>

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    return this.#values.get(name)
  }

  flag(name: string, normally = false): boolean {
    const value = this.#values.get(name)
    return value === undefined ? normally : value === '1'
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name)
    return value === undefined ? undefined : Number(value)
  }

  dateMs(name: string): number | undefined {
    const value = this.#values.get(name)
    return value === undefined ? undefined : Date.parse(value)
  }

  list(name: string): string[] | undefined {
    return this.#values
      .get(name)
      ?.split(',')
      .map((item) => item.trim())
  }

  /** Ascending, with neighbours and overlaps joined, so that no id is answered twice. */
  ranges(name: string): IdRange[] | undefined {
    const list = this.list(name)
    return list === undefined ? undefined : joinRanges(list.map(toRange))
  }

  entries(): [string, string][] {
    return [...this.#values]
  }
}

/** Judges the parameters as Qualys does: unknown ones first, then values, then combinations. Throws ApiError. */
export function parseParams(pairs: Iterable<[string, string]>, rules: ParamRules): Params {
  const values = new Map<string, string>(pairs)
  const action = values.get('action')
  if (action === undefined || action === '') throw missing(['action'])
  if (action !== 'list') throw invalidValue('action', action, 'this fake answers action=list only')
  const unknown = [...values.keys()].filter((name) => name !== 'action' && rules.kinds[name] === undefined)
  if (unknown.length > 0) throw unrecognized(unknown)
  for (const [name, value] of values) {
    const kind = rules.kinds[name]
    if (kind !== undefined) checkValue(name, value, kind)
  }
  for (const group of rules.onlyOne) {
    const given = group.filter((name) => values.has(name))
    if (given.length > 1) throw onlyOneOf(given)
  }
  for (const [one, other] of rules.notTogether) {
    if (!values.has(one) || !values.has(other)) continue
    throw badCombination([`${one}=${values.get(one)}`, `${other}=${values.get(other)}`])
  }
  return new Params(values)
}

/** Why a value cannot be; undefined when it can. */
const CHECKS: Record<'flag' | 'count' | 'id' | 'date' | 'text', (value: string) => string | undefined> = {
  flag: (value) => (value === '0' || value === '1' ? undefined : 'please specify 0 or 1'),
  count: (value) =>
    /^\d{1,7}$/.test(value) && Number(value) <= TRUNCATION_MAX
      ? undefined
      : `please specify a number from 0 to ${TRUNCATION_MAX}`,
  id: (value) => (/^\d{1,15}$/.test(value) ? undefined : 'not a positive integer'),
  date: (value) =>
    DATE.test(value) && !Number.isNaN(Date.parse(value)) ? undefined : 'not a date: YYYY-MM-DD[THH:MM:SSZ]',
  text: () => undefined,
}

function checkValue(name: string, value: string, kind: ParamKind): void {
  if (kind === 'elsewhere') {
    throw new NotInTheFake(`The fake does not do the parameter ${name}; add it before you use it.`)
  }
  if (value === '') throw invalidValue(name, value, 'cannot be empty')
  if (kind === 'ids') return checkIds(name, value)
  if (typeof kind === 'string') {
    const why = CHECKS[kind](value)
    if (why !== undefined) throw invalidValue(name, value, why)
  } else if (!isList(kind)) checkList(name, value, kind.listOf)
  else if (!kind.includes(value)) throw invalidValue(name, value, `please specify one of: ${kind.join(', ')}`)
}

function isList(kind: readonly string[] | ListOf): kind is readonly string[] {
  return Array.isArray(kind)
}

function checkList(name: string, value: string, allowed: readonly string[] | 'ids'): void {
  if (allowed === 'ids') return checkIds(name, value)
  for (const item of value.split(',')) {
    if (!allowed.includes(item.trim()))
      throw invalidValue(name, value, `please specify one of: ${allowed.join(', ')}`)
  }
}

function checkIds(name: string, value: string): void {
  for (const item of value.split(',')) {
    const match = /^([1-9]\d{0,15})(?:-([1-9]\d{0,15}))?$/.exec(item.trim())
    if (match === null || (match[2] !== undefined && Number(match[2]) < Number(match[1]))) {
      throw invalidValue(name, value, `neither a positive integer nor a range: ${item}`)
    }
  }
}

function toRange(item: string): IdRange {
  const [min, max] = item.split('-')
  return { min: Number(min), max: Number(max ?? min) }
}

function joinRanges(ranges: IdRange[]): IdRange[] {
  const joined: IdRange[] = []
  for (const range of ranges.toSorted((a, b) => a.min - b.min)) {
    const last = joined.at(-1)
    if (last !== undefined && range.min <= last.max + 1) last.max = Math.max(last.max, range.max)
    else joined.push({ ...range })
  }
  return joined
}

export function inRanges(ranges: readonly IdRange[] | undefined, id: number): boolean {
  return ranges === undefined || ranges.some((range) => id >= range.min && id <= range.max)
}
