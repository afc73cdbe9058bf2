import { expect, test as pure } from 'vitest'
import { test } from '../../test/support/database.ts'
import { DETECTIONS, nextDay } from '../../test/support/day-one.ts'
import { withHub } from '../../test/support/hub.ts'
import { expectHonest, rememberStore } from '../../test/support/oracle.ts'
import { type RunFacts, warningsOf } from './run-warnings.ts'

const DAY_MS = 24 * 60 * 60_000
const NOW_MS = Date.UTC(2026, 9, 1, 12)

const warnings = (facts: Partial<RunFacts>) =>
  warningsOf({
    receivedRecords: 10_000,
    collidedRecords: 0,
    staleRecords: 0,
    unknownQids: 0,
    scannedHosts: 100,
    oldScanHosts: 0,
    newestScanMs: NOW_MS - DAY_MS,
    nowMs: NOW_MS,
    ...facts,
  })

pure('everyday life gives no warning', () => {
  expect(warnings({})).toEqual([])
  expect(warnings({ receivedRecords: 0, scannedHosts: 0, newestScanMs: null })).toEqual([])
})

pure('T3: more than one in a thousand detections that come twice is an identity warning', () => {
  expect(warnings({ receivedRecords: 9_990, collidedRecords: 10 })).toEqual([])
  expect(warnings({ receivedRecords: 9_989, collidedRecords: 11 })).toEqual([
    expect.stringMatching(/^11 of 10000 detections came twice by all that identifies one/),
  ])
})

pure('much that goes stale at once is a warning, a few findings or a small share of many are none', () => {
  expect(warnings({ receivedRecords: 0, staleRecords: 9 })).toEqual([])
  expect(warnings({ receivedRecords: 900, staleRecords: 100 })).toEqual([])
  expect(warnings({ receivedRecords: 899, staleRecords: 101 })).toEqual([
    expect.stringContaining('10 % of what was asked for'),
  ])
})

pure('T20: when nothing was scanned for a week, calm is not taken for health', () => {
  expect(warnings({ newestScanMs: NOW_MS - 7 * DAY_MS })).toEqual([])
  expect(warnings({ newestScanMs: NOW_MS - 7 * DAY_MS - 1, oldScanHosts: 100 })).toEqual([
    expect.stringMatching(/^No host was scanned for vulnerabilities since 2026-09-24/),
  ])
})

pure('T21: old scans of most hosts are told', () => {
  expect(warnings({ oldScanHosts: 50 })).toEqual([])
  expect(warnings({ oldScanHosts: 51 })).toEqual([
    expect.stringMatching(/^51 of 100 hosts were last scanned .* over 30 days ago/),
  ])
})

test('T20: an estate that nobody scans any more is told by the run, and nothing of it is closed', async ({
  db,
}) => {
  const estate = { hosts: [{ id: '7', detections: [{ qid: '38100' }] }] }
  await withHub({ pool: db, estate }, async (hub) => {
    expect((await hub.sync('full')).warnings).toEqual([])
    nextDay(hub, 8)
    const before = await rememberStore(hub)
    const run = await hub.sync('delta')
    expect([run.state, run.warnings]).toEqual([
      'COMPLETE',
      [expect.stringMatching(/^No host was scanned for vulnerabilities since 2026-10-01/)],
    ])
    expect(run.message).toBe(`Everything that was expected came. ${run.warnings[0]}`)
    expect((await db.query('select state from finding')).rows).toEqual([{ state: 'open' }])
    await expectHonest(hub, { run, before })
  })
})

test('an estate whose findings all go stale at once is warned of, although every host was asked', async ({
  db,
}) => {
  const detections = Array.from({ length: 12 }, (_, index) => ({ qid: '38100', port: 8000 + index }))
  await withHub({ pool: db, estate: { hosts: [{ id: '7', detections }] } }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    hub.fake.faults.add({ match: { ...DETECTIONS, times: Infinity }, kind: 'drop-hosts', ids: ['7'] })
    const before = await rememberStore(hub)
    const run = await hub.sync('full')
    expect(run.warnings).toEqual([expect.stringMatching(/^100 % of what was asked for went stale at once/)])
    expect(run.message).toBe(
      `Every host was asked; 12 open findings were left out twice and are stale now. ${run.warnings[0]}`,
    )
    await expectHonest(hub, { run, before })
  })
})
