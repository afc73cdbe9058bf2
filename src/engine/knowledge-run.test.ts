import type pg from 'pg'
import { expect } from 'vitest'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import type { EstateOptions } from '../../fakes/qualys/estate/types.ts'
import type { KbSpec } from '../../fakes/qualys/knowledge-base.ts'
import { test } from '../../test/support/database.ts'
import { KNOWLEDGE_BASE, callsSince } from '../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../test/support/hub.ts'
import { expectConverged, openGaps } from '../../test/support/oracle.ts'
import type { ReadRequest } from '../model/source.ts'
import type { EngineDeps } from './deps.ts'
import { sync } from './sync.ts'
import { WINDOWS_PER_RUN_MAX } from './whole-knowledge.ts'

const QID = '900001'

function entry(fields: Partial<KbSpec> = {}): KbSpec {
  return {
    qid: QID,
    title: 'Update',
    severity: 5,
    vendorReferences: [{ id: 'KB1', url: 'https://vendor.example.com/KB1' }],
    cves: [{ id: 'CVE-2025-90001', url: 'https://cve.example.com/CVE-2025-90001' }],
    ...fields,
  }
}

const ONE: EstateOptions = { hosts: [{ id: '101', detections: [{ qid: QID }] }], kb: [entry()] }

function nextDay(hub: TestHub): void {
  hub.clock.advance(DAY_MS)
  hub.estate.advanceDay()
}

async function learn(hub: TestHub, fields: Partial<KbSpec>): Promise<void> {
  nextDay(hub)
  hub.estate.setKb(entry({ lastServiceModification: hub.clock.nowMs() - 1_000, ...fields }))
  expect((await hub.sync('delta')).state).toBe('COMPLETE')
}

async function versions(db: pg.Pool): Promise<unknown[]> {
  const { rows } = await db.query(
    'select number, changed, severity::int, vendor_references as refs, cves, disabled from vulnerability_version where qid = $1 order by number',
    [QID],
  )
  return rows
}

test('T32: each change that matters is a version, and a cosmetic one is none', async ({ db }) => {
  await withHub({ pool: db, estate: ONE }, async (hub) => {
    await hub.sync('full')
    const cosmetic = {
      solution: 'Other words.',
      vendorReferences: [{ id: ' kb 1 ', url: 'https://vendor.example.com/moved' }],
    }
    await learn(hub, cosmetic)
    const refs = ['KB1']
    const cves = ['CVE-2025-90001']
    const first = { number: 1, changed: [], severity: 5, refs, cves, disabled: false }
    expect(await versions(db)).toEqual([first])
    expect((await db.query('select solution_html from vulnerability')).rows).toEqual([
      { solution_html: 'Other words.' },
    ])

    await learn(hub, {
      severity: 3,
      vendorReferences: [
        { id: 'KB2', url: '' },
        { id: 'KB1', url: '' },
      ],
    })
    await learn(hub, {
      severity: 3,
      vendorReferences: [
        { id: 'KB1', url: '' },
        { id: 'KB2', url: '' },
      ],
      cves: [],
    })
    expect(await versions(db)).toEqual([
      first,
      {
        ...first,
        number: 2,
        changed: ['severity', 'patch_key', 'vendor_references'],
        severity: 3,
        refs: ['KB1', 'KB2'],
      },
      { ...first, number: 3, changed: ['cves'], severity: 3, refs: ['KB1', 'KB2'], cves: [] },
    ])
  })
})

test('T35: a QID that is disabled keeps its row and its findings, and says so', async ({ db }) => {
  await withHub({ pool: db, estate: ONE }, async (hub) => {
    await hub.sync('full')
    await learn(hub, { disabled: true })
    expect((await versions(db)).at(-1)).toMatchObject({ number: 2, changed: ['disabled'], disabled: true })
    expect((await db.query('select state from finding')).rows).toEqual([{ state: 'open' }])
  })
})

test('T33: a QID that was modified years ago is asked for as soon as a finding has it', async ({ db }) => {
  const old = { ...entry(), lastServiceModification: Date.UTC(2012, 0, 1), published: Date.UTC(2012, 0, 1) }
  const estate: EstateOptions = { hosts: [{ id: '101' }], kb: [old] }
  await withHub({ pool: db, estate }, async (hub) => {
    await hub.sync('full')
    expect(await versions(db)).toEqual([])
    nextDay(hub)
    hub.estate.override('101', { addDetections: [{ qid: QID }] })
    expect((await hub.sync('delta')).state).toBe('COMPLETE')
    expect(await versions(db)).toHaveLength(1)
  })
})

test('T38: a QID has all its CVEs, none or many, and a CVE may belong to several QIDs', async ({ db }) => {
  const cves = ['CVE-2025-90001', 'CVE-2025-90002', 'CVE-2024-90003'].map((id) => ({ id, url: '' }))
  const kb = [
    entry({ cves }),
    entry({ qid: '900002', cves: cves.slice(0, 1) }),
    entry({ qid: '900003', cves: [] }),
  ]
  const estate = { hosts: [{ id: '101', detections: kb.map(({ qid }) => ({ qid })) }], kb }
  await withHub({ pool: db, estate }, async (hub) => {
    await hub.sync('full')
    const { rows } = await db.query(
      'select qid, array_agg(cve order by cve) as cves from vulnerability_cve group by qid order by qid',
    )
    expect(rows).toEqual([
      { qid: QID, cves: ['CVE-2024-90003', 'CVE-2025-90001', 'CVE-2025-90002'] },
      { qid: '900002', cves: ['CVE-2025-90001'] },
    ])
  })
})

test('T36: one QID may be confirmed here and potential there, and what changes is the same finding', async ({
  db,
}) => {
  const halfAndHalf = entry({ vulnType: 'Vulnerability or Potential Vulnerability' })
  const detections = (type: string) => [{ qid: QID, type }]
  const hosts = [
    { id: '101', detections: detections('Confirmed') },
    { id: '102', detections: detections('Potential') },
  ]
  await withHub({ pool: db, estate: { hosts, kb: [halfAndHalf] } }, async (hub) => {
    await hub.sync('full')
    const types = () =>
      db
        .query('select f.type, f.state from finding f join host h on h.id = f.place_id order by h.host_id')
        .then(({ rows }) => rows)
    expect(await types()).toEqual([
      { type: 'Confirmed', state: 'open' },
      { type: 'Potential', state: 'open' },
    ])
    nextDay(hub)
    hub.estate.override('102', { detections: [{ match: {}, change: { type: 'Confirmed' } }] })
    await hub.sync('delta')
    expect(await types()).toEqual([
      { type: 'Confirmed', state: 'open' },
      { type: 'Confirmed', state: 'open' },
    ])
    expect((await db.query('select type from vulnerability_version')).rows).toEqual([
      { type: 'Vulnerability or Potential Vulnerability' },
    ])
    await expectConverged(hub)
  })
})

/** As many QIDs as that, all known to the knowledge base; the first is on a host. */
function entries(count: number): KbSpec[] {
  return Array.from({ length: count }, (_, index) => entry({ qid: String(900_001 + index) }))
}

async function known(db: pg.Pool): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    'select count(*)::int as count from vulnerability where is_known and missing_since is null',
  )
  return rows[0]!.count
}

test('the whole knowledge base is read in windows, and one that breaks is gone on with', async ({ db }) => {
  const estate = { ...ONE, kb: entries(4_100) }
  await withHub({ pool: db, estate, config: { knowledge: 'all' } }, async (hub) => {
    // What was asked for, the list, the first window: the next one never comes whole.
    const broken = hub.fake.faults.add({
      match: { ...KNOWLEDGE_BASE, nth: 4, times: Infinity },
      kind: 'html',
      page: 'login',
    })
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    expect((await openGaps(db)).map(({ key }) => key)).toEqual(['knowledge base, the whole of it'])
    const before = await known(db)
    expect(before).toBeGreaterThanOrEqual(2_000)
    broken.remove()

    const from = hub.fake.requests.length
    expect((await hub.sync('delta')).state).toBe('COMPLETE')
    expect(await known(db)).toBe(hub.estate.kb().length)
    const windows = hub.fake.requests
      .slice(from)
      .filter(({ endpoint, params }) => endpoint === 'knowledge-base' && params['id_min'] !== undefined)
    const sizeOf = ({ params }: (typeof windows)[number]) =>
      hub.estate
        .kb()
        .filter(
          ({ qid }) => Number(qid) >= Number(params['id_min']) && Number(qid) <= Number(params['id_max']),
        ).length
    // Nothing that was read before is read again.
    expect(windows.reduce((sum, window) => sum + sizeOf(window), 0)).toBeLessThanOrEqual(
      hub.estate.kb().length - 2_000,
    )
    expect(await openGaps(db)).toEqual([])

    const later = hub.fake.requests.length
    await hub.sync('delta')
    expect(callsSince(hub, later, KNOWLEDGE_BASE)).toBe(1)
  })
})

/** The real source, with windows of one QID for the whole, so that a small knowledge base has many. */
function withSmallWindows(hub: TestHub): EngineDeps {
  return {
    ...hub.deps,
    connectSource: async (integration, onWait) => {
      const source = await hub.deps.connectSource(integration, onWait)
      const { vulnerabilities } = source
      async function* readSmall(request: ReadRequest, signal: AbortSignal) {
        if (request.ids !== undefined || request.changedSinceMs !== undefined)
          return yield* vulnerabilities.read(request, signal)
        const qids = hub.estate.kb().map(({ qid }) => qid)
        for (const qid of qids.filter((one) => Number(one) > Number(request.afterId ?? 0)))
          for await (const message of vulnerabilities.read({ ids: [qid] }, signal))
            yield message.type === 'answer'
              ? { ...message, answer: { ...message.answer, upToId: qid } }
              : message
      }
      return { ...source, vulnerabilities: { id: vulnerabilities.id, read: readSmall } }
    },
  }
}

test('a run reads some windows of the whole, the next goes on, and what has left is told in the end', async ({
  db,
}) => {
  const count = WINDOWS_PER_RUN_MAX + 5
  await withHub(
    { pool: db, estate: { hosts: ONE.hosts!, kb: entries(count) }, config: { knowledge: 'all' } },
    async (hub) => {
      for (const { qid } of hub.estate.kb()) if (Number(qid) < 900_001) hub.estate.removeKb(qid)
      const deps = withSmallWindows(hub)
      const run = () =>
        sync(
          deps,
          { integrationId: hub.integrationId, trigger: 'manual', mode: 'delta' },
          new AbortController().signal,
        )
      expect((await run()).state).toBe('COMPLETE')
      expect(await known(db)).toBe(WINDOWS_PER_RUN_MAX)
      hub.clock.advance(DAY_MS)
      await db.query(
        `insert into vulnerability (integration_id, qid, is_known, patch_key, fetched_at)
                    values ($1, 5, true, 'qid:5', '2026-01-01')`,
        [hub.integrationId],
      )
      expect((await run()).state).toBe('COMPLETE')
      expect(await known(db)).toBe(count)
      const { rows } = await db.query(
        'select qid, is_known from vulnerability where missing_since is not null',
      )
      expect(rows).toEqual([{ qid: '5', is_known: true }])
    },
  )
})
