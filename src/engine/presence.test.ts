import type pg from 'pg'
import { expect } from 'vitest'
import type { HostSpec } from '../../fakes/qualys/estate/types.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { test } from '../../test/support/database.ts'
import { nextDay } from '../../test/support/day-one.ts'
import { type TestHub, engineDeps, withHub } from '../../test/support/hub.ts'
import { expectConverged, expectHonest, rememberStore, storedLives } from '../../test/support/oracle.ts'
import { sync } from './sync.ts'

/** Each host has an open, a fixed and an ignored finding. */
function hostsWithThree(count: number, fields: Partial<HostSpec> = {}): HostSpec[] {
  return Array.from({ length: count }, (_, index) => ({
    id: String(1001 + index),
    detections: [
      { qid: '38100', status: 'Active' },
      { qid: '38101', status: 'Fixed' },
      { qid: '38102', status: 'Active', ignored: true },
    ],
    ...fields,
  }))
}

/** The states of a host's findings, in the order of their QIDs. */
async function statesOf(db: pg.Pool, hostId: string): Promise<string[]> {
  const { rows } = await db.query<{ state: string }>(
    'select f.state from finding f join host h on h.id = f.place_id where h.host_id = $1 order by f.issue_key',
    [hostId],
  )
  return rows.map((row) => row.state)
}

async function eventsOf(db: pg.Pool, hostId: string): Promise<string[]> {
  const { rows } = await db.query<{ step: string }>(
    `select f.issue_key || ': ' || e.old_state || ' → ' || e.new_state as step
       from event e join finding f on f.place_id = e.place_id and f.id = e.finding_id
       join host h on h.id = e.place_id where h.host_id = $1 order by e.seen_at, e.id`,
    [hostId],
  )
  return rows.map((row) => row.step)
}

async function honestSync(hub: TestHub, mode: 'full' | 'delta' = 'delta') {
  const before = await rememberStore(hub)
  const run = await hub.sync(mode)
  await expectHonest(hub, { run, before })
  return run
}

/** The same hub, whose integration logs in as somebody else. */
function hubOf(hub: TestHub, pool: pg.Pool, username: string): TestHub {
  const deps = engineDeps({ pool, config: { username } }, { clock: hub.clock, url: hub.fake.url })
  const request = { integrationId: hub.integrationId, trigger: 'manual' } as const
  const signal = new AbortController().signal
  return { ...hub, deps, sync: (mode = 'delta') => sync(deps, { ...request, mode }, signal) }
}

const ORDINARY = ['open', 'fixed', 'suppressed']
const SCOPED: Pick<HostSpec, 'tags'> = { tags: ['Production'] }

test('T14: a purged host closes nothing', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hostsWithThree(4) } }, async (hub) => {
    await honestSync(hub, 'full')
    nextDay(hub)
    hub.estate.override('1002', { purged: true })
    expect((await honestSync(hub)).state).toBe('COMPLETE')
    expect(await statesOf(db, '1002')).toEqual(ORDINARY)
    expect(await eventsOf(db, '1002')).toEqual([])

    // Missing from two complete lists in a row: it is removed, and that is no fix.
    nextDay(hub)
    await honestSync(hub)
    expect(await statesOf(db, '1002')).toEqual(['host_removed', 'fixed', 'host_removed'])
    expect(await eventsOf(db, '1002')).toEqual([
      '38100: open → host_removed',
      '38102: suppressed → host_removed',
    ])
    expect(await statesOf(db, '1001')).toEqual(ORDINARY)
    await expectConverged(hub)
  })
})

test('a host that is missing from one list alone was never away', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hostsWithThree(4) } }, async (hub) => {
    await honestSync(hub, 'full')
    for (let round = 0; round < 3; round += 1) {
      nextDay(hub)
      hub.estate.override('1002', { hiddenFrom: [DEFAULT_USER.username], silent: true })
      await honestSync(hub)
      nextDay(hub)
      hub.estate.override('1002', { hiddenFrom: [], silent: true })
      await honestSync(hub)
    }
    expect(await eventsOf(db, '1002')).toEqual([])
    await expectConverged(hub)
  })
})

test('T14: a removed host that comes back is as it was, without loss', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hostsWithThree(4) } }, async (hub) => {
    await honestSync(hub, 'full')
    const lives = await storedLives(db)
    hub.estate.override('1002', { hiddenFrom: [DEFAULT_USER.username], silent: true })
    for (let day = 0; day < 3; day += 1) {
      nextDay(hub)
      await honestSync(hub)
    }
    expect(await statesOf(db, '1002')).toEqual(['host_removed', 'fixed', 'host_removed'])
    nextDay(hub)
    hub.estate.override('1002', { hiddenFrom: [], silent: true })
    await honestSync(hub)
    expect(await statesOf(db, '1002')).toEqual(ORDINARY)
    expect(await storedLives(db)).toEqual(lives)
    expect(await eventsOf(db, '1002')).toEqual([
      '38100: open → host_removed',
      '38102: suppressed → host_removed',
      '38100: host_removed → open',
      '38102: host_removed → suppressed',
    ])
    await expectConverged(hub)
  })
})

test('T18: a changed tag or role closes nothing', async ({ db }) => {
  const hosts = [...hostsWithThree(24, SCOPED), { id: '2001', detections: [{ qid: '38100' }] }]
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await honestSync(hub, 'full')
    const lives = await storedLives(db)
    const byTag = { ...DEFAULT_USER, canSee: seesTag('Production') }
    hub.fake.users = [byTag]
    hub.estate.removeTag('Production')

    // The account sees nothing any more: the run is made full and says why, and nobody is counted as missing.
    nextDay(hub)
    const drifted = await honestSync(hub)
    expect([drifted.mode, drifted.scopeDrift]).toEqual(['full', 'visible hosts: 25 before, 0 now'])
    expect(await storedLives(db)).toEqual(lives)
    nextDay(hub)
    await honestSync(hub)
    expect(await storedLives(db)).toEqual(lives)

    // After two more complete lists they have left, which is no fix.
    nextDay(hub)
    await honestSync(hub)
    expect(await statesOf(db, '1001')).toEqual(['host_removed', 'fixed', 'host_removed'])

    // The role is put right: everything is as it was.
    nextDay(hub)
    hub.fake.users = [DEFAULT_USER]
    const back = await honestSync(hub)
    expect([back.mode, back.scopeDrift]).toEqual(['full', 'visible hosts: 0 before, 25 now'])
    expect(await storedLives(db)).toEqual(lives)
    await expectConverged(hub)
  })
})

function seesTag(name: string): (host: { tags: readonly { name: string }[] }) => boolean {
  return (host) => host.tags.some((tag) => tag.name === name)
}

test('T18: a tag that is taken away in the middle of a run closes nothing', async ({ db }) => {
  // One batch after the other: the descriptions come before the tag goes.
  await withHub({ pool: db, estate: { hosts: hostsWithThree(5, SCOPED) }, batchesMax: 1 }, async (hub) => {
    await honestSync(hub, 'full')
    nextDay(hub)
    hub.fake.users = [{ ...DEFAULT_USER, canSee: seesTag('Production') }]
    hub.fake.faults.add({ match: { endpoint: 'detection' }, kind: 'remove-tag', name: 'Production' })
    const run = await honestSync(hub, 'full')
    // The ids were listed, then nothing was shown of them: asked twice, told twice, stale, and the run says so.
    expect(run.message).toBe('Every host was asked; 5 open findings were left out twice and are stale now.')
    expect(await statesOf(db, '1003')).toEqual(['stale', 'fixed', 'suppressed'])
    hub.fake.users = [DEFAULT_USER]
    await expectConverged(hub)
  })
})

test('T18: another user who sees less puts hosts out of scope, and back without loss', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hostsWithThree(4) } }, async (hub) => {
    await honestSync(hub, 'full')
    const lives = await storedLives(db)
    // Another user with the same rights is another scope: what it does not see is not known to be gone.
    const other = { username: 'other_user', password: DEFAULT_USER.password, role: 'Manager' }
    hub.fake.users = [DEFAULT_USER, other]
    hub.estate.override('1002', { hiddenFrom: ['other_user'], silent: true })
    const asOther = hubOf(hub, db, other.username)
    nextDay(hub)
    const drifted = await honestSync(asOther)
    expect([drifted.mode, drifted.scopeDrift]).toEqual(['full', 'changed: user'])
    nextDay(hub)
    await honestSync(asOther)
    expect(await statesOf(db, '1002')).toEqual(ORDINARY)
    nextDay(hub)
    await honestSync(asOther)
    expect(await statesOf(db, '1002')).toEqual(['out_of_scope', 'fixed', 'out_of_scope'])
    nextDay(hub)
    await honestSync(hub)
    expect(await statesOf(db, '1002')).toEqual(ORDINARY)
    expect(await storedLives(db)).toEqual(lives)
    await expectConverged(hub)
  })
})

test('T17: two hosts that are merged in the middle of a run lose nothing and close nothing', async ({
  db,
}) => {
  await withHub(
    { pool: db, estate: { hosts: 6, detectionsPerHost: 5, purgeShare: 0, mergeShare: 0 } },
    async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      const [winner, loser] = [...hub.estate.hosts()].map((host) => host.id)
      hub.fake.faults.add({
        match: { endpoint: 'detection' },
        kind: 'merge-hosts',
        from: loser!,
        to: winner!,
      })
      await honestSync(hub, 'full')
      expect(new Set(await statesOf(db, loser!))).not.toContain('host_removed')
      const fixedBefore = (await statesOf(db, loser!)).filter((state) => state === 'fixed').length
      for (let day = 0; day < 2; day += 1) {
        nextDay(hub)
        await honestSync(hub)
      }
      const states = await statesOf(db, loser!)
      expect(states.filter((state) => state === 'fixed')).toHaveLength(fixedBefore)
      expect(states).toContain('host_removed')
      await expectConverged(hub)
    },
  )
})

test('what is owed of a host that leaves is settled, with the reason', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hostsWithThree(4) } }, async (hub) => {
    await honestSync(hub, 'full')
    nextDay(hub)
    hub.estate.override('1002', {
      detections: [{ match: { qid: '38100' }, change: { status: 'Mitigated' } }],
    })
    expect((await honestSync(hub)).state).toBe('PARTIAL')
    expect(await statesOf(db, '1002')).toEqual(ORDINARY)
    hub.estate.override('1002', { purged: true })
    for (let day = 0; day < 2; day += 1) {
      nextDay(hub)
      await honestSync(hub)
    }
    const { rows } = await db.query('select reason from gap where settled_at is not null')
    expect(rows).toEqual([{ reason: expect.stringMatching(/Mitigated.*has left since/) as string }])
    await expectConverged(hub)
  })
})
