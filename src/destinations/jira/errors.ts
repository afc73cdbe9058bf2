import type { HttpDoorError } from '../../lib/http/index.ts'
import { cutText, singleLine } from '../../model/blocks.ts'
import { HubError, type HubErrorKind } from '../../model/errors.ts'
import { UNKNOWN_OUTCOME } from '../../model/ticket-destination.ts'

/** Atlassian's edge, not Jira, refused the request: seen for texts that look like an exploit. Nothing was done. */
export const EDGE_REFUSED = 'edge_refused'

const MESSAGES_MAX = 5
const MESSAGE_CHARS_MAX = 300
const RETRY_AFTER_DEFAULT_MS = 2_000
const RETRY_AFTER_MS_MAX = 24 * 3_600_000

interface AnswerHead {
  status: number
  headers: Readonly<Record<string, string>>
}

/** A refusal of Jira. `fields` names what Jira said about single fields, so that a caller can do without them. */
export class JiraRefusal extends HubError {
  readonly status: number
  readonly fields: Readonly<Record<string, string>>

  constructor(
    kind: HubErrorKind,
    message: string,
    options: ConstructorParameters<typeof HubError>[2] & { status: number; fields: Record<string, string> },
  ) {
    super(kind, message, options)
    this.status = options.status
    this.fields = options.fields
  }
}

interface Refusal {
  /** What was tried, as the end of a sentence: "create a ticket". */
  what: string
  answer: AnswerHead
  bodyText: string
  nowMs: number
  /** Takes our secrets out of what is quoted, before it is shortened; an answer may reflect the request. */
  redact?: ((text: string) => string) | undefined
}

/**
 * What an answer that is not a success means. Status decides, the body explains; a body that is not Jira's JSON on a
 * 4xx comes from the edge in front of it.
 */
export function refusal({ what, answer, bodyText, nowMs, redact }: Refusal): HubError {
  const { status, headers } = answer
  if (status === 429) return rateLimited({ what, answer, bodyText, nowMs, redact })
  const said = parseErrors(bodyText, redact)
  if (status === 401 || signInFailed(headers)) return badCredentials(what, status)
  if (status >= 500 || status === 408) return couldNot(what, answer, nowMs)
  if (said === undefined && status !== 404) return edgeRefused(what, status)
  const { fields = {}, sentence = '' } = said ?? {}
  const { kind, hint } = judged(/permission/iu.test(sentence) && status === 400 ? 403 : status)
  const because = sentence === '' ? `it answered ${status}` : sentence
  return new JiraRefusal(kind, `Jira did not ${what}: ${because}`, {
    code: `http_${status}`,
    hint,
    status,
    fields,
  })
}

/**
 * Whether Jira did not accept the credentials and served the request as an anonymous one: it may then answer 200 or 404
 * and show nothing, which must not be read as "deleted".
 */
export function signInFailed(headers: AnswerHead['headers']): boolean {
  return /AUTHENTICATED_FAILED|AUTHENTICATION_DENIED/u.test(headers['x-seraph-loginreason'] ?? '')
}

function couldNot(what: string, { status, headers }: AnswerHead, nowMs: number): HubError {
  const retryAfterMs = retryAfter(headers, nowMs)
  return new HubError('transient', `Jira could not ${what}: it answered ${status}.`, {
    code: `http_${status}`,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

function judged(status: number): { kind: HubErrorKind; hint: string } {
  switch (status) {
    case 403:
      return {
        kind: 'permission',
        hint: 'Ask the Jira administrator to give the account this permission in the project.',
      }
    case 404:
      return { kind: 'not_found', hint: 'It was deleted or moved, or the account may not see it.' }
    case 409:
      return {
        kind: 'conflict',
        hint: 'Somebody changed it at the same moment; read it again, then try again.',
      }
    case 413:
      return {
        kind: 'config',
        hint: 'A limit of the ticket is reached; remove old comments, links or attachments.',
      }
    case 410:
      return { kind: 'contract', hint: 'Atlassian has removed this endpoint; Patchbay needs an update.' }
    default:
      return {
        kind: 'config',
        hint: 'Compare the rule and the integration with the project: `patchbay integration test`.',
      }
  }
}

function badCredentials(what: string, status: number): HubError {
  return new HubError('auth', `Jira did not ${what}: it does not accept the e-mail and API token.`, {
    code: `http_${status}`,
    hint: 'API tokens expire after at most a year: make a new one at id.atlassian.com and save it in the integration.',
  })
}

function edgeRefused(what: string, status: number): HubError {
  return new HubError(
    'contract',
    `The request to ${what} was refused (${status}) in front of Jira, by a page that is not Jira's.`,
    {
      code: EDGE_REFUSED,
      hint: 'A firewall may dislike text that looks like an exploit, or the URL is not that of a Jira Cloud site.',
    },
  )
}

function rateLimited({ what, answer: { headers }, nowMs, redact = (text) => text }: Refusal): HubError {
  const reason = redact(headers['ratelimit-reason'] ?? '')
  return new HubError(
    'rate_limit',
    `Jira asks to wait before it will ${what}${reason ? ` (${cutText(singleLine(reason), 60)})` : ''}.`,
    {
      code: reason ? cutText(singleLine(reason), 60) : 'http_429',
      retryAfterMs: retryAfter(headers, nowMs) ?? RETRY_AFTER_DEFAULT_MS,
    },
  )
}

/** `Retry-After` in seconds or as a date wins; else `X-RateLimit-Reset`, which is an ISO time. */
function retryAfter(headers: AnswerHead['headers'], nowMs: number): number | undefined {
  const given = headers['retry-after']?.trim()
  if (given !== undefined && /^\d{1,9}(?:\.\d+)?$/u.test(given)) return bounded(Number(given) * 1_000)
  for (const value of [given, headers['x-ratelimit-reset']]) {
    const atMs = value === undefined ? Number.NaN : Date.parse(value)
    if (Number.isFinite(atMs)) return bounded(atMs - nowMs)
  }
  return undefined
}

function bounded(waitMs: number): number {
  return Math.min(RETRY_AFTER_MS_MAX, Math.max(0, Math.ceil(waitMs)))
}

/** Jira's error body, `{errorMessages: [...], errors: {field: text}}`; undefined when this is something else. */
export function parseErrors(
  bodyText: string,
  redact: (text: string) => string = (text) => text,
): { fields: Record<string, string>; sentence: string } | undefined {
  let body: unknown
  try {
    body = JSON.parse(bodyText)
  } catch {
    return undefined
  }
  if (typeof body !== 'object' || body === null) return undefined
  const { errorMessages, errors, message } = body as Record<string, unknown>
  const fields = new Map<string, string>()
  if (typeof errors === 'object' && errors !== null) {
    for (const [field, said] of Object.entries(errors).slice(0, 50)) {
      if (typeof said === 'string') fields.set(oneLine(redact(field)), oneLine(redact(said)))
    }
  }
  const general = [...(Array.isArray(errorMessages) ? (errorMessages as unknown[]) : []), message]
  const sentences = [
    ...general
      .filter((said) => typeof said === 'string' && said !== '')
      .map((said) => oneLine(redact(said as string))),
    ...Array.from(fields, ([field, said]) => `${field}: ${said}`),
  ]
  return { fields: Object.fromEntries(fields), sentence: sentences.slice(0, MESSAGES_MAX).join(' · ') }
}

function oneLine(said: string): string {
  return cutText(singleLine(said), MESSAGE_CHARS_MAX)
}

/** A failure of the connection, for a request that may safely be repeated or that never left. */
export function connectionFailed(what: string, error: HttpDoorError): HubError {
  const kind: HubErrorKind = ['refused_url', 'refused_address', 'redirect', 'tls'].includes(error.code)
    ? 'config'
    : error.code === 'too_large' || error.code === 'encoding'
      ? 'contract'
      : 'transient'
  return new HubError(kind, `Could not ${what}: ${error.message}`, {
    code: error.code,
    cause: error,
    ...(error.code === 'redirect' && { hint: 'The site may have been renamed: give its present URL.' }),
  })
}

/** A create whose answer was lost: the ticket may exist. Only a search for its label can tell. */
export function unknownOutcome(what: string, cause: Error): HubError {
  return new HubError('transient', `It is not known whether Jira did ${what}: ${cause.message}`, {
    code: UNKNOWN_OUTCOME,
    cause,
    hint: 'Patchbay looks for the ticket by its label before it tries again.',
  })
}
