import type { Ledger, RunProgress } from '../api/run-resources.ts'
import type { Clock } from '../lib/clock.ts'
import { singleLine } from '../model/blocks.ts'
import type { Output } from './context.ts'
import { StatusLine } from './status-line.ts'

/** Shows how a run goes. */
export class ProgressLine {
  readonly #line: StatusLine
  readonly #clock: Clock
  #startMs: number | null = null
  #startRecords = 0

  constructor(output: Output, clock: Clock) {
    this.#line = new StatusLine(output, clock)
    this.#clock = clock
  }

  show(progress: RunProgress): void {
    const { state, phase, waitingUntil, waitingReason } = progress.run
    this.#line.show({
      text: progressText(progress, this.#rate(progress, this.#clock.nowMs())),
      step: `${state} ${phase} ${waitingUntil ?? waitingReason ?? ''}`,
      percent: percentOf(progress),
    })
  }

  /** Leaves nothing of the redrawn line behind. */
  clear(): void {
    this.#line.clear()
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
    const expected = run.expectedHosts ?? 0
    // A host that was asked for twice may have come twice.
    const answered = Math.min(expected, ledger.receivedHosts + ledger.emptyHosts)
    parts.push(`hosts ${number(answered)}/${number(expected)}`)
    const rate = detectionsPerSecond > 0 ? ` (${number(Math.round(detectionsPerSecond))}/s)` : ''
    parts.push(`${number(ledger.receivedRecords)} detections${rate}`)
    const batches = progress.ledger.reduce((sum, one) => sum + one.batches, 0)
    const done = progress.ledger.reduce((sum, one) => sum + one.batchesDone + one.batchesOwed, 0)
    parts.push(`batch ${number(done)} of ${number(batches)}`)
  }
  if (run.waitingUntil !== null)
    parts.push(`waiting until ${run.waitingUntil.slice(11, 19)}Z: ${run.waitingReason ?? 'quota'}`)
  else if (run.waitingReason !== null) parts.push(`waiting: ${run.waitingReason}`)
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
