import { dropStagedOfAttempt } from '../store/bulk/batch-merge.ts'
import {
  type BatchClaim,
  CLAIM_SECONDS,
  type ClaimedBatch,
  claimBatch,
  renewClaim,
} from '../store/queries/batches.ts'
import { listFingerprints } from '../store/queries/fingerprints.ts'
import { getPlaces } from '../store/queries/hosts.ts'
import { clearWait } from '../store/queries/runs.ts'
import { settleFailure } from './batch-failure.ts'
import { sayDatabaseTrouble, withDatabase } from './database-trouble.ts'
import { OneAtATime } from '../lib/one-at-a-time.ts'
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
  // Lanes that read and merge in step would leave first the database and then this process without work.
  const merges = new OneAtATime()
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
      await workOn(deps, sourceOf, { batch, signal, merges, onStop }).catch((error: unknown) => {
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
  work: { batch: ClaimedBatch; signal: AbortSignal; merges: OneAtATime; onStop: (error: unknown) => void },
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
        : await workOnDetections(deps, source, { batch, claim, signal: both, merges: work.merges })
    if (!merged) await letGo(deps, batch)
  } catch (thrown) {
    if (thrown instanceof ClaimLost || lost.signal.aborted) return await letGo(deps, batch)
    const error = sayDatabaseTrouble(thrown)
    const interrupted = signal.aborted
    if (!interrupted && stopsTheRun(error)) work.onStop(error)
    await settleFailure(deps, { batch, claim, error, interrupted })
  } finally {
    clearInterval(renewal)
  }
}

class ClaimLost extends Error {}

/** Somebody else has the batch, so nothing but what this attempt has staged is ours. */
async function letGo(deps: EngineDeps, batch: ClaimedBatch): Promise<void> {
  deps.log.warn({ batch: batch.id }, 'The claim on the batch was lost; its rows are dropped.')
  await dropStagedOfAttempt(deps.pool, { batchId: batch.id, attempt: batch.attempt })
}

async function workOnDetections(
  deps: EngineDeps,
  source: VmSource,
  work: Work & { merges: OneAtATime },
): Promise<boolean> {
  const { batch, claim, signal } = work
  const startedMs = deps.clock.nowMs()
  const key = { integrationId: batch.integrationId, runId: batch.runId }
  const places = await getPlaces(deps.pool, { ...key, hostIds: batch.hostIds })
  const known = await listFingerprints(deps.pool, { ...key, hostIds: batch.hostIds })
  const ingest = new BatchIngest({
    pool: deps.pool,
    clock: deps.clock,
    staging: { batchId: batch.id, attempt: batch.attempt },
    target: { kind: 'vm', ...key },
    mode: batch.runMode,
    withInformation: batch.options.showIgs === true,
    places,
    fingerprints: known,
  })
  let bytes = 0
  let repairedChars = 0
  const fingerprints = new Map([...known].map(([hostId, { fingerprint }]) => [hostId, fingerprint]))
  const request = { ids: batch.hostIds, options: { ...batch.options }, fingerprints }
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
  const durationMs = Math.max(0, deps.clock.nowMs() - startedMs)
  return work.merges.run(() => {
    signal.throwIfAborted()
    return mergeDetections(deps.pool, {
      batch,
      claim,
      ingest: result,
      places,
      now: new Date(deps.clock.nowMs()),
      durationMs,
      bytes,
      repairedChars,
    })
  })
}
