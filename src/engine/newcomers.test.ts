import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { DETECTIONS, nextDay } from '../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../test/support/hub.ts'
import {
  expectConverged,
  expectHonest,
  rememberStore,
  storedLives,
  trueLives,
} from '../../test/support/oracle.ts'

/** Nothing is ever scanned again, so a delta by date alone finds no host. */
const STILL = {
  hosts: [
    { id: '101', detections: [{ qid: '38100' }, { qid: '38101' }] },
    { id: '102', detections: [{ qid: '38100' }] },
    { id: '103', detections: [{ qid: '38100' }] },
  ],
  kb: [
    { qid: '38100', title: 'One' },
    { qid: '38101', title: 'Two' },
  ],
}

const HIDDEN = { hiddenFrom: ['Manager'], silent: true }
const SHOWN = { hiddenFrom: [], silent: true }

/** A delta that could not ask by date: the last full run is three days ago. */
async function withOldHosts(
  pool: Parameters<typeof withHub>[0]['pool'],
  use: (hub: TestHub) => Promise<void>,
  hideFirst: boolean,
): Promise<void> {
  await withHub({ pool, estate: STILL }, async (hub) => {
    if (hideFirst) hub.estate.override('102', HIDDEN)
    expect((await hub.sync('full')).state).toBe('COMPLETE')
    nextDay(hub, 3)
    await hub.sync('delta')
    nextDay(hub)
    const quiet = await hub.sync('delta')
    expect([quiet.mode, quiet.expectedHosts]).toEqual(['delta', 0])
    await use(hub)
  })
}

test('a host that becomes visible is pulled by the next delta, however long ago it was processed', async ({
  db,
}) => {
  await withOldHosts(
    db,
    async (hub) => {
      hub.estate.override('102', SHOWN)
      const before = await rememberStore(hub)
      const run = await hub.sync('delta')
      expect([run.mode, run.state, run.expectedHosts]).toEqual(['delta', 'COMPLETE', 1])
      expect(await storedLives(db)).toEqual(trueLives(hub.estate))
      await expectHonest(hub, { run, before })
      expect((await hub.sync('delta')).expectedHosts).toBe(0)
      await expectConverged(hub)
    },
    true,
  )
})

test('a host that was missing from one list and changed meanwhile is pulled when it is listed again', async ({
  db,
}) => {
  await withOldHosts(
    db,
    async (hub) => {
      hub.estate.override('102', { detections: [{ match: {}, change: 'fix' }] })
      hub.estate.override('102', HIDDEN)
      nextDay(hub)
      await hub.sync('delta')
      hub.estate.override('102', SHOWN)
      const run = await hub.sync('delta')
      expect([run.mode, run.state, run.expectedHosts]).toEqual(['delta', 'COMPLETE', 1])
      expect(await storedLives(db)).toEqual(trueLives(hub.estate))
    },
    false,
  )
})

test('a newcomer whose run fails before it is pulled is pulled by the next delta', async ({ db }) => {
  await withOldHosts(
    db,
    async (hub) => {
      hub.estate.override('102', SHOWN)
      hub.fake.faults.add({
        match: { ...DETECTIONS },
        kind: 'simple-return',
        status: 403,
        code: 2012,
        text: 'User license is not authorized to run this API.',
      })
      expect((await hub.sync('delta')).state).toBe('FAILED')
      nextDay(hub)
      const run = await hub.sync('delta')
      expect([run.mode, run.state, run.expectedHosts]).toEqual(['delta', 'COMPLETE', 1])
      expect(await storedLives(db)).toEqual(trueLives(hub.estate))
    },
    true,
  )
})
