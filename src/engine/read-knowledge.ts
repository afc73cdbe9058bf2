import { HubError } from '../model/errors.ts'
import {
  QUARANTINE_RAW_CHARS_MAX,
  type ClosedAnswer,
  type QuarantinedRecord,
  type ReadRequest,
} from '../model/source.ts'
import type { VulnerabilityRecord } from '../model/vm.ts'
import { type NewGap, insertQuarantine, openGaps, settleGaps } from '../store/queries/gaps.ts'
import { insertTombstones, mergeVulnerabilities } from '../store/queries/vulnerabilities.ts'
import { shortId } from './gap-key.ts'
import { toKnownVulnerability, unstorableVulnerability } from './knowledge.ts'
import { type PatientWait, withPatience } from './patience.ts'
import { type RunContext, fenced, keepWait } from './run-context.ts'
import { isStorableId } from './storable-id.ts'

/** Records that are held before they are written: what Qualys changed since the last time may be everything. */
const RECORDS_PER_TRANSACTION_MAX = 500
const QUARANTINED_RECORDS_MAX = 10_000

export interface KnowledgeAnswer {
  /** QIDs that came and were written. */
  known: Set<string>
  quarantined: (QuarantinedRecord & { isOwed: boolean })[]
  serverTimeMs: number | null
}

/** Tries with patience; each wait shows in the run. */
export function patiently<T>(context: RunContext, attempt: () => Promise<T>): Promise<T> {
  const { deps, signal } = context
  const onWait = (wait: PatientWait) => keepWait(context, wait)
  return withPatience(deps, { what: 'The knowledge base', signal, onWait }, attempt)
}

/** Reads all that is asked for as one answer. */
export async function readKnowledge(context: RunContext, request: ReadRequest): Promise<KnowledgeAnswer> {
  return patiently(context, async () => {
    const whole = newAnswer()
    await takeMessages(context, request, { answer: () => whole, onClosed: () => Promise.resolve(true) })
    return whole
  })
}

export function newAnswer(): KnowledgeAnswer {
  return { known: new Set(), quarantined: [], serverTimeMs: null }
}

/**
 * Writes records in pieces while they come, even though the answer may break off: each record is complete in itself and
 * writing it twice changes nothing, so a piece that was written is simply known already. What is owed, what is settled
 * and the watermark are written only once the answer was closed. Ends early when `onClosed` says so.
 */
export async function takeMessages(
  context: RunContext,
  request: ReadRequest,
  into: { answer(): KnowledgeAnswer; onClosed(closed: ClosedAnswer): Promise<boolean> },
): Promise<void> {
  const piece = new Map<string, VulnerabilityRecord>()
  for await (const message of context.source.vulnerabilities.read(request, context.signal)) {
    const answer = into.answer()
    if (message.type === 'answer') {
      answer.serverTimeMs ??= message.answer.serverTimeMs
      await writePiece(context, piece)
      if (!(await into.onClosed(message.answer))) return
    } else if (message.type === 'quarantine') putAside(answer, { ...message.what, isOwed: true })
    else
      for (const record of message.records) {
        takeRecord(answer, piece, record)
        if (piece.size >= RECORDS_PER_TRANSACTION_MAX) await writePiece(context, piece)
      }
  }
  await writePiece(context, piece)
}

/** Of a QID that comes twice in an answer the last record counts; it is told, and nothing is owed. */
function takeRecord(
  answer: KnowledgeAnswer,
  piece: Map<string, VulnerabilityRecord>,
  record: VulnerabilityRecord,
): void {
  const problem = unstorableVulnerability(record)
  const twice = 'The QID came twice in one answer of the knowledge base; the last record was kept.'
  if (problem !== null) putAside(answer, { ...asQuarantined(record, problem), isOwed: true })
  else {
    if (answer.known.has(record.qid)) putAside(answer, { ...asQuarantined(record, twice), isOwed: false })
    answer.known.add(record.qid)
    piece.set(record.qid, record)
  }
}

function asQuarantined(record: VulnerabilityRecord, reason: string): QuarantinedRecord {
  const raw = JSON.stringify(record).slice(0, QUARANTINE_RAW_CHARS_MAX)
  return { hostId: null, qid: record.qid, reason, raw }
}

function putAside(answer: KnowledgeAnswer, record: KnowledgeAnswer['quarantined'][number]): void {
  if (answer.quarantined.length >= QUARANTINED_RECORDS_MAX)
    throw new HubError(
      'contract',
      `More than ${QUARANTINED_RECORDS_MAX} records of one answer of the knowledge base could not be understood, at last: ${record.reason}`,
    )
  answer.quarantined.push(record)
}

async function writePiece(context: RunContext, piece: Map<string, VulnerabilityRecord>): Promise<void> {
  if (piece.size === 0) return
  const records = [...piece.values()].map(toKnownVulnerability)
  await fenced(context, (tx) => mergeVulnerabilities(tx, { ...keyOf(context), records }))
  piece.clear()
}

/**
 * What follows from an answer as a whole. A QID that was asked for and did not come is not known: nothing more is owed of
 * it. Unless something came whose QID cannot be read: that may have been it.
 */
export async function closeAnswer(
  context: RunContext,
  answer: KnowledgeAnswer,
  asked: readonly string[] = [],
): Promise<void> {
  const key = keyOf(context)
  const putAsideQids = new Set(answer.quarantined.map(({ qid }) => qid))
  const leftOut = asked.filter((qid) => !answer.known.has(qid) && !putAsideQids.has(qid))
  const tombstones = putAsideQids.has(null) ? [] : leftOut
  const gaps = [
    ...(putAsideQids.has(null) ? leftOut.map(mayBeUnread) : []),
    ...answer.quarantined.filter(({ isOwed }) => isOwed).map(toGap),
  ]
  const owed = new Set(gaps.map((gap) => gap.key))
  const settled = [...answer.known, ...tombstones].filter((qid) => !owed.has(qid))
  await fenced(context, async (tx) => {
    await insertTombstones(tx, { ...key, qids: tombstones })
    await insertQuarantine(tx, { ...key, batchId: null, records: answer.quarantined })
    await settleGaps(tx, { ...key, kind: 'qid', keys: settled })
    await openGaps(tx, { ...key, gaps })
  })
}

function mayBeUnread(qid: string): NewGap {
  const reason = 'The QID did not come, but a vulnerability came whose QID cannot be read.'
  return { kind: 'qid', key: qid, placeId: null, reason }
}

/** A QID that can be asked for is; what has none that can be read is settled by a full run that does not meet it again. */
function toGap({ qid, reason }: QuarantinedRecord): NewGap {
  if (qid !== null && isStorableId(qid)) return { kind: 'qid', key: qid, placeId: null, reason }
  return { kind: 'record', key: `knowledge base, QID ${shortId(qid)}`, placeId: null, reason }
}

export function keyOf({ deps, run }: RunContext) {
  return { integrationId: run.integrationId, runId: run.id, now: new Date(deps.clock.nowMs()) }
}
