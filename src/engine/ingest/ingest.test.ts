import type pg from 'pg'
import { expect } from 'vitest'
import type { DetectionSpec, HostSpec } from '../../../fakes/qualys/estate/types.ts'
import { test } from '../../../test/support/database.ts'
import { DETECTIONS, nextDay } from '../../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../../test/support/hub.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../../../test/support/oracle.ts'
import { storedLines, truthLines } from '../../../test/support/truth.ts'

const one = (detections: DetectionSpec[], fields: Partial<HostSpec> = {}): HostSpec[] => [
  { id: '7', ...fields, detections },
]

async function honestSync(hub: TestHub, mode: 'full' | 'delta' = 'full') {
  const before = await rememberStore(hub)
  const run = await hub.sync(mode)
  await expectHonest(hub, { run, before })
  return run
}

async function statesByQid(db: pg.Pool): Promise<Record<string, string>> {
  const { rows } = await db.query<{ qid: string; state: string }>(
    'select issue_key as qid, state from finding',
  )
  return Object.fromEntries(rows.map((row) => [row.qid, row.state]))
}

async function ledgerOf(db: pg.Pool, runId: string) {
  const { rows } = await db.query<Record<string, number>>(
    `select sum(received_records)::int as received, sum(new_records)::int as new, sum(changed_records)::int as changed,
            sum(seen_records)::int as seen, sum(unchanged_records)::int as unchanged, sum(older_records)::int as older,
            sum(quarantined_records)::int as quarantined, sum(collided_records)::int as collided
       from batch where run_id = $1 and module = 'qualys.detections' and purpose = 'expected'`,
    [runId],
  )
  return rows[0]!
}

test('T25: an unknown status keeps the state, is put aside as it came, and is a gap until it is known again', async ({
  db,
}) => {
  const estate = { hosts: one([{ qid: '38100' }, { qid: '38101', status: 'Fixed' }, { qid: '38102' }]) }
  await withHub({ pool: db, estate }, async (hub) => {
    await honestSync(hub)
    nextDay(hub)
    hub.estate.override('7', {
      detections: [
        { match: { qid: '38100' }, change: { status: 'Mitigated' } },
        { match: { qid: '38101' }, change: { status: 'Unfixed?' } },
      ],
      addDetections: [{ qid: '38103', status: 'Perhaps' }],
    })
    const run = await honestSync(hub, 'delta')
    expect(run.state).toBe('PARTIAL')
    expect(await statesByQid(db)).toEqual({ 38100: 'open', 38101: 'fixed', 38102: 'open' })
    expect((await openGaps(db)).map((gap) => gap.key)).toEqual([
      'host 7, QID 38100',
      'host 7, QID 38101',
      'host 7, QID 38103',
    ])
    const quarantine = await db.query<{ raw: string }>('select raw from quarantine order by qid limit 1')
    expect(quarantine.rows[0]!.raw).toContain('Mitigated')
    // The host is owed, so that it is asked for again though nothing of it is new.
    expect((await honestSync(hub, 'delta')).expectedHosts).toBe(1)
    hub.estate.override('7', {
      detections: [
        { match: {}, change: { status: 'Active' } },
        { match: { qid: '38101' }, change: 'reopen' },
      ],
    })
    await expectConverged(hub)
    expect(await statesByQid(db)).toMatchObject({ 38101: 'open', 38103: 'open' })
  })
})

test('T5: numbers that no column holds are put aside, and the finding keeps its state', async ({ db }) => {
  const known = ['38100', '38101', '38102', '38103', '38104']
  await withHub({ pool: db, estate: { hosts: one(known.map((qid) => ({ qid }))) } }, async (hub) => {
    await honestSync(hub)
    nextDay(hub)
    const odd: Record<string, string>[] = [
      { TIMES_FOUND: '2147483648' },
      { QDS: '32768' },
      { SEVERITY: '99999' },
      { TIMES_REOPENED: '99999999999999999999' },
      { TIMES_FOUND: '1e5' },
    ]
    hub.estate.override('7', {
      detections: known.map((qid, index) => ({ match: { qid }, change: { raw: odd[index]! } })),
    })
    const before = await rememberStore(hub)
    const run = await hub.sync('delta')
    expect(run.state).toBe('PARTIAL')
    expect((await openGaps(db)).map((gap) => gap.key)).toEqual(known.map((qid) => `host 7, QID ${qid}`))
    expect(new Set(Object.values(await statesByQid(db)))).toEqual(new Set(['open']))
    await expectHonest(hub, { run, before })
    hub.estate.override('7', { detections: [{ match: {}, change: { raw: {} } }] })
    await expectConverged(hub)
  })
})

test('numbers of a host that no column holds cost neither the run nor its findings', async ({ db }) => {
  const raw = { ASSET_ID: '9999999999999999999', TRURISK_SCORE: '99999999999', ASSET_CRITICALITY_SCORE: '-1' }
  await withHub({ pool: db, estate: { hosts: one([{ qid: '38100' }], { raw }) } }, async (hub) => {
    const run = await honestSync(hub)
    expect(run.state).toBe('PARTIAL')
    expect(await statesByQid(db)).toEqual({ 38100: 'open' })
  })
})

test('T1: a UNIQUE_VULN_ID that moves to another identity is a contradiction and is put aside', async ({
  db,
}) => {
  const estate = { hosts: one([{ qid: '38100', port: 443, uniqueVulnId: '11' }]) }
  await withHub({ pool: db, estate }, async (hub) => {
    await honestSync(hub)
    nextDay(hub)
    hub.estate.override('7', { addDetections: [{ qid: '38100', port: 8443, uniqueVulnId: '11' }] })
    const before = await rememberStore(hub)
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    expect((await openGaps(db))[0]!.reason).toBe('UNIQUE_VULN_ID 11 belongs to another finding of this host.')
    expect((await db.query('select port from finding')).rows).toEqual([{ port: 443 }])
    expect(before.findings.size).toBe(1)
  })
})

test('T1: an identity whose UNIQUE_VULN_ID changes is a contradiction and is put aside', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: one([{ qid: '38100', uniqueVulnId: '11' }]) } }, async (hub) => {
    await honestSync(hub)
    nextDay(hub)
    hub.estate.override('7', {
      detections: [{ match: {}, change: { uniqueVulnId: '12', status: 'Fixed' } }],
    })
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    expect((await openGaps(db))[0]!.reason).toMatch(/UNIQUE_VULN_ID was 11 and is now 12/)
    expect(await statesByQid(db)).toEqual({ 38100: 'open' })
    hub.estate.override('7', {
      detections: [
        { match: {}, change: { uniqueVulnId: '11' } },
        { match: {}, change: 'fix' },
      ],
    })
    await expectConverged(hub)
    expect(await statesByQid(db)).toEqual({ 38100: 'fixed' })
  })
})

test('T3: of the same identity twice the better one counts; the other is counted and told, not owed', async ({
  db,
}) => {
  const twin = (day: string, results: string) => ({
    qid: '38100',
    uniqueVulnId: '11',
    results,
    lastTest: `2026-09-${day}T00:00:00Z`,
  })
  const estate = { hosts: one([twin('10', 'older'), twin('20', 'newer')]) }
  await withHub({ pool: db, estate }, async (hub) => {
    const run = await honestSync(hub)
    const { rows } = await db.query(
      'select e.body from finding f join evidence e on e.hash = f.evidence_hash',
    )
    expect(rows).toEqual([{ body: 'newer' }])
    expect([run.state, await openGaps(db)]).toEqual(['COMPLETE', []])
    expect(await ledgerOf(db, run.id)).toMatchObject({ received: 1, collided: 1, quarantined: 0 })
    const told = await db.query('select host_id, qid, reason from quarantine')
    expect(told.rows).toEqual([
      { host_id: '7', qid: '38100', reason: expect.stringMatching(/are the same .* is kept\.$/) as string },
    ])
    expect(run.warnings).toEqual([expect.stringMatching(/^1 of 2 detections came twice/)])
    expect(run.message).toBe(`Everything that was expected came. ${run.warnings[0]}`)
  })
})

test('T3: any number of collisions fails no batch, and a bounded number of them is kept', async ({ db }) => {
  const twins = Array.from({ length: 10_200 }, () => ({ qid: '38100', uniqueVulnId: '11' }))
  await withHub({ pool: db, estate: { hosts: one(twins) } }, async (hub) => {
    const run = await honestSync(hub)
    expect(run.state).toBe('COMPLETE')
    expect(await ledgerOf(db, run.id)).toMatchObject({ received: 1, collided: 10_199 })
    expect((await db.query('select 1 from quarantine')).rowCount).toBe(100)
  })
})

test('T2: Potential that becomes Confirmed, and another severity, are changes of one finding', async ({
  db,
}) => {
  await withHub(
    { pool: db, estate: { hosts: one([{ qid: '38100', type: 'Potential', severity: 3 }]) } },
    async (hub) => {
      await honestSync(hub)
      nextDay(hub)
      hub.estate.override('7', { detections: [{ match: {}, change: { type: 'Confirmed', severity: 5 } }] })
      const run = await honestSync(hub, 'delta')
      expect((await db.query('select type, severity from finding')).rows).toEqual([
        { type: 'Confirmed', severity: 5 },
      ])
      expect(await ledgerOf(db, run.id)).toMatchObject({ received: 1, changed: 1, new: 0 })
    },
  )
})

test('T6: the interfaces of one server are hosts of their own, with the id of their agent in common', async ({
  db,
}) => {
  const hosts = ['7', '8', '9'].map((id) => ({
    id,
    assetId: `50${id}`,
    qgHostId: 'one-server',
    detections: [{ qid: '38100' }],
  }))
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await honestSync(hub)
    const { rows } = await db.query(
      `select h.host_id::text as host, h.asset_id::text as asset, h.agent_id as agent,
              (select count(*)::int from finding f where f.place_id = h.id) as findings
         from host h order by h.host_id`,
    )
    expect(rows).toEqual(
      hosts.map(({ id, assetId }) => ({ host: id, asset: assetId, agent: 'one-server', findings: 1 })),
    )
  })
})

test('an answer that is older than what is known changes nothing', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: one([{ qid: '38100' }]) } }, async (hub) => {
    await honestSync(hub)
    nextDay(hub)
    hub.estate.override('7', { detections: [{ match: {}, change: 'fix' }] })
    await honestSync(hub)
    const shown = { withInformation: true }
    const lines = await storedLines(db, shown)
    const old = '2026-09-01T00:00:00Z'
    hub.estate.override('7', {
      detections: [
        {
          match: {},
          change: { status: 'Active', lastProcessed: old, raw: { LAST_PROCESSED_DATETIME: old } },
        },
      ],
    })
    const run = await hub.sync('full')
    expect([run.state, await ledgerOf(db, run.id)]).toEqual([
      'COMPLETE',
      expect.objectContaining({ older: 1 }),
    ])
    expect(await storedLines(db, shown)).toEqual(lines)
  })
})

test('a batch that is pulled again changes nothing: no row, no event, no history', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: 10, detectionsPerHost: 6 } }, async (hub) => {
    await honestSync(hub)
    const dump = async () => [
      (await db.query('select * from finding order by id')).rows,
      (await db.query('select * from observation order by finding_id')).rows,
      (await db.query('select * from evidence order by hash')).rows,
      (await db.query('select * from event')).rows,
    ]
    const before = await dump()
    const run = await honestSync(hub)
    expect(await dump()).toEqual(before)
    const { received, unchanged } = await ledgerOf(db, run.id)
    expect(unchanged).toBe(received)
  })
})

test('RESULTS of more than a megabyte are kept to the last byte, once for each text', async ({ db }) => {
  const long = `${'Ä long result\t'.repeat(120_000)}end`
  const hosts = ['7', '8', '9'].map((id) => ({
    id,
    detections: [
      { qid: '38100', results: long },
      { qid: '38101', results: 'short' },
    ],
  }))
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await honestSync(hub)
    const { rows } = await db.query<{ body: string }>('select body from evidence order by length(body)')
    expect(rows.map((row) => row.body.length)).toEqual([5, long.length])
    expect(rows[1]!.body).toBe(long)
    await expectConverged(hub)
  })
})

test('a host with 12,000 detections comes in parts, is complete, and misses nothing when it is seen again', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: one([{ qid: '38101' }]) } }, async (hub) => {
    hub.estate.override('7', { bulk: { count: 12_000, resultBytes: 20 } })
    const first = await honestSync(hub)
    expect(await ledgerOf(db, first.id)).toMatchObject({ received: 12_001, new: 12_001 })
    const again = await honestSync(hub)
    expect(await ledgerOf(db, again.id)).toMatchObject({ received: 12_001, unchanged: 12_001 })
    // The known host takes the way through staging.
    hub.estate.override('7', { detections: [{ match: {}, change: 'fix' }] })
    nextDay(hub)
    hub.estate.override('7', { bulk: { count: 100, qid: '38102', resultBytes: 20 } })
    const third = await honestSync(hub)
    expect(await ledgerOf(db, third.id)).toMatchObject({ received: 12_101, new: 100 })
    expect((await db.query('select 1 from event')).rowCount).toBeLessThanOrEqual(12_001)
    expect(await storedLines(db, { withInformation: true })).toEqual(
      truthLines(hub.estate, { withInformation: true }),
    )
  })
})

test('new hosts copied straight in and known hosts through staging give the same rows', async ({ db }) => {
  const detections: DetectionSpec[] = [
    {
      qid: '38100',
      port: 443,
      protocol: 'tcp',
      ssl: 1,
      fqdn: 'www.example.com',
      instance: 'orcl',
      service: 'https',
    },
    { qid: '38100', port: 443, protocol: 'tcp', ssl: 0, fqdn: '' },
    { qid: '38100', port: 0 },
    { qid: '38100' },
    { qid: '38101', status: 'Fixed', results: 'tab\tand\nline, ünïcode 🦄' },
    { qid: '38102', status: 'Re-Opened', ignored: true, qds: 90 },
    { qid: '38103', disabled: true, severity: undefined, results: undefined },
  ]
  const hosts = [
    { id: '7', detections },
    { id: '8', detections: [{ qid: '45000', type: 'Info' }] },
  ]
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await honestSync(hub)
    hub.estate.override('8', { addDetections: detections, silent: true })
    await honestSync(hub)
    const rowsOf = async (hostId: string) =>
      (
        await db.query(
          `select to_jsonb(f) - array['id', 'place_id', 'identity', 'source_key', 'first_run_id', 'changed_run_id', 'evidence_hash'] as f,
                  to_jsonb(o) - array['place_id', 'finding_id', 'identity', 'state_hash', 'run_id'] as o,
                  replace(e.body, h.host_id::text, 'N') as body
             from finding f join host h on h.id = f.place_id
             join observation o on o.place_id = f.place_id and o.finding_id = f.id
             left join evidence e on e.hash = f.evidence_hash
            where h.host_id = $1 and f.issue_key <> '45000'
            order by f.issue_key, f.port, f.protocol, f.fqdn`,
          [hostId],
        )
      ).rows
    const direct = await rowsOf('7')
    expect(direct).toHaveLength(detections.length)
    expect(await rowsOf('8')).toEqual(direct)
  })
})

test('a finding that comes back after it was stale is open again, though nothing of it has changed', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: one([{ qid: '38100' }, { qid: '38101' }]) } }, async (hub) => {
    await honestSync(hub)
    hub.fake.faults.add({ match: { ...DETECTIONS, times: 2 }, kind: 'drop-hosts', ids: ['7'] })
    await honestSync(hub)
    expect(await statesByQid(db)).toEqual({ 38100: 'stale', 38101: 'stale' })
    await expectConverged(hub)
    expect(await statesByQid(db)).toEqual({ 38100: 'open', 38101: 'open' })
    const events = await db.query('select old_state, new_state from event order by seen_at, id')
    expect(events.rows.map((row) => `${row.old_state} → ${row.new_state}`)).toEqual([
      'open → stale',
      'open → stale',
      'stale → open',
      'stale → open',
    ])
  })
})

test('a host that comes byte for byte as before is not compared again, until something else has changed it', async ({
  db,
}) => {
  const hosts = ['7', '8'].map((id) => ({ id, detections: [{ qid: '38100' }, { qid: '38101' }] }))
  await withHub({ pool: db, estate: { hosts }, config: { showIgs: 'never' } }, async (hub) => {
    await honestSync(hub)
    const known = async () =>
      (
        await db.query<{ hostId: string; records: number }>(
          `select h.host_id as "hostId", p.records from host_fingerprint p join host h on h.id = p.place_id order by 1`,
        )
      ).rows
    const statesOf = async (hostId: string) =>
      (
        await db.query<{ state: string }>(
          'select f.state from finding f join host h on h.id = f.place_id where h.host_id = $1',
          [hostId],
        )
      ).rows.map((row) => row.state)
    expect(await known()).toEqual([
      { hostId: '7', records: 2 },
      { hostId: '8', records: 2 },
    ])
    // Whoever compared would find another hash and write the finding again.
    await db.query(`update observation set state_hash = gen_random_uuid()`)
    expect(await ledgerOf(db, (await honestSync(hub)).id)).toMatchObject({
      received: 4,
      unchanged: 4,
      changed: 0,
    })

    hub.fake.faults.add({ match: { ...DETECTIONS, times: 2 }, kind: 'drop-hosts', ids: ['7'] })
    await honestSync(hub)
    expect(await statesOf('7')).toEqual(['stale', 'stale'])
    expect(await known()).toEqual([{ hostId: '8', records: 2 }])
    expect(await ledgerOf(db, (await honestSync(hub)).id)).toMatchObject({ unchanged: 2, changed: 2 })
    expect(await statesOf('7')).toEqual(['open', 'open'])
    expect((await known()).length).toBe(2)
  })
})
