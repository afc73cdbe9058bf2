import { HubError } from '../model/errors.ts'
import type { RunMode } from '../model/finding.ts'
import { ensureEventPartitions } from '../store/queries/event-partitions.ts'
import { type IntegrationRow, getIntegration } from '../store/queries/integrations.ts'
import {
  LEASE_SECONDS,
  getLeaseHolder,
  releaseLease,
  renewLease,
  takeLease,
} from '../store/queries/leases.ts'
import { getModuleState } from '../store/queries/module-state.ts'
import {
  type RunRow,
  adoptRun,
  changeRun,
  getRun,
  getUnfinishedRun,
  insertRun,
} from '../store/queries/runs.ts'
import { sayDatabaseTrouble, withDatabase } from './database-trouble.ts'
import type { EngineDeps } from './deps.ts'
import { failRun } from './end-run.ts'
import { traceLineage } from './lineage.ts'
import { fetchBatches } from './phase-fetching.ts'
import { finishRun } from './phase-finishing.ts'
import { learnVulnerabilities } from './phase-knowledge.ts'
import { listExpected } from './phase-listing.ts'
import { type RunContext, RunLost } from './run-context.ts'
import { failureSentence, stopsTheRun } from './run-failure.ts'
import { scopeFingerprint } from './scope.ts'
import { DETECTIONS_MODULE, type VmSource } from './vm-source.ts'

export interface SyncRequest {
  integrationId: string
  trigger: 'manual' | 'schedule' | 'resume'
  /** A delta is made full where it has to be; the run says why. */
  mode: RunMode
}

/** The whole is asked for at least this often, since a delta cannot see everything. */
const FULL_INTERVAL_MS_MAX = 7 * 24 * 60 * 60_000
const INFORMATION_INTERVAL_MS = 7 * 24 * 60 * 60_000

/**
 * Runs an integration once, or finishes the run that a dead process left behind. One at a time: while another process
 * holds the lease this is refused. Returns the run as it ended; a run that needs a person has the state FAILED.
 */
export async function sync(deps: EngineDeps, request: SyncRequest, signal: AbortSignal): Promise<RunRow> {
  const integration = await requireEnabled(deps, request.integrationId)
  const lease = await takeLease(deps.pool, { integrationId: integration.id, holder: deps.worker })
  if (lease === null) throw await alreadyRunning(deps, integration)
  const held = keepLease(deps, { integrationId: integration.id, epoch: lease.epoch })
  try {
    await ensureEventPartitions(deps.pool, new Date(deps.clock.nowMs()))
    const both = AbortSignal.any([signal, held.lost])
    return await startAndDrive(deps, integration, { request, epoch: lease.epoch, signal: both })
  } finally {
    held.stop()
    // A lease that cannot be given back runs out by itself.
    await releaseLease(deps.pool, { integrationId: integration.id, epoch: lease.epoch }).catch(
      (error: unknown) => deps.log.warn({ error: String(error) }, 'A lease was not given back.'),
    )
  }
}

async function startAndDrive(
  deps: EngineDeps,
  integration: IntegrationRow,
  start: { request: SyncRequest; epoch: string; signal: AbortSignal },
): Promise<RunRow> {
  let run = await adoptUnfinished(deps, integration.id, start.epoch)
  let source: VmSource | undefined
  try {
    source = await deps.connectSource(integration, (wait) => {
      if (run !== null) void noteWait(deps, run, wait)
    })
    if (run !== null && !isSameScope(run.scope, source.scope)) run = await startOver(deps, source, run, start)
    const connected = source
    run ??= await withDatabase(deps, start.signal, () => insertNewRun(deps, connected, start))
    await drive({ deps, run, source, signal: start.signal })
  } catch (error) {
    run ??= await insertFailedRun(deps, start)
    await settleEnd(deps, { run, error, signal: start.signal })
  } finally {
    await source?.close()
  }
  const ended = await getRun(deps.pool, run.id)
  if (ended === null) throw new Error(`Run ${run.id} has vanished.`)
  return ended
}

/**
 * From where the run stands to its end: each phase leaves the run in the next one, so a new driver goes on there, and so
 * does this one when the database failed in between.
 */
async function drive(context: RunContext): Promise<void> {
  const { deps, signal } = context
  let isOver = false
  while (!isOver) isOver = await withDatabase(deps, signal, () => drivePhase(context))
}

/** True when the run is over. */
async function drivePhase(context: RunContext): Promise<boolean> {
  context.signal.throwIfAborted()
  const run = await getRun(context.deps.pool, context.run.id)
  // The database may have failed just after it had kept the end.
  if (run?.phase === 'done' && run.epoch === context.run.epoch) return true
  if (run === null || run.state !== 'RUNNING' || run.epoch !== context.run.epoch) throw new RunLost()
  const current = { ...context, run }
  context.deps.log.info({ run: run.id, phase: run.phase, mode: run.mode }, 'A run enters a phase.')
  switch (run.phase) {
    case 'listing':
      await listExpected(current)
      break
    case 'fetching':
      await context.deps.wakeHelpers?.()
      await fetchBatches(current)
      break
    case 'knowledge':
      await learnVulnerabilities(current)
      break
    case 'finishing':
      await traceLineage(current)
      await finishRun(current)
      return true
    case 'done':
      return true
  }
  return false
}

/**
 * What becomes of an interrupted run when the configuration has changed since: what it had asked for is no longer what is
 * wanted, so it ends and a full one begins. Before its lists had come in, nothing had been asked for that counts.
 */
async function startOver(
  deps: EngineDeps,
  source: VmSource,
  run: RunRow,
  start: { request: SyncRequest; epoch: string },
): Promise<RunRow> {
  if (run.phase === 'listing') {
    const scope = { ...source.scope }
    if (!(await changeRun(deps.pool, { runId: run.id, epoch: run.epoch }, { scope }))) throw new RunLost()
    return { ...run, scope }
  }
  const message = 'The configuration changed while the run was interrupted; a full run begins instead.'
  if (!(await failRun(deps, run, { message, needsPerson: false }))) throw new RunLost()
  const reason = 'the configuration changed while the run before was interrupted'
  return insertNewRun(deps, source, { ...start, reason })
}

/** Whether two accounts of what an account can see, by name, say the same. */
function isSameScope(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  return scopeFingerprint(a) === scopeFingerprint(b)
}

async function adoptUnfinished(
  deps: EngineDeps,
  integrationId: string,
  epoch: string,
): Promise<RunRow | null> {
  const unfinished = await getUnfinishedRun(deps.pool, integrationId)
  if (unfinished === null) return null
  deps.log.info({ run: unfinished.id, phase: unfinished.phase }, 'An unfinished run is taken over.')
  await adoptRun(deps.pool, { runId: unfinished.id, epoch })
  return { ...unfinished, epoch }
}

async function insertNewRun(
  deps: EngineDeps,
  source: VmSource,
  start: { request: SyncRequest; epoch: string; reason?: string },
): Promise<RunRow> {
  const { integrationId, mode, trigger } = start.request
  const state = await getModuleState(deps.pool, integrationId, DETECTIONS_MODULE)
  const nowMs = deps.clock.nowMs()
  const reason = start.reason ?? whyFull(mode, state, nowMs)
  const lastInformation = state.cursor['lastInformationAt']
  const lastInformationMs = typeof lastInformation === 'string' ? Date.parse(lastInformation) : Number.NaN
  const informationIsDue = !(nowMs - lastInformationMs < INFORMATION_INTERVAL_MS)
  const showIgs =
    source.showIgs === 'always' || (source.showIgs === 'weekly' && reason !== null && informationIsDue)
  return insertRun(deps.pool, {
    integrationId,
    trigger,
    epoch: start.epoch,
    mode: reason === null ? 'delta' : 'full',
    modeReason: reason ?? 'asked for what changed',
    options: { showIgs, showResults: source.showResults },
    scope: { ...source.scope },
    watermarkFrom: reason === null ? state.watermark : null,
    startedAt: new Date(nowMs),
  })
}

function whyFull(
  mode: RunMode,
  state: { watermark: Date | null; lastFullAt: Date | null },
  nowMs: number,
): string | null {
  if (mode === 'full') return 'asked for'
  if (state.watermark === null || state.lastFullAt === null) return 'nothing was pulled before'
  if (nowMs - state.lastFullAt.getTime() > FULL_INTERVAL_MS_MAX) return 'the last full run is over a week old'
  return null
}

/** The source could not even be built (a wrong address, a secret that does not open): the attempt is on record. */
async function insertFailedRun(
  deps: EngineDeps,
  start: { request: SyncRequest; epoch: string },
): Promise<RunRow> {
  return insertRun(deps.pool, {
    integrationId: start.request.integrationId,
    trigger: start.request.trigger,
    epoch: start.epoch,
    mode: start.request.mode,
    modeReason: 'asked for',
    options: {},
    scope: {},
    watermarkFrom: null,
    startedAt: new Date(deps.clock.nowMs()),
  })
}

/**
 * What an error makes of the run. A process that stops leaves it running, for the next driver; a lost lease is somebody
 * else's run; everything else ends it with a sentence, and a failure that needs a person marks the integration.
 */
async function settleEnd(
  deps: EngineDeps,
  end: { run: RunRow; error: unknown; signal: AbortSignal },
): Promise<void> {
  const { run } = end
  const error = sayDatabaseTrouble(end.error)
  if (error instanceof RunLost && (await isEndedByHelper(deps, run))) return
  if (error instanceof RunLost || end.signal.aborted) throw error
  const message = failureSentence(error)
  const failed = await failRun(deps, run, { message, needsPerson: stopsTheRun(error) })
  if (!failed && !(await isEndedByHelper(deps, run))) throw new RunLost()
  if (!(error instanceof HubError)) throw error
}

/** Another worker met a failure that stops the run and has ended it, while this process still holds the lease. */
async function isEndedByHelper(deps: EngineDeps, run: RunRow): Promise<boolean> {
  const now = await getRun(deps.pool, run.id)
  return now !== null && now.epoch === run.epoch && now.state === 'FAILED'
}

async function requireEnabled(deps: EngineDeps, integrationId: string): Promise<IntegrationRow> {
  const integration = await getIntegration(deps.pool, integrationId)
  if (integration === null) throw new HubError('not_found', `There is no integration ${integrationId}.`)
  if (!integration.isEnabled)
    throw new HubError('conflict', `The integration "${integration.name}" is disabled; enable it to sync it.`)
  return integration
}

async function alreadyRunning(deps: EngineDeps, integration: IntegrationRow): Promise<HubError> {
  const holder = await getLeaseHolder(deps.pool, integration.id)
  return new HubError(
    'conflict',
    `"${integration.name}" is being synced already${holder === null ? '' : ` by ${holder}`}; one run at a time.`,
  )
}

/** Renews the lease while the run goes on; aborts `lost` when somebody else has it. */
function keepLease(
  deps: EngineDeps,
  key: { integrationId: string; epoch: string },
): { lost: AbortSignal; stop(): void } {
  const lost = new AbortController()
  const renew = async () => {
    const held = await renewLease(deps.pool, key).catch(() => true)
    if (!held) lost.abort(await whyLost(deps, key))
  }
  const timer = setInterval(() => void renew(), (LEASE_SECONDS * 1000) / 3)
  return { lost: lost.signal, stop: () => clearInterval(timer) }
}

/** A disabled integration keeps its run, which says so and goes on when it is enabled again. */
async function whyLost(
  deps: EngineDeps,
  { integrationId, epoch }: { integrationId: string; epoch: string },
): Promise<RunLost> {
  const integration = await getIntegration(deps.pool, integrationId).catch(() => null)
  if (integration === null || integration.isEnabled) return new RunLost()
  const reason = 'the integration is disabled; the run goes on when it is enabled again'
  const stopped = { waitingUntil: null, waitingReason: reason }
  const run = await getUnfinishedRun(deps.pool, integrationId).catch(() => null)
  if (run !== null) await changeRun(deps.pool, { runId: run.id, epoch }, stopped).catch(() => false)
  return new RunLost(
    `"${integration.name}" was disabled in the middle of a run, which goes on when it is enabled again.`,
  )
}

async function noteWait(
  deps: EngineDeps,
  run: RunRow,
  wait: { endpoint: string; untilMs: number; reason: string },
): Promise<void> {
  await changeRun(
    deps.pool,
    { runId: run.id, epoch: run.epoch },
    { waitingUntil: new Date(wait.untilMs), waitingReason: `${wait.endpoint}: ${wait.reason}` },
  ).catch(() => false)
}
