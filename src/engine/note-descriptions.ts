import type { Tx } from '../store/db.ts'
import { type NewHostEvent, insertHostEvents } from '../store/queries/host-events.ts'
import { type DescribedHost, replaceIdentities } from '../store/queries/hosts.ts'
import { endIdentities, noteIdentifiers } from '../store/queries/lineage.ts'
import { compareMachines, identifiersOf } from './host-identity.ts'

/**
 * Notes what new descriptions say about which machine each host is: the values by which it will be known again, and what
 * has changed since. Where another machine has come to the address, the host starts anew: what it was known by ends.
 */
export async function noteDescriptions(
  tx: Tx,
  key: { integrationId: string; runId: string; now: Date },
  described: readonly DescribedHost[],
): Promise<void> {
  if (described.length === 0) return
  const events: NewHostEvent[] = []
  const replaced: DescribedHost[] = []
  for (const host of described) {
    if (!host.wasNoted) continue
    for (const change of compareMachines(host.before, host.record)) {
      events.push({ placeId: host.placeId, ...change })
      if (change.kind === 'identity_break') replaced.push(host)
    }
  }
  if (replaced.length > 0) {
    await endIdentities(tx, { ...key, placeIds: replaced.map((host) => host.placeId) })
    // The other machine came at some time after the last scan that is known of the one before.
    const since = ({ before }: DescribedHost) => before.lastVmScannedAt ?? key.now
    await replaceIdentities(
      tx,
      key.integrationId,
      replaced.map((host) => ({ record: host.record, since: since(host) })),
    )
  }
  const isReplaced = new Set(replaced)
  const identifiers = described.flatMap((host) =>
    // A field that a description leaves out keeps its value, unless the machine is another one.
    identifiersOf(host.record)
      .concat(isReplaced.has(host) ? [] : keptIdentifiers(host))
      .map((one) => ({ placeId: host.placeId, ...one })),
  )
  await noteIdentifiers(tx, { ...key, identifiers })
  await insertHostEvents(tx, { ...key, events })
}

/** What was known before the first description, from an answer about its findings. */
function keptIdentifiers({ before, wasNoted }: DescribedHost) {
  return wasNoted ? [] : identifiersOf(before)
}
