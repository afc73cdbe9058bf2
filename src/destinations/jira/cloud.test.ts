import { afterEach, expect, test } from 'vitest'

import { BUG, PROJECT, TASK } from '../../../fakes/jira/defaults.ts'
import { type FakeJira, type IssueView, startFakeJira } from '../../../fakes/jira/fake-jira.ts'
import type { FakeJiraOptions } from '../../../fakes/jira/types.ts'
import { jiraSpec, SPECS_DIR } from '../../../test/support/jira-spec.ts'
import { ManualClock } from '../../lib/clock.ts'
import { createHttpDoor } from '../../lib/http/index.ts'
import { type Block, codeBlock, heading, link, list, paragraph, table } from '../../model/blocks.ts'
import { HubError } from '../../model/errors.ts'
import type {
  CreateTicket,
  FoundTicket,
  TicketDestination,
  TicketRef,
} from '../../model/ticket-destination.ts'
import { adfText, type AdfDoc, type AdfNode } from './adf.ts'
import { createJiraCloud } from './cloud.ts'
import { JiraConfig } from './config.ts'

const LABEL = 'patchbay-0123456789abcdef01'
const START_MS = Date.UTC(2026, 10, 21)
const CHECKED = SPECS_DIR === undefined ? '' : ' (checked against the specification)'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

interface Bench {
  jira: FakeJira
  destination: TicketDestination
  clock: ManualClock
  signal: AbortSignal
}

async function bench(
  options: Partial<FakeJiraOptions> & { config?: Record<string, unknown> } = {},
): Promise<Bench> {
  const { config: changes, ...fake } = options
  const clock = new ManualClock(START_MS, { skipSleeps: true })
  const validate = jiraSpec()
  const jira = await startFakeJira({ clock, ...(validate !== undefined && { validate }), ...fake })
  const door = createHttpDoor({ userAgent: 'patchbay-test', allowedCidrs: ['127.0.0.0/8'] })
  closers.push(jira.close, () => door.close())
  const config = JiraConfig.parse({
    url: jira.url,
    email: jira.email,
    apiToken: jira.apiToken,
    projectKey: 'VULN',
    ...changes,
  })
  const destination = createJiraCloud({ config, door, clock, random: () => 0.5 })
  return { jira, destination, clock, signal: new AbortController().signal }
}

function request(
  changes: Partial<Omit<CreateTicket, 'content'>> & {
    content?: Partial<CreateTicket['content']>
    type?: string
  } = {},
): CreateTicket {
  const { content, type, ...rest } = changes
  return {
    target: { projectKey: 'VULN', issueType: { id: type ?? TASK.id } },
    hashLabel: LABEL,
    key: 'patch:KB5031234',
    attemptId: 'attempt-1',
    content: { summary: 'KB5031234 on 2 hosts', description: TEXT, ...content },
    ...rest,
  }
}

const TEXT: readonly Block[] = [
  heading(3, 'Affected hosts'),
  table(
    ['Host', 'IP'],
    [
      ['web-01', '192.0.2.5'],
      ['db-01', '192.0.2.6'],
    ],
  ),
  paragraph([link('Open in Patchbay', 'https://patchbay.example.com/tickets/1')]),
]

async function failure(work: Promise<unknown>): Promise<HubError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(HubError)
  return error as HubError
}

async function created({ destination, signal }: Bench, type?: string): Promise<TicketRef> {
  return (await destination.create(request(type === undefined ? {} : { type }), signal)).ref
}

const docOf = (issue: IssueView): AdfDoc => issue.description as AdfDoc
const textOf = (issue: IssueView): string => docOf(issue).content.map(adfText).join('\n')
const find = ({ destination, signal }: Bench): Promise<FoundTicket[]> =>
  destination.findByHashLabel(
    { projectKey: 'VULN', keysByHashLabel: new Map([[LABEL, 'patch:KB5031234']]) },
    signal,
  )

test(`a created ticket carries its labels, its property and its fenced text in one request${CHECKED}`, async () => {
  const b = await bench()
  const made = await b.destination.create(
    request({ content: { labels: ['team-linux'], priorityId: '2', dueDate: '2026-12-24' } }),
    b.signal,
  )
  const issue = b.jira.issue('VULN-1')
  expect(made.ref).toEqual({ issueId: issue.id, issueKey: 'VULN-1', url: `${b.jira.url}/browse/VULN-1` })
  expect(made.written).toEqual({ summary: 'KB5031234 on 2 hosts', priorityId: '2', dueDate: '2026-12-24' })
  expect(issue.labels).toEqual(['patchbay', LABEL, 'team-linux'])
  expect(issue.ref).toEqual({ v: 1, key: 'patch:KB5031234', attempt: 'attempt-1' })
  expect(textOf(issue)).toMatch(
    /^patchbay:begin[\s\S]*Affected hosts[\s\S]*192\.0\.2\.6[\s\S]*patchbay:end$/u,
  )
  expect(b.jira.requests.map((logged) => logged.operation)).toEqual(['createIssue'])
  expect(b.jira.violations).toEqual([])
})

for (const [name, fault, exists] of [
  ['the connection drops after the commit', { kind: 'drop_after' }, true],
  ['the connection drops before the commit', { kind: 'drop_before' }, false],
  ['Jira answers 503 after the commit', { kind: 'status_after', status: 503 }, true],
  ['Jira answers 502 before the commit', { kind: 'status_before', status: 502, retryAfterSec: 1 }, false],
  ['the answer is cut', { kind: 'cut_answer' }, true],
] as const) {
  test(`a create is never repeated and its outcome is unknown when ${name}`, async () => {
    const b = await bench()
    b.jira.faults.add({ on: 'createIssue', fault })
    const error = await failure(b.destination.create(request(), b.signal))
    expect([error.kind, error.code]).toEqual(['transient', 'unknown_outcome'])
    expect(b.jira.requests).toHaveLength(1)
    const found = await find(b)
    expect(found.map((ticket) => [ticket.ref.issueKey, ticket.verified, ticket.property?.attempt])).toEqual(
      exists ? [['VULN-1', true, 'attempt-1']] : [],
    )
  })
}

test('a create that is given up while Jira is silent has an unknown outcome', async () => {
  const b = await bench()
  b.jira.faults.add({ on: 'createIssue', fault: { kind: 'hang', after: true } })
  const giveUp = new AbortController()
  const creating = failure(b.destination.create(request(), giveUp.signal))
  await expect.poll(() => b.jira.issues().length, { timeout: 20_000 }).toBe(1)
  giveUp.abort(new Error('shutting down'))
  expect((await creating).code).toBe('unknown_outcome')
})

test('a create that cannot connect has surely made nothing', async () => {
  const b = await bench()
  await b.jira.close()
  const error = await failure(b.destination.create(request(), b.signal))
  expect([error.kind, error.code]).toEqual(['transient', 'connect'])
})

test('a rate limit on create is a clean refusal that says how long to wait', async () => {
  const b = await bench()
  b.jira.faults.add({
    on: 'createIssue',
    fault: { kind: 'rate_limit', reason: 'jira-quota-tenant-based', retryAfterSec: 1_800 },
  })
  const error = await failure(b.destination.create(request(), b.signal))
  expect([error.kind, error.code, error.retryAfterMs]).toEqual([
    'rate_limit',
    'jira-quota-tenant-based',
    1_800_000,
  ])
  expect(b.jira.issues()).toEqual([])
})

test('a read waits out a short rate limit and a hiccup, and then succeeds', async () => {
  const b = await bench()
  const ref = await created(b)
  b.jira.faults.add({
    on: 'bulkFetchIssues',
    fault: { kind: 'rate_limit', reason: 'jira-burst-based', retryAfterSec: 3 },
  })
  b.jira.faults.add({ on: 'bulkFetchIssues', fault: { kind: 'drop_before' } })
  b.jira.faults.add({ on: 'bulkFetchIssues', fault: { kind: 'status_before', status: 503 } })
  const tickets = await b.destination.read([ref.issueId], b.signal)
  expect(tickets.get(ref.issueId)).toMatchObject({ summary: 'KB5031234 on 2 hosts' })
  expect(b.clock.nowMs() - START_MS).toBeGreaterThanOrEqual(3_000)
})

test('a create does without the optional fields that Jira refuses, and says which', async () => {
  const b = await bench()
  b.jira.deny('SCHEDULE_ISSUES')
  const made = await b.destination.create(
    request({ content: { dueDate: '2026-12-24', priorityId: '2', assigneeId: 'nobody' } }),
    b.signal,
  )
  expect(made.leftOut.map(({ field }) => field).toSorted()).toEqual(['assignee', 'duedate'])
  expect(made.written).toEqual({ summary: 'KB5031234 on 2 hosts', priorityId: '2' })
  expect(b.jira.issues()).toHaveLength(1)
})

test('a refusal of a needed field is a config error that quotes Jira, and nothing is made', async () => {
  const type = { ...TASK, extraFields: [{ id: 'customfield_10050', name: 'Cost centre', required: true }] }
  const b = await bench({ projects: [{ ...PROJECT, issueTypes: [type] }] })
  const error = await failure(b.destination.create(request(), b.signal))
  expect(error.kind).toBe('config')
  expect(error.message).toContain('customfield_10050: Cost centre is required.')
  const { ok, steps } = await b.destination.check(b.signal)
  expect(ok).toBe(false)
  expect(steps.at(-1)).toMatchObject({ name: 'create screen', ok: false })
  const given = await bench({
    projects: [{ ...PROJECT, issueTypes: [type] }],
    config: { fixedFields: { customfield_10050: '4711' } },
  })
  await given.destination.create(request(), given.signal)
  expect(given.jira.issue('VULN-1').custom).toEqual({ customfield_10050: '4711' })
  expect((await given.destination.check(given.signal)).ok).toBe(true)
})

test('a create without the permission is a permission error', async () => {
  const b = await bench()
  b.jira.deny('CREATE_ISSUES')
  const error = await failure(b.destination.create(request(), b.signal))
  expect(error.kind).toBe('permission')
})

test('a firewall that refuses scanner output gets the same ticket without it', async () => {
  const b = await bench()
  b.jira.faults.add({
    on: ['createIssue', 'editIssue', 'addComment'],
    times: 3,
    when: (body) => body.includes('../../etc/passwd'),
    fault: { kind: 'html', status: 400 },
  })
  const blocks = [paragraph('One host.'), codeBlock('GET /../../etc/passwd')]
  const made = await b.destination.create(request({ content: { description: blocks } }), b.signal)
  expect(made.leftOut.map(({ field }) => field)).toEqual(['description'])
  expect(textOf(b.jira.issue('VULN-1'))).toMatch(/One host\.[\s\S]*a firewall in front of Jira refused/u)
  const update = await b.destination.update(
    { ref: made.ref, description: [heading(3, 'More'), ...blocks] },
    b.signal,
  )
  expect(update.outcome).toBe('updated')
  expect(await b.destination.addComment({ ref: made.ref, commentKey: 'c1', blocks }, b.signal)).toBe('added')
  expect(b.jira.faults.unused).toBe(0)
})

test('hostile text arrives as text: no markup, no second line, no foreign query', async () => {
  const b = await bench()
  const hostile = '[~admin] {code} {noformat} !http://198.51.100.7/y.png! " OR project= @all <b>x</b>'
  await b.destination.create(
    request({
      key: hostile,
      content: {
        summary: `${'A long title\n'.repeat(30)}${hostile}`,
        description: [
          paragraph(hostile),
          list([hostile]),
          table([hostile], [[link(hostile, 'javascript:alert(1)')]]),
          codeBlock(hostile),
        ],
      },
    }),
    b.signal,
  )
  const issue = b.jira.issue('VULN-1')
  expect(issue.summary.length).toBe(255)
  expect(issue.summary).toMatch(/^A long title A long title [^\n]*…$/u)
  const types = new Set<string>()
  const walk = (node: AdfNode): void => {
    types.add(node.type)
    for (const mark of node.marks ?? []) types.add(`mark ${mark.type}`)
    for (const child of node.content ?? []) walk(child)
  }
  docOf(issue).content.forEach(walk)
  expect(types).not.toContain('mark link')
  expect([...types].filter((type) => ['mention', 'media', 'inlineCard'].includes(type))).toEqual([])
  expect(textOf(issue)).toContain(`${hostile} (javascript:alert(1))`)
  const asked = b.destination.findByHashLabel(
    { projectKey: 'VULN" OR project = "SECRET', keysByHashLabel: new Map([[LABEL, hostile]]) },
    b.signal,
  )
  expect((await failure(asked)).message).toContain('does not exist for the field')
  const other = b.destination.findByHashLabel(
    { projectKey: 'VULN', keysByHashLabel: new Map([['x") OR project = "SECRET', '']]) },
    b.signal,
  )
  expect((await failure(other)).kind).toBe('contract')
  expect(b.jira.violations).toEqual([])
})

test('a text longer than the field is cut where a reader sees it', async () => {
  const b = await bench()
  const rows = Array.from({ length: 3_000 }, (_, index) => [`host-${index}.example.com`, '192.0.2.1'])
  await b.destination.create(request({ content: { description: [table(['Host', 'IP'], rows)] } }), b.signal)
  const text = textOf(b.jira.issue('VULN-1'))
  expect(text).toContain('host-100.example.com')
  expect(text).toContain('… cut: the ticket field holds no more')
  expect(text.length).toBeLessThan(32_767)
})

test('search lags behind, reading by id does not', async () => {
  const b = await bench({ searchLagMs: 60_000 })
  const ref = await created(b)
  expect(await find(b)).toEqual([])
  expect((await b.destination.read([ref.issueId], b.signal)).get(ref.issueId)).not.toBe('gone')
  b.clock.advance(60_000)
  expect(await find(b)).toHaveLength(1)
})

test('not even a short rate limit makes a create wait and try again by itself', async () => {
  const b = await bench()
  b.jira.faults.add({
    on: 'createIssue',
    fault: { kind: 'rate_limit', reason: 'jira-burst-based', retryAfterSec: 1 },
  })
  expect((await failure(b.destination.create(request(), b.signal))).retryAfterMs).toBe(1_000)
  expect(b.jira.requests).toHaveLength(1)
})

test('of tickets with one label the oldest comes first, and a copy made by a person is not verified', async () => {
  const b = await bench()
  await created(b)
  await b.destination.create(request({ attemptId: 'attempt-2' }), b.signal)
  b.jira.people.clone('VULN-1')
  const found = await find(b)
  expect(found.map((ticket) => [ticket.ref.issueKey, ticket.verified])).toEqual([
    ['VULN-1', true],
    ['VULN-2', true],
    ['VULN-3', false],
  ])
})

test('all tickets of the hub are listed over several pages', async () => {
  const b = await bench({ limits: { burstReadPost: 1_000 } })
  for (let index = 0; index < 230; index += 1) {
    const hashLabel = `patchbay-${index.toString(16).padStart(16, '0')}`
    await b.destination.create(request({ hashLabel, key: `key ${index}` }), b.signal)
    b.clock.advance(1)
  }
  const keys: string[] = []
  for await (const ticket of b.destination.listAll('VULN', b.signal)) keys.push(ticket.property?.key ?? '')
  expect(keys).toEqual(Array.from({ length: 230 }, (_, index) => `key ${index}`))
  expect(b.jira.requests.filter((logged) => logged.operation.startsWith('search'))).toHaveLength(3)
  expect(b.jira.violations).toEqual([])
})

test('reading reports moved tickets under their id and deleted ones as gone', async () => {
  const other = { ...PROJECT, id: '10201', key: 'OTHER', name: 'Other' }
  const b = await bench({ projects: [PROJECT, other] })
  const refs = [await created(b), await created(b), await created(b)]
  b.jira.people.move('VULN-1', 'OTHER')
  b.jira.people.delete('VULN-2')
  const tickets = await b.destination.read(
    refs.map((ref) => ref.issueId),
    b.signal,
  )
  expect(refs.map((ref) => tickets.get(ref.issueId))).toMatchObject([
    { projectKey: 'OTHER', ref: { issueKey: 'OTHER-1' }, property: { key: 'patch:KB5031234' } },
    'gone',
    { projectKey: 'VULN', status: { name: 'To Do', category: 'new' } },
  ])
})

test('an update changes our part and leaves what people wrote around it as it was', async () => {
  const b = await bench()
  const ref = await created(b)
  const above: AdfNode = {
    type: 'paragraph',
    content: [
      { type: 'mention', attrs: { id: '5b10a2844c20165700ede21g', text: '@Jane' } },
      { type: 'text', text: ' is on it, see ' },
      { type: 'inlineCard', attrs: { url: 'https://wiki.example.com/x' } },
    ],
  }
  const below: AdfNode = {
    type: 'panel',
    attrs: { panelType: 'note' },
    content: [{ type: 'paragraph', content: [{ type: 'text', text: 'Window: Sunday' }] }],
  }
  b.jira.people.editDescription('VULN-1', (doc) => ({
    ...(doc as AdfDoc),
    content: [above, ...(doc as AdfDoc).content, below],
  }))
  const outcome = await b.destination.update({ ref, description: [paragraph('Now 3 hosts.')] }, b.signal)
  expect(outcome).toEqual({ outcome: 'updated', written: {}, drift: [] })
  const { content } = docOf(b.jira.issue('VULN-1'))
  expect(JSON.stringify(content.at(0))).toBe(JSON.stringify(above))
  expect(JSON.stringify(content.at(-1))).toBe(JSON.stringify(below))
  expect(content.slice(1, -1).map(adfText)).toEqual([
    expect.stringContaining('patchbay:begin'),
    'Now 3 hosts.',
    'patchbay:end',
  ])
  const again = await b.destination.update({ ref, description: [paragraph('Now 3 hosts.')] }, b.signal)
  expect(again.outcome).toBe('unchanged')
  expect(b.jira.violations).toEqual([])
})

test('an update leaves alone and reports the fields a person has changed', async () => {
  const b = await bench()
  const { ref, written } = await b.destination.create(
    request({ content: { priorityId: '3', dueDate: '2026-12-24' } }),
    b.signal,
  )
  b.jira.people.editSummary('VULN-1', 'Jane: patch the web servers')
  b.jira.people.edit('VULN-1', { dueDate: null })
  const outcome = await b.destination.update(
    {
      ref,
      fields: { summary: 'KB5031234 on 3 hosts', priorityId: '1', dueDate: '2026-12-31' },
      lastWritten: written,
      labelsAdd: ['kev', 'patchbay'],
      labelsRemove: ['absent'],
    },
    b.signal,
  )
  expect(outcome).toEqual({
    outcome: 'updated',
    written: { priorityId: '1' },
    drift: [
      { field: 'summary', reason: 'changed_by_person', detail: 'now "Jane: patch the web servers"' },
      { field: 'dueDate', reason: 'changed_by_person', detail: 'a person emptied it' },
    ],
  })
  expect(b.jira.issue('VULN-1')).toMatchObject({
    summary: 'Jane: patch the web servers',
    priorityId: '1',
    dueDate: null,
  })
  expect(b.jira.issue('VULN-1').labels).toEqual(['patchbay', LABEL, 'kev'])
})

test('labels that people added survive, as labels are changed one by one', async () => {
  const b = await bench()
  const ref = await created(b)
  b.jira.people.addLabel('VULN-1', 'change-4711')
  await b.destination.update({ ref, labelsAdd: ['kev'], labelsRemove: [LABEL] }, b.signal)
  expect(b.jira.issue('VULN-1').labels).toEqual(['patchbay', 'change-4711', 'kev'])
  const sent = b.jira.requests.find((logged) => logged.operation === 'editIssue')?.body
  expect(sent).toEqual({ update: { labels: [{ add: 'kev' }, { remove: LABEL }] } })
})

test('a description whose markers a person removed or doubled is not rewritten', async () => {
  const b = await bench()
  const ref = await created(b)
  const update = () => b.destination.update({ ref, description: [paragraph('New')] }, b.signal)
  b.jira.people.editDescription('VULN-1', (doc) => ({
    ...(doc as AdfDoc),
    content: [...(doc as AdfDoc).content, ...(doc as AdfDoc).content],
  }))
  expect((await update()).drift).toMatchObject([{ field: 'description', reason: 'fence_broken' }])
  b.jira.people.editDescription('VULN-1', () => null)
  const outcome = await update()
  expect(outcome).toMatchObject({
    outcome: 'unchanged',
    drift: [{ field: 'description', reason: 'fence_missing' }],
  })
  expect(b.jira.issue('VULN-1').description).toBe(null)
})

test('our part shrinks to the room that the text of people leaves', async () => {
  const b = await bench()
  const ref = await created(b)
  const prose = (chars: number): AdfNode => ({
    type: 'paragraph',
    content: [{ type: 'text', text: 'x'.repeat(chars) }],
  })
  b.jira.people.editDescription('VULN-1', (doc) => ({
    ...(doc as AdfDoc),
    content: [prose(29_000), ...(doc as AdfDoc).content],
  }))
  const rows = Array.from({ length: 1_000 }, (_, index) => [`host-${index}`])
  const cut = await b.destination.update({ ref, description: [table(['Host'], rows)] }, b.signal)
  expect(cut.outcome).toBe('updated')
  expect(textOf(b.jira.issue('VULN-1'))).toContain('… cut:')
  b.jira.people.editDescription('VULN-1', (doc) => ({
    ...(doc as AdfDoc),
    content: [prose(2_500), ...(doc as AdfDoc).content],
  }))
  const none = await b.destination.update({ ref, description: [paragraph('Other')] }, b.signal)
  expect(none.drift).toMatchObject([{ field: 'description', reason: 'no_room' }])
})

test('an update of a priority or due date that Jira refuses still writes the rest', async () => {
  const b = await bench()
  const { ref, written } = await b.destination.create(
    request({ content: { dueDate: '2026-12-24' } }),
    b.signal,
  )
  b.jira.deny('SCHEDULE_ISSUES')
  const outcome = await b.destination.update(
    { ref, fields: { summary: 'New', dueDate: '2027-01-31' }, lastWritten: written },
    b.signal,
  )
  expect(outcome).toMatchObject({
    outcome: 'updated',
    written: { summary: 'New' },
    drift: [{ field: 'dueDate', reason: 'refused' }],
  })
})

test('a comment is added once, also when the first answer was lost', async () => {
  const b = await bench()
  const ref = await created(b)
  for (let index = 0; index < 120; index += 1) b.jira.people.comment('VULN-1', `chat ${index}`)
  const comment = { ref, commentKey: 'run-7', blocks: [paragraph('2 hosts fixed.')] }
  b.jira.faults.add({ on: 'addComment', fault: { kind: 'drop_after' } })
  expect((await failure(b.destination.addComment(comment, b.signal))).kind).toBe('transient')
  for (let index = 0; index < 120; index += 1) b.jira.people.comment('VULN-1', `more ${index}`)
  expect(await b.destination.addComment(comment, b.signal)).toBe('exists')
  expect(await b.destination.addComment({ ...comment, commentKey: 'run-8', mayExist: false }, b.signal)).toBe(
    'added',
  )
  const ours = b.jira.issue('VULN-1').comments.filter((one) => one.properties.size > 0)
  expect(ours.map((one) => one.properties.get('patchbay.ref'))).toEqual([
    { v: 1, comment: 'run-7' },
    { v: 1, comment: 'run-8' },
  ])
  expect(b.jira.violations).toEqual([])
})

test('closing picks the usual status among those of the category done, and is idempotent', async () => {
  const b = await bench()
  const ref = await created(b)
  const close = {
    ref,
    to: 'done',
    comment: { commentKey: 'close-1', blocks: [paragraph('Qualys reports Fixed.')] },
  } as const
  const outcome = await b.destination.transition(close, b.signal)
  expect(outcome).toMatchObject({ outcome: 'changed', status: { name: 'Done', category: 'done' } })
  expect((await b.destination.transition(close, b.signal)).outcome).toBe('unchanged')
  expect(b.jira.issue('VULN-1').comments).toHaveLength(1)
  const open = await b.destination.transition({ ref, to: 'open' }, b.signal)
  expect(open).toMatchObject({ outcome: 'changed', status: { name: 'To Do', category: 'new' } })
  expect(b.jira.violations).toEqual([])
})

test('a workflow with steps is walked along the configured path, with the resolution its screen asks for', async () => {
  const b = await bench({ config: { closePath: ['In Progress'] } })
  const ref = await created(b, BUG.id)
  const outcome = await b.destination.transition({ ref, to: 'done', resolution: 'Fixed' }, b.signal)
  expect(outcome.status?.name).toBe('Closed')
  expect(b.jira.issue('VULN-1')).toMatchObject({ status: { name: 'Closed' }, resolutionId: '10000' })
  expect((await b.destination.transition({ ref, to: 'open' }, b.signal)).status?.name).toBe('Reopened')
  expect(b.jira.issue('VULN-1').resolutionId).toBe(null)
  expect(b.jira.violations).toEqual([])
})

test('a workflow without a way says so and names the setting', async () => {
  const b = await bench()
  const ref = await created(b, BUG.id)
  const error = await failure(b.destination.transition({ ref, to: 'done' }, b.signal))
  expect(error.kind).toBe('config')
  expect(error.message).toBe('From "To Do" no transition leads to a closed status, only to "In Progress".')
  expect(error.hint).toContain('closePath')
})

test('an empty list of transitions is a missing permission', async () => {
  const b = await bench()
  const ref = await created(b)
  b.jira.deny('TRANSITION_ISSUES')
  const error = await failure(b.destination.transition({ ref, to: 'done' }, b.signal))
  expect(error.kind).toBe('permission')
  expect(error.hint).toContain('Transition issues')
})

test('a transition whose screen requires an unknown field is not tried', async () => {
  const transitions = TASK.transitions.map((one) => ({
    ...one,
    screen: { required: [{ id: 'customfield_1', name: 'Root cause' }] },
  }))
  const b = await bench({ projects: [{ ...PROJECT, issueTypes: [{ ...TASK, transitions }] }] })
  const ref = await created(b)
  const error = await failure(b.destination.transition({ ref, to: 'done' }, b.signal))
  expect(error.message).toContain('asks for "Root cause"')
  expect(b.jira.requests.some((logged) => logged.operation === 'doTransition')).toBe(false)
})

test('a transition refused by the workflow is a config error, and the ticket stays', async () => {
  const b = await bench()
  const ref = await created(b)
  b.jira.faults.add({ on: 'doTransition', fault: { kind: 'deny_transition' } })
  const error = await failure(b.destination.transition({ ref, to: 'done' }, b.signal))
  expect(error.message).toContain('illegal workflow operation')
  expect(b.jira.issue('VULN-1').status.name).toBe('To Do')
})

test('links are made once', async () => {
  const b = await bench()
  const [older, newer] = [await created(b), await created(b)]
  const remote = {
    ref: older,
    globalId: 'patchbay:ticket:1',
    url: 'https://patchbay.example.com/t/1',
    title: 'Two\nhosts',
    resolved: false,
  }
  expect(await b.destination.ensureRemoteLink(remote, b.signal)).toBe('ensured')
  expect(await b.destination.ensureRemoteLink({ ...remote, resolved: true }, b.signal)).toBe('ensured')
  expect(b.jira.issue('VULN-1').remoteLinks.map((one) => one.body['object'])).toEqual([
    { url: remote.url, title: 'Two hosts', status: { resolved: true } },
  ])
  const duplicate = { from: newer, to: older, type: 'Duplicate' }
  expect(await b.destination.linkTickets(duplicate, b.signal)).toBe('linked')
  expect(await b.destination.linkTickets(duplicate, b.signal)).toBe('exists')
  expect(b.jira.links()).toMatchObject([{ inwardId: newer.issueId, outwardId: older.issueId }])
  expect(b.jira.violations).toEqual([])
})

test('every verb says gone for a ticket that a person deleted', async () => {
  const b = await bench()
  const [ref, other] = [await created(b), await created(b)]
  b.jira.people.delete('VULN-1')
  const { destination, signal } = b
  expect(await destination.update({ ref, labelsAdd: ['x'] }, signal)).toMatchObject({ outcome: 'gone' })
  expect(await destination.addComment({ ref, commentKey: 'k', blocks: [paragraph('x')] }, signal)).toBe(
    'gone',
  )
  expect(await destination.transition({ ref, to: 'done' }, signal)).toEqual({ outcome: 'gone', status: null })
  const remote = { ref, globalId: 'g', url: 'https://patchbay.example.com', title: 't', resolved: false }
  expect(await destination.ensureRemoteLink(remote, signal)).toBe('gone')
  expect(await destination.linkTickets({ from: ref, to: other, type: 'Duplicate' }, signal)).toBe('gone')
})

test('the check passes step by step on a project that fits', async () => {
  const b = await bench()
  const report = await b.destination.check(b.signal)
  expect(report.ok).toBe(true)
  expect(report.steps.map((step) => step.name)).toEqual([
    'site',
    'account',
    'project',
    'permissions',
    'create screen',
  ])
  expect(b.jira.violations).toEqual([])
})

test('the check names what is wrong and what to do, and never the token', async () => {
  const wrong = await bench({ config: { apiToken: 'a-token-that-is-wrong' } })
  const badToken = await wrong.destination.check(wrong.signal)
  expect(badToken.steps.at(-1)?.message).toContain('does not accept the e-mail and API token')
  expect(JSON.stringify(badToken)).not.toContain('a-token-that-is-wrong')
  const lacking = await bench()
  lacking.jira.deny('EDIT_ISSUES')
  expect((await lacking.destination.check(lacking.signal)).steps.at(-1)?.message).toContain('"Edit issues"')
  const elsewhere = await bench({ config: { projectKey: 'NOPE' } })
  expect((await elsewhere.destination.check(elsewhere.signal)).steps.at(-1)).toMatchObject({
    name: 'project',
    ok: false,
  })
  const type = await bench({ config: { issueType: 'Aufgabe' } })
  expect((await type.destination.check(type.signal)).steps.at(-1)?.message).toContain('only "Task", "Bug"')
  const hidden = await bench({
    projects: [{ ...PROJECT, issueTypes: [{ ...TASK, hiddenFields: ['labels'] }] }],
  })
  expect((await hidden.destination.check(hidden.signal)).steps.at(-1)?.message).toContain(
    'no field for labels',
  )
})

test('a revoked token makes no ticket look deleted, though Jira serves the request as anonymous', async () => {
  const b = await bench()
  const ref = await created(b)
  b.jira.faults.add({ on: ['bulkFetchIssues', 'getIssue'], times: 3, fault: { kind: 'anonymous' } })
  expect((await failure(b.destination.read([ref.issueId], b.signal))).kind).toBe('auth')
  expect((await failure(b.destination.update({ ref, labelsAdd: ['x'] }, b.signal))).kind).toBe('auth')
  expect((await failure(b.destination.transition({ ref, to: 'done' }, b.signal))).kind).toBe('auth')
})

test('a cut answer to a read is asked for again', async () => {
  const b = await bench()
  const ref = await created(b)
  b.jira.faults.add({ on: 'bulkFetchIssues', times: 3, fault: { kind: 'cut_answer' } })
  expect((await b.destination.read([ref.issueId], b.signal)).get(ref.issueId)).not.toBe('gone')
  b.jira.faults.add({ on: 'bulkFetchIssues', times: 4, fault: { kind: 'cut_answer' } })
  expect((await failure(b.destination.read([ref.issueId], b.signal))).kind).toBe('transient')
})

test('a site that was renamed redirects, and that is a config error', async () => {
  const b = await bench()
  b.jira.faults.add({
    on: 'createIssue',
    fault: { kind: 'redirect', location: 'https://other.example.com/' },
  })
  const error = await failure(b.destination.create(request(), b.signal))
  expect([error.kind, error.code]).toEqual(['config', 'redirect'])
})
