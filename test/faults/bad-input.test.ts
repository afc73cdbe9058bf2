import { expect } from 'vitest'
import type { Fault } from '../../fakes/qualys/faults.ts'
import { test } from '../support/database.ts'
import { DETECTIONS, ID_LIST, nextDay, onDayOne, onDayOneWithTickets } from '../support/day-one.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

const passing: [string, Fault][] = [
  ['fault 13: a body that ends in half as if it were complete', { kind: 'cut', at: 'half', how: 'end' }],
  ['fault 13: a body whose connection breaks in half', { kind: 'cut', at: 'half', how: 'destroy' }],
  ['fault 13: a body that breaks off in its first line', { kind: 'cut', at: 40, how: 'end' }],
  ['fault 13: gzip that ends in half as if it were complete', { kind: 'cut-gzip', at: 'half', how: 'end' }],
  ['fault 13: gzip whose connection breaks in half', { kind: 'cut-gzip', at: 'half', how: 'destroy' }],
  ['fault 12: a login page instead of XML', { kind: 'html', page: 'login' }],
  ['a maintenance page with 503', { kind: 'html', page: 'maintenance', status: 503 }],
  ['fault 16: nothing with 200', { kind: 'empty', status: 200 }],
  ['fault 16: nothing with 204', { kind: 'empty', status: 204 }],
  ['fault 12: an internal error with 200', { kind: 'simple-return', code: 999, text: 'Internal Error' }],
  ['an internal error with 500', { kind: 'internal-error' }],
  ['scheduled maintenance', { kind: 'maintenance' }],
  ['a connection that is reset', { kind: 'reset' }],
  ['fault 12: an error in the middle of a list', { kind: 'generic-return' }],
  ['an entity bomb', { kind: 'entity-bomb' }],
  [
    'fault 15: a WARNING URL to another host',
    { kind: 'warning-url', origin: 'https://attacker.example.com' },
  ],
  ['fault 15: a WARNING URL without a number', { kind: 'warning-url', idMin: 'not-a-number' }],
  ['fault 9: too many calls at once', { kind: 'busy' }],
  ['fault 10: a spent budget of half a minute', { kind: 'spent', seconds: 30 }],
  ['fault 11: 429 without a header', { kind: 'too-many-requests' }],
]
/** What is read in spite of all, or told by the answer to a second question. */
const survived: [string, Fault][] = [
  ['fault 14: every second host missing', { kind: 'drop-hosts' }],
  ['fault 14: a missing page', { kind: 'empty-page' }],
  ['fault 14: every host twice', { kind: 'duplicate-hosts' }],
  ['fault 14: a page backwards', { kind: 'reordered-page' }],
  ['two HOST_LIST blocks', { kind: 'two-host-lists' }],
  ['comments in odd places', { kind: 'odd-comments' }],
  ['comments after the root', { kind: 'comments-after-root' }],
  ['no prolog', { kind: 'no-prolog' }],
  ['elements that nobody knows', { kind: 'unknown-elements' }],
  ['NUL in a result', { kind: 'in-results', what: 'nul' }],
  ['control characters in a result', { kind: 'in-results', what: 'control' }],
  ['broken UTF-8 in a result', { kind: 'in-results', what: 'invalid-utf8' }],
  ['Latin-1 in a result', { kind: 'in-results', what: 'latin1' }],
]
const brokenLists: [string, Fault][] = [
  ['fault 15: a WARNING URL that names the same page again', { kind: 'warning-url', idMin: 'same' }],
  ['fault 15: a WARNING URL that goes back', { kind: 'warning-url', idMin: 'smaller' }],
]

for (const [name, fault] of [...passing, ...survived])
  test(`${name}, for detections`, async ({ db }) => {
    await onDayOneWithTickets({ pool: db }, async (hub) => {
      const before = await rememberStore(hub)
      const handle = hub.fake.faults.add({ match: DETECTIONS, ...fault })
      const run = await hub.sync('delta')
      expect(handle.hits).toBe(1)
      expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    })
  })

test('faults 9 to 16, for the list of ids: whatever passes by itself is asked for again', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    for (const [name, fault] of passing) {
      const before = await rememberStore(hub)
      const handle = hub.fake.faults.add({ match: ID_LIST, ...fault })
      const run = await hub.sync('full')
      expect([name, handle.hits, run.message]).toEqual([name, 1, 'Everything that was expected came.'])
      await expectHonest(hub, { run, before })
      nextDay(hub)
    }
    await expectConverged(hub)
  })
})

test('faults 9 to 16, for the list of ids: what stays broken fails the run, and nothing moves', async ({
  db,
}) => {
  await onDayOne({ pool: db }, async (hub) => {
    for (const [name, fault] of [...passing, ...brokenLists]) {
      if (fault.kind === 'spent' || fault.kind === 'too-many-requests') continue
      const before = await rememberStore(hub)
      const handle = hub.fake.faults.add({ match: { ...ID_LIST, times: Infinity }, ...fault })
      const run = await hub.sync('full')
      expect([name, run.state]).toEqual([name, 'FAILED'])
      expect(run.message).toMatch(/^The list of host ids failed/)
      expect(handle.hits).toBeLessThan(300)
      await expectHonest(hub, { run, before })
      expect((await rememberStore(hub)).findings).toEqual(before.findings)
      expect(await openGaps(db)).toEqual([])
      handle.remove()
    }
    await expectConverged(hub)
  })
})
