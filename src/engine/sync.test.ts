import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { type TestHub, withHub } from '../../test/support/hub.ts'
import { storedLines, truthLines } from '../../test/support/truth.ts'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'

function nextDay(hub: TestHub): void {
  hub.clock.advance(DAY_MS)
  hub.estate.advanceDay()
}

test('a full run brings in every detection of an estate, byte for byte', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: 30, detectionsPerHost: 10 } }, async (hub) => {
    const run = await hub.sync('full')
    expect(run.message).toBe('Everything that was expected came.')
    expect(run.state).toBe('COMPLETE')
    expect(await storedLines(db, { withInformation: true })).toEqual(
      truthLines(hub.estate, { withInformation: true }),
    )
  })
})

test('deltas follow the estate day by day as a full run would', async ({ db }) => {
  await withHub(
    { pool: db, estate: { hosts: 60, detectionsPerHost: 12, purgeShare: 0, mergeShare: 0 } },
    async (hub) => {
      await hub.sync('full')
      for (let day = 1; day <= 4; day += 1) {
        nextDay(hub)
        const run = await hub.sync('delta')
        expect(run.mode).toBe('delta')
        expect(run.state).toBe('COMPLETE')
        expect(run.expectedHosts).toBeLessThan(run.visibleHosts ?? 0)
        const shown = { withInformation: false, withoutSeverity: true }
        expect(await storedLines(db, shown)).toEqual(truthLines(hub.estate, shown))
      }
      await hub.sync('full')
      expect(await storedLines(db, { withInformation: false })).toEqual(
        truthLines(hub.estate, { withInformation: false }),
      )
    },
  )
})

test('the same day pulled twice changes nothing', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: 20, detectionsPerHost: 8 } }, async (hub) => {
    await hub.sync('full')
    await hub.sync('full')
    const { rows } = await db.query<{ changed: number }>(
      `select (new_records + changed_records + seen_records)::int as changed
         from batch where run_id = (select max(id) from run) and module = 'qualys.detections'`,
    )
    expect(rows.map((row) => row.changed)).toEqual([0])
    expect((await db.query('select count(*)::int as count from event')).rows[0].count).toBe(0)
  })
})
