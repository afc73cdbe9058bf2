import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { SILENT } from '../../test/support/hub.ts'
import { ManualClock } from '../lib/clock.ts'
import { listEventPartitions } from '../store/queries/event-partitions.ts'
import type { JobDeps } from './job.ts'
import { keepHistoryJob } from './keep-history.ts'

const never = new AbortController().signal

function jobDeps(pool: pg.Pool, nowMs: number): JobDeps {
  const none = () => Promise.reject(new Error('There is nothing to connect to.'))
  const clock = new ManualClock(nowMs, { skipSleeps: true })
  return {
    engine: { pool, clock, log: SILENT, worker: 'one', batchesMax: 1, connectSource: none },
    connectTarget: none,
    busy: { count: 0 },
    eventMonthsKept: 25,
  }
}

async function addHistory(db: pg.Pool): Promise<Date> {
  await db.query(
    `insert into integration (type, subtype, name, config) values ('vaplugin', 'qualys', 'one', '{}')`,
  )
  await db.query(
    `insert into run (integration_id, epoch, trigger, mode, mode_reason, state, scope, started_at)
     values (1, 1, 'manual', 'full', 'asked for', 'COMPLETE', '{}', '2020-01-10Z')`,
  )
  await db.query(
    `insert into event (seen_at, kind, integration_id, place_id, finding_id, old_state, new_state, reason)
     select at, 'vm', 1, 1, 1, 'open', 'fixed', 'It is a test.'
       from unnest(array['2020-01-15Z', now()]::timestamptz[]) as at`,
  )
  const { rows } = await db.query<{ now: Date }>('select now()')
  return rows[0]!.now
}

async function namesOf(db: pg.Pool): Promise<string[]> {
  return (await listEventPartitions(db)).map(({ name }) => name)
}

async function eventCount(db: pg.Pool): Promise<number> {
  return (await db.query('select 1 from event')).rowCount ?? 0
}

test('the job closes days piece by piece and drops a month when all of its days are closed, however far a clock runs ahead', async ({
  db,
}) => {
  const now = await addHistory(db)
  const deps = jobDeps(db, now.getTime() + 100 * 365 * 86_400_000)
  await keepHistoryJob.run(deps, {}, never)
  // 400 days were closed, which is more than January 2020 has.
  expect((await db.query('select 1 from closed_day')).rowCount).toBe(400)
  expect(await eventCount(db)).toBe(1)
  const month = `event_${now.toISOString().slice(0, 7).replace('-', '_')}`
  expect((await namesOf(db))[0]).toBe(month)
  expect((await db.query('select 1 from event_default')).rowCount).toBe(0)
  for (let passes = 0; passes < 20; passes += 1) await keepHistoryJob.run(deps, {}, never)
  const { rows } = await db.query<{ isPast: boolean }>(
    `select max(day) < (now() at time zone 'UTC')::date as "isPast" from closed_day`,
  )
  expect(rows).toEqual([{ isPast: true }])
  expect(await eventCount(db)).toBe(1)
})

test('a clock that runs behind drops nothing', async ({ db }) => {
  await addHistory(db)
  await keepHistoryJob.run(jobDeps(db, Date.UTC(2020, 1, 20)), {}, never)
  expect(await eventCount(db)).toBe(2)
  expect(await namesOf(db)).toContain('event_2020_01')
})
