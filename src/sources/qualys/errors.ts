import { HttpDoorError, type HttpDoorErrorCode } from '../../lib/http/index.ts'
import { parseSmallXml, type SmallXmlNode, textAt, childOf, SmallXmlError } from '../../lib/xml-small.ts'
import { HubError, type HubErrorKind, type HubErrorOptions } from '../../model/errors.ts'
import {
  BAD_CREDENTIALS,
  CONCURRENCY_LIMIT,
  ERROR_CODES,
  type ErrorCodeRule,
  NOT_AUTHORIZED,
  QPS_CODES,
  RATE_LIMIT,
} from './error-codes.ts'
import { parseWaitMs } from './limits.ts'
import { findRoot } from './root.ts'

/** Bytes of an error body that are read; what comes after is not looked at. */
export const ERROR_BODY_BYTES_MAX = 256 * 1024
const QUOTED_CHARS_MAX = 300
const ITEMS_MAX = 50

export interface UnexpectedAnswer {
  /** What was called, for messages: the path, without query. */
  path: string
  status: number
  headers: Readonly<Record<string, string>>
  /** The body, or its beginning. */
  body: string
  expectRoot: string
  /** Takes our secrets out of what is quoted, before it is shortened; an answer may reflect the request. */
  redact?: ((text: string) => string) | undefined
}

/**
 * What an answer without the expected root means: the root element and the codes in the body decide, the status only
 * where the body says nothing.
 */
export function classifyAnswer(answer: UnexpectedAnswer): HubError {
  const start = findRoot(answer.body, true)
  switch (start.kind) {
    case 'root':
      return classifyRoot(start.name, answer)
    case 'html':
      return classifyByStatus(answer, 'an HTML page instead of XML', {
        kindWhenOk: 'transient',
        code: 'html_page',
        hint: 'Check that the base URL is that of the API server, and that no proxy or maintenance page answers instead.',
      })
    case 'json':
      return classifyByStatus(answer, `JSON instead of XML${quoted(answer, jsonMessageOf(answer.body))}`, {
        code: 'json',
      })
    case 'empty':
      return classifyByStatus(answer, 'nothing', {
        kindWhenOk: 'transient',
        code: 'empty_answer',
        hint: 'An empty answer is not taken for an empty list; it is asked for again.',
      })
    case 'more':
    case 'other':
      return classifyByStatus(answer, 'something that is not XML', {
        code: 'not_xml',
        kindWhenOk: 'transient',
      })
  }
}

function classifyRoot(name: string, answer: UnexpectedAnswer): HubError {
  if (name === 'SIMPLE_RETURN') return classifySimpleReturn(answer)
  if (name === 'ServiceResponse') return classifyServiceResponse(answer)
  const numbered = findNumberedError(answer.body)
  if (numbered !== null) return fromCode(answer, { ...numbered, items: {} })
  if (name === 'GENERIC_RETURN')
    return classifyByStatus(answer, `an error${quoted(answer, plainText(answer.body))}`, { code: name })
  return classifyByStatus(answer, `${name} instead of ${answer.expectRoot}`, { code: 'unexpected_root' })
}

interface QualysError {
  code: string
  text: string
  items: Readonly<Record<string, string>>
}

function classifySimpleReturn(answer: UnexpectedAnswer): HubError {
  const root = parseErrorBody(answer.body)
  if (root === null) {
    const code = wholeTextOf(answer.body, 'CODE')
    if (code === null || !needsPerson(ERROR_CODES[code])) return unreadableError(answer)
    return fromCode(answer, { code, text: wholeTextOf(answer.body, 'TEXT') ?? '', items: {} })
  }
  const response = childOf(childOf(root, 'SIMPLE_RETURN'), 'RESPONSE')
  const code = textAt(response, 'CODE')
  const text = textAt(response, 'TEXT') ?? ''
  if (code !== null && /^\d{1,6}$/.test(code))
    return fromCode(answer, { code, text, items: readItems(response) })
  return classifyByStatus(answer, `a message instead of ${answer.expectRoot}${quoted(answer, text)}`, {
    code: 'unexpected_root',
  })
}

function readItems(response: SmallXmlNode | undefined): Record<string, string> {
  const items = childOf(childOf(response, 'ITEM_LIST'), 'ITEM')
  const list = Array.isArray(items) ? (items as readonly SmallXmlNode[]).slice(0, ITEMS_MAX) : [items]
  const pairs = list.map(
    (item) => [textAt(item as SmallXmlNode, 'KEY'), textAt(item as SmallXmlNode, 'VALUE')] as const,
  )
  return Object.fromEntries(
    pairs.filter((pair): pair is [string, string] => pair[0] !== null && pair[1] !== null),
  )
}

function fromCode(answer: UnexpectedAnswer, { code, text, items }: QualysError): HubError {
  const rule = ERROR_CODES[code]
  if (rule === undefined) return classifyByStatus(answer, `error ${code}${quoted(answer, text)}`, { code })
  const message = `${rule.message} (code ${code}, ${answer.path})${quoted(answer, text)}.`
  return toHubError(message, rule, { code, waitMs: parseWaitMs({ headers: answer.headers, items, text }) })
}

/** Any `responseCode` but SUCCESS. */
function classifyServiceResponse(answer: UnexpectedAnswer): HubError {
  const root = parseErrorBody(answer.body)
  const cutCode = root === null ? wholeTextOf(answer.body, 'responseCode') : null
  if (root === null && (cutCode === null || !needsPerson(QPS_CODES[cutCode]))) return unreadableError(answer)
  const response = childOf(root ?? undefined, 'ServiceResponse')
  const code = cutCode ?? textAt(response, 'responseCode') ?? 'no responseCode'
  const said = [
    textAt(response, 'responseErrorDetails', 'errorMessage') ?? '',
    textAt(response, 'responseErrorDetails', 'errorResolution') ?? '',
  ].join(' ')
  const rule = QPS_CODES[code]
  if (rule === undefined)
    return classifyByStatus(answer, `the response code ${inOneLine(answer, code)}${quoted(answer, said)}`, {
      code: inOneLine(answer, code),
    })
  return toHubError(`${rule.message} (${code}, ${answer.path})${quoted(answer, said)}.`, rule, {
    code,
    waitMs: null,
  })
}

function toHubError(
  message: string,
  rule: ErrorCodeRule,
  { code, waitMs }: { code: string; waitMs: number | null },
): HubError {
  const isWaited = rule.retryAfterMs !== undefined
  const retryAfterMs = waitMs ?? rule.retryAfterMs
  return new HubError(rule.kind, message, {
    code,
    hint: rule.hint,
    ...(isWaited && retryAfterMs !== undefined ? { retryAfterMs } : {}),
  })
}

/** Whether an otherwise good document holds an error as MSP writes them. */
export function hasNumberedError(body: string): boolean {
  return findNumberedError(body) !== null
}

/** MSP writes `<RETURN status="FAILED" number="2000">text</RETURN>` or `<ERROR number="2000">text</ERROR>`. */
function findNumberedError(body: string): { code: string; text: string } | null {
  const found =
    /<(?:RETURN|ERROR)\b[^>]{0,200}\bnumber\s*=\s*["'](\d{1,6})["'][^>]{0,200}>([^<]{0,1000})/.exec(body)
  return found === null ? null : { code: found[1] ?? '', text: found[2] ?? '' }
}

interface StatusOptions extends HubErrorOptions {
  /** The kind when the status is a good one; `contract` unless the next try may be answered properly. */
  kindWhenOk?: HubErrorKind
}

function classifyByStatus(answer: UnexpectedAnswer, what: string, options: StatusOptions): HubError {
  const { status, path } = answer
  const { kindWhenOk = 'contract', code, hint } = options
  const rule = STATUS_RULES[status] ?? ruleOfStatus(status, path, kindWhenOk)
  const waitMs = parseWaitMs({ headers: answer.headers, items: {}, text: '' })
  const retryAfterMs = waitMs ?? rule.retryAfterMs
  return new HubError(rule.kind, `Qualys answered ${path} with status ${status} and ${what}.`, {
    ...(code === undefined ? {} : { code }),
    hint: rule.hint ?? hint ?? 'Report it together with the time of the call.',
    ...(rule.retryAfterMs !== undefined && retryAfterMs !== undefined ? { retryAfterMs } : {}),
  })
}

interface StatusRule {
  kind: HubErrorKind
  hint?: string
  retryAfterMs?: number
}

/** A 429 without a word about the wait: the usual window and a second. */
const RATE_WAIT_UNTOLD_MS = 3_601_000
const SERVER_ERROR_WAIT_MS = 60_000

const STATUS_RULES: Readonly<Record<number, StatusRule>> = {
  401: BAD_CREDENTIALS,
  403: NOT_AUTHORIZED,
  409: CONCURRENCY_LIMIT,
  429: { ...RATE_LIMIT, retryAfterMs: RATE_WAIT_UNTOLD_MS },
}

function ruleOfStatus(status: number, path: string, kindWhenOk: HubErrorKind): StatusRule {
  if (status === 404 || status === 410) return { kind: 'config', hint: hintOfMissingPath(path) }
  if (status >= 500) return { kind: 'transient', retryAfterMs: SERVER_ERROR_WAIT_MS }
  return { kind: status >= 400 ? 'contract' : kindWhenOk }
}

function hintOfMissingPath(path: string): string {
  const version = /\/(?:api|rest)\/(\d+\.\d+)\//.exec(path)?.[1]
  if (version === undefined) return 'Check the base URL.'
  return `This platform does not offer version ${version} of this API. Set another one under "versions" in the configuration.`
}

/** Whether the status alone forbids to ask again at once: every further try counts towards locking the account. */
export function isRefusedByStatus(status: number): boolean {
  return status === 401 || status === 403 || status === 429
}

/** An error body that is cut or malformed, and whose code is not to be seen either. */
function unreadableError(answer: UnexpectedAnswer): HubError {
  return isRefusedByStatus(answer.status)
    ? classifyByStatus(answer, 'an error that cannot be read', { code: 'unreadable_error' })
    : truncatedError(answer.path)
}

/** Of a message that is not whole only a refusal is believed; the rest of it would have told how long to wait. */
function needsPerson(rule: ErrorCodeRule | undefined): boolean {
  return rule?.kind === 'auth' || rule?.kind === 'permission'
}

/** The text of the first element of this name in a body that cannot be parsed; null when it is not there as a whole. */
function wholeTextOf(body: string, name: string): string | null {
  return new RegExp(`<${name}>\\s*([^<]{0,1000}?)\\s*</${name}>`).exec(body)?.[1] ?? null
}

/** Whether a QPS answer refuses the account, be its document whole or not. */
export function isRefusedByCode(body: string): boolean {
  return needsPerson(QPS_CODES[wholeTextOf(body, 'responseCode') ?? ''])
}

export function truncatedError(path: string, cause?: unknown): HubError {
  return new HubError('transient', `The answer of Qualys to ${path} was cut off.`, {
    code: 'truncated',
    cause,
    hint: 'It is asked for again; if it keeps breaking off, look for a proxy that cuts long answers.',
  })
}

const DOOR_KINDS: Readonly<
  Record<Exclude<HttpDoorErrorCode, 'aborted'>, { kind: HubErrorKind; hint: string }>
> = {
  refused_url: { kind: 'config', hint: 'Correct the base URL.' },
  refused_address: {
    kind: 'config',
    hint: 'If this is your own private platform or proxy, list its network under allowedCidrs and use https.',
  },
  redirect: { kind: 'config', hint: 'Enter the address that Qualys shows under Help, About.' },
  tls: {
    kind: 'config',
    hint: 'If a proxy inspects https, add its certificate authority to the configuration.',
  },
  dns: { kind: 'transient', hint: 'Check the base URL, and whether this machine can resolve public names.' },
  connect: { kind: 'transient', hint: 'Check that a firewall lets this machine reach Qualys on port 443.' },
  timeout: { kind: 'transient', hint: 'It is tried again with less in one call.' },
  reset: {
    kind: 'transient',
    hint: 'It is tried again; if it stays, look for a proxy or firewall on the way.',
  },
  truncated: {
    kind: 'transient',
    hint: 'It is asked for again; if it keeps breaking off, look for a proxy that cuts answers.',
  },
  too_large: { kind: 'contract', hint: 'Ask for fewer hosts in one call.' },
  encoding: { kind: 'contract', hint: 'Look for a proxy that changes answers.' },
}

/** A failure of the door in the words of the hub. An aborted call throws what the signal was aborted with. */
export function fromDoorError(error: unknown, signal: AbortSignal): unknown {
  if (!(error instanceof HttpDoorError)) return error
  if (error.code === 'aborted') return signal.aborted ? (signal.reason as unknown) : error
  const { kind, hint } = DOOR_KINDS[error.code]
  return new HubError(kind, error.message, { code: error.code, hint, cause: error })
}

function parseErrorBody(body: string): SmallXmlNode | null {
  try {
    return parseSmallXml(body.slice(Math.max(0, body.indexOf('<'))))
  } catch (error) {
    if (error instanceof SmallXmlError) return null
    throw error
  }
}

/** Gateway and PCRS errors: a `message`, an `error`, or a first exception, whatever their place. */
function jsonMessageOf(body: string): string {
  return /"(?:message|text|error|responseMessage)"\s*:\s*"((?:[^"\\]|\\.){1,300})"/.exec(body)?.[1] ?? ''
}

function plainText(body: string): string {
  return body.slice(0, 4_000).replaceAll(/<[^>]*>/g, ' ')
}

function quoted(answer: UnexpectedAnswer, text: string): string {
  const line = inOneLine(answer, text)
  return line === '' ? '' : `: "${line}"`
}

/** What the far side wrote is hostile text: one line, printable, short. */
function inOneLine({ redact }: UnexpectedAnswer, text: string): string {
  return (redact?.(text) ?? text)
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, QUOTED_CHARS_MAX)
}
