import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { createEstate } from './estate/create-estate.ts'
import type { Fault, FaultMatch } from './faults.ts'
import { startFakeQualys } from './server.ts'
import type { FakeQualys } from './server.ts'
import { call, HLD, hostIds, HOSTS, setIds, structureOf, texts } from './test-client.ts'

const LIST = { action: 'list' }
let fake: FakeQualys
let clock: ManualClock
beforeEach(async () => {
  clock = new ManualClock(1_772_452_800_000)
  const hosts = Array.from({ length: 6 }, (_, n) => ({
    id: String(11 + n * 10),
    tags: ['Scope'],
    detections: [{ qid: '1' }, { qid: '2' }],
  }))
  fake = await startFakeQualys({
    estate: createEstate({ hosts }),
    clock,
    limits: { rate: 10_000, concurrency: 10 },
  })
})
afterEach(() => fake.close())

const hld = (form: Record<string, string> = {}, gzip = false) =>
  call(fake, { path: HLD, form: { ...LIST, ...form }, gzip })
const broken = (fault: Fault, match: FaultMatch = { endpoint: 'detection' }) =>
  fake.faults.add({ match, ...fault })
const isWellFormed = (text: string) => {
  try {
    structureOf(text)
    return true
  } catch {
    return false
  }
}
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('which calls are hit', () => {
  test('the nth matching call and as many as wanted, and then all is well again', async () => {
    const fault = broken({ kind: 'internal-error' }, { endpoint: 'detection', nth: 2, times: 2 })
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) {
      await call(fake, { path: HOSTS, form: LIST })
      statuses.push((await hld()).status)
    }
    expect(statuses).toEqual([200, 500, 500, 200, 200])
    expect(fault.hits).toBe(2)
    expect(fake.requests.filter((request) => request.faults.length > 0)).toHaveLength(2)
  })

  test('calls for certain hosts, by verb, path and parameter', async () => {
    broken({ kind: 'empty', status: 204 }, { ids: ['31'], times: Infinity })
    broken({ kind: 'internal-error' }, { path: /host\/$/, method: 'GET', params: { details: 'None' } })
    expect((await hld({ ids: '11-21' })).status).toBe(200)
    expect((await hld({ ids: '21-41' })).status).toBe(204)
    expect((await call(fake, { path: `${HOSTS}?action=list` })).status).toBe(204)
    fake.faults.clear()
    expect((await hld({ ids: '31' })).status).toBe(200)
  })

  test('a fault that was taken out does not hit any more', async () => {
    const fault = broken({ kind: 'internal-error' }, { times: Infinity })
    expect((await hld()).status).toBe(500)
    fault.remove()
    expect((await hld()).status).toBe(200)
  })
})

describe('other answers', () => {
  test.each<[string, Fault, number, string | RegExp]>([
    ['a login page', { kind: 'html', page: 'login' }, 200, /^<!DOCTYPE html>/],
    ['a maintenance page', { kind: 'html', page: 'maintenance', status: 503 }, 503, /maintenance/],
    ['nothing with 200', { kind: 'empty', status: 200 }, 200, ''],
    ['nothing with 204', { kind: 'empty', status: 204 }, 204, ''],
    ['an error with 200', { kind: 'simple-return', code: 999, text: 'Internal Error' }, 200, /<CODE>999</],
    ['500 with 999', { kind: 'internal-error' }, 500, /<CODE>999</],
    ['503 with 1999', { kind: 'maintenance' }, 503, /<CODE>1999</],
    ['409 with 1960', { kind: 'busy', callsToFinish: 2 }, 409, /<CODE>1960<[^]*CALLS_TO_FINISH[^]*<VALUE>2</],
    [
      '409 with a day of waiting',
      { kind: 'spent', seconds: 86_000 },
      409,
      /another 23 hours, 53 minutes and 20 seconds[^]*86000/,
    ],
    ['a portal error', { kind: 'qps', responseCode: 'UNAUTHORIZED' }, 200, /<responseCode>UNAUTHORIZED</],
    ['any status', { kind: 'status', status: 418, body: 'teapot' }, 418, 'teapot'],
  ])('%s', async (_name, fault, status, text) => {
    broken(fault)
    const reply = await hld()
    expect(reply.status).toBe(status)
    if (typeof text === 'string') expect(reply.text).toBe(text)
    else expect(reply.text).toMatch(text)
    expect(reply.isComplete).toBe(true)
    expect((await hld()).status).toBe(200)
  })

  test('the wait of 1965 may be told in only one place, and 429 in none', async () => {
    broken({ kind: 'spent', seconds: 3500, tell: ['header'] })
    const byHeader = await hld()
    expect(byHeader.headers['x-ratelimit-towait-sec']).toBe('3500')
    expect(byHeader.text).not.toContain('3500')
    broken({ kind: 'spent', seconds: 3500, tell: ['item'] })
    const byItem = await hld()
    expect(byItem.headers['x-ratelimit-towait-sec']).toBeUndefined()
    expect(texts(byItem.text, 'VALUE')).toEqual(['3500'])
    broken({ kind: 'too-many-requests' })
    const bare = await hld()
    expect([bare.status, bare.headers['x-ratelimit-towait-sec'], bare.headers['retry-after']]).toEqual([
      429,
      undefined,
      undefined,
    ])
  })

  test('the connection is reset before there is an answer', async () => {
    broken({ kind: 'reset' })
    await expect(hld()).rejects.toThrow(/ECONNRESET|socket hang up/)
    expect((await hld()).status).toBe(200)
  })
})

describe('pages', () => {
  test('hosts are dropped silently, by id or every nth, though the warning goes on', async () => {
    broken({ kind: 'drop-hosts', ids: ['21', '41'] })
    expect(hostIds((await hld()).text)).toEqual(['11', '31', '51', '61'])
    broken({ kind: 'drop-hosts', everyNth: 3 })
    expect(hostIds((await hld()).text)).toEqual(['11', '21', '41', '51'])
    broken({ kind: 'empty-page' })
    const empty = await hld({ truncation_limit: '2' })
    expect(hostIds(empty.text)).toEqual([])
    expect(texts(empty.text, 'URL')[0]).toContain('id_min=31')
    expect(isWellFormed(empty.text)).toBe(true)
  })

  test('a page comes twice, in another order, or with every host twice', async () => {
    const first = await hld({ ids: '11-21' })
    broken({ kind: 'duplicate-page' })
    expect(hostIds((await hld({ ids: '31-41' })).text)).toEqual(hostIds(first.text))
    broken({ kind: 'reordered-page' })
    expect(hostIds((await hld({ ids: '31-61' })).text)).toEqual(['61', '51', '41', '31'])
    broken({ kind: 'duplicate-hosts' })
    expect(hostIds((await hld({ ids: '31-41' })).text)).toEqual(['31', '31', '41', '41'])
  })

  test.each<[string, Fault, Record<string, string>, string]>([
    [
      'to the same id_min',
      { kind: 'warning-url', idMin: 'same' },
      { id_min: '31', truncation_limit: '2' },
      'id_min=31',
    ],
    [
      'to a smaller id_min',
      { kind: 'warning-url', idMin: 'smaller' },
      { id_min: '31', truncation_limit: '2' },
      'id_min=30',
    ],
    ['after the last page', { kind: 'warning-url', idMin: 'same' }, { id_min: '61' }, 'id_min=61'],
    ['to nonsense', { kind: 'warning-url', idMin: 'not-a-number' }, {}, 'id_min=not-a-number'],
    [
      'to another host',
      { kind: 'warning-url', origin: 'http://evil.example.com' },
      { truncation_limit: '2' },
      'http://evil.example.com/api/5.0/fo/asset/host/vm/detection/',
    ],
  ])('the warning leads %s', async (_name, fault, form, part) => {
    broken(fault)
    expect(texts((await hld(form)).text, 'URL')[0]).toContain(part)
  })
})

describe('text', () => {
  test.each<[string, Fault, boolean, RegExp]>([
    ['junk before the prolog', { kind: 'prefix', text: '\n\u0000PHP Warning: x\n' }, false, /^\n\0PHP/],
    ['no prolog', { kind: 'no-prolog' }, true, /^<!DOCTYPE/],
    ['comments in odd places', { kind: 'odd-comments' }, true, /<!-- <ID>1<\/ID> -->/],
    [
      'comments after the root',
      { kind: 'comments-after-root' },
      true,
      /<\/HOST_LIST_VM_DETECTION_OUTPUT>[^]*<HOST><ID>1<\/ID>/,
    ],
    ['two host lists', { kind: 'two-host-lists' }, true, /<\/HOST_LIST>\s+<HOST_LIST>/],
    ['unknown elements', { kind: 'unknown-elements' }, true, /<NEW_THING level="1">/],
    ['an entity bomb', { kind: 'entity-bomb' }, false, /<!ENTITY e9 "(&e8;){10}">[^]*<NOTE>&e9;<\/NOTE>/],
    [
      'the end in the middle',
      { kind: 'generic-return', afterItems: 2 },
      false,
      /<ID>21<[^]*<GENERIC_RETURN>[^]*<\/GENERIC_RETURN>\n$/,
    ],
    ['a second document', { kind: 'suffix', text: '<SIMPLE_RETURN/>' }, false, /<SIMPLE_RETURN\/>$/],
  ])('%s', async (_name, fault, wellFormed, text) => {
    broken(fault)
    const reply = await hld()
    expect(reply.text).toMatch(text)
    expect(isWellFormed(reply.text)).toBe(wellFormed)
    expect(reply.isComplete).toBe(true)
  })

  test.each<['nul' | 'control' | 'invalid-utf8' | 'latin1', number[]]>([
    ['nul', [0x61, 0x00, 0x62]],
    ['control', [0x01, 0x08, 0x0b]],
    ['invalid-utf8', [0xc3, 0x28, 0xff]],
    ['latin1', [0x4d, 0xfc, 0x6c]],
  ])('%s bytes in the RESULTS of one host', async (what, bytes) => {
    broken({ kind: 'in-results', what, hostId: '31' })
    const reply = await hld()
    const at = reply.bytes.indexOf(Buffer.from(bytes))
    expect(hostIds(reply.bytes.subarray(0, at).toString('latin1')).at(-1)).toBe('31')
    expect(reply.bytes.indexOf(Buffer.from(bytes), at + 1)).toBe(-1)
    expect(reply.bytes.subarray(0, at).toString('latin1').endsWith('<RESULTS><![CDATA[')).toBe(true)
  })
})

describe('the wire', () => {
  test('an answer is cut at a byte or in half, and looks complete to HTTP', async () => {
    const whole = await hld()
    broken({ kind: 'cut', at: 500 })
    const cutAt = await hld()
    expect([cutAt.bytes.length, cutAt.isComplete]).toEqual([500, true])
    broken({ kind: 'cut', at: 'half' })
    const half = await hld({}, true)
    expect(half.headers['content-encoding']).toBe('gzip')
    expect(half.text).toBe(whole.text.slice(0, Math.floor(whole.bytes.length / 2)))
  })

  test('an answer ends with the connection, without the end of the message', async () => {
    broken({ kind: 'cut', at: 700, how: 'destroy' })
    const reply = await hld()
    expect([reply.bytes.length, reply.isComplete]).toEqual([700, false])
  })

  test('compressed bytes end early', async () => {
    broken({ kind: 'cut-gzip', at: 'half' })
    const reply = await hld({}, true)
    expect(reply.headers['content-encoding']).toBe('gzip')
    expect([reply.isComplete, reply.text]).toEqual([true, ''])
    expect(reply.bytes.length).toBeGreaterThan(100)
  })

  test('an answer stalls until released, with comments now and then by the clock', async () => {
    const fault = broken({ kind: 'stall', atByte: 300, keepAliveEveryMs: 30_000 })
    let received = 0
    let isDone = false
    const given = call(fake, { path: HLD, form: LIST, onData: (piece) => (received += piece.length) })
    void given.then(() => (isDone = true))
    while (received < 300) await settle()
    for (let n = 1; n <= 3; n++) {
      clock.advance(30_000)
      while (received < 300 + n * 20) await settle()
    }
    expect([received, isDone]).toEqual([360, false])
    fault.release()
    const reply = await given
    expect(reply.text.match(/<!-- keep-alive -->/g)).toHaveLength(3)
    expect(reply.text.endsWith('//--> \n')).toBe(true)
  })

  test('a stall ends by itself when its time has passed', async () => {
    broken({ kind: 'stall', atByte: 10, forMs: 600_000 })
    let received = 0
    const given = call(fake, { path: HLD, form: LIST, onData: (piece) => (received += piece.length) })
    while (received < 10) await settle()
    for (let n = 0; n < 20; n++) await settle()
    expect(received).toBe(10)
    clock.advance(600_000)
    expect(isWellFormed((await given).text)).toBe(true)
  })

  test('an answer drips, so many bytes a second of the clock', async () => {
    broken({ kind: 'slow', bytesPerSecond: 1, fromByte: 100 })
    let received = 0
    const abort = new AbortController()
    const headers = { authorization: `Basic ${btoa('fake_user:fake-password')}`, 'x-requested-with': 't' }
    const response = await fetch(`${fake.url}${HLD}?action=list`, { headers, signal: abort.signal })
    const reader = response.body?.getReader()
    while (received < 100) received += (await reader?.read())?.value?.length ?? 0
    for (let n = 1; n <= 5; n++) {
      clock.advance(1000)
      received += (await reader?.read())?.value?.length ?? 0
      expect(received).toBe(100 + n)
    }
    abort.abort()
  })

  test('closing the fake lets go of whoever still waits', async () => {
    broken({ kind: 'stall', atByte: 10 })
    let received = 0
    const given = call(fake, { path: HLD, form: LIST, onData: (piece) => (received += piece.length) })
    while (received < 10) await settle()
    await fake.close()
    expect((await given).isComplete).toBe(false)
    fake = await startFakeQualys({ estate: createEstate({ hosts: 1 }), clock })
  })
})

describe('the world moves during a run', () => {
  const ids = async () => setIds((await call(fake, { path: HOSTS, form: { ...LIST, details: 'None' } })).text)

  test('a role sees fewer hosts from the nth call on', async () => {
    broken({ kind: 'hide-hosts', ids: ['11', '21'], from: ['Manager'] }, { endpoint: 'host-list', nth: 2 })
    expect(await ids()).toHaveLength(6)
    expect(await ids()).toEqual(['31', '41', '51', '61'])
    expect(await ids()).toHaveLength(4)
  })

  test('a tag is removed, so that asking by it is an error', async () => {
    broken({ kind: 'remove-tag', name: 'Scope' }, { endpoint: 'detection', nth: 2 })
    const byTag = { use_tags: '1', tag_set_by: 'name', tag_set_include: 'Scope' }
    expect(hostIds((await hld(byTag)).text)).toHaveLength(6)
    const gone = await hld(byTag)
    expect([gone.status, texts(gone.text, 'CODE')]).toEqual([400, ['1905']])
  })

  test('one host is merged into another and one is purged', async () => {
    fake.estate.override('11', { addDetections: [{ qid: '99' }], silent: true })
    broken({ kind: 'merge-hosts', from: '11', to: '21' }, { endpoint: 'detection', nth: 2 })
    broken({ kind: 'purge-host', id: '61' }, { endpoint: 'detection', nth: 2 })
    expect(hostIds((await hld()).text)).toHaveLength(6)
    const after = await hld()
    expect(hostIds(after.text)).toEqual(['21', '31', '41', '51'])
    expect(await ids()).toEqual(['21', '31', '41', '51'])
  })

  test('anything else can be done to the estate', async () => {
    broken({ kind: 'estate', run: (estate) => estate.addHost({ id: '7' }) }, { endpoint: 'host-list' })
    expect(await ids()).toContain('7')
  })
})
