import { expect } from 'vitest'
import type { Fault, FaultMatch } from '../../fakes/qualys/faults.ts'
import { test } from '../support/database.ts'
import {
  DESCRIPTIONS,
  DETECTIONS,
  ID_LIST,
  KNOWLEDGE_BASE,
  callsSince,
  onDayOne,
} from '../support/day-one.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

const TAGS: FaultMatch = { endpoint: 'tag' }

const refusals: [string, FaultMatch, Fault][] = [
  ['INVALID_CREDENTIALS for the tags', TAGS, { kind: 'qps', responseCode: 'INVALID_CREDENTIALS' }],
  [
    'INVALID_CREDENTIALS for the tags in a body that is cut',
    TAGS,
    {
      kind: 'status',
      status: 200,
      contentType: 'text/xml',
      body: '<ServiceResponse><responseCode>INVALID_CREDENTIALS</responseCode><responseErr',
    },
  ],
  [
    '401 with a message that is cut',
    ID_LIST,
    { kind: 'status', status: 401, contentType: 'text/xml', body: '<SIMPLE_RETURN><RESPONSE><DATETIME>2026' },
  ],
  [
    '401 with a bare ampersand',
    DETECTIONS,
    {
      kind: 'status',
      status: 401,
      contentType: 'text/xml',
      body: '<SIMPLE_RETURN><RESPONSE><TEXT>user & password</TEXT></RESPONSE></SIMPLE_RETURN>',
    },
  ],
]

for (const [name, match, fault] of refusals)
  test(`${name} stops the run at once, without another try`, async ({ db }) => {
    await onDayOne({ pool: db, batchesMax: 1 }, async (hub) => {
      const before = await rememberStore(hub)
      const from = hub.fake.requests.length
      const handle = hub.fake.faults.add({ match: { ...match, times: Infinity }, ...fault })
      const run = await hub.sync('full')
      expect([run.state, handle.hits, callsSince(hub, from, match)]).toEqual(['FAILED', 1, 1])
      expect(run.message).toMatch(/Check both/)
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    })
  })

for (const idMin of ['same', 'smaller'] as const)
  test(`fault 15: detections whose next page is the ${idMin} for good close nothing, and the run says so`, async ({
    db,
  }) => {
    await onDayOne({ pool: db }, async (hub) => {
      const before = await rememberStore(hub)
      const handle = hub.fake.faults.add({
        match: { ...DETECTIONS, times: Infinity },
        kind: 'warning-url',
        idMin,
      })
      const run = await hub.sync('full')
      expect(handle.hits).toBeGreaterThan(0)
      expect(handle.hits).toBeLessThan(300)
      expect(run.state).not.toBe('COMPLETE')
      if (run.state === 'PARTIAL') expect(await openGaps(db)).not.toEqual([])
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    })
  })

const broken: [string, Fault][] = [
  ['fault 13: a cut body', { kind: 'cut', at: 'half', how: 'end' }],
  ['fault 13: cut gzip', { kind: 'cut-gzip', at: 'half', how: 'destroy' }],
  ['fault 12: an HTML page', { kind: 'html', page: 'login' }],
  ['an entity bomb', { kind: 'entity-bomb' }],
]
const answers: [string, FaultMatch][] = [
  ['the descriptions of hosts', DESCRIPTIONS],
  ['the knowledge base', KNOWLEDGE_BASE],
]

for (const [answer, match] of answers)
  for (const [name, fault] of broken)
    test(`${name} for ${answer}: once costs nothing, for good is told by the run`, async ({ db }) => {
      await onDayOne({ pool: db }, async (hub, hostIds) => {
        if (match === KNOWLEDGE_BASE) await db.query('delete from vulnerability')
        const before = await rememberStore(hub)
        const lasting = hub.fake.faults.add({ match: { ...match, times: Infinity }, ...fault })
        const run = await hub.sync('full')
        expect(lasting.hits).toBeGreaterThan(0)
        expect(lasting.hits).toBeLessThan(300)
        expect(run.state).toBe('PARTIAL')
        const gaps = await openGaps(db)
        expect(gaps).not.toEqual([])
        if (match === DESCRIPTIONS)
          expect(gaps.map(({ key }) => key)).toEqual(
            hostIds.map((id) => `host ${id}, description`).toSorted(),
          )
        await expectHonest(hub, { run, before })
        lasting.remove()

        const again = await rememberStore(hub)
        const once = hub.fake.faults.add({ match, ...fault })
        const next = await hub.sync('full')
        expect([once.hits, next.state, next.message]).toEqual([
          1,
          'COMPLETE',
          'Everything that was expected came.',
        ])
        await expectHonest(hub, { run: next, before: again })
        await expectConverged(hub)
      })
    })
