import type pg from 'pg'
import { expect, vi } from 'vitest'
import { getIntegration } from '../../src/store/queries/integrations.ts'
import { getPlaces, lockHosts, mergeHosts } from '../../src/store/queries/hosts.ts'
import { getUnfinishedRun } from '../../src/store/queries/runs.ts'
import { inTransaction } from '../../src/store/transaction.ts'
import type { HostRecord } from '../../src/model/vm.ts'
import { test } from '../support/database.ts'
import { DETECTIONS, ID_LIST, KNOWLEDGE_BASE, nextDay, onDayOne } from '../support/day-one.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

/** A table whose next inserts or updates fail as the database says it then. */
async function breakTable(
  db: pg.Pool,
  fault: { table: string; on: string; code: string; times: number },
): Promise<void> {
  await db.query(`
    create sequence failures;
    create function fail() returns trigger language plpgsql as $$ begin
      if nextval('failures') <= ${fault.times} then
        raise exception using errcode = '${fault.code}', message = 'made for this test';
      end if;
      return new;
    end $$;
    create trigger fail before ${fault.on} on ${fault.table} for each row execute function fail()`)
}

const repair = (db: pg.Pool) =>
  db.query('drop function if exists fail cascade; drop sequence if exists failures')

const passing: [string, { table: string; on: string; code: string }][] = [
  ['a deadlock in a merge', { table: 'observation', on: 'insert or update', code: '40P01' }],
  ['a serialization failure in a merge', { table: 'observation', on: 'insert or update', code: '40001' }],
  ['a shutdown while a batch is settled', { table: 'batch', on: 'update', code: '57P01' }],
  ['too many connections while ids are listed', { table: 'host', on: 'insert or update', code: '53300' }],
  [
    'a lost connection in the knowledge base',
    { table: 'vulnerability', on: 'insert or update', code: '08006' },
  ],
  ['a lost connection at the end', { table: 'module_state', on: 'update', code: '08006' }],
]

for (const [name, fault] of passing)
  test(`database: ${name} costs a second try, not the run`, async ({ db }) => {
    await onDayOne({ pool: db }, async (hub) => {
      await db.query('delete from vulnerability')
      const before = await rememberStore(hub)
      await breakTable(db, { ...fault, times: 2 })
      const run = await hub.sync('full')
      expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
      const { rows } = await db.query<{ count: string }>('select last_value as count from failures')
      expect(Number(rows[0]!.count)).toBeGreaterThan(2)
      await repair(db)
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    })
  })

for (const [name, match] of [
  ['ids are listed', ID_LIST],
  ['detections come', DETECTIONS],
  ['the knowledge base answers', KNOWLEDGE_BASE],
] as const)
  test(`fault 4: every connection to the database ends while ${name}, and the run goes on`, async ({
    db,
  }) => {
    await onDayOne({ pool: db }, async (hub) => {
      const before = await rememberStore(hub)
      const stall = hub.fake.faults.add({ match, kind: 'stall', atByte: 200 })
      const running = hub.sync('full')
      await vi.waitFor(() => expect(stall.hits).toBe(1), { timeout: 20_000, interval: 5 })
      await db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()`,
      )
      stall.release()
      const run = await running
      expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    })
  })

test('database: what fails for good ends the run with a sentence, and nothing is lost', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    await breakTable(db, { table: 'module_state', on: 'update', code: '40001', times: 1_000_000 })
    const run = await hub.sync('full')
    expect(run.state).toBe('FAILED')
    expect(run.message).toMatch(/^The database failed: made for this test\. .*Nothing is lost/)
    await repair(db)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

for (const [where, table] of [
  ['for the rows that are staged', 'finding_staging'],
  ['for what is merged', 'observation'],
] as const)
  test(`fault 5: a full disk ${where} stops the run with what to do, and the next run goes on`, async ({
    db,
  }) => {
    await onDayOne({ pool: db }, async (hub) => {
      const before = await rememberStore(hub)
      await breakTable(db, {
        table,
        on: 'insert or update',
        code: '53100',
        times: 1_000_000,
      })
      const run = await hub.sync('full')
      expect(run.state).toBe('FAILED')
      expect(run.message).toMatch(/disk of the database is full.*Make room.*Nothing is lost/)
      expect(await getIntegration(db, hub.integrationId)).toMatchObject({
        status: 'NEEDS_ATTENTION',
        statusMessage: run.message,
      })
      await expectHonest(hub, { run, before })
      expect(await openGaps(db)).toEqual([])
      await repair(db)
      // A delta asks for all that the run that ended had wanted.
      nextDay(hub)
      const next = await hub.sync('delta')
      expect([next.mode, next.state]).toEqual(['delta', 'COMPLETE'])
      await expectConverged(hub)
    })
  })

test('fault 6: a disk so full that not even the end can be written leaves the run to the next process', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const fault = { code: '53100', times: 1_000_000 }
    await breakTable(db, { ...fault, table: 'observation', on: 'insert or update' })
    await db.query(
      'create trigger fail before update on run for each row when (new.state = $$FAILED$$) execute function fail()',
    )
    await expect(hub.sync('full')).rejects.toThrow(/disk of the database is full/)
    const left = await getUnfinishedRun(db, hub.integrationId)
    await repair(db)
    // The claim of the process that is gone has run out.
    await db.query(`update batch set claim_expires_at = clock_timestamp() - interval '1 second'
                     where state = 'claimed'`)
    const run = await hub.sync('delta')
    expect([run.id, run.state]).toEqual([left?.id, 'COMPLETE'])
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('database: descriptions and findings of the same hosts come in at once, in any order, without a deadlock', async ({
  db,
}) => {
  await onDayOne({ pool: db, estate: { hosts: 100, detectionsPerHost: 1 } }, async (hub, hostIds) => {
    const { integrationId } = hub
    expect((await getPlaces(db, { integrationId, hostIds })).size).toBe(100)
    const write = (ids: readonly string[], round: number) =>
      inTransaction(db, async (tx) => {
        await lockHosts(tx, { integrationId, hostIds: ids })
        for (const hostId of ids)
          await mergeHosts(tx, integrationId, [
            { hostId, tags: [{ id: hostId, name: 'a tag' }], os: `${round}` } as unknown as HostRecord,
          ])
      })
    for (let round = 0; round < 2; round += 1)
      await Promise.all([write(hostIds, round), write(hostIds.toReversed(), round)])
  })
})
