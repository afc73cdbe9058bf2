import type pg from 'pg'
import type { Clock } from '../lib/clock.ts'
import { HubError } from '../model/errors.ts'
import type { RunMode } from '../model/finding.ts'
import { lockIntegration } from '../store/queries/integration-admin.ts'
import type { IntegrationRow } from '../store/queries/integrations.ts'
import { isJobPending } from '../store/queries/jobs.ts'
import { getLeaseHolder } from '../store/queries/leases.ts'
import { getLastRuns } from '../store/queries/run-report.ts'
import { inTransaction } from '../store/transaction.ts'
import { enqueue } from './job.ts'
import { isFuture } from './plausible.ts'
import { syncJob } from './sync.ts'

export interface StartSync {
  integrationId: string
  trigger: 'manual' | 'schedule'
  mode: RunMode
  /** A person insists although the last run was good and is young. */
  force?: boolean
}

export interface StartedSync {
  /** The run that is gone on with; null when a new one begins, whose id is above `newestRunId`. */
  resumedRunId: string | null
  newestRunId: string
}

/** A second sync within this time has to be insisted on: it costs quota and brings little. */
const MANUAL_INTERVAL_MS = 24 * 60 * 60_000
/** A job that was taken shows as a lease or a run after this time, or it never will. */
const TAKEN_SECONDS = 60

/**
 * Asks for a run. Of many who ask at once exactly one is heard; the others, like whoever asks while a run goes on, get
 * a `conflict`. A run that nobody drives any more is gone on with.
 */
export async function startSync(pool: pg.Pool, clock: Clock, request: StartSync): Promise<StartedSync> {
  return inTransaction(pool, async (tx) => {
    const integration = await lockIntegration(tx, request.integrationId)
    if (integration === null)
      throw new HubError('not_found', `There is no integration ${request.integrationId}.`)
    if (integration.type !== 'vaplugin')
      throw new HubError('config', `"${integration.name}" is no source: there is nothing to sync from it.`)
    if (!integration.isEnabled)
      throw new HubError('conflict', `"${integration.name}" is disabled.`, {
        code: 'disabled',
        hint: 'Enable it first.',
      })
    const runs = await getLastRuns(tx, integration.id)
    const isRunning =
      (await getLeaseHolder(tx, integration.id)) !== null ||
      (await isJobPending(tx, syncJob.key(request), TAKEN_SECONDS))
    if (isRunning)
      throw new HubError('conflict', `"${integration.name}" is being synced already.`, {
        code: 'already_running',
        hint: 'Wait for its end, or watch it.',
      })
    const abandoned = runs.newest?.state === 'RUNNING' ? runs.newest.id : null
    if (abandoned === null && request.trigger === 'manual' && request.force !== true)
      refuseTooSoon(integration, runs.lastGoodFinishedAt, clock.nowMs())
    const { integrationId, trigger, mode } = request
    await enqueue(tx, syncJob, { integrationId, trigger, mode })
    return { resumedRunId: abandoned, newestRunId: runs.newest?.id ?? '0' }
  })
}

function refuseTooSoon(integration: IntegrationRow, lastGoodFinishedAt: Date | null, nowMs: number): void {
  if (lastGoodFinishedAt === null || isFuture(lastGoodFinishedAt, nowMs)) return
  const allowedMs = lastGoodFinishedAt.getTime() + MANUAL_INTERVAL_MS
  if (nowMs >= allowedMs) return
  throw new HubError(
    'conflict',
    `"${integration.name}" was synced successfully within the last 24 hours; the next manual sync is allowed at ${new Date(allowedMs).toISOString()}.`,
    { code: 'too_soon', hint: 'Wait until then, or insist with force=true (--force).' },
  )
}
