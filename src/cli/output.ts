import { cleanText, singleLine } from '../model/blocks.ts'
import type { Output } from './context.ts'

export interface Column<Row> {
  title: string
  value(row: Row): string | number | null
  /** Cut to this in a terminal. */
  width?: number
  right?: boolean
}

/** A table for a terminal; tab-separated lines without a head for a pipe. Data is hostile: no control characters. */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  isTerminal: boolean,
): string {
  const cells = rows.map((row) => columns.map((column) => singleLine(String(column.value(row) ?? ''))))
  if (!isTerminal) return cells.map((line) => `${line.join('\t')}\n`).join('')
  const cut = cells.map((line) => line.map((cell, index) => cutTo(cell, columns[index]?.width)))
  const head = columns.map((column) => column.title.toUpperCase())
  const widths = columns.map((_, index) =>
    Math.max(...[head, ...cut].map((line) => (line[index] ?? '').length)),
  )
  return [head, ...cut].map((line) => formatLine(line, widths, columns)).join('')
}

function formatLine<Row>(
  line: readonly string[],
  widths: readonly number[],
  columns: readonly Column<Row>[],
): string {
  const cells = line.map((cell, index) => {
    const width = widths[index] ?? 0
    return columns[index]?.right === true ? cell.padStart(width) : cell.padEnd(width)
  })
  return `${cells.join('  ').trimEnd()}\n`
}

/** For other programs: a head, quoted where needed, and nothing that a spreadsheet would take for a formula. */
export function formatCsv<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = rows.map((row) => columns.map((column) => csvCell(column.value(row))))
  return [columns.map(({ title }) => csvCell(title)), ...lines]
    .map((line) => `${line.join(',')}\r\n`)
    .join('')
}

function csvCell(value: string | number | null): string {
  if (typeof value === 'number') return String(value)
  const text = singleLine(value ?? '')
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text
  return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const BAR_WIDTH = 20

/** A number as a length, against the greatest one. */
export function formatBar(value: number, greatest: number): string {
  return greatest <= 0 ? '' : '█'.repeat(Math.round((value / greatest) * BAR_WIDTH))
}

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 60 * MINUTE_SECONDS
const DAY_SECONDS = 24 * HOUR_SECONDS

/** Roughly, in one unit: the seconds are in the JSON. */
export function formatDuration(seconds: number | null): string {
  if (seconds === null) return ''
  if (seconds >= 2 * DAY_SECONDS) return `${(seconds / DAY_SECONDS).toFixed(1)} d`
  if (seconds >= 2 * HOUR_SECONDS) return `${(seconds / HOUR_SECONDS).toFixed(1)} h`
  return `${Math.round(seconds / MINUTE_SECONDS)} min`
}

/** Names and values below each other, for one thing; a value of several lines stands below its first one. */
export function formatFields(
  fields: readonly (readonly [name: string, value: string | number | null | readonly string[]])[],
): string {
  const width = Math.max(...fields.map(([name]) => name.length))
  return fields
    .flatMap(([name, value]) => {
      const lines = Array.isArray(value) ? value : [value]
      return lines
        .filter((line) => line !== null && line !== '')
        .map((line, index) => `${(index === 0 ? name : '').padEnd(width)}  ${singleLine(String(line))}\n`)
    })
    .join('')
}

/** Text of several lines, indented. */
export function formatText(text: string): string {
  return cleanText(text)
    .split('\n')
    .map((line) => `  ${line}`.trimEnd())
    .join('\n')
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}

/** To the minute: the exact instant is in the JSON. */
export function formatInstant(instant: string | null): string {
  return instant === null ? '' : `${instant.slice(0, 10)} ${instant.slice(11, 16)}Z`
}

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Exactly, with the two largest units: 42 min 5 s, 23 h 53 min. */
export function formatSpan(durationMs: number): string {
  const whole = Math.max(0, Math.round(durationMs / SECOND_MS) * SECOND_MS)
  const parts = (
    [
      [DAY_MS, 'd'],
      [HOUR_MS, 'h'],
      [MINUTE_MS, 'min'],
      [SECOND_MS, 's'],
    ] as const
  ).map(([unitMs, name], index, units) => {
    const above = units[index - 1]?.[0] ?? Infinity
    return [Math.floor((whole % above) / unitMs), name] as const
  })
  const first = parts.findIndex(([count]) => count > 0)
  if (first < 0) return 'under a second'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${name}`)
    .join(' ')
}

export function printJson(stdout: Output, data: unknown, meta: Record<string, unknown> = {}): void {
  stdout.write(`${JSON.stringify({ data, meta }, null, 2)}\n`)
}

function cutTo(text: string, width: number | undefined): string {
  return width !== undefined && text.length > width ? `${text.slice(0, width - 1)}…` : text
}

export function toNumber(text: string | undefined): number | string | undefined {
  // What is no number goes on as it is, so that it is refused by its name.
  return text === undefined || text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)
}
