import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDemoEstate } from './demo-estate.ts'
import { createEstate } from './create-estate.ts'
import { patchesOf } from './generated-detections.ts'
import { DAY_MS, isoSeconds } from './time.ts'
import { lifecycleOf, Timeline } from './timeline.ts'
import type { Detection, Estate } from './types.ts'

const placeOf = (d: Detection) => [d.qid, d.port, d.protocol, d.ssl, d.fqdn, d.instance].join('/')

function everything(estate: Estate, day: number): Map<string, Detection> {
  const all = new Map<string, Detection>()
  for (const host of estate.truth(day).hosts()) {
    for (const detection of host.detections()) all.set(`${host.id} ${placeOf(detection)}`, detection)
  }
  return all
}

test('the same seed gives the same estate, in whatever order it is asked for, and another seed another one', () => {
  const one = createEstate({ hosts: 40, seed: 3 })
  const other = createEstate({ hosts: 40, seed: 3 })
  const third = createEstate({ hosts: 40, seed: 4 })
  const later = [...everything(other, 5)]
  expect([...everything(one, 2)]).toEqual([...everything(other, 2)])
  expect([...everything(one, 5)]).toEqual(later)
  expect([...everything(third, 5)]).not.toEqual(later)
  expect(one.kb(3)).toEqual(other.kb(3))
})

test('host ids ascend, are sparse, and a range gives the same hosts as a filter over all', () => {
  const estate = createEstate({
    hosts: 300,
    extraHosts: [{ id: '7' }, { id: '100000500' }, { id: '999999999' }],
  })
  const all = [...estate.hosts({}, 4)].map((host) => Number(host.id))
  expect(all).toEqual(all.toSorted((a, b) => a - b))
  expect(new Set(all).size).toBe(all.length)
  fc.assert(
    fc.property(fc.nat(3000), fc.nat(1500), (from, length) => {
      const idMin = 99_999_900 + from
      const idMax = idMin + length
      const ids = [...estate.hosts({ idMin, idMax }, 4)].map((host) => Number(host.id))
      expect(ids).toEqual(all.filter((id) => id >= idMin && id <= idMax))
    }),
    { numRuns: 200 },
  )
  for (const id of all) expect(estate.host(String(id), 4)?.id).toBe(String(id))
})

test('no two detections of a host are the same, and UNIQUE_VULN_ID is unique in the whole estate', () => {
  const estate = createEstate({ hosts: 60, detectionsPerHost: 300, mergeShare: 0.2 })
  const numbers = new Set<string>()
  for (const host of estate.truth(3).hosts()) {
    const places = new Set<string>()
    for (const detection of [...host.detections(), ...host.informationGathered()]) {
      expect(places.has(placeOf(detection))).toBe(false)
      places.add(placeOf(detection))
      expect(numbers.has(detection.uniqueVulnId)).toBe(false)
      numbers.add(detection.uniqueVulnId)
    }
  }
  expect(numbers.size).toBeGreaterThan(10_000)
})

test('from day to day a detection goes only where Qualys lets it go', () => {
  const estate = createEstate({ hosts: 120, fixShare: 0.2, reopenShare: 0.6, newShare: 0.05 })
  const allowed: Record<string, readonly string[]> = {
    New: ['New', 'Active', 'Fixed'],
    Active: ['Active', 'Fixed'],
    'Re-Opened': ['Re-Opened', 'Active', 'Fixed'],
    Fixed: ['Fixed', 'Re-Opened', 'Active'],
  }
  const seen = new Set<string>()
  for (let day = 1; day <= 12; day++) {
    const before = everything(estate, day - 1)
    for (const [key, now] of everything(estate, day)) {
      const then = before.get(key)
      if (then === undefined) {
        expect(
          now.status === 'New' || estate.truth(day).merged.some(({ to }) => key.startsWith(`${to} `)),
        ).toBe(true)
        continue
      }
      seen.add(`${then.status} > ${now.status}`)
      expect(allowed[then.status ?? '']).toContain(now.status)
      expect(now.firstFound).toBe(then.firstFound)
      expect(now.uniqueVulnId).toBe(then.uniqueVulnId)
      expect(Number(now.timesFound)).toBeGreaterThanOrEqual(Number(then.timesFound))
      expect(Number(now.lastFound)).toBeGreaterThanOrEqual(Number(then.lastFound))
      if (now.status === 'Fixed') expect(Number(now.lastFixed)).toBeGreaterThan(Number(now.lastFound))
      if (then.status === 'Fixed' && now.status !== 'Fixed') {
        expect(now.status).toBe('Re-Opened')
        expect(Number(now.timesReopened)).toBe(Number(then.timesReopened ?? 0) + 1)
      }
    }
  }
  expect([...seen].toSorted()).toEqual([
    'Active > Active',
    'Active > Fixed',
    'Fixed > Fixed',
    'Fixed > Re-Opened',
    'New > Active',
    'New > Fixed',
    'New > New',
    'Re-Opened > Active',
    'Re-Opened > Fixed',
    'Re-Opened > Re-Opened',
  ])
})

test('a host that was not scanned that day is exactly as it was', () => {
  const estate = createEstate({ hosts: 200, scanShare: 0.5 })
  let resting = 0
  for (const host of estate.truth(3).hosts()) {
    if (host.scannedToday) continue
    const detections = [...host.detections()]
    resting++
    const entries = new Map(estate.kb(3).map((entry) => [entry.qid, entry]))
    const before = [...estate.detections(host.id, { day: 2 })]
    const isMerged = estate.truth(3).merged.some(({ to }) => to === host.id)
    if (isMerged) continue
    expect(detections.map((d) => ({ ...d, severity: undefined, qds: undefined }))).toEqual(
      before.map((d) => ({ ...d, severity: undefined, qds: undefined })),
    )
    for (const detection of detections) expect(detection.severity).toBe(entries.get(detection.qid)?.severity)
  }
  expect(resting).toBeGreaterThan(50)
})

test('every host that comes or goes is explained by the truth of that day', () => {
  const estate = createEstate({ hosts: 400, purgeShare: 0.02, mergeShare: 0.02, retagShare: 0.05 })
  const counts = { purged: 0, merged: 0, retagged: 0 }
  for (let day = 1; day <= 6; day++) {
    const truth = estate.truth(day)
    const before = new Map([...estate.hosts({}, day - 1)].map((host) => [host.id, host]))
    const now = new Map([...estate.hosts({}, day)].map((host) => [host.id, host]))
    const gone = [...before.keys()].filter((id) => !now.has(id))
    const came = [...now.keys()].filter((id) => !before.has(id))
    expect([...truth.purged, ...truth.merged.map(({ from }) => from)].toSorted()).toEqual(gone.toSorted())
    expect(truth.appeared.filter((id) => now.has(id))).toEqual(came)
    const retagged = [...now.values()].filter(
      (host) =>
        before.has(host.id) && JSON.stringify(before.get(host.id)?.tags) !== JSON.stringify(host.tags),
    )
    expect(truth.retagged).toEqual(retagged.map((host) => host.id))
    for (const { to } of truth.merged) expect(now.has(to)).toBe(true)
    counts.purged += truth.purged.length
    counts.merged += truth.merged.length
    counts.retagged += truth.retagged.length
  }
  expect(Math.min(counts.purged, counts.merged, counts.retagged)).toBeGreaterThan(3)
})

test('a merged host hands its detections to the host that stays', () => {
  const estate = createEstate({ hosts: 400, mergeShare: 0.05, purgeShare: 0 })
  const [merge] = estate.truth(1).merged
  if (merge === undefined) throw new Error('No host was merged.')
  const from = [...estate.detections(merge.from, { day: 0 })].map((detection) => detection.qid)
  const to = new Set([...estate.detections(merge.to, { day: 1 })].map((detection) => detection.qid))
  const missing = from.filter((qid) => !to.has(qid))
  expect(from.length).toBeGreaterThan(0)
  expect(missing).toEqual([])
})

test('the demo has about 20,000 detections, one patch that comes back and one that is done', () => {
  const estate = createDemoEstate()
  const statuses = (day: number, qids: readonly string[]) => {
    const found = new Set<string>()
    for (const detection of everything(estate, day).values()) {
      if (qids.includes(detection.qid)) found.add(detection.status ?? '')
    }
    return found
  }
  expect(everything(estate, 0).size).toBeGreaterThan(18_000)
  expect(everything(estate, 0).size).toBeLessThan(22_000)
  const windows = patchesOf(estate.kb(0), 'windows')[0] ?? []
  expect([0, 1, 2, 3].map((day) => [...statuses(day, windows)].toSorted())).toEqual([
    ['Active'],
    ['Active', 'Fixed'],
    ['Fixed'],
    ['Fixed', 'Re-Opened'],
  ])
  const redHat = patchesOf(estate.kb(0), 'rhel')[2] ?? []
  expect([0, 1, 3].map((day) => [...statuses(day, redHat)])).toEqual([['Active'], ['Fixed'], ['Fixed']])
})

test('the knowledge base holds over 300 vulnerabilities, shared patches, and changes a little every day', () => {
  const estate = createEstate()
  const entries = estate.kb(0)
  const vulnerabilities = entries.filter((entry) => entry.vulnType !== 'Information Gathered')
  expect(vulnerabilities.length).toBeGreaterThan(300)
  expect(new Set(entries.map((entry) => entry.qid)).size).toBe(entries.length)
  expect(new Set(entries.map((entry) => entry.severity))).toEqual(new Set([1, 2, 3, 4, 5]))
  expect(patchesOf(entries, 'windows').filter((qids) => qids.length > 1).length).toBeGreaterThan(10)
  expect(vulnerabilities.filter((entry) => entry.vendorReferences.length === 0).length).toBeGreaterThan(20)
  const later = new Map(estate.kb(4).map((entry) => [entry.qid, entry]))
  const modified = entries.filter(
    (entry) => later.get(entry.qid)?.lastServiceModification !== entry.lastServiceModification,
  )
  expect(modified.length).toBeGreaterThan(5)
  expect(modified.some((entry) => later.get(entry.qid)?.severity !== entry.severity)).toBe(true)
  for (const entry of modified) {
    expect(Number(later.get(entry.qid)?.lastServiceModification)).toBeGreaterThanOrEqual(estate.dayStartMs(1))
  }
})

test('a small estate is exactly what the test says, with the rest filled in', () => {
  const estate = createEstate({
    hosts: [
      { id: '101', tags: ['Web'], detections: [{ qid: '38170' }, { qid: '45001', type: 'Info' }] },
      { id: '99' },
    ],
    kb: [{ qid: '38170', severity: 4 }],
  })
  expect([...estate.hosts()].map((host) => host.id)).toEqual(['99', '101'])
  const [detection, ...others] = estate.detections('101')
  expect(others).toEqual([])
  expect(detection).toMatchObject({
    qid: '38170',
    status: 'Active',
    severity: 4,
    type: 'Confirmed',
    ignored: false,
  })
  expect([...estate.informationGathered('101')].map((info) => info.qid)).toEqual(['45001'])
  expect(estate.tags().map((tag) => tag.name)).toEqual(['Web'])
  expect(estate.kb().map((entry) => entry.qid)).toEqual(['38170'])
})

test('overrides fix, reopen, remove, add and hide, from their day on and not before', () => {
  const estate = createEstate({
    hosts: [{ id: '5', detections: [{ qid: '1' }, { qid: '2' }, { qid: '3' }] }],
  })
  const show = (day: number) => [...estate.detections('5', { day })].map((d) => `${d.qid} ${d.status}`)
  estate.setDay(1)
  estate.override('5', {
    detections: [
      { match: { qid: '1' }, change: 'fix' },
      { match: { qid: '2' }, change: 'remove' },
      { match: { qid: '3' }, change: { severity: 5 } },
    ],
    addDetections: [{ qid: '4', status: 'New' }],
  })
  estate.setDay(2)
  estate.override('5', { detections: [{ match: { qid: '1' }, change: 'reopen' }] })
  expect(show(0)).toEqual(['1 Active', '2 Active', '3 Active'])
  expect(show(1)).toEqual(['1 Fixed', '3 Active', '4 New'])
  expect(show(2)).toEqual(['1 Re-Opened', '3 Active', '4 New'])
  expect(estate.host('5', 1)?.processed).toBe(estate.dayStartMs(1) + DAY_MS / 2)
  estate.setDay(3)
  estate.override('5', { purged: true })
  expect(estate.host('5')).toBeUndefined()
  expect(estate.truth(3).purged).toEqual(['5'])
  expect(estate.host('5', 2)?.id).toBe('5')
})

test('an override hides a host from a role, retags it, merges it and gives it any number of detections', () => {
  const estate = createEstate({
    hosts: [
      { id: '1', tags: ['A'], detections: [{ qid: '11' }] },
      { id: '2', detections: [{ qid: '22' }] },
    ],
  })
  estate.override('1', { hiddenFrom: ['Reader'] })
  expect(estate.isVisible('1', { username: 'u', role: 'Reader' })).toBe(false)
  expect(estate.isVisible('1', { username: 'u', role: 'Manager' })).toBe(true)
  estate.override('1', { addTags: ['B'], removeTags: ['A'] })
  expect(estate.host('1')?.tags.map((tag) => tag.name)).toEqual(['B'])
  estate.removeTag('B')
  expect(estate.host('1')?.tags).toEqual([])
  estate.override('2', { mergedInto: '1', bulk: { count: 10 } })
  expect([...estate.hosts()].map((host) => host.id)).toEqual(['1'])
  expect([...estate.detections('1')].map((detection) => detection.qid)).toEqual(['11', '22'])
  estate.override('1', { bulk: { count: 5000, qid: '33' } })
  expect([...estate.detections('1')].length).toBe(5002)
})

test('a lifecycle is what its scans could see', () => {
  const timeline = new Timeline([1, 3, 4, 7])
  expect(lifecycleOf([5], new Timeline([1, 3, 4]))).toBeUndefined()
  expect(lifecycleOf([-3], timeline)).toMatchObject({
    status: 'Active',
    firstFoundDay: -3,
    lastFoundDay: 7,
    timesFound: 8,
  })
  expect(lifecycleOf([5], timeline)).toMatchObject({
    status: 'New',
    firstFoundDay: 7,
    timesFound: 1,
    timesReopened: 0,
  })
  expect(lifecycleOf([-1, 2], timeline)).toMatchObject({
    status: 'Fixed',
    fixedDay: 3,
    lastFoundDay: 1,
    timesFound: 3,
  })
  expect(lifecycleOf([-1, 2, 5], timeline)).toMatchObject({
    status: 'Re-Opened',
    fixedDay: 3,
    lastReopenedDay: 7,
    timesReopened: 1,
    timesFound: 4,
  })
})

test('dates are written as Qualys writes them', () => {
  fc.assert(
    fc.property(fc.integer({ min: -2_000_000_000_000, max: 4_000_000_000_000 }), (ms) => {
      expect(isoSeconds(ms)).toBe(new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z'))
    }),
  )
})
