import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { DESCRIPTIONS, DETECTIONS, nextDay } from '../../test/support/day-one.ts'
import { withHub } from '../../test/support/hub.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../../test/support/oracle.ts'

const QID = '38100'
const OTHER_QID = '38101'
const kb = [QID, OTHER_QID, '38102'].map((qid) => ({ qid, title: `Update ${qid}` }))
const two = {
  kb,
  hosts: [
    { id: '101', detections: [{ qid: QID }] },
    { id: '102', detections: [{ qid: QID }, { qid: OTHER_QID }] },
  ],
}

async function gapRows(db: pg.Pool): Promise<unknown[]> {
  const { rows } = await db.query('select key, tries, settled_at is null as open from gap order by id')
  return rows
}

test('a host of which a record is owed settles nothing by being left out of the next answers', async ({
  db,
}) => {
  await withHub({ pool: db, estate: two }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    hub.estate.override('102', {
      detections: [{ match: {}, change: 'fix' }],
      addDetections: [{ qid: '38102', status: 'Perhaps' }],
    })
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    const key = 'host 102, QID 38102'
    expect(await gapRows(db)).toEqual([{ key, tries: 1, open: true }])

    nextDay(hub)
    const drop = hub.fake.faults.add({
      match: { ...DETECTIONS, times: Infinity },
      kind: 'drop-hosts',
      ids: ['102'],
    })
    const before = await rememberStore(hub)
    const run = await hub.sync('full')
    expect([run.state, drop.hits]).toEqual(['PARTIAL', 2])
    expect(await gapRows(db)).toEqual([{ key, tries: 2, open: true }])
    await expectHonest(hub, { run, before })

    drop.remove()
    hub.estate.override('102', { detections: [{ match: { qid: '38102' }, change: { status: 'Active' } }] })
    expect((await hub.sync('delta')).state).toBe('COMPLETE')
    await expectConverged(hub)
  })
})

test('a host that could not be had and never had a finding is settled when it is left out twice', async ({
  db,
}) => {
  const estate = { kb, hosts: [...two.hosts, { id: '103' }] }
  await withHub({ pool: db, estate }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    const bomb = hub.fake.faults.add({
      match: { ...DETECTIONS, ids: ['103'], times: Infinity },
      kind: 'entity-bomb',
    })
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    expect((await openGaps(db)).map((gap) => gap.key)).toEqual(['103'])
    bomb.remove()
    const from = hub.fake.requests.length
    expect((await hub.sync('delta')).state).toBe('COMPLETE')
    const asked = hub.fake.requests.slice(from).filter(({ endpoint }) => endpoint === 'detection')
    expect(asked.map(({ params }) => params['ids'])).toEqual(['103', '103'])
    await expectConverged(hub)
  })
})

test('what the second answer of a run brings whole is no gap at its end', async ({ db }) => {
  await withHub({ pool: db, estate: two }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    hub.estate.override('102', {
      detections: [
        { match: { qid: QID }, change: { status: 'Perhaps' } },
        { match: { qid: OTHER_QID }, change: 'remove' },
      ],
    })
    hub.fake.faults.add({
      match: { ...DETECTIONS, nth: 2 },
      kind: 'estate',
      run: (estate) =>
        estate.override('102', {
          detections: [{ match: { qid: QID }, change: { status: 'Active' } }],
          addDetections: [{ qid: OTHER_QID }],
        }),
    })
    const before = await rememberStore(hub)
    const run = await hub.sync('full')
    expect(await gapRows(db)).toEqual([{ key: 'host 102, QID 38100', tries: 1, open: false }])
    expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
    await expectHonest(hub, { run, before })
  })
})

test('a description that is owed is one gap, whatever comes of the findings of its host', async ({ db }) => {
  await withHub({ pool: db, estate: two, batchesMax: 1 }, async (hub) => {
    const drop = hub.fake.faults.add({
      match: { ...DESCRIPTIONS, times: Infinity },
      kind: 'drop-hosts',
      ids: ['102'],
    })
    for (const tries of [1, 2, 3]) {
      expect((await hub.sync('full')).state).toBe('PARTIAL')
      expect(await gapRows(db)).toEqual([{ key: 'host 102, description', tries, open: true }])
      nextDay(hub)
    }
    drop.remove()
    expect((await hub.sync('full')).state).toBe('COMPLETE')
    expect(await gapRows(db)).toEqual([{ key: 'host 102, description', tries: 3, open: false }])
  })
})
