import { dropStagedOfAttempt } from '../store/bulk/batch-merge.ts'
import {
  type BatchClaim,
  CLAIM_SECONDS,
  type ClaimedBatch,
  claimBatch,
  renewClaim,
} from '../store/queries/batches.ts'
import { getPlaces } from '../store/queries/hosts.ts'
import { clearWait } from '../store/queries/runs.ts'
import { settleFailure } from './batch-failure.ts'
import { sayDatabaseTrouble, withDatabase } from './database-trouble.ts'
import type { EngineDeps } from './deps.ts'
import { BatchIngest } from './ingest/batch-ingest.ts'
import { mergeDetections } from './merge-batch.ts'
import { stopsTheRun } from './run-failure.ts'
import { HOSTS_MODULE, type VmSource } from './vm-source.ts'
import { type Work, workOnHosts } from './work-hosts.ts'

/** How a source is found for a batch: workers serve every integration, and connect to each once. */
export type SourceOf = (integrationId: string) => Promise<VmSource>

/**
 * Works on batches until none may be claimed: of one run, or of every running run. `batchesMax` at the same time. A
 * failure that stops the whole run (wrong password, missing permission) is thrown, and nothing else of it is asked; when
 * working for every run, that run is over and the others go on.
 */
export async function workBatches(
  deps: EngineDeps,
  sourceOf: SourceOf,
  input: { runId: string | null; signal: AbortSignal },
): Promise<number> {
  const failed = new AbortController()
  const signal = AbortSignal.any([input.signal, failed.signal])
  let done = 0
  const lane = async () => {
    for (;;) {
      signal.throwIfAborted()
      const now = new Date(deps.clock.nowMs())
      const claim = { worker: deps.worker, now, runId: input.runId }
      const batch = await withDatabase(deps, signal, () => claimBatch(deps.pool, claim))
      if (batch === null) return
      await withDatabase(deps, signal, () => clearWait(deps.pool, batch.runId))
      // Of one run nothing else is asked from here on, even while its end is still being written.
      const onStop = (error: unknown) => input.runId !== null && failed.abort(error)
      await workOn(deps, sourceOf, { batch, signal, onStop }).catch((error: unknown) => {
        if (input.runId !== null || !stopsTheRun(error)) throw error
      })
      done += 1
    }
  }
  const lanes = Array.from({ length: deps.batchesMax }, () =>
    lane().catch((error: unknown) => failed.abort(error)),
  )
  await Promise.all(lanes)
  failed.signal.throwIfAborted()
  return done
}

async function workOn(
  deps: EngineDeps,
  sourceOf: SourceOf,
  work: { batch: ClaimedBatch; signal: AbortSignal; onStop: (error: unknown) => void },
): Promise<void> {
  const { batch, signal } = work
  const claim: BatchClaim = { id: batch.id, attempt: batch.attempt, worker: deps.worker }
  const lost = new AbortController()
  const renewal = setInterval(() => void renew(), (CLAIM_SECONDS * 1000) / 3)
  const renew = async () => {
    const held = await renewClaim(deps.pool, claim).catch(() => true)
    if (!held) lost.abort(new ClaimLost())
  }
  const both = AbortSignal.any([signal, lost.signal])
  try {
    const source = await sourceOf(batch.integrationId)
    const merged =
      batch.module === HOSTS_MODULE
        ? await workOnHosts(deps, source, { batch, claim, signal: both })
        : await workOnDetections(deps, source, { batch, claim, signal: both })
    if (merged) return
    deps.log.warn({ batch: batch.id }, 'The claim on the batch was lost; its rows are dropped.')
    await dropStagedOfAttempt(deps.pool, { batchId: batch.id, attempt: batch.attempt })
  } catch (thrown) {
    if (thrown instanceof ClaimLost || lost.signal.aborted)
      return await dropStagedOfAttempt(deps.pool, { batchId: batch.id, attempt: batch.attempt })
    const error = sayDatabaseTrouble(thrown)
    const interrupted = signal.aborted
    if (!interrupted && stopsTheRun(error)) work.onStop(error)
    await settleFailure(deps, { batch, claim, error, interrupted })
  } finally {
    clearInterval(renewal)
  }
}

class ClaimLost extends Error {}

async function workOnDetections(deps: EngineDeps, source: VmSource, work: Work): Promise<boolean> {
  const { batch, claim, signal } = work
  const startedMs = deps.clock.nowMs()
  const key = { integrationId: batch.integrationId, runId: batch.runId }
  const places = await getPlaces(deps.pool, { ...key, hostIds: batch.hostIds })
  const ingest = new BatchIngest({
    pool: deps.pool,
    clock: deps.clock,
    staging: { batchId: batch.id, attempt: batch.attempt },
    target: { kind: 'vm', ...key },
    mode: batch.runMode,
    withInformation: batch.options.showIgs === true,
    places,
  })
  let bytes = 0
  let repairedChars = 0
  const request = { ids: batch.hostIds, options: { ...batch.options } }
  for await (const message of source.detections.read(request, signal)) {
    signal.throwIfAborted()
    switch (message.type) {
      case 'records':
        await ingest.add(message.records)
        break
      case 'quarantine':
        ingest.quarantine(message.what)
        break
      case 'answer':
        bytes += message.answer.bytes
        repairedChars += message.answer.repairedChars
    }
  }
  const result = await ingest.finish()
  const now = new Date(deps.clock.nowMs())
  const durationMs = Math.max(0, now.getTime() - startedMs)
  return mergeDetections(deps.pool, {
    batch,
    claim,
    ingest: result,
    places,
    now,
    durationMs,
    bytes,
    repairedChars,
  })
}
