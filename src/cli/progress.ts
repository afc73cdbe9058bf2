import type { Ledger, RunProgress } from '../api/resources.ts'
import type { Clock } from '../lib/clock.ts'
import { singleLine } from '../model/blocks.ts'
import type { Output } from './context.ts'

/** Off a terminal a line is written this often, when this much more is done, and when another step or wait begins. */
const LINE_INTERVAL_MS = 30_000
const LINE_PERCENT = 10
const REDRAW_INTERVAL_MS = 100
const COLUMNS_DEFAULT = 100

/** Shows how a run goes: one line that is redrawn on a terminal, a line now and then elsewhere. */
export class ProgressLine {
  readonly #output: Output
  readonly #clock: Clock
  #startMs: number | null = null
  #startRecords = 0
  #lastMs = Number.NEGATIVE_INFINITY
  #lastPercent = 0
  #lastText = ''
  #lastStep = ''
  #isDrawn = false

  constructor(output: Output, clock: Clock) {
    this.#output = output
    this.#clock = clock
  }

  show(progress: RunProgress): void {
    const nowMs = this.#clock.nowMs()
    const text = progressText(progress, this.#rate(progress, nowMs))
    if (this.#output.isTTY === true) return this.#redraw(text, nowMs)
    const percent = percentOf(progress)
    const { state, phase, waitingUntil } = progress.run
    const step = `${state} ${phase} ${waitingUntil ?? ''}`
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

  #rate(progress: RunProgress, nowMs: number): number {
    const records = ledgerOf(progress, 'qualys.detections')?.receivedRecords ?? 0
    if (this.#startMs === null || records < this.#startRecords) {
      this.#startMs = nowMs
      this.#startRecords = records
      return 0
    }
    const seconds = (nowMs - this.#startMs) / 1000
    return seconds < 1 ? 0 : (records - this.#startRecords) / seconds
  }
}

/** E.g. "run 12 (delta) fetching: hosts 320/500, 12,345 detections (1,200/s), batch 3 of 5, waiting for quota until …". */
export function progressText(progress: RunProgress, detectionsPerSecond: number): string {
  const { run, tickets } = progress
  const ledger = ledgerOf(progress, 'qualys.detections')
  const parts: string[] = []
  if (run.visibleHosts !== null && ledger !== undefined) {
    parts.push(`hosts ${number(ledger.receivedHosts)}/${number(run.expectedHosts ?? 0)}`)
    const rate = detectionsPerSecond > 0 ? ` (${number(Math.round(detectionsPerSecond))}/s)` : ''
    parts.push(`${number(ledger.receivedRecords)} detections${rate}`)
    const batches = progress.ledger.reduce((sum, one) => sum + one.batches, 0)
    const done = progress.ledger.reduce((sum, one) => sum + one.batchesDone + one.batchesOwed, 0)
    parts.push(`batch ${number(done)} of ${number(batches)}`)
  }
  if (run.waitingUntil !== null)
    parts.push(`waiting until ${run.waitingUntil.slice(11, 19)}Z: ${run.waitingReason ?? 'quota'}`)
  if (tickets.planning) parts.push('tickets are planned')
  if (tickets.done + tickets.waiting > 0)
    parts.push(`tickets: ${number(tickets.done)} changes sent, ${number(tickets.waiting)} to go`)
  if (tickets.later > 0)
    parts.push(`${number(tickets.later)} changes wait until ${tickets.nextAt?.slice(11, 19) ?? '?'}Z`)
  const phase = run.state === 'RUNNING' ? run.phase : run.state
  return singleLine(`run ${run.id} (${run.mode}) ${phase}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`)
}

export function ledgerOf(progress: { ledger: readonly Ledger[] }, module: string): Ledger | undefined {
  return progress.ledger.find((ledger) => ledger.module === module)
}

function percentOf(progress: RunProgress): number {
  const batches = progress.ledger.reduce((sum, one) => sum + one.batches, 0)
  const open = progress.ledger.reduce((sum, one) => sum + one.batchesOpen, 0)
  return batches === 0 ? 0 : Math.floor(((batches - open) / batches) * 100)
}

function number(value: number): string {
  return value.toLocaleString('en')
}
