import { dropStagedOfRun } from '../store/bulk/batch-merge.ts'
import type { Tx } from '../store/db.ts'
import { type BatchClaim, cancelBatches } from '../store/queries/batches.ts'
import { setIntegrationStatus } from '../store/queries/integrations.ts'
import { type RunRow, changeRun, failRunOfClaim } from '../store/queries/runs.ts'
import { inTransaction } from '../store/transaction.ts'
import { sayDatabaseTrouble, withDatabase } from './database-trouble.ts'
import type { EngineDeps } from './deps.ts'

interface RunEnd {
  message: string
  /** Nothing of this integration is asked any more until somebody has seen to it. */
  needsPerson: boolean
}

/** Fails a run and cancels what is left of it, if this epoch still drives it; false when it is somebody else's by now. */
export async function failRun(
  deps: EngineDeps,
  run: Pick<RunRow, 'id' | 'integrationId' | 'epoch'>,
  end: RunEnd,
): Promise<boolean> {
  const { id: runId, epoch, integrationId } = run
  const change = {
    state: 'FAILED',
    message: end.message,
    finishedAt: new Date(deps.clock.nowMs()),
    waitingUntil: null,
    waitingReason: null,
  } as const
  return write(deps, async (tx) => {
    // The run is changed first: only whom that succeeds for may take its batches away.
    if (!(await changeRun(tx, { runId, epoch }, change))) return false
    await markIntegration(tx, integrationId, end)
    await cancelRest(tx, runId, end)
    return true
  })
}

/** The same, by the worker of one of its batches; false when that batch is somebody else's by now. */
export async function failRunByBatch(
  deps: EngineDeps,
  batch: { runId: string; integrationId: string; claim: BatchClaim },
  end: RunEnd,
): Promise<boolean> {
  const finishedAt = new Date(deps.clock.nowMs())
  const failed = await write(deps, async (tx) => {
    if (!(await failRunOfClaim(tx, batch.claim, { message: end.message, finishedAt }))) return false
    await markIntegration(tx, batch.integrationId, end)
    return true
  })
  // Not in the same transaction: its batches may be held for long, and every worker has to see at once that it is over.
  if (failed) await write(deps, (tx) => cancelRest(tx, batch.runId, end))
  return failed
}

async function markIntegration(tx: Tx, integrationId: string, end: RunEnd): Promise<void> {
  const { message, needsPerson } = end
  if (needsPerson) await setIntegrationStatus(tx, integrationId, { status: 'NEEDS_ATTENTION', message })
}

async function cancelRest(tx: Tx, runId: string, end: RunEnd): Promise<void> {
  await cancelBatches(tx, runId, end.message)
  await dropStagedOfRun(tx, runId)
}

async function write<T>(deps: EngineDeps, work: (tx: Tx) => Promise<T>): Promise<T> {
  try {
    return await withDatabase(deps, undefined, () => inTransaction(deps.pool, work))
  } catch (error) {
    throw sayDatabaseTrouble(error)
  }
}
