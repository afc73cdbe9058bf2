import type { VmSource } from './vm-source.ts'
import { changeRun, type RunChange, type RunRow } from '../store/queries/runs.ts'
import type { EngineDeps } from './deps.ts'

/** What every phase of a run works with. */
export interface RunContext {
  deps: EngineDeps
  run: RunRow
  source: VmSource
  signal: AbortSignal
}

/** The run has another driver now; whoever notices stops without touching anything. */
export class RunLost extends Error {
  constructor() {
    super('This run is driven by another process now.')
  }
}

export async function changeRunOrLose(context: RunContext, change: RunChange): Promise<void> {
  const { deps, run } = context
  if (!(await changeRun(deps.pool, { runId: run.id, epoch: run.epoch }, change))) throw new RunLost()
}

/** Shows in the run until when it waits and for what, so that a person sees it. */
export async function showWait(context: RunContext, untilMs: number, reason: string): Promise<void> {
  await changeRunOrLose(context, { waitingUntil: new Date(untilMs), waitingReason: reason })
}
