import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import { DETECTIONS, nextDay } from '../../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../../test/support/hub.ts'
import { seededRandom } from '../../../test/kill/random.ts'
import type { FindingState } from '../../model/finding.ts'
import { TREND_GROUPINGS } from '../../model/report.ts'
import { listKeptEpisodes } from '../../store/queries/episodes.ts'
import { drainDefaultPartition, listEventPartitions } from '../../store/queries/event-partitions.ts'
import { getFinding } from '../../store/queries/finding-list.ts'
import { closeDays } from './close-days.ts'
import { tellEpisodes } from './episodes.ts'
import { readFixTimes } from './fix-times.ts'
import { dropOldEvents } from './keep-history.ts'
import { type TrendRow, readTrend } from './trend.ts'

/* Whole histories, pulled from an estate that lives on; what is told of them is held against notes taken on the way. */

const DAY_MS = 86_400_000
const STEPS = 12
const never = new AbortController().signal

interface Seen {
  placeId: string
  id: string
  state: FindingState
  type: string
  sourceStatus: string | null
  firstFoundAt: Date
  openedAt: Date
  fixedAt: Date | null
  lastFixedAt: Date | null
  timesReopened: number
}

interface NotedEpisode {
  number: number
  openedAt: Date
  fixedAt: Date | null
}

/** What somebody would have written down who looked after every pull, and once more at the end of every day. */
interface Notes {
  findings: Map<string, Seen>
  episodes: Map<string, NotedEpisode[]>
  days: Map<string, string[]>
}

async function readFindings(db: pg.Pool): Promise<Map<string, Seen>> {
  const { rows } = await db.query<Seen>(
    `select place_id as "placeId", id, state, type, source_status as "sourceStatus",
            first_found_effective_at as "firstFoundAt", opened_at as "openedAt", fixed_at as "fixedAt",
            last_fixed_at as "lastFixedAt", times_reopened as "timesReopened"
       from finding where type <> 'Info'`,
  )
  return new Map(rows.map((row) => [`${row.placeId}-${row.id}`, row]))
}

async function note(hub: TestHub, notes: Notes): Promise<void> {
  const now = await readFindings(hub.deps.pool)
  for (const [id, seen] of now) {
    const before = notes.findings.get(id)
    if (before === undefined) continue
    const wasFixed = before.sourceStatus === 'Fixed'
    const isFixed = seen.sourceStatus === 'Fixed'
    if (seen.timesReopened <= before.timesReopened && !(wasFixed && !isFixed)) continue
    const episodes = notes.episodes.get(id) ?? []
    const unseenFix = isFixed ? null : seen.lastFixedAt
    episodes.push({
      number: before.timesReopened + 1,
      openedAt: before.openedAt,
      fixedAt: wasFixed ? before.fixedAt : unseenFix,
    })
    notes.episodes.set(id, episodes)
  }
  notes.findings = now
}

function noteEndOfDay(hub: TestHub, notes: Notes): void {
  const counts = new Map<string, number>()
  for (const { state } of notes.findings.values()) counts.set(state, (counts.get(state) ?? 0) + 1)
  const day = new Date(hub.clock.nowMs()).toISOString().slice(0, 10)
  notes.days.set(day, [...counts].map(([key, count]) => `${key} ${count}`).toSorted())
}

function linesByDay(rows: readonly TrendRow[]): Map<string, string[]> {
  const days = new Map<string, string[]>()
  for (const { day, counts } of rows) {
    const lines = Object.entries(counts).flatMap(([state, count]) =>
      count === 0 ? [] : [`${state} ${count}`],
    )
    days.set(day, lines.toSorted())
  }
  return days
}

/** Days go by; on most of them something is pulled, on some twice, and now and then the source leaves hosts out. */
async function live(hub: TestHub, seed: number): Promise<Notes> {
  const random = seededRandom(seed)
  const notes: Notes = { findings: new Map(), episodes: new Map(), days: new Map() }
  const hostIds = () => [...hub.estate.hosts()].map(({ id }) => id)
  for (let step = 0; step < STEPS; step += 1) {
    const ignored = random.between(0, 1) === 1
    if (random.next() < 0.3)
      hub.estate.override(random.pick(hostIds()), { detections: [{ match: {}, change: { ignored } }] })
    if (random.next() < 0.2)
      hub.fake.faults.add({
        match: { ...DETECTIONS, times: 2 },
        kind: 'drop-hosts',
        ids: [random.pick(hostIds())],
      })
    for (let pulls = random.pick([1, 1, 2]); pulls > 0; pulls -= 1) {
      await hub.sync(random.pick(['full', 'delta', 'delta'] as const))
      await note(hub, notes)
    }
    hub.fake.faults.clear()
    noteEndOfDay(hub, notes)
    if (random.next() < 0.4) await closeDays(hub.deps.pool, new Date(hub.clock.nowMs()))
    for (let days = random.pick([1, 2, 3, 5]); days > 0; days -= 1) {
      nextDay(hub)
      noteEndOfDay(hub, notes)
    }
  }
  return notes
}

const RESTLESS = {
  seed: 5,
  hosts: 5,
  detectionsPerHost: 6,
  scanShare: 0.8,
  newShare: 0.03,
  fixShare: 0.2,
  reopenShare: 0.6,
  purgeShare: 0.01,
  mergeShare: 0,
  hostGrowth: 0.01,
}

async function expectEpisodes(hub: TestHub, notes: Notes): Promise<number> {
  let kept = 0
  for (const [index, [id, seen]] of [...notes.findings].entries()) {
    const noted = notes.episodes.get(id) ?? []
    // All that came back, and some of those that did not.
    if (noted.length === 0 && index % 10 !== 0) continue
    const current = { number: seen.timesReopened + 1, openedAt: seen.openedAt, fixedAt: seen.fixedAt }
    const told = await tell(hub, seen)
    expect(told.episodes.map(({ number, openedAt, fixedAt }) => ({ number, openedAt, fixedAt }))).toEqual([
      ...noted,
      current,
    ])
    kept += noted.length
  }
  return kept
}

async function tell(hub: TestHub, key: { placeId: string; id: string }) {
  const finding = await getFinding(hub.deps.pool, key)
  const kept = await listKeptEpisodes(hub.deps.pool, key, 100)
  return tellEpisodes({ ...finding!, state: finding!.state as FindingState }, kept, hub.clock.nowMs())
}

/** Seconds of every episode that ended by a fix, from the notes alone. */
function notedFixTimes(notes: Notes): { seconds: number; number: number }[] {
  return [...notes.findings].flatMap(([id, seen]) => {
    const current = { number: seen.timesReopened + 1, openedAt: seen.openedAt, fixedAt: seen.fixedAt }
    const ended = [...(notes.episodes.get(id) ?? []), ...(seen.state === 'fixed' ? [current] : [])]
    return ended.flatMap(({ number, openedAt, fixedAt }) => {
      if (fixedAt === null) return []
      const startMs = (number === 1 ? seen.firstFoundAt : openedAt).getTime()
      return [{ number, seconds: Math.max(0, fixedAt.getTime() - startMs) / 1000 }]
    })
  })
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const low = sorted[Math.floor(at)]!
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at))
}

function figures(times: readonly { seconds: number }[]) {
  const seconds = times.map((time) => time.seconds)
  const mean = seconds.reduce((sum, one) => sum + one, 0) / seconds.length
  return [seconds.length, quantile(seconds, 0.5), mean, quantile(seconds, 0.9)].map(Math.round)
}

async function expectFixTimes(hub: TestHub, notes: Notes): Promise<void> {
  const request = { now: new Date(hub.clock.nowMs()), days: 1_000, zone: 'UTC' }
  const { rows, leftOut } = await readFixTimes(hub.deps.pool, request)
  const all = rows.find(({ month, severity }) => month === null && severity === null)!
  const noted = notedFixTimes(notes)
  const told = [all.episodes, all.medianSeconds!, all.meanSeconds!, all.p90Seconds!]
  expect(told.map(Math.round)).toEqual(figures(noted))
  const first = [all.firstEpisodes, all.firstMedianSeconds!, all.firstMeanSeconds!, all.firstP90Seconds!]
  expect(first.map(Math.round)).toEqual(figures(noted.filter(({ number }) => number === 1)))
  expect(all.firstEpisodes).toBeLessThan(all.episodes)
  const undated = [...notes.episodes.values()].flat().filter(({ fixedAt }) => fixedAt === null).length
  expect(leftOut.withoutEnd).toBe(undated)
}

for (const seed of [1, 2])
  test(`T23, T24, T31: a pulled history is told as it was noted on the way, before and after its events are dropped (seed ${seed})`, async ({
    db,
  }) => {
    await withHub({ pool: db, estate: { ...RESTLESS, seed } }, async (hub) => {
      const notes = await live(hub, seed)
      const now = new Date(hub.clock.nowMs())
      const ask = () => readTrend(db, { now, days: notes.days.size, by: 'state', zone: 'UTC' })
      expect(linesByDay(await ask())).toEqual(notes.days)
      expect(await expectEpisodes(hub, notes)).toBeGreaterThan(10)
      await expectFixTimes(hub, notes)

      const later = new Date(now.getTime() + 100 * DAY_MS)
      await drainDefaultPartition(db)
      await closeDays(db, later)
      const before = await Promise.all(
        TREND_GROUPINGS.map((by) => readTrend(db, { now, days: 200, by, zone: 'UTC' })),
      )
      expect(linesByDay(await ask())).toEqual(notes.days)
      const fixTimes = await readFixTimes(db, { now, days: 1_000, zone: 'UTC' })
      await dropOldEvents(hub.deps, { now: later, monthsKept: 1, signal: never })
      expect(await db.query('select 1 from event')).toMatchObject({ rowCount: 0 })
      expect((await listEventPartitions(db)).length).toBeLessThan(3)
      expect(
        await Promise.all(TREND_GROUPINGS.map((by) => readTrend(db, { now, days: 200, by, zone: 'UTC' }))),
      ).toEqual(before)
      expect(await readFixTimes(db, { now, days: 1_000, zone: 'UTC' })).toEqual(fixTimes)
      await expectEpisodes(hub, notes)
      // Life goes on as if nothing had been dropped.
      await hub.sync('full')
      await note(hub, notes)
      await expectEpisodes(hub, notes)
    })
  })

test('T24: what is fixed and found again and again between two pulls leaves what is known of each episode', async ({
  db,
}) => {
  const estate = { hosts: [{ id: '7', detections: [{ qid: '38100' }] }] }
  await withHub({ pool: db, estate }, async (hub) => {
    const act = (...changes: ('fix' | 'reopen')[]) => {
      for (const change of changes) {
        nextDay(hub)
        hub.estate.override('7', { detections: [{ match: {}, change }] })
      }
    }
    const told = async () => {
      await hub.sync('full')
      const [seen] = (await readFindings(db)).values()
      const { episodes, unseenEpisodes, flapping } = await tell(hub, seen!)
      return { numbers: episodes.map(({ number, end }) => `${number} ${end}`), unseenEpisodes, flapping }
    }
    expect(await told()).toEqual({ numbers: ['1 null'], unseenEpisodes: 0, flapping: 0 })
    act('fix', 'reopen')
    expect(await told()).toEqual({ numbers: ['1 fixed_unseen', '2 null'], unseenEpisodes: 0, flapping: 0 })
    act('fix')
    expect(await told()).toEqual({ numbers: ['1 fixed_unseen', '2 fixed'], unseenEpisodes: 0, flapping: 0 })
    act('reopen', 'fix', 'reopen', 'fix')
    expect(await told()).toEqual({
      numbers: ['1 fixed_unseen', '2 fixed', '4 fixed'],
      unseenEpisodes: 1,
      flapping: 2,
    })
  })
})

test('T31: only what the source reported as fixed has a time to fix; what went out of sight is counted beside it', async ({
  db,
}) => {
  const qids = ['38100', '38101', '38102', '38103']
  const firstFound = '2026-09-21T12:00:00Z'
  const estate = {
    hosts: [
      { id: '7', detections: qids.map((qid) => ({ qid, severity: 5, firstFound })) },
      { id: '8', detections: [{ qid: '38104', severity: 5, firstFound }] },
      { id: '9', detections: [{ qid: '38105', severity: 5, firstFound }] },
    ],
  }
  await withHub({ pool: db, estate }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    hub.estate.override('7', {
      detections: [
        { match: { qid: '38100' }, change: 'fix' },
        { match: { qid: '38101' }, change: { ignored: true } },
        { match: { qid: '38102' }, change: 'remove' },
      ],
    })
    hub.estate.override('8', { purged: true })
    await hub.sync('full')
    await hub.sync('full')
    const { rows, leftOut } = await readFixTimes(db, {
      now: new Date(hub.clock.nowMs() + DAY_MS),
      days: 90,
      zone: 'UTC',
    })
    expect(rows.map(({ month, severity, episodes }) => ({ month, severity, episodes }))).toEqual([
      { month: '2026-10', severity: 5, episodes: 1 },
      { month: '2026-10', severity: null, episodes: 1 },
      { month: null, severity: 5, episodes: 1 },
      { month: null, severity: null, episodes: 1 },
    ])
    // Found on September 21, fixed on October 2: the first pull, on October 1, does not count.
    expect(rows[0]!.medianSeconds! / 86_400).toBeCloseTo(11, 1)
    expect(leftOut).toEqual({
      withoutStart: 0,
      withoutEnd: 0,
      inFuture: 0,
      states: { suppressed: 1, stale: 1, host_removed: 1 },
    })
  })
})

test('T30: dates that contradict each other count as no time and are counted; a fix in the future waits', async ({
  db,
}) => {
  const estate = {
    hosts: [{ id: '7', detections: ['38100', '38101', '38102'].map((qid) => ({ qid })) }],
  }
  await withHub({ pool: db, estate }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    const fixedOn = (day: string) => ({ status: 'Fixed', lastFixed: `${day}T00:00:00Z` })
    hub.estate.override('7', {
      detections: [
        { match: { qid: '38100' }, change: { ...fixedOn('2026-09-20'), firstFound: '2026-09-25T00:00:00Z' } },
        { match: { qid: '38101' }, change: fixedOn('2027-01-01') },
      ],
    })
    await db.query(`update finding set first_found_effective_at = '2026-09-25Z', opened_at = '2026-09-25Z'`)
    await hub.sync('full')
    const { rows, leftOut } = await readFixTimes(db, {
      now: new Date(hub.clock.nowMs()),
      days: 90,
      zone: 'UTC',
    })
    expect(rows.at(-1)).toMatchObject({ episodes: 1, clamped: 1, medianSeconds: 0 })
    expect(leftOut).toMatchObject({ inFuture: 1 })
    const raw = await db.query(
      `select fixed_at < first_found_effective_at as odd from finding where issue_key = '38100'`,
    )
    expect(raw.rows).toEqual([{ odd: true }])
  })
})
