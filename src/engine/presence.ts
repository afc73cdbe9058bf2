import type { Tx } from '../store/db.ts'
import { type StateChange, applyStateChanges, listLivesOfPlaces } from '../store/queries/findings.ts'
import { settleGapsOfLeftPlaces } from '../store/queries/gaps.ts'
import { type PlaceChange, changePresence, countMissing, markListed } from '../store/queries/host-presence.ts'
import { toLife } from './ingest/row.ts'
import { type PlaceFacts, rederive } from './lifecycle.ts'

/** A host has left when it is missing from this many complete id lists in a row. */
const LISTS_MISSING_MIN = 2
const IDS_PER_STATEMENT_MAX = 10_000
const FINDINGS_PER_PAGE = 5_000

/** A list that does not count misses, because the scope has just changed, moves nobody out. */
const NEVER = 1_000_000

export interface CompleteList {
  integrationId: string
  runId: string
  /** Fingerprint of what the account can see. */
  scope: string
  now: Date
  hostIds: readonly string[]
  /** The scope has drifted: who is missing is not counted as missing until a second run confirms. */
  frozen: boolean
}

/**
 * Brings a complete id list in, the only truth about presence: hosts come, leave and come back, and the states of their
 * findings follow. Returns the hosts that changed.
 */
export async function bringInList(tx: Tx, list: CompleteList): Promise<PlaceChange[]> {
  for (let start = 0; start < list.hostIds.length; start += IDS_PER_STATEMENT_MAX)
    await markListed(tx, { ...list, hostIds: list.hostIds.slice(start, start + IDS_PER_STATEMENT_MAX) })
  if (!list.frozen) await countMissing(tx, { ...list, listsMissingMin: LISTS_MISSING_MIN })
  const changes = await changePresence(tx, {
    ...list,
    listsMissingMin: list.frozen ? NEVER : LISTS_MISSING_MIN,
  })
  for (const became of ['removed', 'out_of_scope', 'present'] as const) {
    const placeIds = changes.filter((change) => change.became === became).map((change) => change.placeId)
    if (placeIds.length === 0) continue
    await rederivePlaces(tx, list, { placeIds, became })
    if (became !== 'present') await settleGapsOfLeftPlaces(tx, { ...list, placeIds })
  }
  return changes
}

async function rederivePlaces(
  tx: Tx,
  list: CompleteList,
  change: { placeIds: readonly string[]; became: PlaceChange['became'] },
): Promise<void> {
  const place: PlaceFacts = {
    removed: change.became === 'removed',
    outOfScope: change.became === 'out_of_scope',
  }
  let after = { placeId: '0', id: '0' }
  for (;;) {
    const page = await listLivesOfPlaces(tx, { placeIds: change.placeIds, after, limit: FINDINGS_PER_PAGE })
    const last = page.at(-1)
    if (last === undefined) return
    after = { placeId: last.placeId, id: last.id }
    const changes = page.flatMap((stored): StateChange[] => {
      const next = rederive(toLife(stored), place, list.now.getTime())
      if (next.state === stored.state) return []
      return [
        {
          id: stored.id,
          placeId: stored.placeId,
          from: stored.state,
          to: next.state,
          missingSince: stored.missingSince,
          reason: REASONS[change.became],
        },
      ]
    })
    await applyStateChanges(tx, { ...list, seenAt: list.now, changes })
  }
}

const REASONS: Record<PlaceChange['became'], string> = {
  removed: `Its host was missing from ${LISTS_MISSING_MIN} complete lists in a row.`,
  out_of_scope: `Its host was missing from ${LISTS_MISSING_MIN} complete lists after the scope of this account changed.`,
  present: 'Its host is listed again.',
}
