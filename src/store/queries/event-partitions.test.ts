import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import { systemClock } from '../../lib/clock.ts'
import {
  drainDefaultPartition,
  dropEventPartition,
  ensureEventPartitions,
  getEventFloor,
  listEventPartitions,
} from './event-partitions.ts'

const NOW = new Date('2026-12-15T12:00:00Z')

async function addEvents(db: pg.Pool | pg.PoolClient, ...seenAt: string[]): Promise<void> {
  await db.query(
    `insert into event (seen_at, kind, integration_id, place_id, finding_id, old_state, new_state, reason)
     select at, 'vm', 1, 1, 1, 'open', 'fixed', 'It is a test.' from unnest($1::timestamptz[]) as at`,
    [seenAt],
  )
}

async function whereEventsAre(db: pg.Pool): Promise<Record<string, string[]>> {
  const { rows } = await db.query<{ table: string; at: Date[] }>(
    `select tableoid::regclass::text as table, array_agg(seen_at order by seen_at) as at from event group by 1`,
  )
  return Object.fromEntries(rows.map(({ table, at }) => [table, at.map((one) => one.toISOString())]))
}

test('the month of an instant and the next get partitions, once, also over the end of a year', async ({
  db,
}) => {
  expect(await ensureEventPartitions(db, NOW)).toEqual(['done', 'done'])
  expect(await ensureEventPartitions(db, NOW)).toEqual(['nothing', 'nothing'])
  expect(await listEventPartitions(db)).toEqual([
    { name: 'event_2026_12', from: new Date('2026-12-01Z'), to: new Date('2027-01-01Z') },
    { name: 'event_2027_01', from: new Date('2027-01-01Z'), to: new Date('2027-02-01Z') },
  ])
  const edges = ['2026-12-01T00:00:00.000Z', '2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00.000Z']
  await addEvents(db, ...edges)
  expect(await whereEventsAre(db)).toEqual({
    event_2026_12: edges.slice(0, 2),
    event_2027_01: edges.slice(2),
  })
})

test('months are those of UTC, whatever the time zone of the connection is', async ({ db }) => {
  await db.query(`do $$ begin execute format('alter database %I set timezone = %L', current_database(),
                    'Pacific/Auckland'); end $$`)
  const client = await db.connect()
  await client.query(`set timezone = 'Pacific/Auckland'`)
  client.release()
  await addEvents(db, '2026-11-30T23:30:00.000Z')
  expect(await drainDefaultPartition(db)).toEqual([{ month: 'event_2026_11', outcome: 'done' }])
  expect((await listEventPartitions(db)).map(({ from }) => from.toISOString())).toEqual([
    '2026-11-01T00:00:00.000Z',
  ])
})

test('what the default partition caught moves into the partitions of its months, with its numbers', async ({
  db,
}) => {
  const strays = ['2020-02-29T12:00:00.000Z', '2026-12-15T00:00:00.000Z', '2026-12-16T00:00:00.000Z']
  await addEvents(db, ...strays)
  const numbers = () => db.query('select id, seen_at from event order by id').then(({ rows }) => rows)
  const before = await numbers()
  expect(await drainDefaultPartition(db)).toEqual([
    { month: 'event_2020_02', outcome: 'done' },
    { month: 'event_2026_12', outcome: 'done' },
  ])
  expect(await whereEventsAre(db)).toEqual({
    event_2020_02: strays.slice(0, 1),
    event_2026_12: strays.slice(1),
  })
  expect(await numbers()).toEqual(before)
  await addEvents(db, '2026-12-17T00:00:00.000Z')
  expect(new Set((await numbers()).map(({ id }) => id)).size).toBe(4)
  expect(await drainDefaultPartition(db)).toEqual([])
})

test('a dropped month takes its events along and nothing else, and how far they are gone is known', async ({
  db,
}) => {
  await ensureEventPartitions(db, NOW)
  await addEvents(db, '2026-12-05T00:00:00.000Z', '2027-01-05T00:00:00.000Z')
  const [december] = await listEventPartitions(db)
  expect(await getEventFloor(db)).toBe(null)
  expect(await dropEventPartition(db, december!)).toBe('done')
  expect(await dropEventPartition(db, december!)).toBe('nothing')
  expect(await whereEventsAre(db)).toEqual({ event_2027_01: ['2027-01-05T00:00:00.000Z'] })
  expect(await getEventFloor(db)).toEqual(new Date('2027-01-01Z'))
})

test('a merge that goes on is not disturbed: dropping gives up, adding a month goes through', async ({
  db,
}) => {
  await ensureEventPartitions(db, NOW)
  const [december] = await listEventPartitions(db)
  const merge = await db.connect()
  try {
    await merge.query('begin')
    await addEvents(merge, '2026-12-20T00:00:00.000Z')
    expect(await ensureEventPartitions(db, new Date('2027-03-01Z'))).toEqual(['done', 'done'])
    expect(await dropEventPartition(db, december!)).toBe('busy')
    // Whoever comes meanwhile is held up for no longer than the drop waits, and the merge itself not at all.
    const dropping = dropEventPartition(db, december!)
    await untilSomebodyWaits(db)
    await addEvents(merge, '2026-12-21T00:00:00.000Z')
    await addEvents(db, '2027-01-07T00:00:00.000Z')
    expect(await dropping).toBe('busy')
    await merge.query('commit')
  } finally {
    merge.release()
  }
  expect(await whereEventsAre(db)).toEqual({
    event_2026_12: ['2026-12-20T00:00:00.000Z', '2026-12-21T00:00:00.000Z'],
    event_2027_01: ['2027-01-07T00:00:00.000Z'],
  })
  expect(await dropEventPartition(db, december!)).toBe('done')
})

test('a merge into the default partition goes first; its events move the next time', async ({ db }) => {
  const merge = await db.connect()
  try {
    await merge.query('begin')
    await addEvents(merge, '2026-12-20T00:00:00.000Z')
    expect(await ensureEventPartitions(db, NOW)).toEqual(['busy', 'busy'])
    await merge.query('commit')
  } finally {
    merge.release()
  }
  expect(await drainDefaultPartition(db)).toEqual([{ month: 'event_2026_12', outcome: 'done' }])
  expect(await whereEventsAre(db)).toEqual({ event_2026_12: ['2026-12-20T00:00:00.000Z'] })
})

test('many processes that come at once make each partition once', async ({ db }) => {
  await addEvents(db, '2026-12-20T00:00:00.000Z')
  const all = await Promise.all(Array.from({ length: 6 }, () => ensureEventPartitions(db, NOW)))
  const flat = all.flat()
  expect(flat.filter((outcome) => outcome === 'done')).toHaveLength(2)
  expect(flat.every((outcome) => outcome !== 'full')).toBe(true)
  expect(await listEventPartitions(db)).toHaveLength(2)
})

const LOOKS_MAX = 2_000

async function untilSomebodyWaits(db: pg.Pool): Promise<void> {
  const waiting = `select 1 from pg_locks where relation in ('event'::regclass, 'event_2026_12'::regclass) and not granted`
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    if ((await db.query(waiting)).rowCount !== 0) return
    await systemClock.sleep(1)
  }
}
