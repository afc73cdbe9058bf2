import type { Clock } from '../lib/clock.ts'
import type { Output } from './context.ts'

/** Off a terminal a line is written this often, when this much more is done, and when another step or wait begins. */
const LINE_INTERVAL_MS = 30_000
const LINE_PERCENT = 10
const REDRAW_INTERVAL_MS = 100
const COLUMNS_DEFAULT = 100

export interface Status {
  /** One line without control characters. */
  text: string
  /** Another one is told at once. */
  step: string
  percent: number
}

/** Shows how long work goes: one line that is redrawn on a terminal, a line now and then elsewhere. */
export class StatusLine {
  readonly #output: Output
  readonly #clock: Clock
  #lastMs = Number.NEGATIVE_INFINITY
  #lastPercent = 0
  #lastText = ''
  #lastStep = ''
  #isDrawn = false

  constructor(output: Output, clock: Clock) {
    this.#output = output
    this.#clock = clock
  }

  show({ text, step, percent }: Status): void {
    const nowMs = this.#clock.nowMs()
    if (this.#output.isTTY === true) return this.#redraw(text, nowMs)
    const isDue =
      step !== this.#lastStep ||
      nowMs - this.#lastMs >= LINE_INTERVAL_MS ||
      percent - this.#lastPercent >= LINE_PERCENT
    if (!isDue || text === this.#lastText) return
    this.#lastMs = nowMs
    this.#lastPercent = percent
    this.#lastStep = step
    this.#lastText = text
    this.#output.write(`${text}\n`)
  }

  /** Leaves nothing of the redrawn line behind. */
  clear(): void {
    if (this.#isDrawn) this.#output.write('\r\u001B[2K')
    this.#isDrawn = false
  }

  #redraw(text: string, nowMs: number): void {
    if (nowMs - this.#lastMs < REDRAW_INTERVAL_MS) return
    this.#lastMs = nowMs
    const columns = this.#output.columns ?? COLUMNS_DEFAULT
    this.#output.write(`\r\u001B[2K${text.slice(0, columns - 1)}`)
    this.#isDrawn = true
  }
}
