import { changeRun, type RunChange, type RunRow } from '../store/queries/runs.ts'
import { noteRunWait } from '../store/queries/run-waits.ts'
import type { EngineDeps } from './deps.ts'
import type { PatientWait } from './patience.ts'
import type { VmSource } from './vm-source.ts'

/** What every phase of a run works with. */
export interface RunContext {
  deps: EngineDeps
  run: RunRow
  source: VmSource
  signal: AbortSignal
}

/** The run is not this process's any more; whoever notices stops without touching anything. */
export class RunLost extends Error {
  constructor(message = 'This run is driven by another process now.') {
    super(message)
  }
}

export async function changeRunOrLose(context: RunContext, change: RunChange): Promise<void> {
  const { deps, run } = context
  if (!(await changeRun(deps.pool, { runId: run.id, epoch: run.epoch }, change))) throw new RunLost()
}

/** Shows in the run until when it waits and for what, so that a person sees it. */
export async function showWait(
  context: RunContext,
  { untilMs, reason }: { untilMs: number; reason: string },
): Promise<void> {
  await changeRunOrLose(context, { waitingUntil: new Date(untilMs), waitingReason: reason })
}

/** The same, and keeps it in the ledger; a wait for a limit is kept by whoever keeps the limits. */
export async function keepWait(context: RunContext, wait: PatientWait): Promise<void> {
  await showWait(context, wait)
  if (!wait.isTrouble) return
  const { integrationId } = context.run
  const { what, reason, sinceMs, untilMs } = wait
  await noteRunWait(context.deps.pool, { integrationId, what, cause: 'trouble', reason, sinceMs, untilMs })
}
