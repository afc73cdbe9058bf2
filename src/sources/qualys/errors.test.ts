import { expect, test } from 'vitest'

import { HttpDoorError } from '../../lib/http/index.ts'
import { type HubError, isHubError } from '../../model/errors.ts'
import { classifyAnswer, fromDoorError } from './errors.ts'

const PATH = '/api/5.0/fo/asset/host/'

function classify(status: number, body: string, headers: Record<string, string> = {}): HubError {
  return classifyAnswer({ path: PATH, status, headers, body, expectRoot: 'HOST_LIST_OUTPUT' })
}

function simpleReturn(code: string, text = 'Some text.', items = ''): string {
  return `<?xml version="1.0" encoding="UTF-8" ?><!DOCTYPE SIMPLE_RETURN SYSTEM "https://qualysapi.example.com/x.dtd">
<SIMPLE_RETURN><RESPONSE><DATETIME>2026-01-01T00:00:00Z</DATETIME><CODE>${code}</CODE><TEXT>${text}</TEXT>${items}</RESPONSE></SIMPLE_RETURN>`
}

test.each([
  ['2000', 401, 'auth'],
  ['2001', 200, 'auth'],
  ['2002', 403, 'auth'],
  ['2003', 409, 'auth'],
  ['2011', 409, 'auth'],
  ['2012', 403, 'permission'],
  ['999', 500, 'transient'],
  ['1901', 400, 'config'],
  ['1903', 400, 'config'],
  ['1904', 400, 'config'],
  ['1905', 400, 'config'],
  ['1907', 400, 'config'],
  ['1908', 400, 'config'],
  ['1922', 400, 'config'],
  ['1920', 409, 'conflict'],
  ['1960', 409, 'concurrency'],
  ['1965', 409, 'rate_limit'],
  ['1981', 409, 'transient'],
  ['1999', 503, 'transient'],
  ['2010', 400, 'not_found'],
])('T47: code %s is told by the body, whatever the status', (code, status, kind) => {
  for (const anyStatus of [status, 200, 400, 409, 500]) {
    const error = classify(anyStatus, simpleReturn(code))
    expect(error).toMatchObject({ kind, code })
    expect(error.message).toContain('Some text.')
    expect(error.hint).toMatch(/\.$/)
  }
})

test('a rate limit waits as long as header, item or text say, and an hour when none does', () => {
  const items = '<ITEM_LIST><ITEM><KEY>SECONDS_TO_WAIT</KEY><VALUE>68928</VALUE></ITEM></ITEM_LIST>'
  expect(classify(409, simpleReturn('1965', 'x', items)).retryAfterMs).toBe(68_928_000)
  expect(classify(409, simpleReturn('1965', 'x'), { 'x-ratelimit-towait-sec': '12' }).retryAfterMs).toBe(
    12_000,
  )
  expect(classify(409, simpleReturn('1965', 'for another 2 minutes and 3 seconds')).retryAfterMs).toBe(
    123_000,
  )
  expect(classify(409, simpleReturn('1965')).retryAfterMs).toBe(3_600_000)
  expect(classify(429, '').retryAfterMs).toBe(3_601_000)
  expect(classify(429, '{"message":"slow down"}', { 'x-ratelimit-towait-sec': '9' })).toMatchObject({
    kind: 'rate_limit',
    retryAfterMs: 9_000,
  })
})

test('several items of a message are read as one is', () => {
  const item = (key: string, value: string) => `<ITEM><KEY>${key}</KEY><VALUE>${value}</VALUE></ITEM>`
  const items = `<ITEM_LIST>${item('OTHER', '1')}${item('SECONDS_TO_WAIT', '5')}</ITEM_LIST>`
  expect(classify(409, simpleReturn('1965', 'x', items)).retryAfterMs).toBe(5_000)
})

test.each([
  ['INVALID_CREDENTIALS', 'auth'],
  ['UNAUTHORIZED', 'permission'],
  ['INVALID_REQUEST', 'config'],
  ['INVALID_API_VERSION', 'config'],
  ['NOT_FOUND', 'not_found'],
  ['IN_PROGRESS', 'transient'],
  ['INTERNAL_ERROR', 'transient'],
  ['EVALUATION_EXPIRED', 'auth'],
  ['SOMETHING_NEW', 'contract'],
])('response code %s with status 200 is a failure', (code, kind) => {
  const body = `<ServiceResponse><responseCode>${code}</responseCode><responseErrorDetails><errorMessage>Why.</errorMessage></responseErrorDetails></ServiceResponse>`
  expect(classify(200, body)).toMatchObject({ kind, code })
  expect(classify(200, body).message).toContain('Why.')
})

test('the errors of MSP are told by their number', () => {
  const generic =
    '<?xml version="1.0"?><GENERIC_RETURN><API name="about.php"/><RETURN status="FAILED" number="2000">Bad Login/Password</RETURN></GENERIC_RETURN>'
  expect(classify(200, generic)).toMatchObject({ kind: 'auth', code: '2000' })
  expect(classify(200, '<ABOUT><ERROR number="2012">No.</ERROR></ABOUT>')).toMatchObject({
    kind: 'permission',
  })
})

test.each([
  [200, '<!DOCTYPE html><html><body>Log in</body></html>', 'transient', 'html_page'],
  [503, '<html>maintenance</html>', 'transient', 'html_page'],
  [200, '', 'transient', 'empty_answer'],
  [204, '', 'transient', 'empty_answer'],
  [200, 'Bad gateway', 'transient', 'not_xml'],
  [200, '<OTHER_OUTPUT></OTHER_OUTPUT>', 'contract', 'unexpected_root'],
  [200, '{"a":1}', 'contract', 'json'],
  [401, '<html>Authorization required</html>', 'auth', 'html_page'],
  [401, '', 'auth', 'empty_answer'],
  [403, 'no', 'permission', 'not_xml'],
  [502, 'no', 'transient', 'not_xml'],
  [418, 'no', 'contract', 'not_xml'],
])('T43: without a code, status %d and body "%s" mean %s', (status, body, kind, code) => {
  expect(classify(status, body)).toMatchObject({ kind, code })
})

test('an API version that the platform does not offer is named', () => {
  for (const status of [404, 410]) {
    const error = classify(status, '<html>Not found</html>')
    expect(error.kind).toBe('config')
    expect(error.hint).toContain('version 5.0')
  }
})

test('an error body that is cut is not judged by half', () => {
  expect(classify(409, simpleReturn('1965').slice(0, 200))).toMatchObject({
    kind: 'transient',
    code: 'truncated',
  })
})

test.each([
  ['a cut message', simpleReturn('2000').slice(0, 150)],
  ['a cut ServiceResponse', '<ServiceResponse><responseCode>INVALID_CRED'],
  ['a bare ampersand', '<SIMPLE_RETURN><RESPONSE><TEXT>user & password</TEXT></RESPONSE></SIMPLE_RETURN>'],
  ['a root that is cut', '<SIMPLE_RET'],
])('a refusal whose body is not readable (%s) is judged by its status', (_, body) => {
  expect(classify(401, body)).toMatchObject({ kind: 'auth' })
  expect(classify(403, body)).toMatchObject({ kind: 'permission' })
  expect(classify(429, body)).toMatchObject({ kind: 'rate_limit', retryAfterMs: 3_601_000 })
})

test('a code that is whole counts in a body that is not', () => {
  const bare = simpleReturn('2000', 'Bad user & password')
  expect(classify(200, bare)).toMatchObject({ kind: 'auth', code: '2000' })
  expect(classify(409, simpleReturn('2003').slice(0, -40))).toMatchObject({ kind: 'auth', code: '2003' })
  const cut = '<ServiceResponse><responseCode>INVALID_CREDENTIALS</responseCode><responseErr'
  expect(classify(200, cut)).toMatchObject({ kind: 'auth', code: 'INVALID_CREDENTIALS' })
})

test('hostile text in an error stays one short line', () => {
  const error = classify(400, simpleReturn('1905', `a&#10;b \u0007\u202E${'x'.repeat(5_000)}`))
  expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  expect(error.message.length).toBeLessThan(500)
})

test.each([
  ['refused_address', 'config'],
  ['refused_url', 'config'],
  ['redirect', 'config'],
  ['tls', 'config'],
  ['dns', 'transient'],
  ['connect', 'transient'],
  ['timeout', 'transient'],
  ['reset', 'transient'],
  ['truncated', 'transient'],
  ['too_large', 'contract'],
  ['encoding', 'contract'],
] as const)('a failure of the door keeps its word: %s', (code, kind) => {
  const error = fromDoorError(new HttpDoorError(code, 'x', { sent: true }), new AbortController().signal)
  expect(isHubError(error, kind)).toBe(true)
  expect(error).toMatchObject({ code })
})

test('an aborted call throws what it was aborted with', () => {
  const reason = new Error('stop')
  expect(fromDoorError(new HttpDoorError('aborted', 'x', { sent: true }), AbortSignal.abort(reason))).toBe(
    reason,
  )
})
