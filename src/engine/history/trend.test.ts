import fc from 'fast-check'
import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import { SILENT } from '../../../test/support/hub.ts'
import { ManualClock } from '../../lib/clock.ts'
import { FINDING_STATES, type FindingState } from '../../model/finding.ts'
import { TREND_GROUPINGS, type TrendGrouping } from '../../model/report.ts'
import {
  drainDefaultPartition,
  ensureEventPartitions,
  listEventPartitions,
} from '../../store/queries/event-partitions.ts'
import { insertIntegration } from '../../store/queries/integrations.ts'
import { closeDays } from './close-days.ts'
import { dropOldEvents } from './keep-history.ts'
import { type TrendRow, readTrend } from './trend.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** A month ends and, in New York, a day has 25 hours. */
const START_MS = Date.UTC(2026, 9, 28)
const DAYS = 8
const FINDINGS = 9
const NEW_YORK = 'America/New_York'
const never = new AbortController().signal

/* The reference: a list of what happened, read from its beginning for every question. */

interface Happening {
  atMs: number
  finding: number
  state: FindingState
}

interface Story {
  happenings: Happening[]
  /** After which days somebody closed what was over. */
  closings: ReadonlySet<number>
}

const stories: fc.Arbitrary<Story> = fc.record({
  happenings: fc
    .array(
      fc.record({
        atMs: fc.nat(DAYS * 24 * 60 - 1).map((minute) => START_MS + minute * 60_000),
        finding: fc.nat(FINDINGS - 1),
        state: fc.constantFrom(...FINDING_STATES),
      }),
      { minLength: 1, maxLength: 60 },
    )
    .map((list) => list.toSorted((a, b) => a.atMs - b.atMs)),
  closings: fc.subarray(Array.from({ length: DAYS }, (_, day) => day)).map((days) => new Set(days)),
})

const severityOf = (finding: number) => [5, 4, null][finding % 3] ?? null
const typeOf = (finding: number) => ['Confirmed', 'Confirmed', 'Potential', 'Info'][finding % 4]!
const integrationOf = (finding: number) => finding % 2

function naiveGroup(finding: number, by: TrendGrouping, integrationIds: readonly string[]): string {
  if (by === 'severity') return String(severityOf(finding) ?? 'unknown')
  if (by === 'type') return typeOf(finding)
  return by === 'integration' ? integrationIds[integrationOf(finding)]! : ''
}

interface Question {
  by: TrendGrouping
  zone: string
  integrationIds: readonly string[]
}

/** Lines of day, group and number, without zeros. */
function naiveTrend({ happenings }: Story, { by, zone, integrationIds }: Question): string[] {
  const dayIn = new Intl.DateTimeFormat('en-CA', { timeZone: zone })
  const counted = happenings.filter(({ finding }) => by === 'type' || typeOf(finding) !== 'Info')
  const sums = new Map<string, number>()
  const add = (day: string, finding: number, what: string) => {
    const key = `${day} ${naiveGroup(finding, by, integrationIds)} ${what}`
    sums.set(key, (sums.get(key) ?? 0) + 1)
  }
  for (let day = 0; day < DAYS; day += 1) {
    const name = dayIn.format(START_MS + day * DAY_MS + 12 * HOUR_MS)
    const known = new Map<number, FindingState>()
    for (const { atMs, finding, state } of counted) {
      const happenedOn = dayIn.format(atMs)
      if (happenedOn > name) continue
      if (happenedOn === name)
        for (const what of naiveFlows(known.get(finding), state)) add(name, finding, what)
      known.set(finding, state)
    }
    for (const [finding, state] of known) add(name, finding, state)
  }
  return [...sums].map(([key, count]) => `${key} ${count}`).toSorted()
}

function naiveFlows(from: FindingState | undefined, to: FindingState): string[] {
  if (from === to) return []
  if (from === undefined) return to === 'open' ? ['new'] : []
  if (to === 'fixed') return ['fixed on the day']
  if (from === 'fixed') return ['reopened']
  if (from === 'open') return ['left']
  return to === 'open' ? ['back'] : []
}

function linesOf(rows: readonly TrendRow[]): string[] {
  return rows
    .flatMap((row) => {
      const { day, group, counts, fixed, reopened, left, back } = row
      const all = { ...counts, new: row.new, 'fixed on the day': fixed, reopened, left, back }
      return Object.entries(all)
        .filter(([, count]) => count !== 0)
        .map(([what, count]) => `${day} ${group} ${what} ${count}`)
    })
    .toSorted()
}

/* The store's way: every day is written, and closed on some of them. */

async function live(db: pg.Pool, story: Story, integrationIds: readonly string[]): Promise<void> {
  const states = new Map<number, FindingState>()
  for (let day = 0; day < DAYS; day += 1) {
    const endMs = START_MS + (day + 1) * DAY_MS
    const today = story.happenings.filter(({ atMs }) => atMs >= endMs - DAY_MS && atMs < endMs)
    for (const one of today) {
      const from = states.get(one.finding)
      if (from === undefined) await addFinding(db, one, integrationIds)
      else if (from !== one.state) await moveFinding(db, one, from)
      states.set(one.finding, one.state)
    }
    if (story.closings.has(day)) await closeDays(db, new Date(endMs + HOUR_MS))
  }
}

async function addFinding(db: pg.Pool, one: Happening, integrationIds: readonly string[]): Promise<void> {
  await db.query(
    `with run as (
       insert into run (integration_id, epoch, trigger, mode, mode_reason, state, scope, started_at)
       values ($1, 1, 'manual', 'full', 'asked for', 'COMPLETE', '{}', $2) returning id
     )
     insert into finding (id, kind, integration_id, place_id, issue_key, identity, type, severity, state,
                          first_run_id, changed_run_id)
     select $3::int, 'vm', $1, 1, '1', gen_random_uuid(), $4, $5, $6, id, id from run`,
    [
      integrationIds[integrationOf(one.finding)],
      new Date(one.atMs),
      one.finding,
      typeOf(one.finding),
      severityOf(one.finding),
      one.state,
    ],
  )
}

async function moveFinding(db: pg.Pool, one: Happening, from: FindingState): Promise<void> {
  await db.query(
    `with moved as (update finding set state = $3 where place_id = 1 and id = $1 returning integration_id)
     insert into event (seen_at, kind, integration_id, place_id, finding_id, old_state, new_state, reason)
     select $2::timestamptz, 'vm', integration_id, 1, $1, $4, $3, 'It is a test.' from moved`,
    [one.finding, new Date(one.atMs), one.state, from],
  )
}

async function forget(db: pg.Pool): Promise<void> {
  await db.query('truncate finding, event, run, closed_day, daily_count, daily_flow, event_floor cascade')
}

const LAST = new Date(START_MS + DAYS * DAY_MS - 1)

async function ask(db: pg.Pool, by: TrendGrouping, zone = 'UTC'): Promise<string[]> {
  return linesOf(await readTrend(db, { now: LAST, days: DAYS, by, zone }))
}

async function twoIntegrations(db: pg.Pool): Promise<string[]> {
  const ids: string[] = []
  for (const name of ['one', 'other']) {
    const config = { type: 'vaplugin', subtype: 'qualys', name, config: {} }
    ids.push((await insertIntegration(db, config)).id)
  }
  return ids
}

test('any history: the counts of each day are those of a naive replay, closed or not, in any zone and grouping', async ({
  db,
}) => {
  const integrationIds = await twoIntegrations(db)
  await fc.assert(
    fc.asyncProperty(stories, async (story) => {
      await forget(db)
      await live(db, story, integrationIds)
      for (const by of TREND_GROUPINGS)
        expect(await ask(db, by)).toEqual(naiveTrend(story, { by, zone: 'UTC', integrationIds }))
      expect(await ask(db, 'severity', NEW_YORK)).toEqual(
        naiveTrend(story, { by: 'severity', zone: NEW_YORK, integrationIds }),
      )
    }),
    { numRuns: 20 },
  )
})

test('any history: after its events are dropped the counts of each day are what they were', async ({
  db,
}) => {
  const integrationIds = await twoIntegrations(db)
  const now = new Date(START_MS + 90 * DAY_MS)
  const deps = { pool: db, clock: new ManualClock(0, { skipSleeps: true }), log: SILENT }
  await fc.assert(
    fc.asyncProperty(stories, async (story) => {
      await forget(db)
      await live(db, story, integrationIds)
      await drainDefaultPartition(db)
      const before = await Promise.all(TREND_GROUPINGS.map((by) => ask(db, by)))
      // A month whose days are not closed stays.
      await db.query('delete from closed_day')
      expect(await dropOldEvents(deps, { now, monthsKept: 1, signal: never })).toEqual([])
      await db.query('truncate daily_count, daily_flow')
      await closeDays(db, now)
      await dropOldEvents(deps, { now, monthsKept: 1, signal: never })
      expect((await db.query('select 1 from event')).rowCount).toBe(0)
      expect(await Promise.all(TREND_GROUPINGS.map((by) => ask(db, by)))).toEqual(before)
    }),
    { numRuns: 6 },
  )
  await db.query(`insert into event_floor (kept_from) values ('2026-12-01Z') on conflict (is_only) do update
                  set kept_from = excluded.kept_from`)
  await expect(ask(db, 'state', NEW_YORK)).rejects.toThrow('Events from before 2026-12-01 are gone.')
})

test('whole months are kept: the one before the oldest of them is dropped, and no more', async ({ db }) => {
  for (const month of ['2026-08-15Z', '2026-10-15Z', '2026-12-15Z'])
    await ensureEventPartitions(db, new Date(month))
  await db.query(
    `insert into closed_day select d, now() from generate_series('2026-08-01'::date, '2026-12-31', '1 day') d`,
  )
  const deps = { pool: db, clock: new ManualClock(0, { skipSleeps: true }), log: SILENT }
  const names = async () => (await listEventPartitions(db)).map(({ name }) => name)
  const now = new Date('2026-12-31T23:59:59Z')
  expect(await dropOldEvents(deps, { now, monthsKept: 3, signal: never })).toEqual(['event_2026_08'])
  expect(await dropOldEvents(deps, { now: new Date('2027-01-01Z'), monthsKept: 3, signal: never })).toEqual([
    'event_2026_09',
  ])
  expect(await names()).toEqual(['event_2026_10', 'event_2026_11', 'event_2026_12', 'event_2027_01'])
})

test('a day is closed once: what becomes of a finding later, its severity too, counts on later days', async ({
  db,
}) => {
  const integrationIds = await twoIntegrations(db)
  const first = { atMs: START_MS + HOUR_MS, finding: 0, state: 'open' } as const
  await live(db, { happenings: [first], closings: new Set([0]) }, integrationIds)
  await db.query('update finding set severity = 2')
  const lines = await ask(db, 'severity')
  expect(lines.filter((line) => line.includes(' open ')).slice(0, 2)).toEqual([
    '2026-10-28 5 open 1',
    '2026-10-29 2 open 1',
  ])
})

test('a day is not closed before a while has passed, nor while a run of it goes on; many closers close it once', async ({
  db,
}) => {
  const integrationIds = await twoIntegrations(db)
  const first = { atMs: START_MS + 23 * HOUR_MS, finding: 0, state: 'open' } as const
  await live(db, { happenings: [first], closings: new Set() }, integrationIds)
  const close = (atMs: number) => closeDays(db, new Date(START_MS + atMs))
  expect(await close(DAY_MS + 60_000)).toEqual([])
  await db.query(`update run set state = 'RUNNING'`)
  expect(await close(3 * DAY_MS)).toEqual([])
  await db.query(`update run set state = 'COMPLETE'`)
  const closed = await Promise.all([1, 2, 3, 4].map(() => close(3 * DAY_MS)))
  expect(closed.toSorted((a, b) => b.length - a.length)).toEqual([['2026-10-28', '2026-10-29'], [], [], []])
  expect(await close(3 * DAY_MS + HOUR_MS)).toEqual(['2026-10-30'])
})

test('what cannot be counted is refused in words', async ({ db }) => {
  const request = { now: LAST, days: 3, by: 'state' } as const
  await expect(readTrend(db, { ...request, zone: "Mars'; drop table finding" })).rejects.toThrow(
    'There is no time zone "Mars\'; drop table finding".',
  )
  await expect(readTrend(db, { ...request, days: 500, zone: NEW_YORK })).rejects.toThrow('at most 400 days')
  expect(await readTrend(db, { ...request, zone: 'UTC' })).toHaveLength(3)
})
