import { z } from 'zod'
import { systemClock } from '../lib/clock.ts'
import {
  type EvidenceLook,
  deleteOrphans,
  holdCollection,
  listOrphans,
  waitForMerges,
} from '../store/queries/evidence.ts'
import { inTransaction } from '../store/transaction.ts'
import { enqueue, type Job, type JobDeps } from './job.ts'

/** Texts in one transaction: merges wait for as long as it takes. */
const TEXTS_PER_DELETE_MAX = 5_000
/** A day's work; what is left is deleted by the next look. */
const DELETES_MAX = 1_000
/** When merges leave no room, the rest is tried after this. */
const TRY_AGAIN_MS = 10 * 60_000

const Payload = z.looseObject({})
type Payload = z.infer<typeof Payload>

/** Every day: result texts that no finding has referred to for two looks are deleted. */
export const collectEvidenceJob: Job<Payload> = {
  name: 'collect-evidence',
  payload: Payload,
  attemptsMax: 3,
  key: () => 'collect-evidence',
  async run(deps, _payload, signal) {
    const { pool, log } = deps.engine
    const collected = await inTransaction(pool, async (tx) =>
      (await holdCollection(tx)) ? collectEvidence(deps, signal) : null,
    )
    if (collected === null) return
    const { deleted, isWhole, look } = collected
    log.info({ deleted, ...look }, 'Result texts that no finding refers to were looked for.')
    if (isWhole || signal.aborted) return
    log.warn({ deleted }, 'Merges left no room to delete unused result texts; it is tried again.')
    await enqueue(pool, collectEvidenceJob, {}, new Date(systemClock.nowMs() + TRY_AGAIN_MS))
  },
}

interface Collected {
  look: EvidenceLook | null
  deleted: number
  /** False when merges were in the way. */
  isWhole: boolean
}

async function collectEvidence({ engine }: JobDeps, signal: AbortSignal): Promise<Collected> {
  const { pool } = engine
  if (!(await waitForMerges(pool))) return { look: null, deleted: 0, isWhole: false }
  const look = await listOrphans(pool)
  let deleted = 0
  for (let deletes = 0; deletes < DELETES_MAX && !signal.aborted; deletes += 1) {
    const count = await deleteOrphans(pool, TEXTS_PER_DELETE_MAX)
    if (count === null) return { look, deleted, isWhole: false }
    deleted += count
    if (count < TEXTS_PER_DELETE_MAX) break
  }
  return { look, deleted, isWhole: true }
}
