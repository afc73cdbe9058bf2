import type { z } from 'zod'

import type { Clock } from '../../lib/clock.ts'
import { type HttpAnswer, type HttpCall, type HttpDoor, HttpDoorError } from '../../lib/http/index.ts'
import { createRedactor, redactError } from '../../lib/redact.ts'
import { HubError, isHubError } from '../../model/errors.ts'
import { connectionFailed, refusal, signInFailed, unknownOutcome } from './errors.ts'

const IDLE_TIMEOUT_MS = 60_000
const BODY_BYTES_MAX = 32 * 1024 * 1024
const TRIES_MAX = 4
const DELAY_MS_FIRST = 2_000
const DELAY_MS_MAX = 30_000
/** A longer wait is the caller's: it parks the work instead of holding a worker. */
const WAIT_IN_PLACE_MS_MAX = 10_000

interface JiraCall {
  method: HttpCall['method']
  /** Under the base URL; parts from data go through `pathPart`. */
  path: string
  query?: Readonly<Record<string, string>>
  body?: unknown
  /** What it is for, as the end of "Jira did not …": "create a ticket". */
  what: string
  /**
   * `read`: repeated after a failure or a short wait. `write`: repeated only after a short rate limit, as nothing was
   * done then. `once`: never repeated, and a lost answer is an unknown outcome.
   */
  repeat: 'read' | 'write' | 'once'
}

export interface JiraClient {
  /** The body of a successful answer, checked; a shape that is not understood is a `contract` error. */
  call<Shape>(call: JiraCall, shape: z.ZodType<Shape>, signal: AbortSignal): Promise<Shape>
  /** For answers without a body, or whose body does not matter. */
  send(call: JiraCall, signal: AbortSignal): Promise<{ status: number }>
}

export interface JiraClientOptions {
  /** Checked by `jiraBaseUrl`. */
  baseUrl: string
  email: string
  apiToken: string
  door: HttpDoor
  clock: Clock
  /** Between 0 and 1; spreads repeated calls. */
  random?: () => number
}

/** The one door to Jira: it alone knows authentication, error bodies, limits and which calls may be repeated. */
export function createJiraClient(options: JiraClientOptions): JiraClient {
  const login = Buffer.from(`${options.email}:${options.apiToken}`).toString('base64')
  const authorization = `Basic ${login}`
  const redactor = createRedactor([options.apiToken, login])

  async function attempt(call: JiraCall, signal: AbortSignal): Promise<{ status: number; bodyText: string }> {
    const { answer, bodyText } = await exchange(
      options.door,
      toHttpCall(options.baseUrl, authorization, call),
      signal,
    )
    const accepted = answer.status >= 200 && answer.status < 300 && !signInFailed(answer.headers)
    if (accepted) return { status: answer.status, bodyText }
    const nowMs = options.clock.nowMs()
    throw refusal({ what: call.what, answer, bodyText, nowMs, redact: redactor.text })
  }

  async function repeated(
    call: JiraCall,
    signal: AbortSignal,
  ): Promise<{ status: number; bodyText: string }> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await attempt(call, signal)
      } catch (error) {
        const failure = redactError(understood(call, error), redactor)
        const waitMs =
          tries < TRIES_MAX ? waitBeforeRepeat(call, failure, { tries, random: options.random }) : undefined
        if (waitMs === undefined || signal.aborted) throw failure
        await options.clock.sleep(waitMs, signal)
      }
    }
  }

  return {
    async call(call, shape, signal) {
      const { bodyText } = await repeated(call, signal)
      const parsed = shape.safeParse(parseJson(bodyText))
      if (parsed.success) return parsed.data
      const where = parsed.error.issues.slice(0, 3).map((issue) => issue.path.join('.') || 'the body')
      const failure = new HubError(
        'contract',
        `The answer to "${call.what}" is not understood (${where.join(', ')}).`,
      )
      throw redactError(call.repeat === 'once' ? unknownOutcome(call.what, failure) : failure, redactor)
    },
    async send(call, signal) {
      const { status } = await repeated(call, signal)
      return { status }
    },
  }
}

/** One segment of a path. Ids and keys come from Jira's answers, so they are never trusted to be harmless. */
export function pathPart(value: string): string {
  if (value === '' || value === '.' || value === '..')
    throw new HubError('contract', 'An empty or relative id was given.')
  return encodeURIComponent(value)
}

function toHttpCall(baseUrl: string, authorization: string, call: JiraCall): HttpCall {
  const url = new URL(baseUrl + call.path)
  for (const [name, value] of Object.entries(call.query ?? {})) url.searchParams.set(name, value)
  const headers: Record<string, string> = { authorization, accept: 'application/json' }
  if (call.body !== undefined) headers['content-type'] = 'application/json'
  return {
    method: call.method,
    url: url.href,
    headers,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    bodyBytesMax: BODY_BYTES_MAX,
    ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
  }
}

async function exchange(
  door: HttpDoor,
  call: HttpCall,
  signal: AbortSignal,
): Promise<{ answer: HttpAnswer; bodyText: string }> {
  const answer = await door.request({ ...call, signal })
  const bodyText = await answer.body.text(BODY_BYTES_MAX)
  return { answer, bodyText }
}

/** What went wrong, in the engine's terms. After a `once` call only a clean refusal is certain. */
function understood(call: JiraCall, error: unknown): HubError {
  if (isHubError(error)) {
    return call.repeat === 'once' && error.kind === 'transient' ? unknownOutcome(call.what, error) : error
  }
  if (!(error instanceof HttpDoorError)) throw error
  const failure = connectionFailed(call.what, error)
  const certain = !error.sent || error.code === 'redirect'
  return call.repeat === 'once' && !certain ? unknownOutcome(call.what, failure) : failure
}

function waitBeforeRepeat(
  call: JiraCall,
  failure: HubError,
  { tries, random = Math.random }: { tries: number; random: (() => number) | undefined },
): number | undefined {
  const repeatable =
    (failure.kind === 'rate_limit' && call.repeat !== 'once') ||
    (failure.kind === 'transient' && call.repeat === 'read')
  if (!repeatable) return undefined
  const backOffMs = Math.min(DELAY_MS_MAX, DELAY_MS_FIRST * 2 ** (tries - 1)) * (0.7 + 0.6 * random())
  const waitMs = failure.retryAfterMs ?? backOffMs
  return waitMs <= WAIT_IN_PLACE_MS_MAX ? waitMs : undefined
}

function parseJson(bodyText: string): unknown {
  try {
    return JSON.parse(bodyText)
  } catch {
    return undefined
  }
}
