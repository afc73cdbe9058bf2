import { afterEach, expect, test } from 'vitest'

import { type Scripted, startReplay } from '../../../test/support/replay.ts'
import { ManualClock } from '../../lib/clock.ts'
import { createHttpDoor } from '../../lib/http/index.ts'
import { childOf } from '../../lib/xml-small.ts'
import type { HubError } from '../../model/errors.ts'
import type { QuotaPort, ReportedLimits } from '../../model/quota.ts'
import { createQualysClient, type FoCall, type QualysWait } from './client.ts'
import { createLocalQuota } from './local-quota.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

const START_MS = Date.UTC(2026, 0, 1)
const LIMITS = {
  'x-ratelimit-limit': '300',
  'x-ratelimit-remaining': '298',
  'x-concurrency-limit-limit': '2',
}

/** A budget that keeps what it was told, around the real local one. */
function watch(quota: QuotaPort) {
  const told = {
    reports: [] as ReportedLimits[],
    refusals: [] as { kind: string; waitMs: number }[],
    held: 0,
  }
  const watched: QuotaPort = {
    acquire: async (endpoint, signal) => {
      const permit = await quota.acquire(endpoint, signal)
      told.held += 1
      let isHeld = true
      return {
        report: async (limits) => {
          told.reports.push(limits)
          await permit.report(limits)
        },
        refuse: async (refusal) => {
          told.refusals.push(refusal)
          await permit.refuse(refusal)
        },
        release: async () => {
          if (isHeld) told.held -= 1
          isHeld = false
          await permit.release()
        },
      }
    },
  }
  return { watched, told }
}

async function connect(answers: readonly Scripted[], options: { idleTimeoutMs?: number } = {}) {
  const server = await startReplay(answers)
  const clock = new ManualClock(START_MS, { skipSleeps: true })
  const door = createHttpDoor({ userAgent: 'Patchbay/test', allowedCidrs: ['127.0.0.1'] })
  closers.push(
    () => server.close(),
    () => door.close(),
  )
  const { watched, told } = watch(createLocalQuota(clock))
  const waits: QualysWait[] = []
  const client = createQualysClient({
    door,
    baseUrl: server.url,
    username: 'me',
    password: 'p\u00e4ss:word',
    quota: watched,
    clock,
    random: () => 0.5,
    onWait: (info) => waits.push(info),
    ...options,
  })
  return { client, server, clock, told, waits }
}

function hosts(signal = new AbortController().signal): FoCall {
  return {
    endpoint: 'fo/asset/host',
    path: '/api/5.0/fo/asset/host/',
    params: { action: 'list', ids: '1-5' },
    expectRoot: 'HOST_LIST_OUTPUT',
    signal,
  }
}

const HOSTS_BODY = `<?xml version="1.0" encoding="UTF-8" ?><!DOCTYPE HOST_LIST_OUTPUT SYSTEM "https://x.example/x.dtd">
<!-- keep-alive --><HOST_LIST_OUTPUT><RESPONSE><DATETIME>2026-01-01T00:00:00Z</DATETIME></RESPONSE></HOST_LIST_OUTPUT>`

const simpleReturn = (code: string, items = '') =>
  `<SIMPLE_RETURN><RESPONSE><CODE>${code}</CODE><TEXT>Why.</TEXT>${items}</RESPONSE></SIMPLE_RETURN>`
const secondsToWait = (seconds: number) =>
  `<ITEM_LIST><ITEM><KEY>SECONDS_TO_WAIT</KEY><VALUE>${seconds}</VALUE></ITEM></ITEM_LIST>`

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

test('an FO call is a POST form with Basic authorization, and its whole body is handed out', async () => {
  const { client, server, told } = await connect([{ body: HOSTS_BODY, gzip: true, headers: LIMITS }])
  const answer = await client.fo(hosts())
  expect(told.held).toBe(1)
  expect(await textOf(answer.body)).toBe(HOSTS_BODY)
  expect(answer.bytesRead()).toBe(Buffer.byteLength(HOSTS_BODY))
  expect(told).toMatchObject({
    held: 0,
    reports: [{ callsMax: 300, callsRemaining: 298, concurrencyMax: 2 }],
  })
  const [request] = server.requests
  expect(request).toMatchObject({
    method: 'POST',
    url: '/api/5.0/fo/asset/host/',
    body: 'action=list&ids=1-5',
  })
  expect(request?.headers).toMatchObject({
    authorization: `Basic ${Buffer.from('me:p\u00e4ss:word').toString('base64')}`,
    'x-requested-with': 'Patchbay',
    'user-agent': 'Patchbay/test',
    'accept-encoding': 'gzip',
    'content-type': 'application/x-www-form-urlencoded',
  })
})

test('junk and keep-alives before the root element are handed out with the rest', async () => {
  const body = ` junk ${'<!-- keep-alive -->\n'.repeat(1_000)}${HOSTS_BODY}`
  const { client } = await connect([{ body }])
  expect(await textOf((await client.fo(hosts())).body)).toBe(body)
})

test('the permit comes back when a body is broken out of, and when it is discarded', async () => {
  const { client, told } = await connect([{ body: HOSTS_BODY }])
  const broken = await client.fo(hosts())
  for await (const chunk of broken.body) {
    expect(chunk.length).toBeGreaterThan(0)
    break
  }
  expect(told.held).toBe(0)
  const discarded = await client.fo(hosts())
  await discarded.discard()
  await discarded.discard()
  expect(told.held).toBe(0)
})

test('the permit comes back when the run is stopped while nobody reads', async () => {
  const { client, told } = await connect([{ body: HOSTS_BODY, isOpenEnded: true }])
  const stop = new AbortController()
  const answer = await client.fo(hosts(stop.signal))
  stop.abort(new Error('stopped'))
  await expect(textOf(answer.body)).rejects.toThrow('stopped')
  expect(told.held).toBe(0)
})

test.each([
  ['auth', { status: 401, body: simpleReturn('2000') }],
  ['auth', { status: 200, body: simpleReturn('2001') }],
  ['permission', { status: 403, body: simpleReturn('2012') }],
  ['config', { status: 400, body: simpleReturn('1905') }],
  ['transient', { status: 200, body: '<!DOCTYPE html><html>maintenance</html>' }],
  ['transient', { status: 200, body: '' }],
  ['transient', { status: 204 }],
  ['transient', { status: 503, body: HOSTS_BODY }],
  ['contract', { status: 200, body: '<HOST_LIST_VM_DETECTION_OUTPUT/>' }],
  ['transient', { status: 200, body: `<!-- ${'x'.repeat(70_000)}` }],
] as const)(
  'T43: an answer that is not the expected one is a %s error, is not repeated and holds nothing: %o',
  async (kind, answer) => {
    const { client, server, told } = await connect([answer])
    await expect(client.fo(hosts())).rejects.toMatchObject({ name: 'HubError', kind })
    expect(server.requests).toHaveLength(1)
    expect(told.held).toBe(0)
  },
)

test('an authentication failure never carries the password', async () => {
  const { client } = await connect([{ status: 401, body: simpleReturn('2000') }])
  const error: unknown = await client.fo(hosts()).catch((caught: unknown) => caught)
  expect(`${(error as Error).stack}${JSON.stringify(error)}`).not.toMatch(/p\u00e4ss|Basic/)
})

test('a redirect to another place is not followed, so the password stays here', async () => {
  const { client, server } = await connect([{ status: 302, headers: { location: 'https://evil.example/' } }])
  await expect(client.fo(hosts())).rejects.toMatchObject({ kind: 'config', code: 'redirect' })
  expect(server.requests).toHaveLength(1)
})

test('a short rate limit is waited for in place, with the slot given back and the budget told', async () => {
  const refused = { status: 409, body: simpleReturn('1965', secondsToWait(30)) }
  const { client, clock, told, waits, server } = await connect([refused, { body: HOSTS_BODY }])
  expect(await textOf((await client.fo(hosts())).body)).toBe(HOSTS_BODY)
  expect(told).toMatchObject({ held: 0, refusals: [{ kind: 'rate_limit', waitMs: 30_000 }] })
  expect(clock.nowMs() - START_MS).toBeGreaterThanOrEqual(30_000)
  expect(waits).toEqual([{ endpoint: 'fo/asset/host', untilMs: clock.nowMs(), reason: 'rate_limit' }])
  expect(server.requests).toHaveLength(2)
})

test('T47: a long rate limit is not waited for; the budget keeps everybody away until then', async () => {
  const refused = { status: 409, body: simpleReturn('1965', secondsToWait(86_000)) }
  const { client, clock, told, server } = await connect([refused, { body: HOSTS_BODY }])
  await expect(client.fo(hosts())).rejects.toMatchObject({ kind: 'rate_limit', retryAfterMs: 86_000_000 })
  await expect(client.fo(hosts())).rejects.toMatchObject({ kind: 'rate_limit', retryAfterMs: 86_000_000 })
  expect(told).toMatchObject({ held: 0, refusals: [{ kind: 'rate_limit', waitMs: 86_000_000 }] })
  expect(server.requests).toHaveLength(1)
  clock.advance(86_000_000)
  expect(await textOf((await client.fo(hosts())).body)).toBe(HOSTS_BODY)
})

test('T47: the concurrency limit is waited for between 5 and 30 seconds, a bounded number of times', async () => {
  const busy = { status: 409, body: simpleReturn('1960') }
  const { client, told, server, waits } = await connect([busy])
  await expect(client.fo(hosts())).rejects.toMatchObject({ kind: 'concurrency', code: '1960' })
  expect(server.requests).toHaveLength(5)
  expect(waits).toHaveLength(4)
  expect(told.refusals).toHaveLength(5)
  for (const { kind, waitMs } of told.refusals) {
    expect(kind).toBe('concurrency')
    expect(waitMs).toBeGreaterThanOrEqual(5_000)
    expect(waitMs).toBeLessThanOrEqual(30_000)
  }
  expect(told.held).toBe(0)
})

test('a 429 with a short wait, and a request still being processed, are asked again', async () => {
  const { client, server } = await connect([
    { status: 429, headers: { 'x-ratelimit-towait-sec': '3' } },
    { status: 409, body: simpleReturn('1981') },
    { body: HOSTS_BODY },
  ])
  expect(await textOf((await client.fo(hosts())).body)).toBe(HOSTS_BODY)
  expect(server.requests).toHaveLength(3)
})

test('T44: a body that breaks off throws while it is read, and gives everything back', async () => {
  const long = HOSTS_BODY + '<!-- x -->'.repeat(100_000)
  for (const gzip of [false, true]) {
    const { client, told } = await connect([{ body: long, gzip, cutAt: gzip ? 1_000 : 500_000 }])
    const reading = client.fo(hosts()).then((answer) => textOf(answer.body))
    await expect(reading).rejects.toMatchObject({ kind: 'transient', code: 'truncated' })
    expect(told.held).toBe(0)
  }
})

test('silence in a body ends in a transient time-out', async () => {
  const { client, told } = await connect([{ body: HOSTS_BODY, isOpenEnded: true }], { idleTimeoutMs: 50 })
  const answer = await client.fo(hosts())
  await expect(textOf(answer.body)).rejects.toMatchObject({ kind: 'transient', code: 'timeout' })
  expect(told.held).toBe(0)
})

const qpsBody = (inner: string) =>
  `<?xml version="1.0" encoding="UTF-8"?><ServiceResponse>${inner}</ServiceResponse>`
const searchTags = {
  endpoint: 'qps/search/am/tag',
  method: 'POST' as const,
  path: '/qps/rest/2.0/search/am/tag',
  request: {
    criteria: [{ field: 'name', operator: 'EQUALS' as const, value: 'a<b>&"c"' }],
    limitResults: 10,
  },
  arrays: ['Tag'],
  signal: new AbortController().signal,
}

test('T5 T46: a QPS call sends a ServiceRequest and returns its data as strings, with one record as a list', async () => {
  const data = '<data><Tag><id>9007199254740993</id><name>007</name></Tag></data>'
  const inner = `<responseCode>SUCCESS</responseCode><count>1</count><hasMoreRecords>true</hasMoreRecords><lastId>9007199254740993</lastId>${data}`
  const { client, server, told } = await connect([{ body: qpsBody(inner) }])
  const answer = await client.qps(searchTags)
  expect(answer).toMatchObject({ count: 1, hasMoreRecords: true, lastId: '9007199254740993' })
  expect(answer.data).toEqual({ Tag: [{ id: '9007199254740993', name: '007' }] })
  expect(server.requests[0]?.body).toContain(
    '<Criteria field="name" operator="EQUALS">a&lt;b&gt;&amp;&quot;c&quot;</Criteria>',
  )
  expect(server.requests[0]?.body).toContain('<preferences><limitResults>10</limitResults></preferences>')
  expect(told.held).toBe(0)
})

test('T43: QPS errors come with status 200 and are failures all the same', async () => {
  for (const [code, kind] of [
    ['UNAUTHORIZED', 'permission'],
    ['INVALID_CREDENTIALS', 'auth'],
    ['INVALID_REQUEST', 'config'],
  ]) {
    const { client, told } = await connect([{ body: qpsBody(`<responseCode>${code}</responseCode>`) }])
    await expect(client.qps(searchTags)).rejects.toMatchObject({ kind, code })
    expect(told.held).toBe(0)
  }
})

test('a QPS answer that is cut, that pages without an id, or that declares entities is not accepted', async () => {
  const cut = await connect([{ body: qpsBody('<responseCode>SUCCESS</responseCode>').slice(0, -4) }])
  await expect(cut.client.qps(searchTags)).rejects.toMatchObject({ kind: 'transient', code: 'truncated' })
  const lost = await connect([
    { body: qpsBody('<responseCode>SUCCESS</responseCode><hasMoreRecords>true</hasMoreRecords>') },
  ])
  await expect(lost.client.qps(searchTags)).rejects.toMatchObject({ kind: 'contract', code: 'no_last_id' })
  const bomb = `<!DOCTYPE a [<!ENTITY x "yyyyyy">]>${qpsBody('<responseCode>&x;&x;</responseCode>').replace(/^<\?.*?\?>/, '')}`
  const { client } = await connect([{ body: bomb }])
  await expect(client.qps(searchTags)).rejects.toMatchObject({ kind: 'contract' })
})

test('an MSP call is a GET whose in-document errors are found', async () => {
  const call = {
    endpoint: 'msp/about',
    path: '/msp/about.php',
    expectRoot: 'ABOUT',
    signal: new AbortController().signal,
  }
  const good = await connect([{ body: '<ABOUT><WEB-VERSION>10.38</WEB-VERSION></ABOUT>' }])
  const about = await good.client.msp({ ...call, params: { a: 'b c' } })
  expect(childOf(about, 'ABOUT')).toEqual({ 'WEB-VERSION': '10.38' })
  expect(good.server.requests[0]).toMatchObject({ method: 'GET', url: '/msp/about.php?a=b+c' })
  const bad = await connect([{ body: '<ABOUT><ERROR number="2002">Inactive</ERROR></ABOUT>' }])
  await expect(bad.client.msp(call)).rejects.toMatchObject({ kind: 'auth', code: '2002' })
})

const about = { endpoint: 'msp/about', path: '/msp/about.php', expectRoot: 'ABOUT' }
const tagCount = { endpoint: 'qps/tag', method: 'GET' as const, path: '/qps/rest/2.0/count/am/tag' }

test.each([
  ['is cut before its root', { body: '<?xml version="1.0"?><SIMPLE_RETURN><RESPONSE>', cutAt: 25 }],
  ['is cut within its message', { body: '<SIMPLE_RETURN><RESPONSE><TEXT>Bad login', cutAt: 38 }],
  ['is no gzip', { body: 'plain', headers: { 'content-encoding': 'gzip' } }],
  ['is cut within a ServiceResponse', { body: '<ServiceResponse><responseCode>INV', cutAt: 33 }],
  ['has a bare ampersand', { body: '<SIMPLE_RETURN><TEXT>a & b</TEXT></SIMPLE_RETURN>' }],
])('a 401 whose body %s is a failed login for every transport', async (_, scripted: Scripted) => {
  const { client, server } = await connect(Array.from({ length: 3 }, () => ({ ...scripted, status: 401 })))
  const { signal } = new AbortController()
  await expect(client.fo(hosts())).rejects.toMatchObject({ kind: 'auth' })
  await expect(client.msp({ ...about, signal })).rejects.toMatchObject({ kind: 'auth' })
  await expect(client.qps({ ...tagCount, signal })).rejects.toMatchObject({ kind: 'auth' })
  expect(server.requests).toHaveLength(3)
})

test('a QPS refusal with status 200 is one even when its document is cut', async () => {
  const body = '<ServiceResponse><responseCode>INVALID_CREDENTIALS</responseCode><responseErrorDetails>'
  const { client, server } = await connect([{ body }])
  const { signal } = new AbortController()
  await expect(client.qps({ ...tagCount, signal })).rejects.toMatchObject({ kind: 'auth' })
  expect(server.requests).toHaveLength(1)
})

test.each([
  [
    'a SIMPLE_RETURN',
    (said: string) =>
      `<SIMPLE_RETURN><RESPONSE><CODE>1905</CODE><TEXT>${said}</TEXT></RESPONSE></SIMPLE_RETURN>`,
  ],
  [
    'a ServiceResponse',
    (said: string) => `<ServiceResponse><responseCode>${said}</responseCode></ServiceResponse>`,
  ],
  ['an MSP error', (said: string) => `<ABOUT><ERROR number="1905">${said}</ERROR></ABOUT>`],
  ['a root element', (said: string) => `<${said.replaceAll(/[^A-Za-z0-9]/g, '')}></x>`],
  ['JSON', (said: string) => JSON.stringify({ message: said })],
])('credentials that %s reflects are in no error', async (_, bodyOf) => {
  const login = Buffer.from('me:p\u00e4ss:word').toString('base64')
  // The second one is cut where messages are, in the middle of the credentials.
  const reflected = [`Authorization: Basic ${login}, p\u00e4ss:word`, `${'x '.repeat(145)}${login}`]
  for (const said of reflected) {
    for (const status of [200, 400]) {
      const { client } = await connect([{ status, body: bodyOf(said) }])
      const { signal } = new AbortController()
      const calls = [
        client.fo(hosts()),
        client.msp({ ...about, signal }),
        client.qps({ ...tagCount, signal }),
      ]
      for (const result of await Promise.allSettled(calls)) {
        if (result.status === 'fulfilled') throw new Error('An error was taken for an answer.')
        const { message, hint, code, stack } = result.reason as HubError
        const shown = [message, hint, code, stack].join(' ')
        expect(shown).not.toContain(login.replaceAll('=', '').slice(0, 6))
        expect(shown).not.toContain('p\u00e4ss')
      }
    }
  }
})
