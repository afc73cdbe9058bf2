import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FINDING_STATES, type FindingState } from '../model/finding.ts'
import {
  type FindingLife,
  PRESENT,
  type PlaceFacts,
  type Sighting,
  type Transition,
  firstSight,
  isUnderstood,
  leftOut,
  rederive,
  seeAgain,
} from './lifecycle.ts'

const DAY = 86_400_000
const T0 = Date.UTC(2026, 0, 1)
const REMOVED: PlaceFacts = { removed: true, outOfScope: false }
const OUT: PlaceFacts = { removed: false, outOfScope: true }

/* The reference model: a list of facts, from which everything is worked out anew each time. */

type Fact =
  | { kind: 'sight'; atMs: number; sighting: Sighting }
  | { kind: 'left out'; atMs: number }
  | { kind: 'place'; atMs: number; place: PlaceFacts }
  | { kind: 'accept'; atMs: number; untilMs: number | null }

interface Reference {
  state: FindingState
  openedAtMs: number | null
  fixedAtMs: number | null
  timesReopened: number
}

const KNOWN_WORDS = ['New', 'Active', 'Re-Opened', 'Fixed']

/** Sightings that count: those that can be understood and that are no older than any that counted before. */
function countingSightings(facts: readonly Fact[]): { index: number; atMs: number; sighting: Sighting }[] {
  const counting: { index: number; atMs: number; sighting: Sighting }[] = []
  for (const [index, fact] of facts.entries()) {
    if (fact.kind !== 'sight') continue
    const { sighting, atMs } = fact
    const isKnownWord = sighting.status !== null && KNOWN_WORDS.includes(sighting.status)
    if (!isKnownWord && !(sighting.status === null && sighting.type === 'Info')) continue
    const isNews = counting.every(
      ({ sighting: other }) =>
        other.lastProcessedMs === null ||
        sighting.lastProcessedMs === null ||
        other.lastProcessedMs <= sighting.lastProcessedMs,
    )
    if (isNews) counting.push({ index, atMs, sighting })
  }
  return counting
}

/** What is so after these facts; null while the finding has not been seen. */
function referenceOf(facts: readonly Fact[]): Reference | null {
  const counting = countingSightings(facts)
  const last = counting.at(-1)
  if (last === undefined) return null
  return { state: referenceState(facts, last), ...referenceEpisode(counting) }
}

function referenceState(
  facts: readonly Fact[],
  last: { index: number; atMs: number; sighting: Sighting },
): FindingState {
  const place = facts.findLast((fact) => fact.kind === 'place')?.place ?? PRESENT
  const acceptance = facts.findLast((fact) => fact.kind === 'accept')?.untilMs ?? null
  // News that does not count does not make anybody look at the clock either.
  const nowMs = facts.findLast((fact, index) => fact.kind !== 'sight' || index === last.index)!.atMs
  const holds: Record<FindingState, boolean> = {
    fixed: last.sighting.status === 'Fixed',
    host_removed: place.removed,
    out_of_scope: place.outOfScope,
    suppressed: last.sighting.ignored === true || last.sighting.disabled === true,
    accepted: acceptance !== null && nowMs < acceptance,
    stale: facts.slice(last.index).some((fact) => fact.kind === 'left out'),
    open: true,
  }
  return FINDING_STATES.find((state) => holds[state])!
}

interface ReferenceEpisode {
  openedAtMs: number | null
  fixedAtMs: number | null
}

/** The list of all episodes; the current one is the last. */
function referenceEpisode(counting: readonly { atMs: number; sighting: Sighting }[]) {
  const episodes: ReferenceEpisode[] = []
  let timesReopened = 0
  for (const [index, seenOnce] of counting.entries()) {
    const { sighting, atMs } = seenOnce
    const told = sighting.timesReopened
    const isFixed = sighting.status === 'Fixed'
    const comesBack = counting[index - 1]?.sighting.status === 'Fixed' && !isFixed
    const isReopened = comesBack || (index > 0 && told !== null && told > timesReopened)
    const started = startedEpisode(seenOnce, { isReopened, current: episodes.at(-1) })
    if (started !== null) episodes.push(started)
    const episode = episodes.at(-1)!
    episode.fixedAtMs = isFixed ? (sighting.lastFixedMs ?? episode.fixedAtMs ?? atMs) : null
    timesReopened = Math.max(told ?? 0, timesReopened + (comesBack && told === null ? 1 : 0))
  }
  return { ...episodes.at(-1)!, timesReopened }
}

/** The episode that a sighting starts, if it does: the first one, or one after a fix, seen or not. */
function startedEpisode(
  { sighting, atMs }: { atMs: number; sighting: Sighting },
  { isReopened, current }: { isReopened: boolean; current: ReferenceEpisode | undefined },
): ReferenceEpisode | null {
  const { lastReopenedMs, lastFoundMs, firstFoundMs, timesReopened } = sighting
  if (current === undefined)
    return { openedAtMs: (timesReopened ? lastReopenedMs : null) ?? firstFoundMs ?? atMs, fixedAtMs: null }
  if (!isReopened) return null
  // Fixed once more before anybody saw it open.
  if (sighting.status === 'Fixed') return { ...current, openedAtMs: lastReopenedMs ?? current.openedAtMs }
  return { openedAtMs: lastReopenedMs ?? lastFoundMs ?? atMs, fixedAtMs: null }
}

/** The engine's way: one step after the other. */
interface Walked {
  life: FindingLife | null
  place: PlaceFacts
  transitions: Transition[]
  outcomes: string[]
}

function walk(facts: readonly Fact[]): Walked {
  const walked: Walked = { life: null, place: PRESENT, transitions: [], outcomes: [] }
  for (const fact of facts) step(walked, fact)
  return walked
}

function step(walked: Walked, fact: Fact): void {
  if (fact.kind === 'place') walked.place = fact.place
  if (fact.kind === 'sight') return stepSighting(walked, fact)
  const { life, place } = walked
  if (life === null) return
  const next = changedBy(fact, life, place)
  if (next.state !== life.state)
    walked.transitions.push({ from: life.state, to: next.state, reason: fact.kind, happenedAtMs: null })
  walked.life = next
}

function changedBy(fact: Exclude<Fact, { kind: 'sight' }>, life: FindingLife, place: PlaceFacts) {
  if (fact.kind === 'left out') return leftOut(life, place, fact.atMs)
  if (fact.kind === 'place') return rederive(life, place, fact.atMs)
  const accepted = { ...life, facts: { ...life.facts, acceptedUntilMs: fact.untilMs } }
  return rederive(accepted, place, fact.atMs)
}

function stepSighting(walked: Walked, fact: Extract<Fact, { kind: 'sight' }>): void {
  const { life, place } = walked
  const result =
    life === null
      ? firstSight(fact.sighting, place, fact.atMs)
      : seeAgain(life, fact.sighting, place, fact.atMs)
  walked.outcomes.push(result.outcome)
  if (result.outcome !== 'known') return
  walked.life = result.life
  walked.transitions.push(...result.transitions)
}

const instant = fc.integer({ min: 0, max: 12 }).map((day) => T0 + day * DAY)
const maybe = <T>(arb: fc.Arbitrary<T>) => fc.option(arb, { nil: null, freq: 4 })
const sightingArb: fc.Arbitrary<Sighting> = fc.record({
  status: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...KNOWN_WORDS) },
    { weight: 1, arbitrary: fc.constantFrom('Mitigated', 'fixed', '', null) },
  ),
  type: fc.constantFrom('Confirmed', 'Potential', 'Info', null),
  ignored: fc.constantFrom(false, false, true, null),
  disabled: fc.constantFrom(false, false, true, null),
  firstFoundMs: maybe(instant),
  lastFoundMs: maybe(instant),
  lastFixedMs: maybe(instant),
  lastReopenedMs: maybe(instant),
  lastProcessedMs: maybe(instant),
  timesReopened: maybe(fc.nat(3)),
})
type FactWithoutTime = Fact extends infer One ? (One extends Fact ? Omit<One, 'atMs'> : never) : never
const factArb = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('sight' as const), sighting: sightingArb }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'left out' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('place' as const),
      place: fc.constantFrom(PRESENT, REMOVED, OUT),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('accept' as const), untilMs: maybe(instant) }) },
) satisfies fc.Arbitrary<FactWithoutTime>
/** Acceptances concern findings that are known, so every history starts with a sighting that can be understood. */
const historyArb: fc.Arbitrary<Fact[]> = fc
  .tuple(
    sightingArb.filter((sighting) => isUnderstood(sighting)),
    fc.array(fc.tuple(factArb, fc.nat(2)), { maxLength: 14 }),
  )
  .map(([sighting, rest]) => {
    let atMs = T0
    const later = rest.map(([fact, days]): Fact => ({ ...fact, atMs: (atMs += days * DAY) }))
    return [{ kind: 'sight', atMs: T0, sighting }, ...later]
  })

const RUNS = { numRuns: 3_000 }

test('any history: state and episode are what a naive replay of all facts gives, after every step', () => {
  fc.assert(
    fc.property(historyArb, (facts) => {
      const walked = walk([])
      for (const [index, fact] of facts.entries()) {
        step(walked, fact)
        const expected = referenceOf(facts.slice(0, index + 1))
        const { life } = walked
        expect(life && { state: life.state, ...life.episode }).toEqual(expected)
      }
    }),
    RUNS,
  )
})

test('any history: transitions form a chain: each starts where the one before ended, and the last ends in the state', () => {
  fc.assert(
    fc.property(historyArb, (facts) => {
      const { transitions, life } = walk(facts)
      const first = firstSight((facts[0] as { sighting: Sighting }).sighting, PRESENT, T0)
      let at = first.outcome === 'known' ? first.life.state : null
      for (const transition of transitions) {
        expect(transition.from).toBe(at)
        expect(transition.to).not.toBe(transition.from)
        at = transition.to
      }
      expect(at).toBe(life?.state)
    }),
    RUNS,
  )
})

test('any history: seeing the same again changes nothing', () => {
  fc.assert(
    fc.property(historyArb, sightingArb, (facts, sighting) => {
      const atMs = facts.at(-1)!.atMs + DAY
      const once = walk([...facts, { kind: 'sight', atMs, sighting }])
      const twice = walk([...facts, { kind: 'sight', atMs, sighting }, { kind: 'sight', atMs, sighting }])
      expect(twice.life).toEqual(once.life)
      expect(twice.transitions).toEqual(once.transitions)
    }),
    RUNS,
  )
})

test('any history: older news and words that are not known change nothing', () => {
  fc.assert(
    fc.property(historyArb, sightingArb, (facts, sighting) => {
      const before = walk(facts)
      const after = walk([...facts, { kind: 'sight', atMs: facts.at(-1)!.atMs, sighting }])
      if (after.outcomes.at(-1) === 'known') return
      expect({ life: after.life, transitions: after.transitions }).toEqual({
        life: before.life,
        transitions: before.transitions,
      })
    }),
    RUNS,
  )
})

test('any history: a finding is fixed exactly when the last word that counts was Fixed', () => {
  fc.assert(
    fc.property(historyArb, (facts) => {
      const saidFixed = countingSightings(facts).at(-1)?.sighting.status === 'Fixed'
      expect(walk(facts).life?.state === 'fixed').toBe(saidFixed)
    }),
    RUNS,
  )
})
