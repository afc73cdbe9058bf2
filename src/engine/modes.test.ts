import { describe, expect, test as pure } from 'vitest'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { HUB_DETECTION_PARAMS } from '../../fakes/qualys/render-pages.ts'
import { test } from '../../test/support/database.ts'
import { DETECTIONS, nextDay } from '../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../test/support/hub.ts'
import { expectConverged, expectHonest, rememberStore, watermarkOf } from '../../test/support/oracle.ts'
import { storedLines, truthLines } from '../../test/support/truth.ts'
import { WATERMARK_OVERLAP_MS, nextBatchHosts } from './phase-finishing.ts'
import { describeDrift, scopeFingerprint } from './scope.ts'

const SMALL = { hosts: 8, detectionsPerHost: 4, purgeShare: 0, mergeShare: 0, hostGrowth: 0 }

function lastDetectionCalls(hub: TestHub, from: number) {
  return hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === DETECTIONS.endpoint)
}

test('T26: a delta is made full when nothing was pulled before, and when the last full run is over a week old', async ({
  db,
}) => {
  await withHub({ pool: db, estate: SMALL }, async (hub) => {
    const first = await hub.sync('delta')
    expect([first.mode, first.modeReason]).toEqual(['full', 'nothing was pulled before'])
    for (let day = 1; day <= 9; day += 1) {
      nextDay(hub)
      const run = await hub.sync('delta')
      const isWeekOld = day === 8
      expect([day, run.mode]).toEqual([day, isWeekOld ? 'full' : 'delta'])
      if (isWeekOld) expect(run.modeReason).toBe('the last full run is over a week old')
    }
    await expectConverged(hub)
  })
})

test('T9: information is gathered in the first full run and again a week later, and is never stale between', async ({
  db,
}) => {
  await withHub({ pool: db, estate: SMALL }, async (hub) => {
    const asked: string[] = []
    for (const days of [0, 1, 5, 2]) {
      nextDay(hub, days)
      const from = hub.fake.requests.length
      await hub.sync('full')
      asked.push(lastDetectionCalls(hub, from)[0]!.params['show_igs']!)
    }
    expect(asked).toEqual(['1', '0', '0', '1'])
    const states = await db.query(`select distinct state from finding where type = 'Info'`)
    expect(states.rows).toEqual([{ state: 'open' }])
    expect(await storedLines(db, { withInformation: true })).toEqual(
      truthLines(hub.estate, { withInformation: true }),
    )
  })
})

test('T7 T8: every call for detections asks for all states, ignored and disabled ones too, and all that is shown', async ({
  db,
}) => {
  await withHub({ pool: db, estate: SMALL }, async (hub) => {
    await hub.sync('full')
    for (const { params, method } of lastDetectionCalls(hub, 0))
      expect({ method, ...params }).toMatchObject({
        method: 'POST',
        status: 'New,Active,Re-Opened,Fixed',
        include_ignored: '1',
        include_disabled: '1',
        show_reopened_info: '1',
        show_asset_id: '1',
        show_qds: '1',
        show_tags: '1',
        arf_kernel_filter: '0',
      })
    expect(hub.fake.requests.filter((request) => request.mutation)).toEqual([])
  })
})

test('the hub asks what the pages that benchmarks render beforehand answer', async ({ db }) => {
  await withHub({ pool: db, estate: SMALL, config: { showIgs: 'never' } }, async (hub) => {
    await hub.sync('full')
    const [call] = lastDetectionCalls(hub, 0)
    const { ids: _ids, truncation_limit: _limit, ...asked } = call!.params
    expect(asked).toEqual(HUB_DETECTION_PARAMS)
  })
})

test('a day costs few calls: each list and each batch comes in one answer, and batches grow with what was learnt', async ({
  db,
}) => {
  const estate = { ...SMALL, hosts: 1_200, detectionsPerHost: 1, scanShare: 1 }
  await withHub({ pool: db, estate }, async (hub) => {
    const callsOf = async (mode: 'full' | 'delta') => {
      const from = hub.fake.requests.length
      const run = await hub.sync(mode)
      expect([run.mode, run.expectedHosts]).toEqual([mode, 1_200])
      const calls = Map.groupBy(hub.fake.requests.slice(from), ({ endpoint }) => endpoint)
      return Object.fromEntries([...calls].map(([endpoint, requests]) => [endpoint, requests.length]))
    }
    // The list of ids and one batch of descriptions; 500 hosts, 500 and the rest.
    expect(await callsOf('full')).toMatchObject({ 'host-list': 2, detection: 3 })
    nextDay(hub)
    // The list of what has changed as well; all hosts at once.
    expect(await callsOf('delta')).toMatchObject({ 'host-list': 3, detection: 1 })
  })
})

test('T27: the watermark is the time of the server at the start minus the overlap, and a delta starts there', async ({
  db,
}) => {
  await withHub({ pool: db, estate: SMALL }, async (hub) => {
    const startedMs = hub.clock.nowMs()
    await hub.sync('full')
    expect(await watermarkOf(hub)).toBe(startedMs - WATERMARK_OVERLAP_MS)
    nextDay(hub)
    const from = hub.fake.requests.length
    const run = await hub.sync('delta')
    expect(run.watermarkFrom?.getTime()).toBe(startedMs - WATERMARK_OVERLAP_MS)
    const changed = hub.fake.requests.slice(from).filter(({ params }) => params['vm_processed_after'])
    expect(changed.map(({ params }) => Date.parse(params['vm_processed_after']!))).toEqual([
      startedMs - WATERMARK_OVERLAP_MS,
    ])
  })
})

test('T26: data that arrives late, with an old date of scan, comes in with the next delta', async ({
  db,
}) => {
  await withHub(
    { pool: db, estate: { hosts: [{ id: '7', detections: [{ qid: '38100' }] }] } },
    async (hub) => {
      await hub.sync('full')
      nextDay(hub)
      hub.estate.override('7', {
        host: { scanned: hub.clock.nowMs() - 30 * DAY_MS, processed: hub.clock.nowMs() },
        addDetections: [{ qid: '38101' }],
      })
      nextDay(hub)
      const run = await hub.sync('delta')
      expect([run.mode, run.expectedHosts]).toEqual(['delta', 1])
      expect((await db.query('select 1 from finding')).rowCount).toBe(2)
    },
  )
})

test('a delta in which nothing happened asks for no detections and moves the watermark', async ({ db }) => {
  await withHub({ pool: db, estate: SMALL }, async (hub) => {
    await hub.sync('full')
    hub.clock.advance(3 * DAY_MS)
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    const run = await hub.sync('delta')
    expect([run.state, run.expectedHosts, lastDetectionCalls(hub, from)]).toEqual(['COMPLETE', 0, []])
    expect(await watermarkOf(hub)).toBe(before.atMs - WATERMARK_OVERLAP_MS)
    await expectHonest(hub, { run, before })
  })
})

test('T10: a host that the detections leave out is present, clean and no gap', async ({ db }) => {
  const hosts = [{ id: '7', detections: [{ qid: '38100' }] }, { id: '8' }]
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    for (const mode of ['full', 'full', 'delta'] as const) {
      const before = await rememberStore(hub)
      const run = await hub.sync(mode)
      expect([run.state, run.visibleHosts]).toEqual(['COMPLETE', 2])
      await expectHonest(hub, { run, before })
    }
    const clean = await db.query(
      `select h.removed_at, h.lists_missing, (select count(*)::int from finding f where f.place_id = h.id) as findings
         from host h where h.host_id = 8`,
    )
    expect(clean.rows).toEqual([{ removed_at: null, lists_missing: 0, findings: 0 }])
  })
})

test('an estate without any host is a complete run of nothing', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: [] } }, async (hub) => {
    const run = await hub.sync('full')
    expect([run.state, run.visibleHosts, run.expectedHosts]).toEqual(['COMPLETE', 0, 0])
  })
})

describe('the scope', () => {
  const scope = { user: 'a', modules: 'x' }
  const drift = (before: number, now: number) =>
    describeDrift({ scope, visibleHosts: before }, { scope, visibleHosts: now })

  pure('five percent more or fewer hosts are everyday life, beyond that the scope has drifted', () => {
    expect([drift(1000, 1050), drift(1000, 950)]).toEqual([null, null])
    expect(drift(1000, 1051)).toBe('visible hosts: 1000 before, 1051 now')
    expect(drift(1000, 949)).toBe('visible hosts: 1000 before, 949 now')
  })

  pure('in a small estate ten hosts are no drift', () => {
    expect([drift(12, 2), drift(0, 10)]).toEqual([null, null])
    expect([drift(12, 1), drift(0, 11)]).not.toContain(null)
  })

  pure('what decides what is seen is named when it changes, whatever the order of its parts', () => {
    expect(
      describeDrift(
        { scope, visibleHosts: 5 },
        { scope: { ...scope, user: 'b', tag: 'T' }, visibleHosts: 5 },
      ),
    ).toBe('changed: tag, user')
    expect(describeDrift(null, { scope, visibleHosts: 5 })).toBeNull()
    expect(scopeFingerprint({ modules: 'x', user: 'a' })).toBe(scopeFingerprint(scope))
    expect(scopeFingerprint({ user: 'a' })).not.toBe(scopeFingerprint(scope))
  })
})

describe('T41: the size of a batch', () => {
  const sums = (bytesPerHost: number, durationMsMax = 1_000) => ({
    receivedHosts: 100,
    bytes: String(bytesPerHost * 100),
    durationMsMax,
  })
  pure('grows to four times at most and stays within its bounds', () => {
    expect(nextBatchHosts(500, sums(1_000))).toBe(2_000)
    expect(nextBatchHosts(4_000, sums(1_000))).toBe(5_000)
  })
  pure('shrinks at once when hosts are large or the far side is slow', () => {
    expect(nextBatchHosts(500, sums(2 * 1024 * 1024))).toBe(128)
    expect(nextBatchHosts(500, sums(1_000, 240_000))).toBe(250)
    expect(nextBatchHosts(60, sums(100 * 1024 * 1024))).toBe(50)
  })
  pure('stays when nothing came', () => {
    expect(nextBatchHosts(700, { receivedHosts: 0, bytes: '0', durationMsMax: 0 })).toBe(700)
  })
})
