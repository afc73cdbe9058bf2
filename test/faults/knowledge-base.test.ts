import { expect } from 'vitest'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { test } from '../support/database.ts'
import { KNOWLEDGE_BASE, callsSince, nextDay, onDayOne } from '../support/day-one.ts'
import { type TestHub, withHub } from '../support/hub.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

async function mostOpenQid(hub: TestHub): Promise<string> {
  for (const host of hub.estate.truth().hosts())
    for (const detection of host.detections()) if (detection.status === 'Active') return detection.qid
  throw new Error('The estate has no open finding.')
}

test('T35, fault 18: a QID that the knowledge base does not know becomes a tombstone, and its findings are in', async ({
  db,
}) => {
  const qid = '999001'
  const extraHosts = [{ id: '77', detections: [{ qid }, { qid: '38100' }] }]
  await withHub({ pool: db, estate: { hosts: 5, detectionsPerHost: 5, extraHosts } }, async (hub) => {
    const before = await rememberStore(hub)
    const run = await hub.sync('full')
    expect([run.state, run.message]).toEqual([
      'COMPLETE',
      'Everything that was expected came. The knowledge base does not know 1 QID of open findings; see: patchbay vuln list --missing.',
    ])
    await expectHonest(hub, { run, before })
    const stored = () =>
      db
        .query('select is_known, missing_tries from vulnerability where issue_key = $1', [qid])
        .then(({ rows }) => rows)
    expect(await stored()).toEqual([{ is_known: false, missing_tries: 1 }])

    // It is asked for again ever more rarely.
    const days = [1, 2, 3, 6, 7, 14, 15, 29, 30, 60, 89, 90]
    const tries: number[] = []
    for (const [index, day] of days.entries()) {
      hub.clock.advance((day - (days[index - 1] ?? 0)) * DAY_MS)
      expect((await hub.sync('delta')).state).toBe('COMPLETE')
      tries.push((await stored())[0].missing_tries)
    }
    expect(tries).toEqual([2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 7, 8])

    hub.estate.setKb({ qid, title: 'Known at last', lastServiceModification: hub.clock.nowMs() })
    hub.clock.advance(DAY_MS)
    await hub.sync('delta')
    expect(await stored()).toEqual([{ is_known: true, missing_tries: 0 }])
    expect(await openGaps(db)).toEqual([])
  })
})

test('fault 18: the one lane of the knowledge base is waited for when somebody else is in it', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: 5, detectionsPerHost: 5 } }, async (hub) => {
    const before = await rememberStore(hub)
    const busy = hub.fake.faults.add({ match: { ...KNOWLEDGE_BASE, times: 12 }, kind: 'busy' })
    const run = await hub.sync('full')
    expect([busy.hits, run.state]).toEqual([12, 'COMPLETE'])
    await expectHonest(hub, { run, before })
  })
})

test('T33 T34: unknown QIDs go in posts of at most 350, one after the other, and are not asked for again', async ({
  db,
}) => {
  await withHub({ pool: db, estate: { hosts: 60, detectionsPerHost: 40 } }, async (hub) => {
    expect((await hub.sync('full')).state).toBe('COMPLETE')
    const posts = hub.fake.requests.filter(({ endpoint }) => endpoint === 'knowledge-base')
    expect(posts.length).toBeGreaterThan(0)
    for (const post of posts) {
      const ranges = (post.params['ids'] ?? '').split(',').map((range) => range.split('-').map(Number))
      const count = ranges.reduce((sum, [min = 0, max = min]) => sum + max - min + 1, 0)
      expect([post.method, count]).toEqual(['POST', expect.toSatisfy((n: number) => n >= 1 && n <= 350)])
      expect(post.status).toBe(200)
    }
    const { rows } = await db.query(
      `select count(distinct issue_key)::int as missing from finding f
        where state = 'open' and not exists (select 1 from vulnerability v where v.issue_key = f.issue_key and v.is_known)`,
    )
    expect(rows).toEqual([{ missing: 0 }])
    const from = hub.fake.requests.length
    await hub.sync('full')
    // The second run asks for changes alone.
    expect(callsSince(hub, from, KNOWLEDGE_BASE)).toBe(1)
  })
})

test('fault 18: a knowledge base that stays broken leaves gaps; the findings count, and nothing is lost', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    hub.estate.override([...hub.estate.hosts()][0]!.id, { addDetections: [{ qid: '38100' }] })
    await db.query(`delete from vulnerability`)
    const before = await rememberStore(hub)
    const fault = hub.fake.faults.add({
      match: { ...KNOWLEDGE_BASE, times: Infinity },
      kind: 'html',
      page: 'login',
    })
    const run = await hub.sync('full')
    expect(run.state).toBe('PARTIAL')
    for (const gap of await openGaps(db)) expect(gap.kind).not.toBe('host')
    await expectHonest(hub, { run, before })
    fault.remove()
    await expectConverged(hub)
  })
})

test('T32: what changes in the knowledge base comes in without any new detection', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: 4, detectionsPerHost: 6, scanShare: 0 } }, async (hub) => {
    await hub.sync('full')
    const qid = await mostOpenQid(hub)
    nextDay(hub)
    hub.estate.setKb({ qid, title: 'A new title', lastServiceModification: hub.clock.nowMs() })
    expect((await hub.sync('delta')).state).toBe('COMPLETE')
    const { rows } = await db.query('select title from vulnerability where issue_key = $1', [qid])
    expect(rows).toEqual([{ title: 'A new title' }])
  })
})
