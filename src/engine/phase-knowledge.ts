import { HubError } from '../model/errors.ts'
import { QUARANTINE_RAW_CHARS_MAX, type QuarantinedRecord, type ReadRequest } from '../model/source.ts'
import type { VulnerabilityRecord } from '../model/vm.ts'
import type { Tx } from '../store/db.ts'
import { type NewGap, insertQuarantine, listOwedQids, openGaps, settleGaps } from '../store/queries/gaps.ts'
import { fenceByEpoch } from '../store/queries/leases.ts'
import { getModuleState, swapModuleState } from '../store/queries/module-state.ts'
import { insertTombstones, listUnknownQids, mergeVulnerabilities } from '../store/queries/vulnerabilities.ts'
import { inTransaction } from '../store/transaction.ts'
import { shortId } from './gap-key.ts'
import { toKnownVulnerability, unstorableVulnerability } from './knowledge.ts'
import { withPatience } from './patience.ts'
import { type RunContext, RunLost, changeRunOrLose, showWait } from './run-context.ts'
import { stopsTheRun } from './run-failure.ts'
import { isStorableId } from './storable-id.ts'

const KNOWLEDGE_MODULE = 'qualys.knowledge-base'
/** Ids in one POST: the knowledge base has one lane and grows slow beyond. */
const QIDS_PER_CALL = 350
const UNKNOWN_QIDS_MAX = 100_000
/** Records that are held before they are written: what Qualys changed since the last time may be everything. */
const RECORDS_PER_TRANSACTION_MAX = 500
const QUARANTINED_RECORDS_MAX = 10_000
/** Modification dates are of the second, and clocks differ. */
const OVERLAP_MS = 2 * 60 * 60_000
/** The gap that stands for what was modified since the last time. */
const CHANGES_KEY = 'knowledge base, changes'

/** The third phase: QIDs that stand on findings and are not known are asked for, then what the vendor has changed. */
export async function learnVulnerabilities(context: RunContext): Promise<void> {
  const { deps, run } = context
  const unknown = await listUnknownQids(deps.pool, {
    integrationId: run.integrationId,
    limit: UNKNOWN_QIDS_MAX,
  })
  const owed = await listOwedQids(deps.pool, run.integrationId)
  const wanted = [...new Set([...unknown, ...owed])]
    .filter(isStorableId)
    .toSorted((a, b) => Number(a) - Number(b))
  let serverTimeMs: number | null = null
  for (let start = 0; start < wanted.length; start += QIDS_PER_CALL) {
    const answered = await learnQids(context, wanted.slice(start, start + QIDS_PER_CALL))
    serverTimeMs ??= answered
  }
  await tryToLearnChanges(context, serverTimeMs)
  await changeRunOrLose(context, { phase: 'finishing', waitingUntil: null, waitingReason: null })
}

/** Asks for these QIDs. One that the vendor does not know gets a tombstone and is owed. */
async function learnQids(context: RunContext, qids: readonly string[]): Promise<number | null> {
  try {
    const answer = await readKnowledge(context, { ids: qids })
    const missing = qids.filter((qid) => !answer.known.has(qid))
    await closeAnswer(context, answer, missing)
    return answer.serverTimeMs
  } catch (error) {
    if (!isOwed(error)) throw error
    const gaps = qids.map((qid): NewGap => ({ kind: 'qid', key: qid, placeId: null, reason: error.message }))
    await fenced(context, (tx) => openGaps(tx, { ...keyOf(context), gaps }))
    return null
  }
}

/** After all patience, what the knowledge base did not tell is owed; the findings are in, and count. */
function isOwed(error: unknown): error is HubError {
  return error instanceof HubError && !stopsTheRun(error)
}

async function tryToLearnChanges(context: RunContext, serverTimeMs: number | null): Promise<void> {
  const key = keyOf(context)
  try {
    await learnChanges(context, serverTimeMs)
    await fenced(context, (tx) => settleGaps(tx, { ...key, kind: 'record', keys: [CHANGES_KEY] }))
  } catch (error) {
    if (!isOwed(error)) throw error
    const gap: NewGap = { kind: 'record', key: CHANGES_KEY, placeId: null, reason: error.message }
    await fenced(context, (tx) => openGaps(tx, { ...key, gaps: [gap] }))
  }
}

/** From the second run on: what was modified since, so that a severity or a patch changes without a detection changing. */
async function learnChanges(context: RunContext, serverTimeMs: number | null): Promise<void> {
  const { deps, run } = context
  const state = await getModuleState(deps.pool, run.integrationId, KNOWLEDGE_MODULE)
  let watermarkMs = serverTimeMs ?? run.serverStartedAt?.getTime() ?? null
  if (state.watermark !== null) {
    const answer = await readKnowledge(context, { changedSinceMs: state.watermark.getTime() })
    await closeAnswer(context, answer, [])
    watermarkMs = answer.serverTimeMs ?? watermarkMs
  }
  if (watermarkMs === null) return
  await swapModuleState(
    deps.pool,
    { integrationId: run.integrationId, module: KNOWLEDGE_MODULE, version: state.version },
    { ...state, watermark: new Date(watermarkMs - OVERLAP_MS) },
  )
}

interface KnowledgeAnswer {
  /** QIDs that came and were written. */
  known: Set<string>
  quarantined: (QuarantinedRecord & { isOwed: boolean })[]
  serverTimeMs: number | null
}

/**
 * Reads an answer and writes its records in pieces while it comes, even though it may break off: each record is complete
 * in itself and writing it twice changes nothing, so a piece that was written is simply known already. What is owed, what
 * is settled and the watermark are written only once the answer was closed.
 */
async function readKnowledge(context: RunContext, request: ReadRequest): Promise<KnowledgeAnswer> {
  const { deps, source, signal } = context
  const onWait = (untilMs: number, reason: string) => showWait(context, untilMs, reason)
  return withPatience(deps, { what: 'The knowledge base', signal, onWait }, async () => {
    const answer: KnowledgeAnswer = { known: new Set(), quarantined: [], serverTimeMs: null }
    const piece = new Map<string, VulnerabilityRecord>()
    for await (const message of source.vulnerabilities.read(request, signal)) {
      if (message.type === 'answer') answer.serverTimeMs ??= message.answer.serverTimeMs
      else if (message.type === 'quarantine') putAside(answer, { ...message.what, isOwed: true })
      else
        for (const record of message.records) {
          takeRecord(answer, piece, record)
          if (piece.size >= RECORDS_PER_TRANSACTION_MAX) await writePiece(context, piece)
        }
    }
    await writePiece(context, piece)
    return answer
  })
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

/** What follows from an answer as a whole. */
async function closeAnswer(
  context: RunContext,
  answer: KnowledgeAnswer,
  missing: readonly string[],
): Promise<void> {
  const key = keyOf(context)
  const gaps = [...missing.map(notKnown), ...answer.quarantined.filter(({ isOwed }) => isOwed).map(toGap)]
  const owed = new Set(gaps.map((gap) => gap.key))
  await fenced(context, async (tx) => {
    await insertTombstones(tx, { ...key, qids: missing })
    await insertQuarantine(tx, { ...key, batchId: null, records: answer.quarantined })
    await settleGaps(tx, { ...key, kind: 'qid', keys: [...answer.known].filter((qid) => !owed.has(qid)) })
    await openGaps(tx, { ...key, gaps })
  })
}

function notKnown(qid: string): NewGap {
  const reason =
    'The knowledge base does not know this QID; it may be retired, or not licensed for this subscription.'
  return { kind: 'qid', key: qid, placeId: null, reason }
}

/** A QID that can be asked for is; what has none that can be read is settled by a full run that does not meet it again. */
function toGap({ qid, reason }: QuarantinedRecord): NewGap {
  if (qid !== null && isStorableId(qid)) return { kind: 'qid', key: qid, placeId: null, reason }
  return { kind: 'record', key: `knowledge base, QID ${shortId(qid)}`, placeId: null, reason }
}

/** Writes while this process drives the run, or not at all. */
async function fenced(context: RunContext, work: (tx: Tx) => Promise<void>): Promise<void> {
  const { deps, run } = context
  await inTransaction(deps.pool, async (tx) => {
    if (!(await fenceByEpoch(tx, run))) throw new RunLost()
    await work(tx)
  })
}

function keyOf({ deps, run }: RunContext) {
  return { integrationId: run.integrationId, runId: run.id, now: new Date(deps.clock.nowMs()) }
}
