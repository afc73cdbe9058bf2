import { expect } from 'vitest'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { sync } from '../../src/engine/sync.ts'
import { test } from '../support/database.ts'
import { DETECTIONS, nextDay, onDayOneWithTickets } from '../support/day-one.ts'
import { engineDeps } from '../support/hub.ts'
import { expectConverged, expectHonest, rememberStore } from '../support/oracle.ts'

const HOUR_MS = 60 * 60_000
/** The smallest batches there are, so that a run has three. */
const THREE_BATCHES = { hosts: 120, detectionsPerHost: 2 }
const SMALL_BATCHES = `update module_state set cursor = cursor || '{"batchHosts": 50}'`

for (const [name, jumpMs] of [
  ['forward by a day', DAY_MS],
  ['back by a day', -DAY_MS],
  ['back into the month before', -3 * DAY_MS],
] as const)
  test(`fault 7: a clock that jumps ${name} in the middle of a run changes nothing that counts`, async ({
    db,
  }) => {
    const options = { pool: db, estate: THREE_BATCHES, batchesMax: 1 }
    await onDayOneWithTickets(options, async (hub) => {
      await db.query(SMALL_BATCHES)
      const before = await rememberStore(hub)
      // The clock of this machine alone; that of Qualys goes right.
      let offsetMs = 0
      const clock = {
        nowMs: () => hub.clock.nowMs() + offsetMs,
        sleep: (durationMs: number, signal?: AbortSignal) => hub.clock.sleep(durationMs, signal),
      }
      const jump = hub.fake.faults.add({
        match: { ...DETECTIONS, nth: 2 },
        kind: 'estate',
        run: () => (offsetMs = jumpMs),
      })
      const deps = engineDeps({ ...options, worker: 'jumping' }, { clock, url: hub.fake.url })
      const request = { integrationId: hub.integrationId, trigger: 'manual', mode: 'delta' } as const
      const run = await sync(deps, request, new AbortController().signal)
      expect(jump.hits).toBe(1)
      expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
      // The watermark follows the clock of Qualys, so nothing is skipped and nothing waits for a day.
      expect(hub.clock.nowMs()).toBeLessThan(before.atMs + HOUR_MS)
      await expectHonest(hub, { run, before })
      await hub.tickets.plan()
      await hub.tickets.send()

      nextDay(hub)
      const again = await rememberStore(hub)
      const next = await hub.sync('delta')
      expect(next.state).toBe('COMPLETE')
      await expectHonest(hub, { run: next, before: again })
      await expectConverged(hub)
    })
  })

for (const status of [200, 204] as const)
  test(`fault 16: an empty ${status} for the second of three batches costs a second try and closes nothing`, async ({
    db,
  }) => {
    await onDayOneWithTickets({ pool: db, estate: THREE_BATCHES, batchesMax: 1 }, async (hub) => {
      await db.query(SMALL_BATCHES)
      const before = await rememberStore(hub)
      const empty = hub.fake.faults.add({ match: { ...DETECTIONS, nth: 2 }, kind: 'empty', status })
      const run = await hub.sync('full')
      expect([empty.hits, run.state, run.message]).toEqual([
        1,
        'COMPLETE',
        'Everything that was expected came.',
      ])
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    })
  })

test('fault 17: a byte in a second, for all detections: they come in, however long it takes', async ({
  db,
}) => {
  await onDayOneWithTickets({ pool: db, batchesMax: 1 }, async (hub) => {
    const before = await rememberStore(hub)
    const match = { ...DETECTIONS, times: Infinity }
    const slow = hub.fake.faults.add({ match, kind: 'slow', bytesPerSecond: 1 })
    const run = await hub.sync('full')
    expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
    expect(slow.hits).toBeGreaterThan(0)
    expect(hub.clock.nowMs()).toBeGreaterThan(before.atMs + 1_000_000)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('fault 7: a clock that jumps by a year while a batch is on its way makes no number that cannot be kept', async ({
  db,
}) => {
  await onDayOneWithTickets({ pool: db, batchesMax: 1 }, async (hub) => {
    const before = await rememberStore(hub)
    let offsetMs = 0
    const clock = {
      nowMs: () => hub.clock.nowMs() + offsetMs,
      sleep: (durationMs: number, signal?: AbortSignal) => hub.clock.sleep(durationMs, signal),
    }
    hub.fake.faults.add({ match: DETECTIONS, kind: 'estate', run: () => (offsetMs = 365 * DAY_MS) })
    const deps = engineDeps({ pool: db, worker: 'jumping' }, { clock, url: hub.fake.url })
    const request = { integrationId: hub.integrationId, trigger: 'manual', mode: 'delta' } as const
    const run = await sync(deps, request, new AbortController().signal)
    // It also says that every scan looks a year old.
    expect(run.state).toBe('COMPLETE')
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('fault 20: a tag that is taken away in the middle of a run closes no finding and no ticket', async ({
  db,
}) => {
  await onDayOneWithTickets({ pool: db, batchesMax: 1 }, async (hub, hostIds) => {
    for (const id of hostIds) hub.estate.override(id, { addTags: ['Production'], silent: true })
    await hub.sync('full')
    const canSee = (host: { tags: readonly { name: string }[] }) =>
      host.tags.some(({ name }) => name === 'Production')
    hub.fake.users = [{ ...DEFAULT_USER, canSee }]
    nextDay(hub)
    const before = await rememberStore(hub)
    hub.fake.faults.add({ match: DETECTIONS, kind: 'remove-tag', name: 'Production' })
    const run = await hub.sync('full')
    // The ids were listed, then nothing was shown of them: not seen, which is not fixed, and the run says so.
    expect(run.message).toMatch(/open findings were left out twice and are stale now/)
    await expectHonest(hub, { run, before })
    hub.fake.users = [DEFAULT_USER]
    await expectConverged(hub)
  })
})

test('fault 21: two hosts that are merged in the middle of a run close no finding and no ticket', async ({
  db,
}) => {
  await onDayOneWithTickets({ pool: db, batchesMax: 1 }, async (hub, hostIds) => {
    const [winner = '', loser = ''] = hostIds
    const before = await rememberStore(hub)
    hub.fake.faults.add({ match: DETECTIONS, kind: 'merge-hosts', from: loser, to: winner })
    const run = await hub.sync('full')
    await expectHonest(hub, { run, before })
    for (let day = 0; day < 2; day += 1) {
      nextDay(hub)
      const again = await rememberStore(hub)
      const next = await hub.sync('delta')
      await expectHonest(hub, { run: next, before: again })
    }
    const { rows } = await db.query<{ state: string }>(
      `select distinct f.state from finding f join host h on h.id = f.place_id
        where h.host_id = $1 and f.type <> 'Info' order by 1`,
      [loser],
    )
    // Its id has vanished from two lists, which is no fix.
    expect(rows.map(({ state }) => state)).toContain('host_removed')
    expect(rows.map(({ state }) => state)).not.toContain('open')
    await expectConverged(hub)
  })
})
