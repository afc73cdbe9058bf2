import type { Db } from '../../store/db.ts'
import { type StoredLife, listEarlierContradictions, listSourceKeys } from '../../store/queries/findings.ts'
import type { DetectionRecord } from '../../model/vm.ts'
import type { KnownHost } from './known-host.ts'

/** A known finding that came with another UNIQUE_VULN_ID than the one that is kept beside its identity. */
export interface Contradiction {
  id: string
  hostId: string
  host: KnownHost
  detection: DetectionRecord
  previous: StoredLife
  oldKey: string
  newKey: string
}

/** The contradiction between what is kept and what came, if both say something. */
export function contradictionOf(
  seen: Pick<Contradiction, 'id' | 'hostId' | 'host' | 'detection'>,
  previous: StoredLife,
): Contradiction | null {
  const oldKey = previous.sourceKey
  const newKey = seen.detection.uniqueVulnId
  if (oldKey === null || newKey === null || oldKey === newKey) return null
  return { ...seen, previous, oldKey, newKey }
}

export function contradictionSentence({ oldKey, newKey }: Contradiction): string {
  return `UNIQUE_VULN_ID was ${oldKey} and is now ${newKey}, but the finding is the same.`
}

/**
 * Which contradictions Qualys insists on: an earlier run met the very same one, and neither the old nor the new key
 * stands on any other finding of that host, in this answer or in the store. The answer about their hosts has to be whole.
 */
export async function listInsisted(
  db: Db,
  run: { integrationId: string; runId: string },
  contradictions: readonly Contradiction[],
): Promise<Set<Contradiction>> {
  const alone = contradictions.filter(
    ({ host, oldKey, newKey }) => host.countOfKey(oldKey) === 0 && host.countOfKey(newKey) === 1,
  )
  if (alone.length === 0) return new Set()
  const earlier = await listEarlierContradictions(db, {
    ...run,
    seen: alone.map((one) => ({
      placeId: one.host.placeId,
      hostId: one.hostId,
      reason: contradictionSentence(one),
    })),
  })
  const metBefore = new Set(earlier.map((one) => `${one.placeId} ${one.reason}`))
  const stored = await listSourceKeys(db, {
    placeIds: [...new Set(alone.map(({ host }) => host.placeId))],
    sourceKeys: alone.flatMap(({ oldKey, newKey }) => [oldKey, newKey]),
  })
  const holders = Map.groupBy(stored, (row) => `${row.placeId} ${row.sourceKey}`)
  const isElsewhere = ({ id, host, oldKey, newKey }: Contradiction) =>
    [oldKey, newKey].some((key) => holders.get(`${host.placeId} ${key}`)?.some((row) => row.id !== id))
  return new Set(
    alone.filter(
      (one) => metBefore.has(`${one.host.placeId} ${contradictionSentence(one)}`) && !isElsewhere(one),
    ),
  )
}
