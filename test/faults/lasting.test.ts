import { expect } from 'vitest'
import type { Fault } from '../../fakes/qualys/faults.ts'
import { test } from '../support/database.ts'
import {
  DESCRIPTIONS,
  DETECTIONS,
  callsSince,
  nextDay,
  onDayOne,
  onDayOneWithTickets,
} from '../support/day-one.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

/** Faults of one host that stay: the batch is cut until that host is alone, and it alone is owed. */
const ofOneHost: [string, Fault, { calls: number; hosts?: number }][] = [
  ['fault 13: a body that breaks off', { kind: 'cut', at: 'half' }, { calls: 20 }],
  ['fault 13: gzip that breaks off', { kind: 'cut-gzip', at: 'half' }, { calls: 20 }],
  ['an entity bomb', { kind: 'entity-bomb' }, { calls: 20 }],
  ['fault 12: an error in the middle', { kind: 'generic-return', afterItems: 0 }, { calls: 20 }],
  ['fault 15: a WARNING URL that does not grow', { kind: 'warning-url', idMin: 'same' }, { calls: 40 }],
  ['fault 15: a WARNING URL elsewhere', { kind: 'warning-url', origin: 'https://x.example' }, { calls: 20 }],
  ['fault 17: a stall', { kind: 'stall', atByte: 500 }, { calls: 6, hosts: 3 }],
]

for (const [name, fault, expected] of ofOneHost)
  test(`${name} for one host: the batch is halved down to it, and it is a gap`, async ({ db }) => {
    await onDayOne(
      { pool: db, idleTimeoutMs: 250, estate: { hosts: expected.hosts ?? 8 } },
      async (hub, hostIds) => {
        const poisoned = hostIds[1]!
        const before = await rememberStore(hub)
        const from = hub.fake.requests.length
        hub.fake.faults.add({ match: { ...DETECTIONS, ids: [poisoned], times: Infinity }, ...fault })
        const run = await hub.sync('full')
        expect(run.state).toBe('PARTIAL')
        expect((await openGaps(db)).map((gap) => [gap.kind, gap.key])).toEqual([['host', poisoned]])
        const calls = hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === 'detection')
        expect(calls.length).toBeLessThanOrEqual(expected.calls + hostIds.length)
        const last = calls.filter((request) => request.params['ids'] === poisoned).at(-1)
        expect(last?.params['show_results']).toBe('0')
        await expectHonest(hub, { run, before })

        // What is owed is asked for in the next delta too, though nothing of the host is new.
        hub.fake.faults.clear()
        const next = await hub.sync('delta')
        expect([next.mode, next.state]).toEqual(['delta', 'COMPLETE'])
        await expectConverged(hub)
      },
    )
  })

test('fault 17: a host that answers only without RESULTS keeps its evidence and is no gap', async ({
  db,
}) => {
  await onDayOne({ pool: db, idleTimeoutMs: 250, estate: { hosts: 2 } }, async (hub, hostIds) => {
    const slow = hostIds[1]!
    const evidence = () =>
      db.query(
        `select f.id, f.evidence_hash from finding f join host h on h.id = f.place_id
          where h.host_id = $1 and f.evidence_hash is not null order by f.id`,
        [slow],
      )
    const before = await rememberStore(hub)
    const known = (await evidence()).rows
    hub.fake.faults.add({
      match: { ...DETECTIONS, ids: [slow], params: { show_results: '1' }, times: Infinity },
      kind: 'stall',
      atByte: 500,
    })
    const run = await hub.sync('full')
    expect([run.state, await openGaps(db)]).toEqual(['COMPLETE', []])
    await expectHonest(hub, { run, before })
    expect((await evidence()).rows).toEqual(known)
    expect(known.length).toBeGreaterThan(0)
    await expectConverged(hub)
  })
})

const ofAll: [string, Fault][] = [
  ['fault 12: a login page', { kind: 'html', page: 'login' }],
  ['fault 16: nothing with 204', { kind: 'empty', status: 204 }],
  ['internal errors', { kind: 'internal-error' }],
  ['entity bombs', { kind: 'entity-bomb' }],
  ['fault 13: broken gzip', { kind: 'cut-gzip', at: 'half' }],
]

for (const [name, fault] of ofAll)
  test(`${name} instead of all detections: the run fails, tells it, and the watermark stays`, async ({
    db,
  }) => {
    await onDayOne({ pool: db }, async (hub, hostIds) => {
      const before = await rememberStore(hub)
      const from = hub.fake.requests.length
      hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, ...fault })
      const run = await hub.sync('delta')
      expect(run.state).toBe('FAILED')
      expect(run.message).toContain(`${hostIds.length} of ${hostIds.length} expected hosts could not be had`)
      expect(callsSince(hub, from, DETECTIONS)).toBeLessThan(100)
      await expectHonest(hub, { run, before })
      expect((await rememberStore(hub)).findings).toEqual(before.findings)
      await expectConverged(hub)
    })
  })

test('fault 14: a missing page closes nothing: what stays missing becomes stale, and comes back as it was', async ({
  db,
}) => {
  await onDayOneWithTickets({ pool: db }, async (hub, hostIds) => {
    const dropped = hostIds.slice(2, 5)
    const before = await rememberStore(hub)
    hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, kind: 'drop-hosts', ids: dropped })
    const run = await hub.sync('full')
    await expectHonest(hub, { run, before })
    const { rows } = await db.query<{ state: string; hosts: number }>(
      `select f.state, count(distinct h.host_id)::int as hosts
         from finding f join host h on h.id = f.place_id
        where h.host_id = any ($1::bigint[]) and f.type <> 'Info' and f.state <> 'suppressed'
        group by f.state order by f.state`,
      [dropped],
    )
    expect(rows.map((row) => row.state).filter((state) => state === 'open')).toEqual([])
    expect(rows.find((row) => row.state === 'stale')?.hosts).toBe(dropped.length)
    const ledger = await db.query<{ stale: number }>(
      'select sum(stale_records)::int as stale from batch where run_id = $1',
      [run.id],
    )
    expect(ledger.rows[0]?.stale).toBeGreaterThan(0)
    nextDay(hub)
    await expectConverged(hub)
  })
})

test('fault 14: a page that repeats the one before counts for nobody', async ({ db }) => {
  await onDayOneWithTickets(
    { pool: db, estate: { hosts: 100, detectionsPerHost: 3 }, batchesMax: 1 },
    async (hub) => {
      await db.query(`update module_state set cursor = cursor || '{"batchHosts": 50}'`)
      const before = await rememberStore(hub)
      const handle = hub.fake.faults.add({ match: { ...DETECTIONS, nth: 2 }, kind: 'duplicate-page' })
      const run = await hub.sync('full')
      expect([handle.hits, run.state]).toEqual([1, 'COMPLETE'])
      const { rows } = await db.query<{ unexpected: number }>(
        'select max(unexpected_hosts) as unexpected from batch where run_id = $1',
        [run.id],
      )
      expect(rows[0]?.unexpected).toBe(50)
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    },
  )
})

test('fault 14: a host that always comes twice is a gap, and its first account stands', async ({ db }) => {
  await onDayOneWithTickets({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, kind: 'duplicate-hosts' })
    const run = await hub.sync('full')
    expect(run.state).toBe('PARTIAL')
    for (const gap of await openGaps(db)) expect(gap.reason).toMatch(/came twice/)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('descriptions that never come are gaps, and the findings of their hosts come in', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub, hostIds) => {
    const before = await rememberStore(hub)
    hub.fake.faults.add({
      match: { ...DESCRIPTIONS, times: Infinity },
      kind: 'drop-hosts',
      ids: hostIds.slice(0, 2),
    })
    const run = await hub.sync('full')
    expect(run.state).toBe('PARTIAL')
    expect((await openGaps(db)).map((gap) => gap.key)).toEqual(
      hostIds.slice(0, 2).map((hostId) => `host ${hostId}, description`),
    )
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})
