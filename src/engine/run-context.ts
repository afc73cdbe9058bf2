import type { Tx } from '../store/db.ts'
import { fenceByEpoch } from '../store/queries/leases.ts'
import { noteRunWait } from '../store/queries/run-waits.ts'
import { changeRun, type RunChange, type RunRow } from '../store/queries/runs.ts'
import { inTransaction } from '../store/transaction.ts'
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

/** Writes while this process drives the run, or not at all. */
export async function fenced<Result>(
  context: RunContext,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> {
  const { deps, run } = context
  return inTransaction(deps.pool, async (tx) => {
    if (!(await fenceByEpoch(tx, run))) throw new RunLost()
    return work(tx)
  })
}
