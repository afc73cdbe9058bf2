import type pg from 'pg'
import { expect, vi } from 'vitest'
import { test } from '../../test/support/database.ts'
import { DETECTIONS, ID_LIST, KNOWLEDGE_BASE, nextDay, onDayOne } from '../../test/support/day-one.ts'
import { type TestHub, engineDeps } from '../../test/support/hub.ts'
import {
  expectConverged,
  expectHonest,
  rememberStore,
  storedLives,
  trueLives,
} from '../../test/support/oracle.ts'
import type { FaultHandle, FaultMatch } from '../../fakes/qualys/faults.ts'
import { HubError } from '../model/errors.ts'
import { getUnfinishedRun } from '../store/queries/runs.ts'
import { RunLost } from './run-context.ts'
import { sync } from './sync.ts'
import { workBatches } from './work-batches.ts'

const NEVER = () => new AbortController().signal

/** Another process on the same database, clock and fake. */
function process(hub: TestHub, pool: pg.Pool, worker: string) {
  const deps = engineDeps({ pool, worker }, { clock: hub.clock, url: hub.fake.url })
  const request = { integrationId: hub.integrationId, trigger: 'resume', mode: 'full' } as const
  return { deps, sync: (signal = NEVER()) => sync(deps, request, signal) }
}

/** What the database sees of a process that stands still or is dead: it renews nothing any more. */
async function letLeaseAndClaimsExpire(db: pg.Pool): Promise<void> {
  await db.query(`update lease set expires_at = clock_timestamp() - interval '1 second'`)
  await db.query(
    `update batch set claim_expires_at = clock_timestamp() - interval '1 second' where state = 'claimed'`,
  )
  await db.query(`update slot set expires_at = clock_timestamp() - interval '1 second'`)
}

async function untilHit(fault: FaultHandle): Promise<void> {
  await vi.waitFor(() => expect(fault.hits).toBeGreaterThan(0), { timeout: 20_000, interval: 5 })
}

const PHASES: [string, FaultMatch][] = [
  ['the list of ids', ID_LIST],
  ['detections', DETECTIONS],
  ['the knowledge base', KNOWLEDGE_BASE],
]

for (const [name, match] of PHASES)
  test(`a process that is stopped while it waits for ${name} leaves the run to the next one`, async ({
    db,
  }) => {
    await onDayOne({ pool: db }, async (hub) => {
      const before = await rememberStore(hub)
      const stall = hub.fake.faults.add({ match, kind: 'stall', atByte: 300 })
      const stop = new AbortController()
      const first = process(hub, db, 'first')
      const ended = first.sync(stop.signal).catch((error: unknown) => error)
      await untilHit(stall)
      stop.abort(new Error('SIGTERM'))
      expect(await ended).toEqual(new Error('SIGTERM'))
      const left = await getUnfinishedRun(db, hub.integrationId)
      stall.remove()

      const run = await process(hub, db, 'second').sync()
      expect([run.id, run.state, Number(run.epoch)]).toEqual([left?.id, 'COMPLETE', Number(left?.epoch) + 1])
      await expectHonest(hub, { run, before })
      expect(await storedLives(db)).toEqual(trueLives(hub.estate))
      await expectConverged(hub)
    })
  })

test('stopped at any call, a run is finished by the next process as if nothing had been', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    let stops = 0
    for (let call = 1; call <= 12; call += 1) {
      const before = await rememberStore(hub)
      const stop = new AbortController()
      const trap = hub.fake.faults.add({
        match: { nth: call },
        kind: 'estate',
        run: () => stop.abort(new Error('stopped')),
      })
      await process(hub, db, `stopped ${call}`)
        .sync(stop.signal)
        .catch(() => (stops += 1))
      trap.remove()
      const run = await process(hub, db, `next ${call}`).sync()
      expect([call, run.state]).toEqual([call, 'COMPLETE'])
      await expectHonest(hub, { run, before })
      expect(await storedLives(db)).toEqual(trueLives(hub.estate))
      nextDay(hub)
    }
    expect(stops).toBeGreaterThan(3)
    await expectConverged(hub)
  })
})

test('a process that stands still loses lease and claim, and writes nothing when it wakes', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const stall = hub.fake.faults.add({ match: DETECTIONS, kind: 'stall', atByte: 3_000 })
    const paused = process(hub, db, 'paused')
    const ended = paused.sync().catch((error: unknown) => error)
    await untilHit(stall)
    await letLeaseAndClaimsExpire(db)

    const run = await process(hub, db, 'second').sync()
    expect(run.state).toBe('COMPLETE')
    await expectHonest(hub, { run, before })
    const batches = await db.query<{ attempt: number }>(
      `select attempt from batch where run_id = $1 and module = 'qualys.detections' and purpose = 'expected'`,
      [run.id],
    )
    expect(batches.rows).toEqual([{ attempt: 2 }])

    const after = await tablesOf(db)
    stall.release()
    expect(await ended).toBeInstanceOf(RunLost)
    expect(await tablesOf(db)).toEqual(after)
    await expectConverged(hub)
  })
})

/** Everything that a worker could write to. */
async function tablesOf(db: pg.Pool): Promise<unknown> {
  const shown: Record<string, unknown> = {}
  for (const table of [
    'finding',
    'observation',
    'event',
    'batch',
    'run',
    'gap',
    'host',
    'module_state',
    'integration',
    'finding_staging',
    'evidence_staging',
  ])
    shown[table] = (await db.query(`select * from ${table} t order by t::text`)).rows
  return shown
}

test('two processes work on the batches of one run, and each batch is done once', async ({ db }) => {
  const estate = { hosts: 300, detectionsPerHost: 2 }
  await onDayOne({ pool: db, estate, fake: { limits: { rate: 10_000, concurrency: 8 } } }, async (hub) => {
    await db.query(`update module_state set cursor = cursor || '{"batchHosts": 50}'`)
    const before = await rememberStore(hub)
    const helper = process(hub, db, 'helper')
    const source = await helper.deps.connectSource(
      { id: hub.integrationId } as Parameters<typeof helper.deps.connectSource>[0],
      () => undefined,
    )
    // The first answer keeps the driver busy until the helper has begun.
    const stall = hub.fake.faults.add({ match: DETECTIONS, kind: 'stall', atByte: 300 })
    const driven = hub.sync('full')
    await untilHit(stall)
    const done = await workBatches(helper.deps, async () => source, { runId: null, signal: NEVER() })
    stall.release()
    const run = await driven
    await source.close()
    expect(done).toBeGreaterThan(0)
    expect(run.state).toBe('COMPLETE')
    const { rows } = await db.query<{ attempt: number }>(
      'select distinct attempt from batch where run_id = $1',
      [run.id],
    )
    expect(rows).toEqual([{ attempt: 1 }])
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('T49: a helper that meets a refused account ends the run for all', async ({ db }) => {
  await onDayOne({ pool: db, estate: { hosts: 120, detectionsPerHost: 1 } }, async (hub) => {
    await db.query(`update module_state set cursor = cursor || '{"batchHosts": 50}'`)
    const helper = process(hub, db, 'helper')
    const source = await helper.deps.connectSource(
      { id: hub.integrationId } as Parameters<typeof helper.deps.connectSource>[0],
      () => undefined,
    )
    const from = hub.fake.requests.length
    const stall = hub.fake.faults.add({ match: DETECTIONS, kind: 'stall', atByte: 300 })
    hub.fake.faults.add({
      match: { ...DETECTIONS, nth: 2, times: Infinity },
      kind: 'simple-return',
      status: 401,
      code: 2000,
      text: 'Bad Login/Password',
    })
    const driven = hub.sync('full')
    await untilHit(stall)
    await workBatches(helper.deps, async () => source, { runId: null, signal: NEVER() })
    stall.release()
    const run = await driven
    await source.close()
    expect([run.state, run.message]).toEqual(['FAILED', expect.stringContaining('password') as string])
    const refused = hub.fake.requests.slice(from).filter((request) => request.status === 401)
    expect(refused.length).toBeLessThanOrEqual(2)
    await expectConverged(hub)
  })
})

test('a second sync is refused with a sentence while one runs', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    const stall = hub.fake.faults.add({ match: ID_LIST, kind: 'stall', atByte: 100 })
    const running = hub.sync('full')
    await untilHit(stall)
    const refused = await process(hub, db, 'second')
      .sync()
      .catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(HubError)
    expect(refused).toMatchObject({
      kind: 'conflict',
      message: '"test" is being synced already by test worker; one run at a time.',
    })
    stall.release()
    expect((await running).state).toBe('COMPLETE')
  })
})

test('of twenty syncs at once exactly one starts', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    const stall = hub.fake.faults.add({ match: ID_LIST, kind: 'stall', atByte: 100 })
    const outcomes: unknown[] = []
    const syncs = Array.from({ length: 20 }, (_, index) =>
      process(hub, db, `process ${index}`)
        .sync()
        .then((run) => run.state)
        .catch((error: HubError) => error.kind)
        .then((outcome) => outcomes.push(outcome)),
    )
    await vi.waitFor(() => expect(outcomes).toHaveLength(19), { timeout: 20_000, interval: 5 })
    expect(new Set(outcomes)).toEqual(new Set(['conflict']))
    stall.release()
    await Promise.all(syncs)
    expect(outcomes.at(-1)).toBe('COMPLETE')
    expect((await db.query('select 1 from run')).rowCount).toBe(2)
  })
})

test('a disabled integration is not synced', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    await db.query('update integration set is_enabled = false')
    await expect(hub.sync()).rejects.toThrow('The integration "test" is disabled; enable it to sync it.')
  })
})
