import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createEstate } from './estate/create-estate.ts'
import { startFakeQualys } from './server.ts'
import type { FakeQualys, FakeQualysOptions } from './server.ts'
import { call, structureOf } from './test-client.ts'
import type { CallOptions, Reply } from './test-client.ts'

const folder = process.env['PATCHBAY_RECORDINGS']
const isUnset = folder === undefined
const ONE_HOST = [{ id: '107800671', detections: [] }]
const HLD2 = '/api/2.0/fo/asset/host/vm/detection/'
const KB2 = '/api/2.0/fo/knowledge_base/vuln/'

interface Recording {
  body: string
  status: number
  headers: Record<string, string>
}

async function read(name: string): Promise<Recording> {
  const base = join(folder ?? '', 'qualys', 'recorded', 'recordings', name)
  const meta = JSON.parse(await readFile(`${base}.meta.json`, 'utf8')) as {
    response: { status: number; headers: Record<string, string> }
  }
  return { body: await readFile(`${base}.response.xml`, 'utf8'), ...meta.response }
}

let fake: FakeQualys
afterEach(() => fake.close())

async function ask(options: CallOptions, server: Partial<FakeQualysOptions> = {}): Promise<Reply> {
  fake = await startFakeQualys({ estate: createEstate({ hosts: ONE_HOST, kb: [] }), ...server })
  return call(fake, options)
}

/** Hosts, dates and years differ; everything else must be the same to the byte. */
function neutral(text: string): string {
  return text
    .replaceAll(/https?:\/\/[a-z0-9.:]+\//g, 'https://host/')
    .replaceAll(/\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z/g, 'DATE')
    .replaceAll(/Copyright \d{4}/g, 'Copyright YEAR')
}

const APART = new Set([
  'date',
  'connection',
  'keep-alive',
  'x-powered-by',
  'x-ratelimit-remaining',
  'server',
  'evaluation',
])
/** The web servers in front changed between the recordings; these two headers came and went with them. */
const FRONT = new Set([
  'strict-transport-security',
  'x-xss-protection',
  'x-frame-options',
  'x-content-type-options',
])

function expectSameHeaders(reply: Reply, recording: Recording): void {
  const names = (headers: Record<string, string>) =>
    Object.keys(headers)
      .filter((name) => !FRONT.has(name))
      .toSorted()
  const without = (list: string[]) => list.filter((name) => !APART.has(name))
  expect(without(names(reply.headers))).toEqual(without(names(recording.headers)))
  for (const name of without(names(recording.headers)))
    expect(reply.headers[name]).toBe(recording.headers[name])
  expect('x-powered-by' in reply.headers).toBe('x-powered-by' in recording.headers)
}

const EXACT: [name: string, options: CallOptions, server?: Partial<FakeQualysOptions>][] = [
  [
    'iterateHostDetections_0',
    { path: '/api/2.0/fo/asset/host/?action=list&details=None&truncation_limit=0' },
  ],
  [
    'iterateHostDetections_1',
    { path: HLD2, form: { action: 'list', show_tags: '1', show_igs: '1', ids: '107800671' } },
  ],
  ['iterateHostDetectionsUnknownId_0', { path: HLD2, form: { action: 'list', show_igs: '1', ids: '123' } }],
  ['iterateHostDetectionsBadId_0', { path: HLD2, form: { action: 'list', ids: 'abc123' } }],
  ['iterateVulnerabilitiesBadId_0', { path: KB2, form: { action: 'list', ids: 'abc123' } }],
  [
    'verifyAuthenticationExpired_0',
    { path: '/api/2.0/fo/activity_log/?action=list', user: { username: 'u', password: 'p' } },
    { users: [{ username: 'u', password: 'p', role: 'Manager', state: 'expired' }] },
  ],
]

test.skipIf(isUnset).each(EXACT)(
  'answers %s byte for byte as recorded (needs PATCHBAY_RECORDINGS)',
  async (name, options, server) => {
    const recording = await read(name)
    const reply = await ask(options, server)
    expect(reply.status).toBe(recording.status)
    expect(neutral(reply.text)).toBe(neutral(recording.body))
    expectSameHeaders(reply, recording)
  },
)

test.skipIf(isUnset)('answers no hosts at all as recorded (needs PATCHBAY_RECORDINGS)', async () => {
  const recording = await read('fetchScannedHostIdsNone_0')
  const reply = await ask(
    { path: '/api/2.0/fo/asset/host/?action=list&details=None&truncation_limit=0' },
    { estate: createEstate({ hosts: [] }) },
  )
  expect(neutral(reply.text)).toBe(neutral(recording.body))
})

const STRUCTURAL: [name: string, options: CallOptions, xsd?: string][] = [
  ['iterateVulnerabilities_0', { path: KB2, form: { action: 'list' } }],
  ['steps_6', { path: KB2, form: { action: 'list' } }],
  ['fetchHostDetails_1', { path: '/qps/rest/2.0/search/am/hostasset', form: '' }],
  ['fetchPortalInfo_0', { path: '/qps/rest/portal/version' }],
]

/** Elements of cloud sources, portal modules (which change places from release to release) and scan results that the fake does not make up. */
const NOT_MADE = /^(Ec2AssetSourceSimple|networkInterface|.+-VERSION)$/

test.skipIf(isUnset).each(STRUCTURAL)(
  'knows the elements of %s, in their order (needs PATCHBAY_RECORDINGS)',
  async (name, options) => {
    const recording = await read(name)
    const reply = await ask(options, { estate: createEstate({ hosts: 30 }) })
    expect(reply.headers['content-type']?.split(';')[0]).toMatch(/^(text|application)\/xml$/)
    const ours = structureOf(reply.text)
    const ourOrder = neighboursOf(reply.text)
    for (const [path, names] of structureOf(recording.body)) {
      if (path.split('/').some((part) => NOT_MADE.test(part))) continue
      expect(ours.get(path)).toEqual(expect.arrayContaining(names.filter((child) => !NOT_MADE.test(child))))
    }
    const isModule = (pair: string) => pair.includes('/Portal-Version:')
    const turned = [...neighboursOf(recording.body)].filter(
      (pair) => !isModule(pair) && ourOrder.has(turn(pair)),
    )
    expect(turned).toEqual([])
  },
)

/** Every pair of different siblings as "path: first < second". */
function neighboursOf(xml: string): Set<string> {
  const pairs = new Set<string>()
  const open: { name: string; children: string[] }[] = [{ name: '', children: [] }]
  for (const [, slash, name = '', empty] of xml
    .replaceAll(/<!\[CDATA\[.*?\]\]>/gs, '')
    .matchAll(/<(\/?)([\w-]+)[^>]*?(\/?)>/g)) {
    if (slash === '/') {
      open.pop()
      continue
    }
    const parent = open.at(-1)
    const path = open.map((one) => one.name).join('/')
    for (const before of parent?.children ?? [])
      if (before !== name) pairs.add(`${path}: ${before} < ${name}`)
    if (parent?.children.includes(name) === false) parent.children.push(name)
    if (empty !== '/') open.push({ name, children: [] })
  }
  return pairs
}

function turn(pair: string): string {
  const [path, order = ''] = pair.split(': ')
  return `${path}: ${order.split(' < ').toReversed().join(' < ')}`
}
