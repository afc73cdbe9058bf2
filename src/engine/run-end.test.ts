import type pg from 'pg'
import { expect, vi } from 'vitest'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { FaultHandle } from '../../fakes/qualys/faults.ts'
import { test } from '../../test/support/database.ts'
import { DETECTIONS, ID_LIST, KNOWLEDGE_BASE, nextDay, onDayOne } from '../../test/support/day-one.ts'
import { type TestHub, engineDeps } from '../../test/support/hub.ts'
import {
  expectConverged,
  expectHonest,
  openGaps,
  rememberStore,
  storedLives,
  trueLives,
} from '../../test/support/oracle.ts'
import { getIntegration, setIntegrationStatus } from '../store/queries/integrations.ts'
import { getRun, getUnfinishedRun } from '../store/queries/runs.ts'
import { ATTEMPTS_OF_BATCH_MAX } from './batch-failure.ts'
import { RunLost } from './run-context.ts'
import { sync } from './sync.ts'

/** Another process on the same database, clock and fake. */
function otherProcess(hub: TestHub, pool: pg.Pool, config: Record<string, unknown> = {}) {
  // One batch after the other, so that a stalled one is the only call on its way.
  const deps = engineDeps(
    { pool, worker: 'other', config, batchesMax: 1 },
    { clock: hub.clock, url: hub.fake.url },
  )
  const request = { integrationId: hub.integrationId, trigger: 'resume', mode: 'delta' } as const
  return (signal = new AbortController().signal) => sync(deps, request, signal)
}

async function untilHit(fault: FaultHandle): Promise<void> {
  await vi.waitFor(() => expect(fault.hits).toBeGreaterThan(0), { timeout: 20_000, interval: 5 })
}

test('a driver that lost its run and then fails takes nothing from the one who drives it now', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const listing = hub.fake.faults.add({ match: ID_LIST, kind: 'stall', atByte: 200 })
    const first = hub.sync('full').catch((error: unknown) => error)
    await untilHit(listing)
    await db.query(`update lease set expires_at = clock_timestamp() - interval '1 second';
                    update slot set expires_at = clock_timestamp() - interval '1 second'`)

    const fetching = hub.fake.faults.add({ match: DETECTIONS, kind: 'stall', atByte: 300 })
    const second = otherProcess(hub, db)()
    await untilHit(fetching)
    // The next call of the first process is refused; the second has no call to make meanwhile.
    hub.fake.users = [{ ...DEFAULT_USER, password: 'changed' }]
    listing.release()
    expect(await first).toBeInstanceOf(RunLost)
    hub.fake.users = [DEFAULT_USER]
    expect(await getIntegration(db, hub.integrationId)).toMatchObject({ status: 'OK' })

    fetching.release()
    const run = await second
    expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
    expect(await storedLives(db)).toEqual(trueLives(hub.estate))
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('hosts whose batch was cancelled while the run went on are owed, not pulled', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub, hostIds) => {
    await db.query('delete from vulnerability')
    const before = await rememberStore(hub)
    const stall = hub.fake.faults.add({ match: KNOWLEDGE_BASE, kind: 'stall', atByte: 100 })
    const running = hub.sync('full')
    await untilHit(stall)
    await db.query(
      `update batch set state = 'cancelled' where run_id = (select max(id) from run) and module = 'qualys.detections'`,
    )
    stall.release()
    const run = await running
    expect(run.state).toBe('FAILED')
    expect(run.message).toContain(`${hostIds.length} of ${hostIds.length} expected hosts could not be had`)
    expect((await openGaps(db)).map((gap) => gap.key)).toEqual(hostIds.toSorted())
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('a run that failed for lack of answers does not say that all is well with the integration', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const attention = { status: 'NEEDS_ATTENTION', message: 'See to the account.' } as const
    await setIntegrationStatus(db, hub.integrationId, attention)
    hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, kind: 'internal-error' })
    expect((await hub.sync('full')).state).toBe('FAILED')
    expect(await getIntegration(db, hub.integrationId)).toMatchObject({
      status: attention.status,
      statusMessage: attention.message,
    })
    await expectConverged(hub)
    expect(await getIntegration(db, hub.integrationId)).toMatchObject({ status: 'OK', statusMessage: null })
  })
})

const changed: [string, Record<string, unknown>][] = [
  ['user', { username: 'another' }],
  ['API version', { versions: { hld: '4.0' } }],
]

for (const [name, config] of changed)
  test(`an interrupted run is not gone on with after the ${name} changed: a full one begins`, async ({
    db,
  }) => {
    await onDayOne({ pool: db }, async (hub) => {
      hub.fake.users = [DEFAULT_USER, { ...DEFAULT_USER, username: 'another' }]
      const before = await rememberStore(hub)
      const stall = hub.fake.faults.add({ match: DETECTIONS, kind: 'stall', atByte: 300 })
      const stop = new AbortController()
      const first = otherProcess(hub, db)(stop.signal).catch((error: unknown) => error)
      await untilHit(stall)
      stop.abort(new Error('SIGTERM'))
      await first
      stall.remove()
      const left = await getUnfinishedRun(db, hub.integrationId)

      const run = await otherProcess(hub, db, config)()
      expect(await getRun(db, left!.id)).toMatchObject({
        state: 'FAILED',
        message: expect.stringMatching(/configuration changed while the run was interrupted/) as string,
      })
      const open = await db.query(
        `select 1 from batch where run_id = $1 and state in ('waiting', 'claimed')`,
        [left!.id],
      )
      expect(open.rowCount).toBe(0)
      expect([Number(run.id), run.mode, run.state]).toEqual([Number(left!.id) + 1, 'full', 'COMPLETE'])
      expect(run.modeReason).toBe('the configuration changed while the run before was interrupted')
      await expectHonest(hub, { run, before })
    })
  })

test('a batch that is told to wait again and again is owed after two thousand times', async ({ db }) => {
  await onDayOne({ pool: db, estate: { hosts: 3 } }, async (hub, hostIds) => {
    const before = await rememberStore(hub)
    const busy = hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, kind: 'busy' })
    await db.query(`create function many() returns trigger language plpgsql as $$ begin
                      if new.attempt = 3 then new.attempt = ${ATTEMPTS_OF_BATCH_MAX - 1}; end if; return new; end $$`)
    await db.query(
      `create trigger many before update of attempt on batch for each row execute function many()`,
    )
    const run = await hub.sync('full')
    expect(run.state).toBe('FAILED')
    expect((await openGaps(db)).map((gap) => gap.key)).toEqual(hostIds.toSorted())
    expect(busy.hits).toBeLessThan(50)
    await expectHonest(hub, { run, before })
  })
})

test('a run that works again after a wait does not say that it waits', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    hub.fake.faults.add({ match: DETECTIONS, kind: 'spent', seconds: 3_500 })
    const stall = hub.fake.faults.add({ match: { ...DETECTIONS, nth: 2 }, kind: 'stall', atByte: 300 })
    const running = hub.sync('full')
    await untilHit(stall)
    expect(await getUnfinishedRun(db, hub.integrationId)).toMatchObject({
      phase: 'fetching',
      waitingUntil: null,
      waitingReason: null,
    })
    stall.release()
    expect((await running).state).toBe('COMPLETE')
  })
})

test('statistics that cannot be refreshed do not undo a run, and are told in the log', async ({ db }) => {
  const warnings: string[] = []
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (_details: object, message: string) => warnings.push(message),
    error: () => undefined,
  }
  await onDayOne({ pool: db, log }, async (hub) => {
    await db.query(`create function unlucky(text) returns text immutable language plpgsql as $$ begin
                      if current_query() ilike '%analyze%' then raise exception 'made for this test'; end if;
                      return $1; end $$`)
    await db.query('create index on host ((unlucky(ip)))')
    nextDay(hub)
    const run = await hub.sync('full')
    expect(run.state).toBe('COMPLETE')
    expect(warnings).toEqual(['The statistics of the tables were not refreshed after a full run.'])
  })
})
