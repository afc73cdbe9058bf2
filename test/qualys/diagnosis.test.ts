import { afterEach, expect, test } from 'vitest'

import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER, type FakeUser } from '../../fakes/qualys/users.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import type { SourceMessage } from '../../src/model/source.ts'
import type { TagRecord } from '../../src/model/vm.ts'
import { connectQualys } from '../../src/sources/qualys/connection.ts'
import { createLocalQuota } from '../../src/sources/qualys/local-quota.ts'
import { diagnoseQualys, probeQualys, type ProbeResult } from '../../src/sources/qualys/probe.ts'
import { tags } from '../../src/sources/qualys/tags/index.ts'

const START_MS = Date.UTC(2026, 0, 1)
const ALL_CHECKS = [
  'URL',
  'login',
  'portal version',
  'host list',
  'host detections',
  'knowledge base',
  'tags',
]

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function start(user: FakeUser = DEFAULT_USER): Promise<FakeQualys> {
  const fake = await startFakeQualys({
    estate: createEstate({ hosts: 20 }),
    users: [user],
    clock: new ManualClock(START_MS),
  })
  closers.push(() => fake.close())
  return fake
}

function accessTo(fake: FakeQualys) {
  const { username, password } = DEFAULT_USER
  return { url: fake.url, username, password, privatePlatform: true, allowedCidrs: ['127.0.0.0/8'] }
}

function diagnose(
  fake: FakeQualys,
  change: Partial<ReturnType<typeof accessTo>> = {},
  versions?: { hld: string; hostList: string; kb: string },
  limits: { signal?: AbortSignal; idleTimeoutMs?: number } = {},
) {
  return diagnoseQualys({
    access: { ...accessTo(fake), ...change },
    clock: new ManualClock(START_MS, { skipSleeps: true }),
    userAgent: 'test',
    signal: new AbortController().signal,
    ...(versions === undefined ? {} : { versions }),
    ...limits,
  })
}

const okOf = (results: readonly ProbeResult[]) => results.map(({ name, ok }) => [name, ok])
const byName = (results: readonly ProbeResult[], name: string) =>
  results.find((result) => result.name === name)

test('a good account passes every check of the diagnosis', async () => {
  const results = await diagnose(await start())
  expect(okOf(results)).toEqual(ALL_CHECKS.map((name) => [name, true]))
  expect(results.every(({ hint, code }) => hint === null && code === null)).toBe(true)
  expect(byName(results, 'host list')?.message).toBe('Hosts are visible.')
  expect(byName(results, 'host detections')?.message).toBe('Detections are visible.')
})

test('T49: a wrong password is tried once, and the diagnosis says what to do', async () => {
  const fake = await start()
  const results = await diagnose(fake, { password: 'wrong-password' })
  expect(fake.requests).toHaveLength(1)
  expect(byName(results, 'login')).toMatchObject({ ok: false, code: '2000' })
  expect(byName(results, 'login')?.hint).toContain('Check both')
  expect(results.filter(({ code }) => code === 'skipped').map(({ name }) => name)).toEqual(
    ALL_CHECKS.slice(2),
  )
  expect(JSON.stringify(results)).not.toContain('wrong-password')
})

test.each([
  ['expired', '2001', 'renew'],
  ['inactive', '2002', 'activate'],
  ['registration', '2003', 'EULA'],
  ['securid', '2011', 'SecurID'],
] as const)(
  'an account that is %s stops the diagnosis at once and names the remedy',
  async (state, code, remedy) => {
    const fake = await start({ ...DEFAULT_USER, state })
    const results = await diagnose(fake)
    const failed = results.find(({ ok }) => !ok)
    expect(failed).toMatchObject({ code })
    expect(failed?.hint).toContain(remedy)
    expect(fake.requests.length).toBeLessThanOrEqual(2)
  },
)

test('a missing permission fails its own check only, with what to ask the administrator for', async () => {
  const fake = await start({ ...DEFAULT_USER, denied: ['knowledge-base', 'tag'] })
  const results = await diagnose(fake)
  expect(byName(results, 'knowledge base')).toMatchObject({ ok: false, code: '2012' })
  expect(byName(results, 'tags')).toMatchObject({ ok: false, code: 'UNAUTHORIZED' })
  for (const name of ['knowledge base', 'tags'])
    expect(byName(results, name)?.hint).toContain('administrator')
  expect(results.filter(({ ok }) => !ok)).toHaveLength(2)
})

test('an API version that the platform does not offer is named by the diagnosis', async () => {
  const results = await diagnose(await start(), {}, { hld: '9.0', hostList: '5.0', kb: '4.0' })
  expect(byName(results, 'host detections')).toMatchObject({ ok: false })
  expect(byName(results, 'host detections')?.hint).toContain('version 9.0')
  expect(results.filter(({ ok }) => !ok)).toHaveLength(1)
})

test('a refused URL ends the diagnosis before any call', async () => {
  const fake = await start()
  const results = await diagnose(fake, { url: 'https://qualysguard.qualys.eu', privatePlatform: false })
  expect(results[0]).toMatchObject({ name: 'URL', ok: false, code: 'url_refused' })
  expect(results[0]?.message).toContain('https://qualysapi.qualys.eu')
  expect(results.slice(1).every(({ code }) => code === 'skipped')).toBe(true)
  expect(fake.requests).toHaveLength(0)
})

test('an address that is not in the allowed networks is not connected to', async () => {
  const fake = await start()
  const results = await diagnose(fake, { allowedCidrs: [] })
  expect(byName(results, 'login')).toMatchObject({ ok: false, code: 'refused_address' })
  expect(byName(results, 'login')?.hint).toContain('allowedCidrs')
  expect(fake.requests).toHaveLength(0)
})

test('a configured account is probed through its own connection', async () => {
  const fake = await start()
  const clock = new ManualClock(START_MS, { skipSleeps: true })
  const connection = connectQualys({
    access: accessTo(fake),
    quota: createLocalQuota(clock),
    clock,
    userAgent: 'test',
  })
  closers.push(() => connection.close())
  const results = await probeQualys({ client: connection.client, signal: new AbortController().signal })
  expect(okOf(results)).toEqual(ALL_CHECKS.slice(1).map((name) => [name, true]))
})

test('a maintenance page instead of XML is told as such', async () => {
  const fake = await start()
  fake.faults.add({ kind: 'html', page: 'maintenance', match: { endpoint: 'host-list' } })
  expect(byName(await diagnose(fake), 'host list')).toMatchObject({ ok: false, code: 'html_page' })
})

test.each([
  ['host-list', 'HOST_LIST_OUTPUT'],
  ['detection', 'HOST_LIST_VM_DETECTION_OUTPUT'],
  ['knowledge-base', 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT'],
] as const)(
  'a body of %s that is cut is a failed check of its own, never "nothing there"',
  async (endpoint, root) => {
    const fake = await start()
    const body = `<?xml version="1.0" encoding="UTF-8" ?><${root}><RESPONSE><DATETIME>2026-01-01`
    const match = { endpoint }
    const handle = fake.faults.add({ kind: 'status', status: 200, body, contentType: 'text/xml', match })
    const cut = await diagnose(fake)
    expect(handle.hits).toBe(1)
    expect(cut.filter(({ ok }) => !ok)).toMatchObject([{ code: 'truncated' }])

    const whole = `<${root}><RESPONSE></RESPONSE></${root}>`
    fake.faults.add({ kind: 'status', status: 200, body: whole, contentType: 'text/xml', match })
    expect((await diagnose(fake)).every(({ ok }) => ok)).toBe(true)
  },
)

test('a Qualys that says nothing fails one check after its own time-out, and the others go on', async () => {
  const fake = await start()
  fake.faults.add({ kind: 'stall', atByte: 0, match: { endpoint: 'host-list' } })
  const results = await diagnose(fake, {}, undefined, { idleTimeoutMs: 300 })
  expect(results.filter(({ ok }) => !ok)).toMatchObject([
    { name: 'host list', code: 'timeout', message: 'Qualys did not answer within 0.3 seconds.' },
  ])
  expect(byName(results, 'host list')?.hint).toContain('proxy')
})

test.each([
  [new DOMException('late', 'TimeoutError'), /did not answer within the time/],
  [new Error('Ctrl-C'), /was stopped before/],
])(
  'a diagnosis that is stopped by "%s" tells so of the check at hand and skips the rest',
  async (reason, sentence) => {
    const fake = await start()
    const controller = new AbortController()
    const stop = () => controller.abort(reason)
    fake.faults.add({ kind: 'stall', atByte: 0, match: { endpoint: 'host-list' } })
    fake.faults.add({ kind: 'estate', run: stop, match: { endpoint: 'host-list' } })
    const results = await diagnose(fake, {}, undefined, { signal: controller.signal })
    expect(byName(results, 'host list')).toMatchObject({
      ok: false,
      message: expect.stringMatching(sentence) as string,
    })
    expect(results.slice(ALL_CHECKS.indexOf('host list') + 1).map(({ code }) => code)).toEqual([
      'skipped',
      'skipped',
      'skipped',
    ])
  },
)

test('the tags of the fake estate are read whole', async () => {
  const fake = await start()
  const clock = new ManualClock(START_MS, { skipSleeps: true })
  const connection = connectQualys({
    access: accessTo(fake),
    quota: createLocalQuota(clock),
    clock,
    userAgent: 'test',
  })
  closers.push(() => connection.close())
  const context = {
    integrationId: '1',
    config: {},
    client: connection.client,
    signal: new AbortController().signal,
  }
  const messages: SourceMessage<TagRecord>[] = []
  for await (const message of tags.read({ ...context, request: {} })) messages.push(message)
  const records = messages.flatMap((message) => (message.type === 'records' ? message.records : []))
  const expected = [...fake.estate.tags()].map(({ id, name }) => ({ id, name }))
  expect(records.map(({ id, name }) => ({ id, name }))).toEqual(expected)
  expect(messages.at(-1)?.type).toBe('answer')
})
