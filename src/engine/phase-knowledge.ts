import { HubError } from '../model/errors.ts'
import { type NewGap, listOwedQids, openGaps, settleGaps } from '../store/queries/gaps.ts'
import { getModuleState, swapModuleState } from '../store/queries/module-state.ts'
import { listDueTombstones, listUnknownQids } from '../store/queries/vulnerabilities.ts'
import { closeAnswer, keyOf, readKnowledge } from './read-knowledge.ts'
import { type RunContext, changeRunOrLose, fenced } from './run-context.ts'
import { stopsTheRun } from './run-failure.ts'
import { isStorableId } from './storable-id.ts'
import { learnEverything } from './whole-knowledge.ts'

const KNOWLEDGE_MODULE = 'qualys.knowledge-base'
/** Ids in one POST: the knowledge base has one lane and grows slow beyond. */
const QIDS_PER_CALL = 350
const UNKNOWN_QIDS_MAX = 100_000
/** QIDs that were not known and are asked for again in one run. */
const TOMBSTONES_PER_RUN_MAX = 3_500
/** Modification dates are of the second, and clocks differ. */
const OVERLAP_MS = 2 * 60 * 60_000
/** The gaps that stand for what was modified since the last time, and for the rest of the whole. */
const CHANGES_KEY = 'knowledge base, changes'
const WHOLE_KEY = 'knowledge base, the whole of it'

/**
 * The third phase: QIDs that stand on findings and are not known are asked for, then what the vendor has changed, then, if
 * that is wanted, a part of everything else.
 */
export async function learnVulnerabilities(context: RunContext): Promise<void> {
  const wanted = await listWanted(context)
  let serverTimeMs: number | null = null
  for (let start = 0; start < wanted.length; start += QIDS_PER_CALL) {
    const answered = await learnQids(context, wanted.slice(start, start + QIDS_PER_CALL))
    serverTimeMs ??= answered
  }
  await orOwe(context, CHANGES_KEY, () => learnChanges(context, serverTimeMs))
  if (context.source.knowledge === 'all') await orOwe(context, WHOLE_KEY, () => learnEverything(context))
  await changeRunOrLose(context, { phase: 'finishing', waitingUntil: null, waitingReason: null })
}

async function listWanted({ deps, run }: RunContext): Promise<string[]> {
  const { integrationId } = run
  const now = new Date(deps.clock.nowMs())
  const lists = [
    await listUnknownQids(deps.pool, { integrationId, limit: UNKNOWN_QIDS_MAX }),
    await listOwedQids(deps.pool, integrationId),
    await listDueTombstones(deps.pool, { integrationId, now, limit: TOMBSTONES_PER_RUN_MAX }),
  ]
  return [...new Set(lists.flat())].filter(isStorableId).toSorted((a, b) => Number(a) - Number(b))
}

/** Asks for these QIDs. One that the vendor does not know gets a tombstone. */
async function learnQids(context: RunContext, qids: readonly string[]): Promise<number | null> {
  try {
    const answer = await readKnowledge(context, { ids: qids })
    await closeAnswer(context, answer, qids)
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

async function orOwe(context: RunContext, gapKey: string, learn: () => Promise<void>): Promise<void> {
  const key = keyOf(context)
  try {
    await learn()
    await fenced(context, (tx) => settleGaps(tx, { ...key, kind: 'record', keys: [gapKey] }))
  } catch (error) {
    if (!isOwed(error)) throw error
    const gap: NewGap = { kind: 'record', key: gapKey, placeId: null, reason: error.message }
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
    await closeAnswer(context, answer)
    watermarkMs = answer.serverTimeMs ?? watermarkMs
  }
  if (watermarkMs === null) return
  await swapModuleState(
    deps.pool,
    { integrationId: run.integrationId, module: KNOWLEDGE_MODULE, version: state.version },
    { ...state, watermark: new Date(watermarkMs - OVERLAP_MS) },
  )
}
