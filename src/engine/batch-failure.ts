import { HubError } from '../model/errors.ts'
import { dropStaged, dropStagedOfAttempt } from '../store/bulk/batch-merge.ts'
import type { Tx } from '../store/db.ts'
import {
  type BatchClaim,
  type ClaimedBatch,
  endBatch,
  fenceBatch,
  giveBatchBack,
  insertBatches,
} from '../store/queries/batches.ts'
import { type NewGap, openGaps } from '../store/queries/gaps.ts'
import { getPlaces } from '../store/queries/hosts.ts'
import { noteRunWait } from '../store/queries/run-waits.ts'
import { inTransaction } from '../store/transaction.ts'
import { withDatabase } from './database-trouble.ts'
import type { EngineDeps } from './deps.ts'
import { failRunByBatch } from './end-run.ts'
import { descriptionKey } from './gap-key.ts'
import { failureSentence, stopsTheRun } from './run-failure.ts'
import { DETECTIONS_MODULE, HOSTS_MODULE } from './vm-source.ts'

interface Failure {
  batch: ClaimedBatch
  claim: BatchClaim
  error: unknown
  /** The process is stopping: the batch is given back as if it had not been taken. */
  interrupted: boolean
}

/** A batch that fails as a whole is tried again this often before it is cut in two. */
const FAILURES_BEFORE_SPLIT = 2
/** A single host is tried this often: with RESULTS, and at last without. */
const FAILURES_OF_ONE_HOST_MAX = 3
/** With doubling waits of up to five minutes, an outage of about twenty minutes is survived. */
const FAILURES_OF_OUTAGE_MAX = 9
/**
 * A batch is taken up at most this often, whatever it was given back for: with waits of five seconds that is nearly three
 * hours of a far side that is always busy, with waits of an hour it is months.
 */
export const ATTEMPTS_OF_BATCH_MAX = 2_000
const RETRY_DELAY_MS = 5_000
const RETRY_DELAY_MS_MAX = 5 * 60_000

/**
 * Decides what becomes of a batch that failed: parked until the far side allows a call, tried again, cut in two, or
 * owed. A failure that concerns the whole integration is thrown; anything that is not a `HubError` is a bug and thrown.
 */
export async function settleFailure(deps: EngineDeps, failure: Failure): Promise<void> {
  const { batch, claim, error } = failure
  if (stopsTheRun(error) && !failure.interrupted) {
    const end = { message: failureSentence(error), needsPerson: true }
    if (!(await failRunByBatch(deps, { ...batch, claim }, end)))
      await dropStagedOfAttempt(deps.pool, { batchId: batch.id, attempt: batch.attempt })
    throw error
  }
  const nowMs = deps.clock.nowMs()
  const decision = inBounds(batch, decide(failure, nowMs))
  if (decision.kind !== 'stop')
    deps.log.warn({ batch: batch.id, decision: decision.kind, error: messageOf(error) }, 'A batch failed.')
  // A process that stops does not wait for its database: the claim runs out by itself.
  const patience = failure.interrupted ? AbortSignal.abort() : undefined
  await withDatabase(deps, patience, () =>
    inTransaction(deps.pool, async (tx) => {
      if (!(await fenceBatch(tx, claim)))
        return dropStagedOfAttempt(tx, { batchId: batch.id, attempt: batch.attempt })
      await dropStaged(tx, batch.id)
      await carryOut(tx, failure, { decision, nowMs })
    }),
  )
  if (decision.kind === 'stop') throw error
}

async function carryOut(
  tx: Tx,
  failure: Failure,
  { decision, nowMs }: { decision: Decision; nowMs: number },
): Promise<void> {
  const { batch, claim } = failure
  const error = messageOf(failure.error)
  const now = new Date(nowMs)
  switch (decision.kind) {
    case 'stop':
      return giveBatchBack(tx, claim, { notBefore: now, error, isFailure: false })
    case 'wait':
      return giveBatchBack(tx, claim, { notBefore: decision.notBefore, error, isFailure: false })
    case 'retry':
      await noteRunWait(tx, {
        integrationId: batch.integrationId,
        what: batch.module,
        cause: 'trouble',
        reason: error,
        sinceMs: nowMs,
        untilMs: decision.notBefore.getTime(),
      })
      return giveBatchBack(tx, claim, { notBefore: decision.notBefore, error, isFailure: true })
    case 'split':
      await insertBatches(tx, batch, halves(batch))
      return endBatch(tx, claim, { state: 'split', error, finishedAt: now })
    case 'without_results':
      await insertBatches(tx, batch, [
        { ...batch, options: { ...batch.options, showResults: false }, parentId: batch.id },
      ])
      return endBatch(tx, claim, { state: 'split', error, finishedAt: now })
    case 'owe':
      await openGaps(tx, { ...keyOf(batch, now), gaps: await gapsOf(tx, batch, error) })
      return endBatch(tx, claim, { state: 'owed', error, finishedAt: now })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function keyOf({ integrationId, runId }: ClaimedBatch, now: Date) {
  return { integrationId, runId, now }
}

type Decision =
  | { kind: 'stop' | 'split' | 'without_results' | 'owe' }
  | { kind: 'wait' | 'retry'; notBefore: Date }

function decide(failure: Failure, nowMs: number): Decision {
  const { batch, error, interrupted } = failure
  if (interrupted || !(error instanceof HubError)) return { kind: 'stop' }
  switch (error.kind) {
    case 'rate_limit':
    case 'concurrency':
      return { kind: 'wait', notBefore: new Date(nowMs + (error.retryAfterMs ?? RETRY_DELAY_MS)) }
    case 'transient':
    case 'contract':
      return isAboutTheBody(error)
        ? decideAboutBody(batch, error, nowMs)
        : decideAboutOutage(batch, error, nowMs)
    case 'auth':
    case 'permission':
    case 'config':
    case 'conflict':
    case 'not_found':
      return { kind: 'stop' }
  }
}

function inBounds(batch: ClaimedBatch, decision: Decision): Decision {
  const again = decision.kind === 'wait' || decision.kind === 'retry'
  return again && batch.attempt >= ATTEMPTS_OF_BATCH_MAX ? { kind: 'owe' } : decision
}

const BODY_CODES: ReadonlySet<string> = new Set(['timeout', 'truncated', 'error_in_answer'])

/** The answer came and was no good: some host in it may be the cause, so the batch is cut until that host is alone. */
function isAboutTheBody(error: HubError): boolean {
  return error.kind === 'contract' || BODY_CODES.has(error.code ?? '')
}

function decideAboutBody(batch: ClaimedBatch, error: HubError, nowMs: number): Decision {
  const failures = batch.failures + 1
  const isTimeout = error.code === 'timeout'
  if (batch.hostIds.length > 1)
    return isTimeout || failures >= FAILURES_BEFORE_SPLIT ? { kind: 'split' } : retry(batch, error, nowMs)
  if (!isTimeout && failures < FAILURES_OF_ONE_HOST_MAX) return retry(batch, error, nowMs)
  const hasResults = batch.module === DETECTIONS_MODULE && batch.options.showResults !== false
  return { kind: hasResults ? 'without_results' : 'owe' }
}

/** The far side is ill: smaller questions would not help it. */
function decideAboutOutage(batch: ClaimedBatch, error: HubError, nowMs: number): Decision {
  return batch.failures + 1 < FAILURES_OF_OUTAGE_MAX ? retry(batch, error, nowMs) : { kind: 'owe' }
}

function retry(batch: ClaimedBatch, error: HubError, nowMs: number): Decision {
  const delayMs = Math.min(RETRY_DELAY_MS * 2 ** batch.failures, RETRY_DELAY_MS_MAX)
  return { kind: 'retry', notBefore: new Date(nowMs + (error.retryAfterMs ?? delayMs)) }
}

function halves(batch: ClaimedBatch) {
  const middle = Math.ceil(batch.hostIds.length / 2)
  return [batch.hostIds.slice(0, middle), batch.hostIds.slice(middle)].map((hostIds) => ({
    module: batch.module,
    purpose: batch.purpose,
    options: batch.options,
    parentId: batch.id,
    hostIds,
  }))
}

/** What is owed of a batch that could not be had. */
export async function gapsOf(
  tx: Tx,
  batch: Pick<ClaimedBatch, 'integrationId' | 'module' | 'hostIds'>,
  reason: string,
): Promise<NewGap[]> {
  const places = await getPlaces(tx, batch)
  return batch.hostIds.map((hostId) => ({
    ...(batch.module === HOSTS_MODULE
      ? { kind: 'record' as const, key: descriptionKey(hostId) }
      : { kind: 'host' as const, key: hostId }),
    placeId: places.get(hostId) ?? null,
    reason,
  }))
}
