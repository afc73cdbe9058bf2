import type { GeneratedHosts } from './generated-hosts.ts'
import type { Overrides } from './overrides.ts'
import type { Estate, Truth, TruthHost } from './types.ts'

/** The exact expected set of a day, computed when asked for and streamed, whatever the size of the estate. */
export function createTruth(context: {
  estate: Estate
  day: number
  generated: GeneratedHosts
  overrides: Overrides
  explicitIdsOf: (day: number) => string[]
}): Truth {
  const { estate, day, generated, overrides } = context
  const indexes = function* () {
    const count = generated.countOn(day)
    for (let index = 0; index < count; index++) yield index
  }
  const idsWhere = (isWanted: (index: number) => boolean) =>
    [...indexes()].filter(isWanted).map((index) => String(generated.idOf(index)))
  const overridden = () => [...overrides.entries()].filter(([, applied]) => applied.day === day && day > 0)
  return {
    day,
    *hosts(): Generator<TruthHost> {
      for (const host of estate.hosts({}, day)) {
        yield {
          id: host.id,
          host,
          scannedToday: typeof host.scanned === 'number' && host.scanned >= estate.dayStartMs(day),
          detections: () => estate.detections(host.id, { day }),
          informationGathered: () => estate.informationGathered(host.id, { day }),
        }
      }
    },
    get purged() {
      const byHand = overridden().filter(([, { change }]) => change.purged === true)
      const isPurged = (index: number) => generated.purgeDay(index) === day && generated.mergeDay(index) > day
      return [...idsWhere(isPurged), ...byHand.map(([id]) => id)]
    },
    get merged() {
      const all: { from: string; to: string }[] = []
      for (const index of indexes()) {
        if (generated.mergeDay(index) !== day) continue
        all.push({ from: String(generated.idOf(index)), to: String(generated.idOf(index - 1)) })
      }
      for (const [from, { change }] of overridden()) {
        if (change.mergedInto !== undefined) all.push({ from, to: change.mergedInto })
      }
      return all
    },
    get appeared() {
      if (day === 0) return []
      return [...idsWhere((index) => generated.bornDay(index) === day), ...context.explicitIdsOf(day)]
    },
    get retagged() {
      const isRetagged = (index: number) =>
        generated.isRetaggedOn(index, day) && generated.isPresent(index, day)
      const byHand = overridden().filter(
        ([, { change }]) => (change.tags ?? change.addTags ?? change.removeTags) !== undefined,
      )
      return [...idsWhere(isRetagged), ...byHand.map(([id]) => id)]
    },
  }
}
