import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterEach, expect, test } from 'vitest'

import { ManualClock } from '../../src/lib/clock.ts'
import { jiraSpec, SPECS_DIR } from '../../test/support/jira-spec.ts'
import { BUG, PROJECT, TASK } from './defaults.ts'
import { type FakeJira, startFakeJira } from './fake-jira.ts'
import type { FakeJiraOptions } from './types.ts'

const RECORDINGS_DIR = process.env['PATCHBAY_RECORDINGS']

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

interface Answer {
  status: number
  body: unknown
  headers: Headers
}

/** What stands at a path such as `issues.0.key` of an answer. */
function at(answer: Answer, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], answer.body)
}

function keysOf(answer: Answer): string[] {
  return (at(answer, 'issues') as { key: string }[]).map((issue) => issue.key)
}

interface Bench {
  jira: FakeJira
  clock: ManualClock
  call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>
}

async function bench(options: Partial<FakeJiraOptions> = {}): Promise<Bench> {
  const clock = new ManualClock(Date.UTC(2026, 10, 21))
  const validate = jiraSpec()
  const jira = await startFakeJira({ clock, ...(validate !== undefined && { validate }), ...options })
  closers.push(jira.close)
  const authorization = `Basic ${Buffer.from(`${jira.email}:${jira.apiToken}`).toString('base64')}`
  return {
    jira,
    clock,
    call: async (method, path, body, headers = {}) => {
      const answer = await fetch(`${jira.url}/rest/api/3${path}`, {
        method,
        headers: { authorization, 'content-type': 'application/json', ...headers },
        redirect: 'manual',
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await answer.text()
      return {
        status: answer.status,
        headers: answer.headers,
        body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text,
      }
    },
  }
}

const doc = (...content: unknown[]) => ({ version: 1, type: 'doc', content })
const words = (text: string, marks?: unknown[]) => ({
  type: 'paragraph',
  content: [{ type: 'text', text, ...(marks && { marks }) }],
})
const FIELDS = { project: { key: 'VULN' }, issuetype: { id: TASK.id }, summary: 'A ticket' }

const REFUSED: readonly [string, Record<string, unknown>, string][] = [
  ['a summary with a line end', { summary: 'two\nlines' }, 'summary'],
  ['a summary of 256 characters', { summary: 'x'.repeat(256) }, 'summary'],
  ['an empty summary', { summary: '  ' }, 'summary'],
  ['a description that is a string', { description: 'text' }, 'description'],
  ['a document with an empty text node', { description: doc(words('')) }, 'description'],
  ['a document with an unknown node', { description: doc({ type: 'macro' }) }, 'description'],
  [
    'a heading inside a list item',
    {
      description: doc({
        type: 'bulletList',
        content: [{ type: 'listItem', content: [{ type: 'heading', attrs: { level: 1 } }] }],
      }),
    },
    'description',
  ],
  [
    'a table inside a panel',
    {
      description: doc({
        type: 'panel',
        attrs: { panelType: 'info' },
        content: [{ type: 'table', content: [] }],
      }),
    },
    'description',
  ],
  ['a list without items', { description: doc({ type: 'bulletList', content: [] }) }, 'description'],
  [
    'code beside strong',
    { description: doc(words('x', [{ type: 'code' }, { type: 'strong' }])) },
    'description',
  ],
  [
    'a link that runs a script',
    { description: doc(words('x', [{ type: 'link', attrs: { href: 'javascript:alert(1)' } }])) },
    'description',
  ],
  ['a text of 32,768 characters', { description: doc(words('x'.repeat(32_768))) }, 'description'],
  ['a label with a space', { labels: ['a b'] }, 'labels'],
  ['a label of 256 characters', { labels: ['x'.repeat(256)] }, 'labels'],
  ['an unknown priority', { priority: { id: '99' } }, 'priority'],
  ['an unknown assignee', { assignee: { accountId: 'nobody' } }, 'assignee'],
  ['an unknown component', { components: [{ id: '1' }] }, 'components'],
  ['a due date that is none', { duedate: '24.12.2026' }, 'duedate'],
  ['an unknown field', { customfield_99: 'x' }, 'customfield_99'],
  ['a resolution at creation', { resolution: { name: 'Done' } }, 'resolution'],
  ['an unknown issue type', { issuetype: { id: '1' } }, 'issuetype'],
  ['an unknown project', { project: { key: 'NOPE' } }, 'project'],
]

for (const [name, fields, field] of REFUSED) {
  test(`the fake Jira refuses ${name}, names the field and makes nothing`, async () => {
    const { jira, call } = await bench()
    const answer = await call('POST', '/issue', { fields: { ...FIELDS, ...fields } })
    expect(answer.status).toBe(400)
    expect(Object.keys(at(answer, 'errors') ?? {})).toEqual([field])
    expect(jira.issues()).toEqual([])
  })
}

test('the fake Jira wants a sign-in, json and a known endpoint', async () => {
  const { call } = await bench()
  expect((await call('GET', '/myself', undefined, { authorization: 'Basic eDp5' })).status).toBe(401)
  expect((await call('GET', '/myself', undefined, { authorization: '' })).status).toBe(401)
  expect((await call('POST', '/issue', '{"fields":')).status).toBe(400)
  expect((await call('POST', '/issue', {}, { 'content-type': 'text/plain' })).status).toBe(415)
  expect((await call('GET', '/nothing')).status).toBe(404)
})

test('the fake Jira has removed the old search', async () => {
  const { call } = await bench()
  expect((await call('POST', '/search', { jql: 'project = VULN' })).status).toBe(410)
  expect((await call('GET', '/search?jql=project=VULN')).status).toBe(410)
})

for (const jql of [
  '',
  'labels = "patchbay"',
  'order by created',
  'project = VULN OR project = X',
  'project = VULN AND status = Done',
  'project = VULN AND labels in ()',
  'project = VULN AND labels in ("a"',
  'project = VULN AND labels = "a" ORDER BY status',
  'project = VULN; drop',
  'project = NOPE',
  'project = "VULN',
]) {
  test(`the fake Jira refuses the query: ${jql}`, async () => {
    const { call } = await bench()
    expect((await call('POST', '/search/jql', { jql })).status).toBe(400)
  })
}

test('search returns ids alone unless fields are asked for, and refuses unknown members', async () => {
  const { jira, call } = await bench()
  await call('POST', '/issue', { fields: { ...FIELDS, labels: ['Patchbay-AB'] } })
  const jql = 'project = "VULN" AND labels in ("patchbay-ab", "x\\"y") ORDER BY key DESC'
  expect((await call('POST', '/search/jql', { jql })).body).toEqual({
    issues: [{ id: jira.issue('VULN-1').id }],
    isLast: true,
  })
  const full = await call('POST', '/search/jql', { jql, fields: ['summary', 'status'] })
  expect(at(full, 'issues.0.fields')).toMatchObject({
    summary: 'A ticket',
    status: { statusCategory: { key: 'new' } },
  })
  expect((await call('POST', '/search/jql', { jql, startAt: 0 })).status).toBe(400)
})

test('search pages by a token that belongs to its query and expires', async () => {
  const { call, clock } = await bench()
  for (let index = 0; index < 5; index += 1) {
    await call('POST', '/issue', { fields: FIELDS })
    clock.advance(1)
  }
  const jql = 'project = VULN ORDER BY created ASC'
  const seen: string[] = []
  let token: string | undefined
  do {
    const page = await call('POST', '/search/jql', {
      jql,
      fields: ['key'],
      maxResults: 2,
      ...(token && { nextPageToken: token }),
    })
    seen.push(...keysOf(page))
    token = at(page, 'nextPageToken') as string | undefined
  } while (token !== undefined && seen.length < 3)
  expect(seen).toEqual(['VULN-1', 'VULN-2', 'VULN-3', 'VULN-4'])
  expect((await call('POST', '/search/jql', { jql: 'project = VULN', nextPageToken: token })).status).toBe(
    400,
  )
  clock.advance(8 * 24 * 3_600_000)
  expect((await call('POST', '/search/jql', { jql, nextPageToken: token })).status).toBe(400)
})

test('search sees a change only after the lag, unless the issue is named for reconciliation', async () => {
  const { jira, call, clock } = await bench({ searchLagMs: 30_000 })
  await call('POST', '/issue', { fields: { ...FIELDS, labels: ['a'] } })
  const search = async (more = {}) =>
    keysOf(await call('POST', '/search/jql', { jql: 'project = VULN AND labels = "a"', ...more })).length
  expect(await search()).toBe(0)
  expect(await search({ reconcileIssues: [Number(jira.issue('VULN-1').id)] })).toBe(1)
  clock.advance(30_000)
  expect(await search()).toBe(1)
  jira.people.removeLabel('VULN-1', 'a')
  expect(await search()).toBe(1)
  clock.advance(30_000)
  expect(await search()).toBe(0)
})

test('bulk create makes what it can, at most 50, and numbers what failed', async () => {
  const { jira, call } = await bench()
  const bad = { fields: { ...FIELDS, issuetype: { id: '1' } } }
  const partly = await call('POST', '/issue/bulk', {
    issueUpdates: [{ fields: FIELDS }, bad, { fields: FIELDS }],
  })
  expect(partly.status).toBe(201)
  expect(keysOf(partly)).toEqual(['VULN-1', 'VULN-2'])
  expect(at(partly, 'errors')).toMatchObject([{ status: 400, failedElementNumber: 1 }])
  expect((await call('POST', '/issue/bulk', { issueUpdates: [bad] })).status).toBe(400)
  const many = Array.from({ length: 51 }, () => ({ fields: FIELDS }))
  expect((await call('POST', '/issue/bulk', { issueUpdates: many })).status).toBe(400)
  expect(jira.issues()).toHaveLength(2)
})

test('bulk fetch follows old keys, reports what is missing, and takes at most 100', async () => {
  const other = { ...PROJECT, id: '10201', key: 'OTHER' }
  const { jira, call } = await bench({ projects: [PROJECT, other] })
  await call('POST', '/issue', { fields: FIELDS })
  jira.people.move('VULN-1', 'OTHER')
  const answer = await call('POST', '/issue/bulkfetch', {
    issueIdsOrKeys: ['VULN-1', 'VULN-9'],
    fields: ['summary'],
  })
  expect(keysOf(answer)).toEqual(['OTHER-1'])
  expect(at(answer, 'issueErrors')).toMatchObject([{ id: 'VULN-9' }])
  const ids = Array.from({ length: 101 }, (_, index) => String(index))
  expect((await call('POST', '/issue/bulkfetch', { issueIdsOrKeys: ids })).status).toBe(400)
})

test('transitions have other ids per issue type and are refused where the workflow has none', async () => {
  const { call, jira } = await bench()
  await call('POST', '/issue', { fields: { ...FIELDS, issuetype: { name: 'Bug' } } })
  const go = (id: string, more = {}) =>
    call('POST', '/issue/VULN-1/transitions', { transition: { id }, ...more })
  expect((await go('31')).status).toBe(400)
  expect((await go('5')).status).toBe(400)
  expect((await go('4')).status).toBe(204)
  expect(at(await go('5'), 'errors')).toEqual({ resolution: 'Resolution is required.' })
  expect((await go('5', { fields: { resolution: { name: 'Fixed' } } })).status).toBe(204)
  expect(jira.issue('VULN-1').status.name).toBe('Closed')
  expect(BUG.transitions.map(({ id }) => id)).not.toContain('31')
})

test('a comment sent along with a transition is lost where the transition has no screen', async () => {
  const { call, jira } = await bench()
  await call('POST', '/issue', { fields: FIELDS })
  const update = { comment: [{ add: { body: doc(words('closing')) } }] }
  expect((await call('POST', '/issue/VULN-1/transitions', { transition: { id: '31' }, update })).status).toBe(
    204,
  )
  expect(jira.issue('VULN-1').comments).toEqual([])
})

test('a list of comments has no properties, a list by ids has', async () => {
  const { call } = await bench()
  await call('POST', '/issue', { fields: FIELDS })
  const properties = [{ key: 'patchbay.ref', value: { v: 1 } }]
  const added = await call('POST', '/issue/VULN-1/comment', { body: doc(words('hello')), properties })
  expect(
    at(await call('GET', '/issue/VULN-1/comment?expand=renderedBody'), 'comments.0.properties'),
  ).toBeUndefined()
  const listed = await call('POST', '/comment/list?expand=properties', { ids: [Number(at(added, 'id'))] })
  expect(at(listed, 'values.0.properties')).toEqual(properties)
  expect((await call('POST', '/issue/VULN-1/comment', { body: 'text' })).status).toBe(400)
})

test('the fake Jira limits writes per issue and bursts per endpoint by its clock', async () => {
  const { call, clock } = await bench({ limits: { burstReadPost: 30, burstPutDelete: 1_000 } })
  await call('POST', '/issue', { fields: FIELDS })
  const write = () => call('PUT', '/issue/VULN-1', { update: { labels: [{ add: 'x' }] } })
  for (let index = 0; index < 20; index += 1) expect((await write()).status).toBe(204)
  const limited = await write()
  expect([limited.status, limited.headers.get('ratelimit-reason')]).toEqual([429, 'jira-per-issue-on-write'])
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
  clock.advance(2_000)
  expect((await write()).status).toBe(204)
  for (let index = 0; index < 30; index += 1) await call('GET', '/myself')
  expect((await call('GET', '/myself')).headers.get('ratelimit-reason')).toBe('jira-burst-based')
})

test('without the permission to browse, a project and its issues do not exist', async () => {
  const { jira, call } = await bench()
  await call('POST', '/issue', { fields: FIELDS })
  jira.deny('BROWSE_PROJECTS')
  expect((await call('GET', '/issue/VULN-1')).status).toBe(404)
  expect((await call('GET', '/project/VULN')).status).toBe(404)
  jira.deny('BROWSE_PROJECTS', { denied: false })
  jira.deny('EDIT_ISSUES')
  expect((await call('PUT', '/issue/VULN-1', { fields: { summary: 'x' } })).status).toBe(403)
})

test('properties of an issue can be set, read and listed', async () => {
  const { call } = await bench()
  await call('POST', '/issue', { fields: FIELDS })
  expect((await call('PUT', '/issue/VULN-1/properties/a.b', { x: 1 })).status).toBe(201)
  expect((await call('PUT', '/issue/VULN-1/properties/a.b', { x: 2 })).status).toBe(200)
  expect((await call('GET', '/issue/VULN-1/properties/a.b')).body).toEqual({ key: 'a.b', value: { x: 2 } })
  expect(at(await call('GET', '/issue/VULN-1/properties'), 'keys')).toMatchObject([{ key: 'a.b' }])
  expect((await call('GET', '/issue/VULN-1/properties/none')).status).toBe(404)
  expect((await call('PUT', '/issue/VULN-1/properties/big', 'x'.repeat(40_000))).status).toBe(400)
})

test.skipIf(SPECS_DIR === undefined)(
  'every endpoint of the fake Jira answers as specified (needs PATCHBAY_SPECS)',
  async () => {
    const { jira, call } = await bench()
    await call('POST', '/issue', {
      fields: { ...FIELDS, description: doc(words('x')), components: [{ id: '10300' }] },
    })
    await call('POST', '/issue', { fields: FIELDS })
    const issueLink = {
      type: { name: 'Blocks' },
      inwardIssue: { key: 'VULN-1' },
      outwardIssue: { key: 'VULN-2' },
    }
    expect((await call('POST', '/issueLink', issueLink)).status).toBe(201)
    for (const path of [
      '/serverInfo',
      '/myself',
      '/mypermissions?projectKey=VULN&permissions=CREATE_ISSUES',
      '/priority',
      '/resolution',
      '/status',
      '/issueLinkType',
      '/project/VULN',
      '/project/VULN/statuses',
      '/project/VULN/components',
      '/issue/createmeta/VULN/issuetypes?maxResults=1',
      `/issue/createmeta/VULN/issuetypes/${TASK.id}?startAt=2&maxResults=3`,
      '/issue/VULN-1',
      '/issue/VULN-2?fields=issuelinks',
      '/issue/VULN-1/transitions?expand=transitions.fields',
    ])
      expect([path, (await call('GET', path)).status]).toEqual([path, 200])
    expect((await call('DELETE', '/issue/VULN-1')).status).toBe(204)
    expect(jira.violations).toEqual([])
  },
)

test.skipIf(SPECS_DIR === undefined)(
  'requests that break the specification are noticed, each in its own way (needs PATCHBAY_SPECS)',
  async () => {
    const { jira, call } = await bench()
    const noticed = async (expected: RegExp, ...request: Parameters<Bench['call']>) => {
      const before = jira.violations.length
      await call(...request)
      expect(jira.violations.slice(before).join('\n')).toMatch(expected)
    }
    await noticed(/additional properties/u, 'POST', '/search/jql', { jql: 'project = VULN', startAt: 0 })
    await noticed(/must be array/u, 'POST', '/issue', { fields: FIELDS, properties: {} })
    await noticed(/unknown parameter foo/u, 'GET', '/myself?foo=1')
    await noticed(/request \//u, 'POST', '/issue', {
      fields: { ...FIELDS, description: doc({ type: 'macro' }) },
    })
    await noticed(/request \//u, 'POST', '/issue', { fields: { ...FIELDS, description: 'text' } })
  },
)

test.skipIf(SPECS_DIR === undefined || RECORDINGS_DIR === undefined)(
  'the documented example of a create is accepted (needs PATCHBAY_SPECS and PATCHBAY_RECORDINGS)',
  async () => {
    const { jira, call } = await bench({
      projects: [
        { ...PROJECT, components: [{ id: '10010', name: 'A' }], issueTypes: [{ ...TASK, id: '10001' }] },
      ],
    })
    const example = (name: string): unknown =>
      JSON.parse(readFileSync(join(RECORDINGS_DIR ?? '', 'jira', name), 'utf8'))
    expect((await call('POST', '/issue', example('cloud-create-issue.request.json'))).status).toBe(201)
    expect(
      (await call('POST', '/issue/VULN-1/remotelink', example('cloud-remotelink.request.json'))).status,
    ).toBe(201)
    const found = await call('POST', '/search/jql', example('cloud-search-jql.request.json'))
    expect((at(found, 'issues.0.properties') as Record<string, unknown>)['qhub.ref']).toMatchObject({ v: 1 })
    expect(jira.violations).toEqual([])
  },
)
