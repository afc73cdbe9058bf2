import type pg from 'pg'
import { expect, vi } from 'vitest'
import { RunLost } from '../../src/engine/run-context.ts'
import { sync } from '../../src/engine/sync.ts'
import { test } from '../support/database.ts'
import { nextDay, onDayOne, onDayOneWithTickets } from '../support/day-one.ts'
import { type HookedPool, type MergeHooks, type MergeStatement, hookedPool } from '../support/hooked-pool.ts'
import { type TestHub, engineDeps } from '../support/hub.ts'
import { expectConverged, expectHonest, rememberStore, storedLives, trueLives } from '../support/oracle.ts'

/** Another process on the same database, clock and fake. */
function process(hub: TestHub, pool: pg.Pool, worker: string) {
  const deps = engineDeps({ pool, worker, batchesMax: 1 }, { clock: hub.clock, url: hub.fake.url })
  const request = { integrationId: hub.integrationId, trigger: 'manual', mode: 'full' } as const
  return sync(deps, request, new AbortController().signal)
}

async function withHookedPool(
  databaseUrl: string,
  hooks: MergeHooks,
  use: (hooked: HookedPool) => Promise<void>,
): Promise<void> {
  const hooked = hookedPool(databaseUrl, hooks)
  try {
    await use(hooked)
  } finally {
    await hooked.pool.end()
  }
}

/** What time does to whatever a process held that renews nothing any more. */
async function letLeaseAndClaimsExpire(db: pg.Pool): Promise<void> {
  await db.query(`update lease set expires_at = clock_timestamp() - interval '1 second'`)
  await db.query(
    `update batch set claim_expires_at = clock_timestamp() - interval '1 second' where state = 'claimed'`,
  )
  await db.query(`update slot set expires_at = clock_timestamp() - interval '1 second'`)
}

/** Not a limit of what is tested: there is a run and half a run for each statement. */
const TEST_MS_MAX = 10 * 60_000

const moments: [string, number, (number: number) => MergeHooks][] = [
  [
    'before any statement of a merge',
    15,
    (number) => ({ before: (one: MergeStatement) => one.number === number && one.die() }),
  ],
  [
    'after a merge was committed and before it has heard of it',
    2,
    (number) => {
      let commits = 0
      const isIt = (one: MergeStatement) => one.text === 'COMMIT' && (commits += 1) === number
      return { after: (one: MergeStatement) => isIt(one) && one.die() }
    },
  ],
]

for (const [name, momentsMin, hooksAt] of moments)
  test(
    `fault 1: killed ${name}, a process leaves all of a batch or nothing`,
    {
      timeout: TEST_MS_MAX,
    },
    async ({ db, databaseUrl }) => {
      await onDayOneWithTickets({ pool: db, estate: { hosts: 3 } }, async (hub) => {
        let kills = 0
        for (let number = 1; ; number += 1) {
          const before = await rememberStore(hub)
          let isDead = false
          await withHookedPool(databaseUrl, hooksAt(number), async (hooked) => {
            const ended = await process(hub, hooked.pool, `killed ${number}`).catch((error: unknown) => error)
            isDead = hooked.isDead
            if (isDead) expect(ended).toBeInstanceOf(Error)
          })
          if (!isDead) break
          kills += 1
          await letLeaseAndClaimsExpire(db)
          const run = await hub.sync('full')
          expect([number, run.state, run.message]).toEqual([
            number,
            'COMPLETE',
            'Everything that was expected came.',
          ])
          await expectHonest(hub, { run, before })
          expect(await storedLives(db)).toEqual(trueLives(hub.estate))
          nextDay(hub)
        }
        // The merges of one batch of descriptions and one of detections.
        expect(kills).toBeGreaterThanOrEqual(momentsMin)
        await expectConverged(hub)
      })
    },
  )

test('fault 8: a worker that stands still in the middle of its merge, longer than its lease, writes nothing', async ({
  db,
  databaseUrl,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const { promise: wake, resolve: letWake } = Promise.withResolvers<void>()
    let isStanding = false
    let fences = 0
    const hooks: MergeHooks = {
      before: async ({ isFence }) => {
        // Before the fence of its detections, so that it holds no row: all that it has read it holds in memory.
        if (!isFence || (fences += 1) !== 2) return
        isStanding = true
        await wake
      },
    }
    await withHookedPool(databaseUrl, hooks, async ({ pool }) => {
      const paused = process(hub, pool, 'paused').catch((error: unknown) => error)
      await vi.waitFor(() => expect(isStanding).toBe(true), { timeout: 30_000, interval: 5 })
      await letLeaseAndClaimsExpire(db)
      hub.clock.advance(60_000)
      const run = await hub.sync('full')
      expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
      await expectHonest(hub, { run, before })
      // The world goes on, so that whatever the other one would write is old.
      nextDay(hub)
      expect((await hub.sync('full')).state).toBe('COMPLETE')
      const after = await contentOf(db)
      letWake()
      expect(await paused).toBeInstanceOf(RunLost)
      expect(await contentOf(db)).toEqual(after)
    })
    await expectConverged(hub)
  })
})

async function contentOf(db: pg.Pool): Promise<unknown[]> {
  const tables = [
    'finding',
    'observation',
    'event',
    'gap',
    'host',
    'batch',
    'run',
    'module_state',
    'finding_staging',
  ]
  const contents: unknown[] = []
  for (const table of tables) {
    const { rows } = await db.query(`select to_jsonb(t)::text as line from ${table} t order by 1`)
    contents.push([table, rows])
  }
  return contents
}
