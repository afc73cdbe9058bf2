import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import { nextDay } from '../../../test/support/day-one.ts'
import { withHub } from '../../../test/support/hub.ts'
import { getFinding, listFindings } from './finding-list.ts'

test('T22: what a later scan of its host could not test again is told as not tested since', async ({
  db,
}) => {
  const detections = [{ qid: '38100' }, { qid: '38101' }, { qid: '38102', status: 'Fixed' }]
  await withHub({ pool: db, estate: { hosts: [{ id: '7', detections }] } }, async (hub) => {
    const untested = async () => {
      await hub.sync('full')
      const found = await listFindings(db, {}, { after: null, limit: 10 })
      const details = await Promise.all(found.map((row) => getFinding(db, row)))
      return details.map((one) => [one?.qid, one?.state, one?.notTestedSince ?? null])
    }
    expect(await untested()).toEqual([
      ['38100', 'open', null],
      ['38101', 'open', null],
      ['38102', 'fixed', null],
    ])
    const { rows } = await db.query<{ at: Date }>('select max(last_test_at) as at from observation')
    nextDay(hub, 2)
    // Scanned again, as without a login: only one of the findings is tested.
    hub.estate.override('7', { detections: [{ match: { qid: '38101' }, change: 'see-again' }] })
    expect(await untested()).toEqual([
      ['38100', 'open', rows[0]?.at],
      ['38101', 'open', null],
      ['38102', 'fixed', null],
    ])
  })
})
