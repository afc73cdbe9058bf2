import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { createEstate } from './estate/create-estate.ts'
import { waitText } from './limits.ts'
import { startFakeQualys } from './server.ts'
import type { FakeQualys } from './server.ts'
import { call, HLD, HOSTS, KB, texts } from './test-client.ts'

const LIST = { action: 'list' }
let fake: FakeQualys
afterEach(() => fake.close())

/** Resolves when that many calls are being answered: a stalled one is then known to hold its slot. */
async function running(count: number): Promise<void> {
  while (fake.running < count) await new Promise((resolve) => setImmediate(resolve))
}

test('the hourly budget is counted per endpoint, told in headers, and slides', async () => {
  const clock = new ManualClock(1_772_452_800_000)
  fake = await startFakeQualys({ estate: createEstate({ hosts: 1 }), clock, limits: { rate: 3 } })
  const remaining: string[] = []
  for (let n = 0; n < 3; n++) {
    const reply = await call(fake, { path: HLD, form: LIST })
    remaining.push(`${reply.headers['x-ratelimit-remaining']} ${reply.headers['x-ratelimit-towait-sec']}`)
    clock.advance(600_000)
  }
  expect(remaining).toEqual(['2 0', '1 0', '0 2400'])
  const refused = await call(fake, { path: HLD, form: LIST })
  expect([refused.status, texts(refused.text, 'CODE')]).toEqual([409, ['1965']])
  expect(texts(refused.text, 'KEY')).toEqual(['SECONDS_TO_WAIT'])
  expect(texts(refused.text, 'VALUE')).toEqual(['1800'])
  expect(texts(refused.text, 'TEXT')).toEqual(['This API cannot be run again for another 30 minutes.'])
  expect(refused.headers['x-ratelimit-towait-sec']).toBe('1800')
  expect((await call(fake, { path: HOSTS, form: LIST })).status).toBe(200)
  clock.advance(1_799_000)
  expect((await call(fake, { path: HLD, form: LIST })).status).toBe(409)
  clock.advance(1_000)
  const again = await call(fake, { path: HLD, form: LIST })
  expect([again.status, again.headers['x-ratelimit-remaining']]).toEqual([200, '0'])
})

test('a refused parameter costs a call, a wrong password does not', async () => {
  fake = await startFakeQualys({
    estate: createEstate({ hosts: 1 }),
    clock: new ManualClock(0),
    limits: { rate: 5 },
  })
  await call(fake, { path: HLD, form: { ...LIST, ids: 'x' } })
  await call(fake, { path: HLD, form: LIST, user: { username: 'fake_user', password: 'no' } })
  expect((await call(fake, { path: HLD, form: LIST })).headers['x-ratelimit-remaining']).toBe('3')
})

test('the third parallel call is refused with 1960, and the slot is free again when an answer has ended', async () => {
  fake = await startFakeQualys({ estate: createEstate({ hosts: 3 }), clock: new ManualClock(0) })
  const stalled = fake.faults.add({ match: { endpoint: 'detection', times: 2 }, kind: 'stall', atByte: 100 })
  const calls = [call(fake, { path: HLD, form: LIST }), call(fake, { path: HLD, form: LIST })]
  await running(2)
  const refused = await call(fake, { path: HLD, form: LIST })
  expect([refused.status, texts(refused.text, 'CODE'), texts(refused.text, 'KEY')]).toEqual([
    409,
    ['1960'],
    ['CALLS_TO_FINISH'],
  ])
  expect(texts(refused.text, 'VALUE')).toEqual(['1'])
  expect(refused.headers['x-concurrency-limit-running']).toBe('2')
  stalled.release()
  expect((await Promise.all(calls)).map((reply) => reply.isComplete)).toEqual([true, true])
  expect((await call(fake, { path: HLD, form: LIST })).status).toBe(200)
})

test('the knowledge base answers one call at a time', async () => {
  fake = await startFakeQualys({ estate: createEstate({ hosts: 1 }), clock: new ManualClock(0) })
  const stalled = fake.faults.add({ match: { endpoint: 'knowledge-base' }, kind: 'stall', atByte: 10 })
  const first = call(fake, { path: KB, form: LIST })
  await running(1)
  const second = await call(fake, { path: KB, form: LIST })
  expect([second.status, texts(second.text, 'CODE')]).toEqual([409, ['1960']])
  stalled.release()
  expect((await first).status).toBe(200)
})

test('a client that goes away gives its slot back', async () => {
  fake = await startFakeQualys({
    estate: createEstate({ hosts: 1 }),
    clock: new ManualClock(0),
    limits: { concurrency: 1 },
  })
  fake.faults.add({ match: { endpoint: 'detection' }, kind: 'stall', atByte: 10 })
  const abort = new AbortController()
  const headers = { authorization: `Basic ${btoa('fake_user:fake-password')}`, 'x-requested-with': 't' }
  const given = fetch(`${fake.url}${HLD}?action=list`, { headers, signal: abort.signal }).then((reply) =>
    reply.text(),
  )
  await running(1)
  abort.abort()
  await expect(given).rejects.toThrow(/abort/i)
  while (fake.running > 0) await new Promise((resolve) => setImmediate(resolve))
  expect((await call(fake, { path: HLD, form: LIST })).status).toBe(200)
})

test('other integrations of the subscription eat from the same budget', async () => {
  fake = await startFakeQualys({ estate: createEstate({ hosts: 1 }), clock: new ManualClock(0) })
  fake.limits.spend('detection', 299)
  expect((await call(fake, { path: HLD, form: LIST })).headers['x-ratelimit-remaining']).toBe('0')
  expect((await call(fake, { path: HLD, form: LIST })).status).toBe(409)
})

test('a wait is told in words as Qualys does', () => {
  expect(waitText(86_274)).toBe('23 hours, 57 minutes and 54 seconds')
  expect(waitText(3_600)).toBe('1 hour')
  expect(waitText(61)).toBe('1 minute and 1 second')
})
