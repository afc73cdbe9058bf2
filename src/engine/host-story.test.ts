import type pg from 'pg'
import { expect } from 'vitest'
import { isoSeconds } from '../../fakes/qualys/estate/time.ts'
import type { HostSpec } from '../../fakes/qualys/estate/types.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { type HostDetail, type HostState, getHost, listHosts } from '../store/queries/host-list.ts'
import { test } from '../../test/support/database.ts'
import { nextDay } from '../../test/support/day-one.ts'
import { type TestHub, engineDeps, withHub } from '../../test/support/hub.ts'
import { doubtsOf, whyOf } from './host-standing.ts'
import { sync } from './sync.ts'

const hosts = (count: number, fields: Partial<HostSpec> = {}): HostSpec[] =>
  Array.from({ length: count }, (_, index) => ({
    id: String(1001 + index),
    detections: [{ qid: '38100' }, { qid: '38101', status: 'Fixed' }],
    ...fields,
  }))

async function detailOf(
  hub: TestHub,
  hostId: string,
): Promise<HostDetail & { why: string; doubts: string[] }> {
  const now = new Date(hub.clock.nowMs())
  const [row] = await listHosts(hub.deps.pool, { host: hostId }, { now, afterId: '0', limit: 2 })
  const detail = await getHost(hub.deps.pool, { placeId: row!.placeId, now })
  return { ...detail!, why: whyOf(detail!, now), doubts: doubtsOf(detail!) }
}

async function idsInState(hub: TestHub, state: HostState): Promise<string[]> {
  const page = { now: new Date(hub.clock.nowMs()), afterId: '0', limit: 100 }
  return (await listHosts(hub.deps.pool, { state }, page)).map((row) => row.hostId)
}

interface Told {
  kind: string
  run: string
  reason: string
}

async function toldOf(db: pg.Pool, hostId: string): Promise<Told[]> {
  const { rows } = await db.query<Told>(
    `select e.kind, e.run_id as run, e.reason from host_event e join host h on h.id = e.place_id
      where h.host_id = $1 order by e.id`,
    [hostId],
  )
  return rows
}

test('T14: a host that is purged says in which runs it was missing, why it counts as removed, and that it is no fix', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: hosts(4) } }, async (hub) => {
    const first = await hub.sync('full')
    expect(await detailOf(hub, '1002')).toMatchObject({
      state: 'present',
      why: `On the complete list of 2026-10-01 in run ${first.id}.`,
    })
    hub.estate.override('1002', { purged: true })
    nextDay(hub)
    const second = await hub.sync()
    expect(await idsInState(hub, 'missing')).toEqual(['1002'])
    expect((await detailOf(hub, '1002')).why).toBe(
      `Last listed on 2026-10-01 in run ${first.id}, missing from 1 complete list since. One more and it has left; until then its findings are as they were.`,
    )
    nextDay(hub)
    const third = await hub.sync()
    const detail = await detailOf(hub, '1002')
    expect(detail.state).toBe('removed')
    expect(detail.why).toMatch(/removed since 2026-10-03: purged at Qualys, or no longer shown .* no fix\.$/)
    expect(detail.findings).toEqual([
      { state: 'fixed', count: 1 },
      { state: 'host_removed', count: 1 },
    ])
    expect((await toldOf(db, '1002')).map(({ kind, run }) => [kind, run])).toEqual([
      ['listed', first.id],
      ['missing', second.id],
      ['missing', third.id],
      ['removed', third.id],
    ])
    expect(await idsInState(hub, 'present')).toEqual(['1001', '1003', '1004'])
  })
})

test('a run in which nothing has changed writes nothing about any host', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hosts(20) } }, async (hub) => {
    await hub.sync('full')
    const told = async () => (await db.query('select * from host_event order by id')).rows
    const before = await told()
    expect(before).toHaveLength(20)
    const identifiers = (await db.query('select * from host_identifier')).rows
    for (const mode of ['full', 'delta'] as const) {
      nextDay(hub)
      await hub.sync(mode)
    }
    expect(await told()).toEqual(before)
    expect((await db.query('select * from host_identifier')).rows).toEqual(identifiers)
  })
})

test('T18: a host that another user does not see is out of scope with what has changed, and back as it was', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: hosts(4) } }, async (hub) => {
    const first = await hub.sync('full')
    const other = { username: 'other_user', password: DEFAULT_USER.password, role: 'Manager' }
    hub.fake.users = [DEFAULT_USER, other]
    hub.estate.override('1002', { hiddenFrom: ['other_user'], silent: true })
    const deps = engineDeps(
      { pool: db, config: { username: 'other_user' } },
      { clock: hub.clock, url: hub.fake.url },
    )
    const request = { integrationId: hub.integrationId, trigger: 'manual', mode: 'delta' } as const
    for (let day = 0; day < 3; day += 1) {
      nextDay(hub)
      await sync(deps, request, new AbortController().signal)
    }
    expect(await idsInState(hub, 'out_of_scope')).toEqual(['1002'])
    expect((await toldOf(db, '1002')).at(-1)).toMatchObject({
      kind: 'out_of_scope',
      reason: `Missing from 2 complete lists since what this account can see has changed (user), last listed in run ${first.id}. That is no fix.`,
    })
    nextDay(hub)
    await hub.sync()
    const detail = await detailOf(hub, '1002')
    expect(detail).toMatchObject({ state: 'present', findings: [{ state: 'fixed' }, { state: 'open' }] })
    // The run in which the scope changed counted nobody as missing.
    expect((await toldOf(db, '1002')).map((event) => event.kind)).toEqual([
      'listed',
      'missing',
      'missing',
      'out_of_scope',
      'in_scope_again',
    ])
  })
})

test('T18: a host that loses and regains the tag by which the account sees hosts loses nothing', async ({
  db,
}) => {
  const tagged = hosts(24, { tags: ['Production'] })
  await withHub({ pool: db, estate: { hosts: tagged } }, async (hub) => {
    hub.fake.users = [
      { ...DEFAULT_USER, canSee: (host) => host.tags.some((tag) => tag.name === 'Production') },
    ]
    await hub.sync('full')
    const findings = async () =>
      (
        await db.query(
          'select place_id, id, state, opened_at, first_found_effective_at from finding order by id',
        )
      ).rows
    const before = await findings()
    hub.estate.override('1002', { tags: ['Retired'] })
    for (let day = 0; day < 2; day += 1) {
      nextDay(hub)
      await hub.sync()
    }
    // Two of many hosts are no drift: it is told as removed, with both reasons that may be behind it.
    expect(await detailOf(hub, '1002')).toMatchObject({
      state: 'removed',
      why: expect.stringContaining('purged at Qualys, or no longer shown to this account') as string,
    })
    nextDay(hub)
    hub.estate.override('1002', { tags: ['Production'] })
    await hub.sync()
    expect(await findings()).toEqual(before)
    expect((await toldOf(db, '1002')).at(-1)).toMatchObject({ kind: 'back' })
  })
})

test('T20: an agent that reports without scanning is stale, and its module or licence is named as the cause', async ({
  db,
}) => {
  const agent = { trackingMethod: 'AGENT', qgHostId: '6f9619ff-8b86-d011-b42d-00c04fc964ff' }
  await withHub({ pool: db, estate: { hosts: [...hosts(1, agent), { id: '2001' }] } }, async (hub) => {
    await hub.sync('full')
    nextDay(hub, 45)
    const now = isoSeconds(hub.clock.nowMs())
    hub.estate.override('1001', {
      host: { raw: { LAST_ACTIVITY: now, AGENT_STATUS: 'STATUS_ACTIVE' } },
      silent: true,
    })
    await hub.sync('full')
    const detail = await detailOf(hub, '1001')
    expect(detail.state).toBe('stale')
    expect(detail.why).toMatch(
      /not scanned for vulnerabilities since 2026-10-01 \(45 days\)\. Its agent reports \(STATUS_ACTIVE\), last on 2026-11-15: its VM module is switched off, or the licence has run out\.$/,
    )
    // What was found is as it was: nobody has said anything else.
    expect(detail.findings).toEqual([
      { state: 'fixed', count: 1 },
      { state: 'open', count: 1 },
    ])
  })
})

test('T21: a host that no scan has reached for a month is stale with its findings open, until one reaches it', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: hosts(2) } }, async (hub) => {
    await hub.sync('full')
    nextDay(hub, 31)
    hub.estate.override('1001', {})
    await hub.sync('full')
    expect([await idsInState(hub, 'stale'), await idsInState(hub, 'present')]).toEqual([['1002'], ['1001']])
    const detail = await detailOf(hub, '1002')
    expect(detail.why).toMatch(/No scan has reached it: it is off, or no longer in the scan\.$/)
    expect(detail.findings).toContainEqual({ state: 'open', count: 1 })
    hub.estate.override('1002', {})
    nextDay(hub)
    await hub.sync()
    expect(await idsInState(hub, 'stale')).toEqual([])
  })
})

test('T22: a scan without authentication leaves a note of what it did not test', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hosts(2) } }, async (hub) => {
    await hub.sync('full')
    expect((await detailOf(hub, '1001')).doubts).toEqual([])
    nextDay(hub, 5)
    hub.estate.override('1001', {})
    await hub.sync()
    const detail = await detailOf(hub, '1001')
    expect(detail.doubts).toEqual([
      '1 open finding was not tested by the last scan of 2026-10-06, the oldest not since 2026-10-01; it was not scanned with authentication since 2026-10-01.',
    ])
    expect(detail.state).toBe('present')
  })
})
