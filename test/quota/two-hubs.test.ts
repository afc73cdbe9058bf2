import { runMigrations } from 'graphile-worker'
import type pg from 'pg'
import { expect } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { HLD, call } from '../../fakes/qualys/test-client.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { sync } from '../../src/engine/sync.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { migrate } from '../../src/store/migrate.ts'
import { insertIntegration } from '../../src/store/queries/integrations.ts'
import type { RunRow } from '../../src/store/queries/runs.ts'
import { type Random, seededRandom } from '../kill/random.ts'
import { test } from '../support/database.ts'
import { DAY_0_NOON_MS, engineDeps } from '../support/hub.ts'
import { PassingClock } from '../support/passing-clock.ts'

/** The Standard service level, as Qualys sells it: so many calls of an endpoint in an hour, two at the same time. */
const CALLS_PER_HOUR = 300
const HOUR_MS = 3_600_000
const SHARE_PERCENT = 10
const CALLS_OF_A_HUB = (CALLS_PER_HOUR * SHARE_PERCENT) / 100
const CALLS_OF_THE_NEIGHBOUR = CALLS_PER_HOUR - 2 * CALLS_OF_A_HUB
/** More calls than the share of an hour, so that each hub has to wait for the next one. */
const BATCH_HOSTS = 50
const HOSTS = BATCH_HOSTS * (CALLS_OF_A_HUB + 5)
const REFUSALS_MAX = 3
/** What Qualys takes for an answer with detections. */
const CALL_MS = 5_000
/** Without a call for so long, everybody waits for the clock. */
const STILL_MS = 2_000
/** Not a limit of what is tested: two busy cores take their time. */
const TEST_MS_MAX = 8 * 60_000

test(
  'two hubs that know nothing of each other and a noisy neighbour share one subscription: all finish, hardly a call is refused',
  { timeout: TEST_MS_MAX },
  async ({ db, emptyDb }) => {
    await migrate(emptyDb)
    await runMigrations({ pgPool: emptyDb })
    await withSubscription(async ({ fake, clock }) => {
      const over = new AbortController()
      const neighbour = beNoisy(fake, clock, { random: seededRandom(1), signal: over.signal })
      const runs = await Promise.all([
        runHub(db, { fake, clock, username: 'hub_one' }),
        runHub(emptyDb, { fake, clock, username: 'hub_two' }),
      ])
      over.abort(new Error('The test is over.'))
      // It got through as well.
      await neighbour
      expect(runs.map(({ state, message }) => [state, message])).toEqual([
        ['COMPLETE', 'Everything that was expected came.'],
        ['COMPLETE', 'Everything that was expected came.'],
      ])
      const refusals = fake.requests.filter(
        ({ status, user }) => status === 409 && user !== NEIGHBOUR.username,
      )
      expect(refusals.map(({ user, endpoint, at }) => [user, endpoint, at]).slice(REFUSALS_MAX)).toEqual([])
      for (const user of ['hub_one', 'hub_two'])
        for (const endpoint of ['detection', 'host-list'] as const) {
          const calls = busiestHour(fake, { user, endpoint })
          expect([user, endpoint, Math.max(calls, CALLS_OF_A_HUB)]).toEqual([user, endpoint, CALLS_OF_A_HUB])
        }
    })
  },
)

interface Subscription {
  fake: FakeQualys
  clock: Clock
}

async function withSubscription(use: (subscription: Subscription) => Promise<void>): Promise<void> {
  const world: { fake?: FakeQualys } = {}
  const quiet = { calls: 0, sinceMs: 0 }
  const clock = new PassingClock(DAY_0_NOON_MS, () => {
    const calls = world.fake?.requests.length ?? 0
    if (calls !== quiet.calls) Object.assign(quiet, { calls, sinceMs: Date.now() })
    return Date.now() - quiet.sinceMs < STILL_MS
  })
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock, hosts: HOSTS, detectionsPerHost: 1 })
  const users = ['hub_one', 'hub_two'].map((username) => ({ ...DEFAULT_USER, username }))
  const fake = (world.fake = await startFakeQualys({ clock, estate, users: [...users, NEIGHBOUR] }))
  const match = { endpoint: 'detection', times: Infinity } as const
  fake.faults.add({ match, kind: 'stall', atByte: 100, forMs: CALL_MS })
  try {
    await use({ fake, clock })
  } finally {
    await fake.close()
    clock.stop()
  }
}

async function runHub(
  pool: pg.Pool,
  { fake, clock, username }: Subscription & { username: string },
): Promise<RunRow> {
  const { id } = await insertIntegration(pool, {
    type: 'vaplugin',
    subtype: 'qualys',
    name: username,
    config: {},
  })
  await pool.query(
    `insert into module_state (integration_id, module, cursor) values ($1, 'qualys.detections', $2)`,
    [id, { batchHosts: BATCH_HOSTS }],
  )
  const config = { username, quotaSharePercent: SHARE_PERCENT }
  const deps = engineDeps({ pool, worker: username, config }, { clock, url: fake.url })
  const request = { integrationId: id, trigger: 'manual', mode: 'full' } as const
  return sync(deps, request, new AbortController().signal)
}

const NEIGHBOUR = { ...DEFAULT_USER, username: 'neighbour' }
const NOISE = { pauseSec: { min: 5, max: 60 }, calls: { min: 1, max: 20 }, longCallMs: 15_000 }

/** Spends what the hubs leave, whenever it likes; and calls once for a quarter of a minute, when both hubs are at it. */
async function beNoisy(
  fake: FakeQualys,
  clock: Clock,
  { random, signal }: { random: Random; signal: AbortSignal },
): Promise<void> {
  const spent: { endpoint: string; atMs: number }[] = []
  let hasCalled = false
  const callLong = async () => {
    hasCalled = true
    fake.faults.add({ match: { params: LONG_CALL }, kind: 'stall', atByte: 10, forMs: NOISE.longCallMs })
    while ((await call(fake, { path: HLD, form: LONG_CALL, user: NEIGHBOUR })).status !== 200)
      await clock.sleep(NOISE.longCallMs)
  }
  const calls: Promise<void>[] = []
  while (!signal.aborted) {
    await clock
      .sleep(random.between(NOISE.pauseSec.min, NOISE.pauseSec.max) * 1_000, signal)
      .catch(() => null)
    for (const endpoint of ['detection', 'host-list'] as const) {
      const sinceMs = clock.nowMs() - HOUR_MS
      const left =
        CALLS_OF_THE_NEIGHBOUR -
        spent.filter((one) => one.endpoint === endpoint && one.atMs > sinceMs).length -
        (endpoint === 'detection' ? 1 : 0)
      const count = Math.min(left, random.between(NOISE.calls.min, NOISE.calls.max))
      fake.limits.spend(endpoint, count)
      spent.push(...Array.from({ length: count }, () => ({ endpoint, atMs: clock.nowMs() })))
    }
    if (!hasCalled && fake.requests.some(({ endpoint }) => endpoint === 'detection')) calls.push(callLong())
  }
  await Promise.all(calls)
  expect(hasCalled).toBe(true)
}

const LONG_CALL = { action: 'list', truncation_limit: '1' }

/** A hub counts a call from when it asks for it, Qualys from when it hears of it. */
const ON_THE_WAY_MS_MAX = 10 * 60_000

/** The most calls that were let through within any hour. */
function busiestHour(fake: FakeQualys, { user, endpoint }: { user: string; endpoint: string }): number {
  const times = fake.requests
    .filter((one) => one.user === user && one.endpoint === endpoint && one.status === 200)
    .map(({ at }) => at)
  return Math.max(
    ...times.map(
      (from) => times.filter((at) => at >= from && at < from + HOUR_MS - ON_THE_WAY_MS_MAX).length,
    ),
  )
}
