import type pg from 'pg'
import { expect, vi } from 'vitest'
import { test } from '../../test/support/database.ts'
import { ManualClock } from '../lib/clock.ts'
import { HubError } from '../model/errors.ts'
import type { ReportedLimits } from '../model/quota.ts'
import { createPool } from './pool.ts'
import { SharedQuota, type SharedQuotaOptions } from './shared-quota.ts'

const NOON_MS = Date.UTC(2026, 9, 1, 12)
const ENDPOINT = 'fo/asset/host'
const NEVER = new AbortController().signal
const WAIT = { timeout: 20_000, interval: 5 }
const LIMITS: ReportedLimits = {
  callsMax: 300,
  windowSec: 3_600,
  callsRemaining: 299,
  toWaitSec: 0,
  concurrencyMax: 2,
}

function quotaOf(pool: pg.Pool, clock: ManualClock, options: Partial<SharedQuotaOptions> = {}): SharedQuota {
  return new SharedQuota({
    pool,
    clock,
    subscription: 'one',
    holder: 'a process',
    sharePercent: 100,
    singleLaneEndpoints: new Set(['fo/knowledge_base/vuln']),
    ...options,
  })
}

const sleeping = () => new ManualClock(NOON_MS)
const skipping = () => new ManualClock(NOON_MS, { skipSleeps: true })

/** A permit that is given at once, its call over. */
async function call(quota: SharedQuota, limits: Partial<ReportedLimits> = {}): Promise<void> {
  const permit = await quota.acquire(ENDPOINT, NEVER)
  await permit.report({ ...LIMITS, ...limits })
  await permit.release()
}

async function slots(pool: pg.Pool): Promise<number> {
  return (await pool.query('select 1 from slot')).rowCount ?? 0
}

/** Whether the promise is still open after many looks at the database, each some polls later. */
async function isWaiting(pool: pg.Pool, clock: ManualClock, promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false
  promise.then(
    () => (isSettled = true),
    () => (isSettled = true),
  )
  for (let round = 0; round < 50 && !isSettled; round += 1) {
    clock.advance(200)
    await pool.query('select 1')
  }
  return !isSettled
}

test('processes on two pools share the slots of an endpoint', async ({ databaseUrl, db }) => {
  const otherPool = createPool({ connectionString: databaseUrl })
  try {
    const clock = sleeping()
    const [here, there] = [quotaOf(db, clock), quotaOf(otherPool, clock, { holder: 'another' })]
    await call(here)
    const first = await here.acquire(ENDPOINT, NEVER)
    const second = await there.acquire(ENDPOINT, NEVER)
    expect(await slots(db)).toBe(2)

    const third = there.acquire(ENDPOINT, NEVER)
    expect(await isWaiting(db, clock, third)).toBe(true)
    await first.release()
    await first.release()
    await vi.waitFor(async () => {
      clock.advance(200)
      expect((await db.query(`select 1 from slot where holder = 'another'`)).rowCount).toBe(2)
    }, WAIT)
    await (await third).release()
    await second.release()
    expect(await slots(db)).toBe(0)
  } finally {
    await otherPool.end()
  }
})

test('until the far side has told its limits, one call at a time is made', async ({ db }) => {
  const clock = sleeping()
  const quota = quotaOf(db, clock)
  const first = await quota.acquire(ENDPOINT, NEVER)
  const stop = new AbortController()
  const second = quota.acquire(ENDPOINT, stop.signal)
  expect(await isWaiting(db, clock, second)).toBe(true)
  stop.abort(new Error('stopped'))
  await expect(second).rejects.toThrow('stopped')
  await first.release()
})

test('an endpoint with a single lane has one slot, whatever the headers say', async ({ db }) => {
  const clock = sleeping()
  const quota = quotaOf(db, clock)
  const lane = 'fo/knowledge_base/vuln'
  const first = await quota.acquire(lane, NEVER)
  await first.report({ ...LIMITS, concurrencyMax: 10 })
  const second = quota.acquire(lane, NEVER)
  expect(await isWaiting(db, clock, second)).toBe(true)
  await first.release()
  await vi.waitFor(async () => {
    clock.advance(200)
    expect((await db.query('select 1 from quota_call')).rowCount).toBe(2)
  }, WAIT)
  await (await second).release()
})

test('endpoints and subscriptions do not wait for each other', async ({ db }) => {
  const clock = sleeping()
  const permits = await Promise.all([
    quotaOf(db, clock).acquire(ENDPOINT, NEVER),
    quotaOf(db, clock).acquire('fo/other', NEVER),
    quotaOf(db, clock, { subscription: 'two' }).acquire(ENDPOINT, NEVER),
  ])
  expect(await slots(db)).toBe(3)
  for (const permit of permits) await permit.release()
})

test('the slot of a dead holder is free once it has expired', async ({ db }) => {
  const clock = sleeping()
  const dead = await quotaOf(db, clock).acquire(ENDPOINT, NEVER)
  await db.query(`update slot set expires_at = clock_timestamp() - interval '1 second'`)
  const next = await quotaOf(db, clock).acquire(ENDPOINT, NEVER)
  expect(await slots(db)).toBe(1)
  // Whoever comes back from the dead takes nobody's slot away.
  await dead.release()
  expect(await slots(db)).toBe(1)
  await next.release()
})

test('only our share of the hourly budget is spent, and the window slides', async ({ db }) => {
  const clock = skipping()
  const quota = quotaOf(db, clock, { sharePercent: 60 })
  for (let index = 0; index < 6; index += 1) {
    await call(quota, { callsMax: 10 })
    clock.advance(60_000)
  }
  const spent = await quota.acquire(ENDPOINT, NEVER).catch((error: unknown) => error)
  expect(spent).toBeInstanceOf(HubError)
  expect(spent).toMatchObject({ kind: 'rate_limit', retryAfterMs: 54 * 60_000 })
  expect((spent as HubError).message).toBe(
    'fo/asset/host may not be called before 2026-10-01T13:00:00.000Z: our share of the hourly budget is spent.',
  )
  expect(await slots(db)).toBe(0)
  clock.advance(54 * 60_000)
  await call(quota)
  await expect(quota.acquire(ENDPOINT, NEVER)).resolves.toBeDefined()
  await db.query('delete from slot')
})

test('the budget is shared by all who use the subscription through Patchbay', async ({ db }) => {
  const clock = skipping()
  const quotas = ['a', 'b', 'c'].map((holder) => quotaOf(db, clock, { holder, sharePercent: 50 }))
  await call(quotas[0]!, { callsMax: 8 })
  const outcomes = await Promise.all(
    Array.from({ length: 9 }, (_, index) =>
      call(quotas[index % 3]!, { callsMax: 8 }).then(
        () => 'called',
        (error: HubError) => error.kind,
      ),
    ),
  )
  expect(outcomes.filter((outcome) => outcome === 'called')).toHaveLength(3)
  expect(outcomes.filter((outcome) => outcome === 'rate_limit')).toHaveLength(6)
  expect(await slots(db)).toBe(0)
})

test('a share is never less than one call', async ({ db }) => {
  const quota = quotaOf(db, skipping(), { sharePercent: 1 })
  await call(quota, { callsMax: 10 })
  await expect(call(quota)).rejects.toMatchObject({ kind: 'rate_limit' })
})

test('a refusal is kept: a new process knows until when not to call, holds nothing, and may call after', async ({
  db,
}) => {
  const clock = skipping()
  const permit = await quotaOf(db, clock).acquire(ENDPOINT, NEVER)
  await permit.refuse({ kind: 'rate_limit', waitMs: 86_000_000 })
  await permit.release()

  const restarted = quotaOf(db, clock, { holder: 'restarted' })
  await expect(restarted.acquire(ENDPOINT, NEVER)).rejects.toMatchObject({
    kind: 'rate_limit',
    retryAfterMs: 86_000_000,
    message: expect.stringContaining('Qualys says that the budget of this endpoint is used up') as string,
  })
  expect(await slots(db)).toBe(0)
  expect((await db.query('select 1 from quota_call')).rowCount).toBe(1)
  clock.advance(86_000_000)
  await call(restarted)
})

test('of the calls at the same time as well, only our share is made, rounded up', async ({ db }) => {
  const clock = sleeping()
  for (const [sharePercent, slotsOfFive] of [
    [60, 3],
    [30, 2],
    [1, 1],
  ] as const) {
    const quota = quotaOf(db, clock, { sharePercent, subscription: `share ${sharePercent}` })
    await call(quota, { callsMax: 10_000, concurrencyMax: 5 })
    const taken = await Promise.all(Array.from({ length: slotsOfFive }, () => quota.acquire(ENDPOINT, NEVER)))
    const stop = new AbortController()
    const more = quota.acquire(ENDPOINT, stop.signal)
    expect(await isWaiting(db, clock, more)).toBe(true)
    stop.abort(new Error('stopped'))
    await expect(more).rejects.toThrow('stopped')
    for (const permit of taken) await permit.release()
  }
})

test('refused for too many calls at the same time, we make fewer for a quarter of an hour', async ({
  db,
}) => {
  const clock = sleeping()
  const quota = quotaOf(db, clock)
  await call(quota)
  const first = await quota.acquire(ENDPOINT, NEVER)
  const second = await quota.acquire(ENDPOINT, NEVER)
  await second.refuse({ kind: 'concurrency', waitMs: 5_000 })
  await second.release()
  clock.advance(10_000)
  const third = quota.acquire(ENDPOINT, NEVER)
  expect(await isWaiting(db, clock, third)).toBe(true)
  clock.advance(15 * 60_000)
  await vi.waitFor(async () => {
    clock.advance(200)
    expect(await slots(db)).toBe(2)
  }, WAIT)
  await (await third).release()
  await first.release()
})

test('refused again and again, we wait twice as long each time, until a call passes', async ({ db }) => {
  const clock = sleeping()
  const quota = quotaOf(db, clock)
  const notBeforeMs = async () => {
    const { rows } = await db.query<{ at: Date }>('select not_before as at from quota')
    return rows[0]!.at.getTime() - clock.nowMs()
  }
  const refused = async (kind: 'concurrency' | 'rate_limit', waitMs: number) => {
    const permit = await quota.acquire(ENDPOINT, NEVER)
    await permit.report(LIMITS)
    await permit.refuse({ kind, waitMs })
    await permit.release()
    const toWaitMs = await notBeforeMs()
    clock.advance(toWaitMs)
    return toWaitMs
  }
  expect(await refused('concurrency', 10_000)).toBe(10_000)
  expect(await refused('concurrency', 10_000)).toBe(20_000)
  expect(await refused('rate_limit', 12_000)).toBe(48_000)
  expect(await refused('concurrency', 30_000)).toBe(240_000)
  expect(await refused('concurrency', 30_000)).toBe(300_000)
  // Never less than what was asked for.
  expect(await refused('rate_limit', 3_600_000)).toBe(3_600_000)
  await call(quota)
  expect(await refused('concurrency', 10_000)).toBe(10_000)
})

test('the last call that is allowed tells how long there will be none, so that nobody has to be refused', async ({
  db,
}) => {
  const clock = skipping()
  const quota = quotaOf(db, clock)
  await call(quota, { callsRemaining: 0, toWaitSec: 1_800 })
  await expect(quota.acquire(ENDPOINT, NEVER)).rejects.toMatchObject({
    kind: 'rate_limit',
    retryAfterMs: 1_800_000,
    message: expect.stringContaining('Qualys says that the budget of this endpoint is used up') as string,
  })
  clock.advance(1_800_000)
  await call(quota)
})

test('a shorter refusal does not shorten a longer one', async ({ db }) => {
  const clock = skipping()
  const quota = quotaOf(db, clock)
  const permit = await quota.acquire(ENDPOINT, NEVER)
  await permit.refuse({ kind: 'rate_limit', waitMs: 3_600_000 })
  await permit.refuse({ kind: 'concurrency', waitMs: 5_000 })
  await permit.release()
  await expect(quota.acquire(ENDPOINT, NEVER)).rejects.toMatchObject({ retryAfterMs: 3_600_000 })
})

test('a short wait happens in place, without a slot', async ({ db }) => {
  const clock = sleeping()
  const quota = quotaOf(db, clock)
  const permit = await quota.acquire(ENDPOINT, NEVER)
  await permit.refuse({ kind: 'concurrency', waitMs: 30_000 })
  await permit.release()
  const next = quota.acquire(ENDPOINT, NEVER)
  // Fifty looks, ten seconds.
  expect(await isWaiting(db, clock, next)).toBe(true)
  expect(await slots(db)).toBe(0)
  clock.advance(30_000)
  await (await next).release()
})

test('a header that is missing leaves what was known of the limits', async ({ db }) => {
  const quota = quotaOf(db, skipping())
  const nothing = {
    callsMax: null,
    windowSec: null,
    callsRemaining: null,
    toWaitSec: null,
    concurrencyMax: null,
  }
  await call(quota)
  await call(quota, nothing)
  const { rows } = await db.query('select calls_max, window_sec, concurrency_max from quota')
  expect(rows).toEqual([{ calls_max: 300, window_sec: 3_600, concurrency_max: 2 }])
})
