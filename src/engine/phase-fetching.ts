import { getOpenWork } from '../store/queries/batches.ts'
import { type RunContext, changeRunOrLose, showWait } from './run-context.ts'
import { workBatches } from './work-batches.ts'

/** How often to look whether other processes have finished their batches. */
const POLL_MS = 500
/** A long wait is slept in pieces, so that a changed mind of the far side is noticed. */
const WAIT_PIECE_MS_MAX = 30_000

/** The second phase: batches are worked on, here and by every other worker, until none is left. */
export async function fetchBatches(context: RunContext): Promise<void> {
  const { deps, run, source, signal } = context
  for (;;) {
    signal.throwIfAborted()
    await workBatches(deps, async () => source, { runId: run.id, signal })
    const work = await getOpenWork(deps.pool, run.id)
    if (work.open === 0) break
    const waitMs = work.nextAt === null ? 0 : work.nextAt.getTime() - deps.clock.nowMs()
    if (work.claimed === 0 && work.nextAt !== null && waitMs > 0) {
      await showWait(context, {
        untilMs: work.nextAt.getTime(),
        reason: work.error ?? 'a batch is parked',
      })
      await deps.clock.sleep(Math.min(waitMs, WAIT_PIECE_MS_MAX), signal)
    } else {
      await deps.clock.sleep(POLL_MS, signal)
    }
  }
  await changeRunOrLose(context, { phase: 'knowledge', waitingUntil: null, waitingReason: null })
}
