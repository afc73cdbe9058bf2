import { expect, vi } from 'vitest'
import { sync } from '../../src/engine/sync.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { listRunCalls, listRunWaits } from '../../src/store/queries/run-waits.ts'
import { getUnfinishedRun } from '../../src/store/queries/runs.ts'
import { test } from '../support/database.ts'
import { DETECTIONS, ID_LIST, callsSince, onDayOne } from '../support/day-one.ts'
import { engineDeps } from '../support/hub.ts'
import { expectConverged, expectHonest, rememberStore } from '../support/oracle.ts'

const MINUTE_MS = 60_000

test('fault 9: 409/1960 for ten minutes is waited out without hammering', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    const busy = hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, kind: 'busy' })
    hub.fake.faults.add({
      match: { ...DETECTIONS, times: Infinity },
      kind: 'estate',
      run: () => hub.clock.nowMs() > before.atMs + 10 * MINUTE_MS && busy.remove(),
    })
    const run = await hub.sync('full')
    expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
    expect(hub.clock.nowMs()).toBeGreaterThan(before.atMs + 10 * MINUTE_MS)
    // Five seconds at least between two calls, and twice as long after each refusal.
    const calls = hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === 'detection')
    const waitsMs = calls.slice(1).map((call, index) => call.at - calls[index]!.at)
    for (const [index, waitMs] of waitsMs.slice(0, busy.hits).entries())
      expect(waitMs).toBeGreaterThanOrEqual(Math.min(5_000 * 2 ** index, 5 * MINUTE_MS))
    expect(busy.hits).toBeGreaterThan(3)
    expect(busy.hits).toBeLessThanOrEqual(10)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('fault 10: 409/1965 with 3,500 seconds parks the work, which is asked for by no other batch meanwhile', async ({
  db,
}) => {
  await onDayOne({ pool: db, estate: { hosts: 120, detectionsPerHost: 1 }, batchesMax: 1 }, async (hub) => {
    await db.query(`update module_state set cursor = cursor || '{"batchHosts": 50}'`)
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    hub.fake.faults.add({ match: DETECTIONS, kind: 'spent', seconds: 3_500 })
    const run = await hub.sync('full')
    expect(run.state).toBe('COMPLETE')
    const calls = hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === 'detection')
    // Three batches: none of the others asks while the first one is refused.
    expect(calls).toHaveLength(4)
    expect(calls[1]!.at - calls[0]!.at).toBeGreaterThanOrEqual(3_500_000)
    // A person is told what it waited for, how long, and by whose word.
    const [longest] = await listRunWaits(db, { runId: run.id, now: new Date(hub.clock.nowMs()) })
    expect(longest).toMatchObject({
      what: 'fo/asset/host/vm/detection',
      cause: 'rate_limit',
      waits: 1,
      reason: 'Qualys says that the budget of this endpoint is used up',
    })
    expect(longest!.waitedMs).toBeGreaterThanOrEqual(3_500_000)
    expect(longest!.waitedMs).toBeLessThan(3_600_000)
    expect(await listRunCalls(db, run.id)).toContainEqual(
      expect.objectContaining({ endpoint: 'fo/asset/host/vm/detection', calls: 4 }),
    )
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('fault 11: 429 without a header is waited for as long as an hour', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    hub.fake.faults.add({ match: DETECTIONS, kind: 'too-many-requests' })
    const run = await hub.sync('full')
    expect(run.state).toBe('COMPLETE')
    const calls = hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === 'detection')
    expect(calls.length).toBe(2)
    expect(calls[1]!.at - calls[0]!.at).toBeGreaterThanOrEqual(60 * MINUTE_MS)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('fault 10: a list of ids that is refused for an hour is asked for once, then once more', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    hub.fake.faults.add({ match: ID_LIST, kind: 'spent', seconds: 3_500 })
    const run = await hub.sync('full')
    expect([run.state, callsSince(hub, from, ID_LIST)]).toEqual(['COMPLETE', 2])
    await expectHonest(hub, { run, before })
  })
})

test('fault 10: 409/1965 with 86,000 seconds: a parked run holds nothing, and a process that takes it over knows until when not to call', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    hub.fake.faults.add({ match: DETECTIONS, kind: 'spent', seconds: 86_000 })
    // The clock of the first process stands, so it sleeps until it is stopped.
    const clock = new ManualClock(hub.clock.nowMs())
    const first = engineDeps({ pool: db, worker: 'first' }, { clock, url: hub.fake.url })
    const stop = new AbortController()
    const request = { integrationId: hub.integrationId, trigger: 'manual', mode: 'full' } as const
    const ended = sync(first, request, stop.signal).catch((error: unknown) => error)
    const parked = await vi.waitFor(
      async () => {
        const run = await getUnfinishedRun(db, hub.integrationId)
        if (run?.waitingUntil) return run
        throw new Error('The run does not wait yet.')
      },
      { timeout: 50_000, interval: 20 },
    )
    const notBeforeMs = before.atMs + 86_000_000
    expect(parked.waitingUntil!.getTime()).toBeGreaterThanOrEqual(notBeforeMs)
    expect(parked.waitingReason).toMatch(/1965/)
    const held = await db.query(`select 1 from slot union all select 1 from batch where state = 'claimed'`)
    expect(held.rows).toEqual([])
    stop.abort(new Error('The first process stops.'))
    expect(await ended).toEqual(new Error('The first process stops.'))

    const run = await hub.sync('full')
    expect([run.id, run.state]).toEqual([parked.id, 'COMPLETE'])
    const calls = hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === 'detection')
    expect(calls).toHaveLength(2)
    expect(calls[1]!.at).toBeGreaterThanOrEqual(notBeforeMs)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})
