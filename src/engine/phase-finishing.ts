import type { RunState } from '../model/finding.ts'
import { dropStagedOfRun } from '../store/bulk/batch-merge.ts'
import type { Tx } from '../store/db.ts'
import { oweCancelledBatches } from '../store/queries/batches.ts'
import { countOpenGaps, openGaps, setNextTry, settlePlacelessGaps } from '../store/queries/gaps.ts'
import { setIntegrationStatus } from '../store/queries/integrations.ts'
import { getScanAges } from '../store/queries/hosts.ts'
import { fenceByEpoch } from '../store/queries/leases.ts'
import { refreshStatistics } from '../store/queries/maintenance.ts'
import { getModuleState, swapModuleState } from '../store/queries/module-state.ts'
import { countTombstones } from '../store/queries/vulnerabilities.ts'
import { type LedgerSums, type RunRow, changeRun, countOwedHosts, sumLedger } from '../store/queries/runs.ts'
import { inTransaction } from '../store/transaction.ts'
import { gapsOf } from './batch-failure.ts'
import { BATCH_HOSTS_FIRST, BATCH_HOSTS_MAX, BATCH_HOSTS_MIN } from './phase-listing.ts'
import { type RunContext, RunLost } from './run-context.ts'
import { OLD_SCAN_MS, warningsOf } from './run-warnings.ts'
import { DETECTIONS_MODULE } from './vm-source.ts'

/** What is processed while a run goes on, or stamped by a clock that differs, is asked for once more. */
export const WATERMARK_OVERLAP_MS = 2 * 60 * 60_000
/** A run that owes more than this share of its expected hosts has failed. */
const OWED_SHARE_MAX = 0.5
/** A batch should bring about this much XML … */
const BATCH_BYTES_TARGET = 256 * 1024 * 1024
/** … and not take longer than this. */
const BATCH_DURATION_MS_TARGET = 120_000

/** The last phase: what is owed is counted, the run gets its state, and the watermark moves. */
export async function finishRun(context: RunContext): Promise<void> {
  const { deps, run } = context
  const { integrationId } = run
  const now = new Date(deps.clock.nowMs())
  await inTransaction(deps.pool, async (tx) => {
    if (!(await fenceByEpoch(tx, run))) throw new RunLost()
    if (run.mode === 'full') await settlePlacelessGaps(tx, { integrationId, runId: run.id, now })
    const { syncIntervalMs } = context.source
    const nextTryAt = syncIntervalMs === null ? null : new Date(run.startedAt.getTime() + syncIntervalMs)
    await setNextTry(tx, integrationId, nextTryAt)
    await oweCancelled(tx, run, now)
    const end = await judge(tx, run, now)
    const serverStartedMs = run.serverStartedAt?.getTime() ?? now.getTime()
    const watermarkTo = end.state === 'FAILED' ? null : new Date(serverStartedMs - WATERMARK_OVERLAP_MS)
    if (watermarkTo !== null) await moveWatermark(tx, run, watermarkTo)
    const change = { ...end, phase: 'done', watermarkTo, finishedAt: now } as const
    if (!(await changeRun(tx, { runId: run.id, epoch: run.epoch }, change))) throw new RunLost()
    await dropStagedOfRun(tx, run.id)
    // A run that failed says nothing new about what a person has to see to.
    if (end.state !== 'FAILED') await setIntegrationStatus(tx, integrationId, { status: 'OK', message: null })
  })
  if (run.mode === 'full') await tryToRefreshStatistics(deps)
}

/** After much has come in, the planner has to know before tickets are decided; slower tickets are no failed run, though. */
async function tryToRefreshStatistics({ pool, log }: RunContext['deps']): Promise<void> {
  try {
    await refreshStatistics(pool)
  } catch (error) {
    log.warn({ error: String(error) }, 'The statistics of the tables were not refreshed after a full run.')
  }
}

async function oweCancelled(tx: Tx, run: RunRow, now: Date): Promise<void> {
  const { integrationId } = run
  for (const batch of await oweCancelledBatches(tx, run.id, now)) {
    const reason = 'Its batch was cancelled while the run went on, so it was not asked for.'
    const gaps = await gapsOf(tx, { ...batch, integrationId }, reason)
    await openGaps(tx, { integrationId, runId: run.id, now, gaps })
  }
}

interface RunEnd {
  state: RunState
  message: string
  warnings: string[]
}

/**
 * COMPLETE without a gap, PARTIAL with gaps that are all listed, FAILED when most of what was expected is missing. What
 * should be looked at although nothing is owed is said with it.
 */
async function judge(tx: Tx, run: RunRow, now: Date): Promise<RunEnd> {
  const gaps = await countOpenGaps(tx, run.integrationId)
  const owedHosts = await countOwedHosts(tx, run.id)
  const expected = run.expectedHosts ?? 0
  if (expected > 0 && owedHosts / expected > OWED_SHARE_MAX)
    return {
      state: 'FAILED',
      message: `${owedHosts} of ${expected} expected hosts could not be had; the watermark stays.`,
      warnings: [],
    }
  const sums = await sumLedger(tx, run.id, DETECTIONS_MODULE)
  const warnings = await warn(tx, run, { sums, now })
  const message = [outcomeOf(gaps, sums.staleRecords), ...warnings].join(' ')
  return { state: gaps === 0 ? 'COMPLETE' : 'PARTIAL', message, warnings }
}

function outcomeOf(gaps: number, staleRecords: number): string {
  const stale = `${staleRecords} open findings were left out twice and are stale now.`
  if (gaps === 0)
    return staleRecords === 0 ? 'Everything that was expected came.' : `Every host was asked; ${stale}`
  const things = gaps === 1 ? 'thing is' : 'things are'
  const owed = `${gaps} ${things} owed; see the list of gaps.`
  return staleRecords === 0 ? owed : `${owed} ${stale}`
}

async function warn(tx: Tx, run: RunRow, facts: { sums: LedgerSums; now: Date }): Promise<string[]> {
  const { sums, now } = facts
  const oldBefore = new Date(now.getTime() - OLD_SCAN_MS)
  const scans = await getScanAges(tx, { integrationId: run.integrationId, oldBefore })
  return warningsOf({
    ...sums,
    unknownQids: await countTombstones(tx, run.integrationId),
    scannedHosts: scans.scanned,
    oldScanHosts: scans.old,
    newestScanMs: scans.newestAt?.getTime() ?? null,
    nowMs: now.getTime(),
  })
}

async function moveWatermark(tx: Tx, run: RunRow, watermark: Date): Promise<void> {
  const module = await getModuleState(tx, run.integrationId, DETECTIONS_MODULE)
  const sums = await sumLedger(tx, run.id, DETECTIONS_MODULE)
  const swapped = await swapModuleState(
    tx,
    { integrationId: run.integrationId, module: DETECTIONS_MODULE, version: module.version },
    {
      watermark,
      lastFullAt: run.mode === 'full' ? run.startedAt : module.lastFullAt,
      cursor: nextCursor(module.cursor, run, sums),
    },
  )
  if (!swapped) throw new RunLost()
}

/** What the next run starts from: when information was gathered last, and how many hosts make a good batch. */
function nextCursor(cursor: Record<string, unknown>, run: RunRow, sums: LedgerSums): Record<string, unknown> {
  return {
    ...cursor,
    batchHosts: nextBatchHosts(Number(cursor['batchHosts'] ?? BATCH_HOSTS_FIRST), sums),
    ...(run.options.showIgs === true && { lastInformationAt: run.startedAt.toISOString() }),
  }
}

/** A run's batches are at most so many times larger than those of the run before. */
const BATCH_GROWTH_MAX = 4

/** Grows step by step and shrinks at once. */
export function nextBatchHosts(
  batchHosts: number,
  sums: Pick<LedgerSums, 'bytes' | 'receivedHosts' | 'durationMsMax'>,
): number {
  const bytes = Number(sums.bytes)
  if (sums.receivedHosts === 0 || bytes === 0) return batchHosts
  const byBytes = BATCH_BYTES_TARGET / (bytes / sums.receivedHosts)
  const byTime =
    sums.durationMsMax > BATCH_DURATION_MS_TARGET
      ? batchHosts * (BATCH_DURATION_MS_TARGET / sums.durationMsMax)
      : Infinity
  const wanted = Math.min(byBytes, byTime, batchHosts * BATCH_GROWTH_MAX)
  return Math.round(Math.min(BATCH_HOSTS_MAX, Math.max(BATCH_HOSTS_MIN, wanted)))
}
