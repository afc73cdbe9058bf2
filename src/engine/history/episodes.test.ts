import { expect, test } from 'vitest'
import type { EpisodeRow, KeptEpisodes } from '../../store/queries/episodes.ts'
import { type CurrentEpisode, tellEpisodes } from './episodes.ts'

const day = (number: number) => new Date(Date.UTC(2026, 0, number))
const DAY_SECONDS = 86_400
const days = (durationMs: number | null) => durationMs && durationMs / 1000 / DAY_SECONDS

function finding(changes: Partial<CurrentEpisode> = {}): CurrentEpisode {
  return {
    state: 'open',
    sourceStatus: 'Active',
    firstFoundAt: day(1),
    openedAt: day(1),
    fixedAt: null,
    timesReopened: 0,
    ...changes,
  }
}

function kept(...rows: Partial<EpisodeRow>[]): KeptEpisodes {
  const filled = rows.map((row, index) => ({
    number: index + 1,
    openedAt: null,
    fixedAt: null,
    fixSeen: true,
    severity: 5,
    endedSeenAt: day(28),
    endedRunId: '1',
    ...row,
  }))
  return { rows: filled, count: filled.length }
}

test('a finding that was never fixed has one episode, which goes on', () => {
  const told = tellEpisodes(finding(), kept(), day(11).getTime())
  expect(told).toMatchObject({ unseenEpisodes: 0, omittedEpisodes: 0, flapping: 0 })
  expect(told.episodes).toMatchObject([{ number: 1, startAt: day(1), end: null, isClamped: false }])
  expect(days(told.episodes[0]!.durationMs)).toBe(10)
})

test('T29: the first episode counts from the effective first-found, a later one from its reopening; both are told', () => {
  const life = finding({ firstFoundAt: day(1), openedAt: day(20), timesReopened: 1 })
  const told = tellEpisodes(life, kept({ openedAt: day(5), fixedAt: day(9) }), day(21).getTime())
  expect(told.episodes).toMatchObject([
    { number: 1, openedAt: day(5), startAt: day(1), fixedAt: day(9), end: 'fixed' },
    { number: 2, openedAt: day(20), startAt: day(20), fixedAt: null, end: null },
  ])
  expect(told.episodes.map(({ durationMs }) => days(durationMs))).toEqual([8, 1])
})

test('T30: an end before the beginning is kept as it came and counts as no time at all', () => {
  const life = finding({ state: 'fixed', sourceStatus: 'Fixed', firstFoundAt: day(9), fixedAt: day(4) })
  expect(tellEpisodes(life, kept(), day(30).getTime()).episodes).toMatchObject([
    { startAt: day(9), fixedAt: day(4), durationMs: 0, isClamped: true },
  ])
})

test('T31: what hides a finding does not end its episode', () => {
  for (const state of ['suppressed', 'host_removed', 'out_of_scope', 'accepted', 'stale'] as const)
    expect(tellEpisodes(finding({ state }), kept(), day(3).getTime()).episodes).toMatchObject([
      { end: null, fixedAt: null },
    ])
})

test('T24: episodes that came and went unseen are told by their number, and those between two pulls as such', () => {
  const life = finding({ timesReopened: 4, openedAt: day(20) })
  const told = tellEpisodes(life, kept({ number: 2, fixedAt: day(3), fixSeen: false }), day(21).getTime())
  expect(told.episodes.map(({ number, end }) => [number, end])).toEqual([
    [2, 'fixed_unseen'],
    [5, null],
  ])
  expect(told.unseenEpisodes).toBe(3)
  expect(told.episodes[0]!.durationMs).toBe(null)
})

test('T23: what comes back twice within 30 days flaps, what comes back more slowly does not', () => {
  const life = (openedAt: Date) => finding({ timesReopened: 2, openedAt })
  const before = kept({ openedAt: day(1), fixedAt: day(2) }, { number: 2, openedAt: day(5), fixedAt: day(6) })
  expect(tellEpisodes(life(day(35)), before, day(60).getTime()).flapping).toBe(2)
  expect(tellEpisodes(life(day(36)), before, day(60).getTime()).flapping).toBe(0)
})

test('a source that reopens without counting gives every episode a number of its own', () => {
  const told = tellEpisodes(finding({ openedAt: day(9) }), kept({ openedAt: day(1) }), day(9).getTime())
  expect(told.episodes.map(({ number }) => number)).toEqual([1, 2])
})
