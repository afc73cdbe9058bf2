import { expect, test } from 'vitest'

import { HubError } from '../../model/errors.ts'
import { JiraConfig, jiraBaseUrl } from './config.ts'
import { parseErrors, refusal } from './errors.ts'

const NOW_MS = Date.UTC(2026, 10, 21)

function judge(status: number, bodyText: string, headers: Record<string, string> = {}): HubError {
  return refusal({ what: 'create a ticket', answer: { status, headers }, bodyText, nowMs: NOW_MS })
}

const json = (errorMessages: string[], errors: Record<string, string> = {}): string =>
  JSON.stringify({ errorMessages, errors })

test('each refusal of Jira becomes the kind that decides what happens next', () => {
  const said = json(['No.'])
  const cases: [number, string, Record<string, string>, string][] = [
    [400, said, {}, 'config'],
    [400, json(['You do not have the permission to comment on this issue.']), {}, 'permission'],
    [401, '', {}, 'auth'],
    [403, said, {}, 'permission'],
    [403, said, { 'x-seraph-loginreason': 'AUTHENTICATED_FAILED' }, 'auth'],
    [403, said, { 'x-seraph-loginreason': 'AUTHENTICATION_DENIED' }, 'auth'],
    [404, said, {}, 'not_found'],
    [404, '<html>', {}, 'not_found'],
    [409, said, {}, 'conflict'],
    [410, said, {}, 'contract'],
    [413, said, {}, 'config'],
    [422, said, {}, 'config'],
    [429, '', {}, 'rate_limit'],
    [408, '', {}, 'transient'],
    [500, '<html>', {}, 'transient'],
    [503, '', {}, 'transient'],
    [400, '<html><body>blocked</body></html>', {}, 'contract'],
    [403, '<html><body>blocked</body></html>', {}, 'contract'],
  ]
  expect(cases.map(([status, body, headers]) => judge(status, body, headers).kind)).toEqual(
    cases.map(([, , , kind]) => kind),
  )
})

test('the wait of a rate limit is read from seconds, a date, or the reset time', () => {
  expect(judge(429, '', { 'retry-after': '7' }).retryAfterMs).toBe(7_000)
  expect(judge(429, '', { 'retry-after': new Date(NOW_MS + 60_000).toUTCString() }).retryAfterMs).toBe(60_000)
  expect(judge(429, '', { 'x-ratelimit-reset': '2026-11-21T00:10Z' }).retryAfterMs).toBe(600_000)
  expect(judge(429, '', { 'retry-after': 'soon' }).retryAfterMs).toBe(2_000)
  expect(judge(429, '', { 'x-ratelimit-reset': '2026-11-20T00:00Z' }).retryAfterMs).toBe(0)
  expect(judge(429, '', { 'retry-after': '999999999' }).retryAfterMs).toBe(24 * 3_600_000)
  expect(judge(503, '', { 'retry-after': '30' }).retryAfterMs).toBe(30_000)
  expect(judge(429, '', { 'ratelimit-reason': 'jira-burst-based' }).code).toBe('jira-burst-based')
})

test('a message quotes what Jira said, bounded and without control characters, and no page of the edge', () => {
  const long = judge(
    400,
    json(['a\u001b[2Jb', ...Array.from({ length: 50 }, () => 'x'.repeat(1_000))], { summary: 'too\nlong' }),
  )
  expect(long.message).toContain('a\ufffd[2Jb')
  expect(long.message.length).toBeLessThan(1_800)
  expect(judge(400, json([], { priority: 'The priority selected is invalid.' })).message).toBe(
    'Jira did not create a ticket: priority: The priority selected is invalid.',
  )
  expect(judge(400, '<html>secret of the edge</html>').message).not.toContain('secret')
})

test('an error body in any shape is survived', () => {
  for (const body of [
    '',
    'null',
    '[]',
    '3',
    '{"errors":[1]}',
    '{"errorMessages":{"a":1}}',
    '{"errors":{"__proto__":"x"}}',
  ])
    expect(() => parseErrors(body)).not.toThrow()
  expect(parseErrors('{"message":"Site is suspended"}')?.sentence).toBe('Site is suspended')
})

test('a base URL is accepted as the site, and otherwise the right one is named', () => {
  expect(jiraBaseUrl('https://example.atlassian.net/')).toBe('https://example.atlassian.net')
  expect(jiraBaseUrl('http://127.0.0.1:8080')).toBe('http://127.0.0.1:8080')
  expect(jiraBaseUrl('https://api.atlassian.com/ex/jira/11223344-a1b2-3b33-c444-def123456789')).toContain(
    '/ex/jira/',
  )
  const hintOf = (given: string): string | undefined => {
    try {
      return jiraBaseUrl(given)
    } catch (error) {
      expect(error).toBeInstanceOf(HubError)
      return (error as HubError).hint
    }
  }
  expect(hintOf('https://example.atlassian.net/jira/software/projects/VULN')).toBe(
    'Use https://example.atlassian.net, without a path.',
  )
  expect(hintOf('http://example.atlassian.net')).toBe('Use https://example.atlassian.net.')
  expect(hintOf('https://user:secret@example.atlassian.net')).toBe(
    'Give e-mail and API token in their own fields.',
  )
  expect(hintOf('https://api.atlassian.com')).toContain('<cloud id>')
  expect(hintOf('https://example.atlassian.net?x=1')).toContain('without a path')
  expect(hintOf('example')).toContain('https://example.atlassian.net')
})

test('the configuration refuses unknown members and fields that are not custom', () => {
  const config = {
    url: 'https://example.atlassian.net',
    email: 'a@example.com',
    apiToken: 't',
    projectKey: 'VULN',
  }
  expect(JiraConfig.parse(config)).toMatchObject({ issueType: 'Task', closePath: [] })
  for (const more of [
    { extra: 1 },
    { projectKey: 'vuln" OR' },
    { fixedFields: { summary: 'x' } },
    { apiToken: '' },
  ])
    expect(JiraConfig.safeParse({ ...config, ...more }).success).toBe(false)
})
