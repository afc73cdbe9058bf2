import type pg from 'pg'
import { HubError } from '../model/errors.ts'
import { HOST_PART_DETECTIONS_MAX } from '../model/vm.ts'
import type { QuarantinedRecord } from '../model/source.ts'
import { copyNewHosts, isStagedWhole, mergeStaged } from '../store/bulk/batch-merge.ts'
import type { Tx } from '../store/db.ts'
import { inheritFirstFound, listHeirs } from '../store/queries/effective-first-found.ts'
import {
  type BatchClaim,
  type BatchLedger,
  type ClaimedBatch,
  type NewBatch,
  fenceBatch,
  finishBatch,
  insertBatches,
} from '../store/queries/batches.ts'
import {
  applyStateChanges,
  listExpectedOfPlaces,
  listLivesByKey,
  type StateChange,
} from '../store/queries/findings.ts'
import {
  type NewGap,
  insertQuarantine,
  listSilentPlaces,
  noteTries,
  openGaps,
  settleGapsOfPlaces,
} from '../store/queries/gaps.ts'
import { forgetFingerprints, setFingerprints } from '../store/queries/fingerprints.ts'
import { lockHosts, mergeHosts } from '../store/queries/hosts.ts'
import { inTransaction } from '../store/transaction.ts'
import { descriptionKey, gapName, shortId } from './gap-key.ts'
import type { IngestResult } from './ingest/batch-ingest.ts'
import { toLife } from './ingest/row.ts'
import { PRESENT, leftOut } from './lifecycle.ts'

export interface BatchOutcome {
  batch: ClaimedBatch
  claim: BatchClaim
  ingest: IngestResult
  places: ReadonlyMap<string, string>
  now: Date
  durationMs: number
  bytes: number
  repairedChars: number
}

/** Up to this many incomplete hosts of a batch are asked for one by one; more of them in groups of this size. */
const ASKED_AGAIN_HOSTS = 25
const LEFT_OUT_PER_STATEMENT_MAX = HOST_PART_DETECTIONS_MAX

/**
 * The one transaction in which a detections batch becomes true: findings, observations, events, hosts, gaps and the
 * ledger row, or nothing. False when the claim was lost meanwhile: another attempt will do it.
 */
export async function mergeDetections(pool: pg.Pool, outcome: BatchOutcome): Promise<boolean> {
  return inTransaction(pool, async (tx) => {
    const { batch, claim, ingest, places, now } = outcome
    if (!(await fenceBatch(tx, claim))) return false
    const key = { integrationId: batch.integrationId, runId: batch.runId }
    const staging = { batchId: batch.id, attempt: batch.attempt }
    if (!(await isStagedWhole(tx, staging, ingest.direct.staged))) throw stagingIsGone()
    await copyNewHosts(tx, ingest.direct)
    await mergeStaged(tx, {
      ...key,
      ...staging,
      kind: 'vm',
      seenAt: now,
      keepEvidence: batch.options.showResults === false,
    })
    if (ingest.counts.newRecords > 0) await inheritWhatIsNew(tx, batch.runId, [...places.values()])
    await lockHosts(tx, batch)
    await mergeHosts(tx, batch.integrationId, ingest.hosts)
    const putAside = [...ingest.quarantined, ...ingest.collisions]
    await insertQuarantine(tx, { ...key, batchId: batch.id, now, records: putAside })

    const whatCame = await judgeAnswer(tx, outcome)
    const missing = [...whatCame.incomplete.values()].reduce((sum, ids) => sum + ids.length, 0)
    const staleRecords = await settleIncomplete(tx, outcome, whatCame.incomplete)
    await writeGaps(tx, outcome, whatCame)
    await writeFingerprints(tx, outcome)
    await finishBatch(tx, claim, toLedger(outcome, { ...whatCame, missing, staleRecords }), now)
    return true
  })
}

/** Of every place that was asked for: what it came with, or nothing. */
async function writeFingerprints(tx: Tx, { ingest, places }: BatchOutcome): Promise<void> {
  const kept = new Set([...ingest.placesAsBefore, ...ingest.fingerprints.map(({ placeId }) => placeId)])
  await forgetFingerprints(
    tx,
    [...places.values()].filter((placeId) => !kept.has(placeId)),
  )
  await setFingerprints(tx, ingest.fingerprints)
}

/** What is new on a host that took over from another has the age of the machine from the first. */
async function inheritWhatIsNew(tx: Tx, runId: string, placeIds: readonly string[]): Promise<void> {
  const heirs = await listHeirs(tx, placeIds)
  if (heirs.length > 0) await inheritFirstFound(tx, { placeIds: heirs, onlyOfRunId: runId })
}

function stagingIsGone(): HubError {
  return new HubError(
    'transient',
    'What was staged for this batch is gone: the database crashed meanwhile.',
    {
      code: 'database',
    },
  )
}

interface WhatCame {
  /** Places of which something that should have come did not, with the ids of the findings that were left out. */
  incomplete: ReadonlyMap<string, string[]>
  /** Those of them that did not come at all while something of them is owed: silence is no answer to that. */
  silent: ReadonlySet<string>
  /** How many others did not come, which is how Qualys says that nothing is there. */
  emptyHosts: number
}

async function judgeAnswer(tx: Tx, outcome: BatchOutcome): Promise<WhatCame> {
  const { ingest, places, batch } = outcome
  const incomplete = new Map<string, string[]>(ingest.incompletePlaces)
  const absent = [...places.values()].filter((placeId) => !ingest.seenPlaces.has(placeId))
  if (batch.purpose === 'expected')
    for (const placeId of ingest.repeatedPlaces) incomplete.set(placeId, incomplete.get(placeId) ?? [])
  const withInformation = batch.options.showIgs === true
  for (const { placeId, id } of await listExpectedOfPlaces(tx, { placeIds: absent, withInformation })) {
    const ids = incomplete.get(placeId)
    if (ids === undefined) incomplete.set(placeId, [id])
    else ids.push(id)
  }
  const silent = new Set<string>()
  const owed = { integrationId: batch.integrationId, placeIds: absent, keptKeys: namesOfDescriptions(places) }
  for (const { placeId, mayBeEmpty } of await listSilentPlaces(tx, owed)) {
    // Qualys leaves out hosts without any detection, so a host that was merely owed may be one of them: asked twice, it is.
    if (mayBeEmpty && batch.purpose === 'asked_again') continue
    silent.add(placeId)
    incomplete.set(placeId, incomplete.get(placeId) ?? [])
  }
  const putAside = new Set(ingest.quarantined.map(({ hostId }) => places.get(hostId ?? '')))
  const empty = absent.filter((placeId) => !incomplete.has(placeId) && !putAside.has(placeId))
  return { incomplete, silent, emptyHosts: empty.length }
}

/** Descriptions of hosts are owed by another module; no answer of this one settles them. */
function namesOfDescriptions(places: ReadonlyMap<string, string>): string[] {
  return [...places.keys()].map((hostId) => gapName({ kind: 'record', key: descriptionKey(hostId) }))
}

/**
 * The first time, the hosts are asked for once more, as batches of their own; the second time, what is still left out
 * becomes stale, which is never fixed.
 */
async function settleIncomplete(
  tx: Tx,
  outcome: BatchOutcome,
  incomplete: ReadonlyMap<string, string[]>,
): Promise<number> {
  const { batch } = outcome
  if (incomplete.size === 0) return 0
  if (batch.purpose === 'expected') {
    await insertBatches(tx, batch, askAgain(outcome, [...incomplete.keys()]))
    return 0
  }
  const keys = [...incomplete].flatMap(([placeId, ids]) => ids.map((id) => ({ placeId, id })))
  let stale = 0
  for (let start = 0; start < keys.length; start += LEFT_OUT_PER_STATEMENT_MAX)
    stale += await markLeftOut(tx, outcome, keys.slice(start, start + LEFT_OUT_PER_STATEMENT_MAX))
  return stale
}

function askAgain(outcome: BatchOutcome, placeIds: readonly string[]): NewBatch[] {
  const { batch } = outcome
  const wanted = new Set(placeIds)
  const hostIds = batch.hostIds.filter((hostId) => wanted.has(outcome.places.get(hostId) ?? ''))
  const size = hostIds.length <= ASKED_AGAIN_HOSTS ? 1 : ASKED_AGAIN_HOSTS
  const batches: NewBatch[] = []
  for (let start = 0; start < hostIds.length; start += size)
    batches.push({
      module: batch.module,
      purpose: 'asked_again',
      hostIds: hostIds.slice(start, start + size),
      options: batch.options,
      parentId: batch.id,
    })
  return batches
}

async function markLeftOut(
  tx: Tx,
  outcome: BatchOutcome,
  keys: readonly { placeId: string; id: string }[],
): Promise<number> {
  const { batch, now } = outcome
  const putAside = issuesPutAside(outcome)
  const lives = await listLivesByKey(tx, {
    placeIds: keys.map((key) => key.placeId),
    ids: keys.map((key) => key.id),
  })
  // What came and could not be understood was not left out: its state is kept, and it is a gap.
  const leftOutLives = lives.filter(
    ({ placeId, issueKey }) => !putAside.has(placeId) && !putAside.has(`${placeId} ${issueKey}`),
  )
  const changes = leftOutLives.map((stored): StateChange => {
    const next = leftOut(toLife(stored), PRESENT, now.getTime())
    return {
      id: stored.id,
      placeId: stored.placeId,
      from: stored.state,
      to: next.state,
      missingSince: stored.missingSince ?? now,
      reason: 'The source answered twice about its host and left it out both times.',
    }
  })
  await applyStateChanges(tx, {
    integrationId: batch.integrationId,
    runId: batch.runId,
    seenAt: now,
    changes,
  })
  return changes.length
}

/** Places and QIDs of the records that were put aside; the place alone where a QID could not be read. */
function issuesPutAside({ ingest, places }: BatchOutcome): Set<string> {
  const issues = new Set<string>()
  for (const { hostId, qid } of ingest.quarantined) {
    const placeId = hostId === null ? undefined : places.get(hostId)
    if (placeId !== undefined) issues.add(qid === null ? placeId : `${placeId} ${qid}`)
  }
  return issues
}

/**
 * Quarantined records are owed. Whatever else was owed of the places that came whole is settled; of those that did not,
 * what is older than this run is, once they were asked twice, unless they stayed silent.
 */
async function writeGaps(tx: Tx, outcome: BatchOutcome, whatCame: WhatCame): Promise<void> {
  const { batch, places, now } = outcome
  const { incomplete, silent } = whatCame
  const key = { integrationId: batch.integrationId, runId: batch.runId, now }
  const gaps = owedOf(outcome)
  const keptKeys = [...gaps.map(gapName), ...namesOfDescriptions(places)]
  const placeIds = [...places.values()]
  const whole = placeIds.filter((placeId) => !incomplete.has(placeId))
  await settleGapsOfPlaces(tx, { ...key, placeIds: whole, keptKeys, keepThisRuns: false })
  if (batch.purpose === 'asked_again') {
    const partly = placeIds.filter((placeId) => incomplete.has(placeId) && !silent.has(placeId))
    await settleGapsOfPlaces(tx, { ...key, placeIds: partly, keptKeys, keepThisRuns: true })
    await noteTries(tx, { ...key, placeIds: [...silent], keptKeys })
  }
  await openGaps(tx, { ...key, gaps })
}

function owedOf({ batch, ingest, places }: BatchOutcome): NewGap[] {
  const gaps = ingest.quarantined.map((record) => toGap(record, places))
  if (batch.purpose === 'expected') return gaps
  for (const [hostId, placeId] of places)
    if (ingest.repeatedPlaces.has(placeId))
      gaps.push({
        kind: 'host',
        key: hostId,
        placeId,
        reason: 'The host came twice in one answer, twice; which of the two is right cannot be known.',
      })
  return gaps
}

function toGap(record: QuarantinedRecord, places: ReadonlyMap<string, string>): NewGap {
  const placeId = record.hostId === null ? null : (places.get(record.hostId) ?? null)
  const key = `host ${shortId(record.hostId)}, QID ${shortId(record.qid)}`
  return { kind: 'record', key, placeId, reason: record.reason }
}

function toLedger(
  outcome: BatchOutcome,
  { emptyHosts, missing, staleRecords }: { emptyHosts: number; missing: number; staleRecords: number },
): BatchLedger {
  return {
    ...outcome.ingest.counts,
    emptyHosts,
    missingRecords: missing,
    staleRecords,
    repairedChars: outcome.repairedChars,
    bytes: outcome.bytes,
    durationMs: outcome.durationMs,
  }
}
