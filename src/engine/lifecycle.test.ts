import { describe, expect, test } from 'vitest'
import type { FindingState } from '../model/finding.ts'
import {
  type FindingFacts,
  type FindingLife,
  PRESENT,
  type PlaceFacts,
  type Sighting,
  type SightingResult,
  type Transition,
  deriveState,
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

/** Day `day` of the life of a finding that was found first on day 0. */
function seen(day: number, fields: Partial<Sighting> = {}): Sighting {
  return {
    status: 'Active',
    type: 'Confirmed',
    ignored: false,
    disabled: false,
    firstFoundMs: T0,
    lastFoundMs: T0 + day * DAY,
    lastFixedMs: null,
    lastReopenedMs: null,
    lastProcessedMs: T0 + day * DAY,
    timesReopened: 0,
    ...fields,
  }
}

const fixed = (day: number, fields: Partial<Sighting> = {}) =>
  seen(day, { status: 'Fixed', lastFoundMs: T0 + (day - 1) * DAY, lastFixedMs: T0 + day * DAY, ...fields })

const reopened = (day: number, times: number, fields: Partial<Sighting> = {}) =>
  seen(day, { status: 'Re-Opened', timesReopened: times, lastReopenedMs: T0 + day * DAY, ...fields })

/** Lets a finding live through sightings, one a day after the other; every one has to be understood and new. */
function live(...sightings: Sighting[]): { life: FindingLife; transitions: Transition[] } {
  let life: FindingLife | null = null
  const transitions: Transition[] = []
  for (const sighting of sightings) {
    const nowMs = sighting.lastProcessedMs ?? T0
    const result: SightingResult =
      life === null ? firstSight(sighting, PRESENT, nowMs) : seeAgain(life, sighting, PRESENT, nowMs)
    if (result.outcome !== 'known') throw new Error(`The sighting was ${result.outcome}.`)
    life = result.life
    transitions.push(...result.transitions)
  }
  if (life === null) throw new Error('Nothing was seen.')
  return { life, transitions }
}

const steps = (transitions: readonly Transition[]) => transitions.map(({ from, to }) => `${from} → ${to}`)

describe('the order of precedence', () => {
  const everything: FindingFacts & PlaceFacts = {
    sourceStatus: 'Fixed',
    removed: true,
    outOfScope: true,
    ignored: true,
    disabled: true,
    acceptedUntilMs: T0 + DAY,
    missingSinceMs: T0 - DAY,
  }
  // Each row takes away what made the state of the row before.
  const rows: [FindingState, Partial<FindingFacts & PlaceFacts>][] = [
    ['fixed', {}],
    ['host_removed', { sourceStatus: 'Active' }],
    ['out_of_scope', { removed: false }],
    ['suppressed', { outOfScope: false }],
    ['suppressed', { ignored: false }],
    ['accepted', { disabled: false }],
    ['stale', { acceptedUntilMs: T0 }],
    ['open', { missingSinceMs: null }],
  ]
  const facts = { ...everything }
  for (const [index, [state, change]] of rows.entries()) {
    Object.assign(facts, change)
    const now = { ...facts }
    test(`rule ${index + 1}: what is left makes the finding ${state}`, () => {
      expect(deriveState(now, now, T0)).toBe(state)
    })
  }

  test('an acceptance ends at its very date', () => {
    const accepted = { ...everything, ...PRESENT, sourceStatus: 'Active', ignored: false, disabled: false }
    const until = { ...accepted, missingSinceMs: null, acceptedUntilMs: T0 }
    expect(deriveState(until, PRESENT, T0 - 1)).toBe('accepted')
    expect(deriveState(until, PRESENT, T0)).toBe('open')
  })
})

describe('one finding', () => {
  test('T24: New, Active and Re-Opened all mean open, and make no transition among themselves', () => {
    const { life, transitions } = live(
      seen(0, { status: 'New' }),
      seen(1),
      seen(2, { status: 'Re-Opened' }),
      seen(3),
    )
    expect(life.state).toBe('open')
    expect(transitions).toEqual([])
  })

  test('T24: a Re-Opened that nobody saw is told by the count, with the fix in between', () => {
    const { life, transitions } = live(
      seen(0),
      seen(9, { timesReopened: 1, lastReopenedMs: T0 + 8 * DAY, lastFixedMs: T0 + 5 * DAY }),
    )
    expect(steps(transitions)).toEqual(['open → fixed', 'fixed → open'])
    expect(transitions.map((transition) => transition.happenedAtMs)).toEqual([T0 + 5 * DAY, T0 + 8 * DAY])
    expect(life.episode).toEqual({ openedAtMs: T0 + 8 * DAY, fixedAtMs: null, timesReopened: 1 })
  })

  test('T24: reopened and fixed again between two pulls is still one fix more', () => {
    const { life, transitions } = live(
      fixed(1),
      fixed(9, { timesReopened: 1, lastReopenedMs: T0 + 4 * DAY, lastFixedMs: T0 + 7 * DAY }),
    )
    expect(transitions).toEqual([])
    expect(life.state).toBe('fixed')
    expect(life.episode).toEqual({ openedAtMs: T0 + 4 * DAY, fixedAtMs: T0 + 7 * DAY, timesReopened: 1 })
  })

  test('T23: a finding that flaps has one episode after the other, each with its ends', () => {
    const { life, transitions } = live(
      seen(0, { status: 'New' }),
      fixed(1),
      reopened(2, 1),
      fixed(3, { timesReopened: 1, lastReopenedMs: T0 + 2 * DAY }),
      reopened(4, 2),
    )
    expect(steps(transitions)).toEqual(['open → fixed', 'fixed → open', 'open → fixed', 'fixed → open'])
    expect(life.episode).toEqual({ openedAtMs: T0 + 4 * DAY, fixedAtMs: null, timesReopened: 2 })
  })

  test('T23: without a count, a finding that is found after Fixed has been reopened once more', () => {
    const { life } = live(
      seen(0, { timesReopened: null }),
      fixed(1, { timesReopened: null }),
      seen(2, { timesReopened: null }),
    )
    expect(life.episode).toEqual({ openedAtMs: T0 + 2 * DAY, fixedAtMs: null, timesReopened: 1 })
  })

  test('T25: an unknown or missing status keeps the state and puts the record aside', () => {
    for (const status of ['Mitigated', 'fixed', 'FIXED', 'Fixed ', '', null]) {
      const first = live(seen(0)).life
      const result = seeAgain(first, seen(1, { status }), PRESENT, T0 + DAY)
      expect(result.outcome).toBe('quarantine')
      expect(result).toHaveProperty('reason', expect.stringContaining('state is kept') as string)
      expect(firstSight(seen(0, { status }), PRESENT, T0).outcome).toBe('quarantine')
    }
  })

  test('T25: only information gathered may come without a status', () => {
    expect(isUnderstood({ status: null, type: 'Info' })).toBe(true)
    expect(live(seen(0, { status: null, type: 'Info' })).life.state).toBe('open')
    for (const type of ['Confirmed', 'Potential', 'info', '', null])
      expect(isUnderstood({ status: null, type })).toBe(false)
  })

  test('T22: an old date of test does not make an Active finding anything else than open', () => {
    const { life, transitions } = live(seen(0), seen(30, { lastFoundMs: T0 }))
    expect([life.state, transitions]).toEqual(['open', []])
  })

  test('T29: the clock of an episode starts at its first found, and at the reopening of a later one', () => {
    expect(live(seen(40, { firstFoundMs: T0 - 9 * DAY })).life.episode.openedAtMs).toBe(T0 - 9 * DAY)
    const later = seen(40, { timesReopened: 2, lastReopenedMs: T0 + 20 * DAY })
    expect(live(later).life.episode.openedAtMs).toBe(T0 + 20 * DAY)
    const again = live(seen(0), seen(5), seen(12, { firstFoundMs: T0 + 11 * DAY })).life.episode
    expect(again.openedAtMs).toBe(T0)
  })

  test('T29: without any date the clock starts when Patchbay saw it', () => {
    const bare = seen(0, { firstFoundMs: null, lastFoundMs: null, lastProcessedMs: null })
    const result = firstSight(bare, PRESENT, T0 + 7)
    expect(result).toMatchObject({ life: { episode: { openedAtMs: T0 + 7 } } })
  })

  test('T30: dates that contradict each other are kept as they came', () => {
    const odd = live(seen(0), fixed(3, { lastFoundMs: T0 + 9 * DAY, lastFixedMs: T0 - 5 * DAY })).life
    expect(odd.episode).toEqual({ openedAtMs: T0, fixedAtMs: T0 - 5 * DAY, timesReopened: 0 })
    expect(odd.state).toBe('fixed')
  })

  test('T31: an episode is closed by Fixed alone, never by what hides a finding', () => {
    const open = live(seen(0)).life
    for (const life of [
      leftOut(open, PRESENT, T0 + DAY),
      rederive(open, REMOVED, T0 + DAY),
      rederive(open, OUT, T0 + DAY),
      live(seen(0), seen(1, { ignored: true })).life,
      live(seen(0), seen(1, { disabled: true })).life,
    ]) {
      expect(life.state).not.toBe('fixed')
      expect(life.episode).toEqual(open.episode)
    }
  })

  test('T8: ignored and disabled findings are suppressed and come back without a new episode', () => {
    for (const flag of ['ignored', 'disabled']) {
      const { life, transitions } = live(seen(0), seen(1, { [flag]: true }), seen(2))
      expect(steps(transitions)).toEqual(['open → suppressed', 'suppressed → open'])
      expect(life.episode).toEqual({ openedAtMs: T0, fixedAtMs: null, timesReopened: 0 })
    }
  })

  test('a fix of an ignored finding is a fix', () => {
    const { transitions } = live(seen(0, { ignored: true }), fixed(1, { ignored: true }))
    expect(steps(transitions)).toEqual(['suppressed → fixed'])
    expect(transitions[0]!.happenedAtMs).toBe(T0 + DAY)
  })

  test('T21: stale is taken back by the next sighting, and keeps since when it was missing until then', () => {
    const once = leftOut(live(seen(0)).life, PRESENT, T0 + DAY)
    const twice = leftOut(once, PRESENT, T0 + 2 * DAY)
    expect(twice).toEqual(once)
    expect(once.facts.missingSinceMs).toBe(T0 + DAY)
    const back = seeAgain(twice, seen(3), PRESENT, T0 + 3 * DAY)
    expect(back).toMatchObject({
      life: { state: 'open', facts: { missingSinceMs: null } },
      transitions: [{ from: 'stale', to: 'open' }],
    })
  })

  test('leaving out a fixed finding says nothing', () => {
    expect(leftOut(live(seen(0), fixed(1)).life, PRESENT, T0 + 2 * DAY).state).toBe('fixed')
  })

  test('T18: a host that goes out of scope or is removed and comes back leaves everything as it was', () => {
    for (const sightings of [
      [seen(0)],
      [seen(0), fixed(1)],
      [seen(0, { ignored: true })],
      [seen(0), fixed(1), reopened(2, 1)],
    ]) {
      const { life } = live(...sightings)
      for (const place of [REMOVED, OUT])
        expect(rederive(rederive(life, place, T0 + 5 * DAY), PRESENT, T0 + 6 * DAY)).toEqual(life)
    }
  })

  test('T14: evidence stays evidence when the host is removed afterwards', () => {
    expect(rederive(live(seen(0), fixed(1)).life, REMOVED, T0 + 2 * DAY).state).toBe('fixed')
  })

  test('T27: older news changes nothing, and the same second again is no older news', () => {
    const { life } = live(seen(0), fixed(5))
    expect(seeAgain(life, seen(4), PRESENT, T0 + 6 * DAY)).toEqual({ outcome: 'older' })
    expect(seeAgain(life, reopened(5, 1), PRESENT, T0 + 6 * DAY).outcome).toBe('known')
    expect(seeAgain(life, seen(4, { lastProcessedMs: null }), PRESENT, T0 + 6 * DAY).outcome).toBe('known')
  })
})
