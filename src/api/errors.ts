import { randomUUID } from 'node:crypto'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Log } from '../engine/deps.ts'
import { HubError, type HubErrorKind } from '../model/errors.ts'
import { isConnectionLost } from '../store/connection-failure.ts'

const STATUS_BY_KIND: Record<HubErrorKind, ContentfulStatusCode> = {
  config: 400,
  auth: 400,
  permission: 400,
  not_found: 404,
  conflict: 409,
  rate_limit: 503,
  concurrency: 503,
  transient: 502,
  contract: 502,
}

/** The body of every answer that is an error, as problem+json. */
export interface Problem {
  type: 'about:blank'
  title: string
  status: number
  detail: string
  /** What `HubError.kind` says, or `bug`. */
  kind: string
  code: string | null
  hint: string | null
  /** Found again in the log. */
  requestId: string
}

/** Integration routes answer in the shape that their document gives. */
export interface Refusal {
  success: false
  message: string
  hints: readonly string[]
  kind: string
  code: string | null
  requestId: string
}

const INTEGRATION_ROUTES = /^\/api\/v3\/integrations?(\/|$)/

export function answerError(context: Context, thrown: Error, log: Log): Response {
  const error = databaseFailure(thrown) ?? thrown
  if (error !== thrown) log.warn({ path: context.req.path, error: thrown }, 'The database failed.')
  const requestId = randomUUID()
  const problem = toProblem(error, requestId)
  if (problem.kind === 'bug') log.error({ requestId, path: context.req.path, error }, 'A request failed.')
  const headers: Record<string, string> = {}
  if (error instanceof HubError && error.retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.ceil(error.retryAfterMs / 1000))
  const status = problem.status as ContentfulStatusCode
  if (INTEGRATION_ROUTES.test(context.req.path)) return context.json(toRefusal(problem), status, headers)
  return context.json(problem, status, { ...headers, 'content-type': 'application/problem+json' })
}

const DISK_FULL = '53100'

/** What the database said when it went away or is full; null for everything else, which may be a bug. */
export function databaseFailure(error: unknown): HubError | null {
  if (!(error instanceof Error) || error instanceof HubError) return null
  if ('code' in error && error.code === DISK_FULL)
    return new HubError('config', 'The disk of the database is full.', {
      code: 'disk_full',
      cause: error,
      hint: 'Make room on it; nothing is lost, and what was under way is gone on with.',
    })
  if (!isConnectionLost(error)) return null
  return new HubError('transient', 'The database cannot be reached at the moment.', {
    code: 'database_gone',
    cause: error,
    hint: 'See that its server runs and can be reached; the log tells more. Patchbay goes on when it is back.',
  })
}

function toRefusal(problem: Problem): Refusal {
  const { kind, code, requestId } = problem
  const hints = problem.hint === null ? [] : [problem.hint]
  return { success: false, message: problem.detail, hints, kind, code, requestId }
}

function toProblem(error: Error, requestId: string): Problem {
  const common = { type: 'about:blank', code: null, hint: null, requestId } as const
  if (error instanceof HubError) {
    const { kind, message, code = null, hint = null } = error
    return {
      ...common,
      title: titleOf(kind),
      status: STATUS_BY_KIND[kind],
      detail: message,
      kind,
      code,
      hint,
    }
  }
  if (error instanceof HTTPException) {
    const kind = error.status === 404 ? 'not_found' : 'config'
    return { ...common, title: titleOf(kind), status: error.status, detail: error.message, kind }
  }
  // What a bug says may hold anything; it is in the log under the id.
  const detail = `Patchbay failed (a bug). The log tells more under ${requestId}.`
  return { ...common, title: 'Internal error', status: 500, detail, kind: 'bug' }
}

function titleOf(kind: HubErrorKind): string {
  return TITLES[kind]
}

const TITLES: Record<HubErrorKind, string> = {
  config: 'Not acceptable as it is',
  auth: 'The far side refuses the login',
  permission: 'The far side refuses the permission',
  not_found: 'Not found',
  conflict: 'Not possible now',
  rate_limit: 'The far side limits the calls',
  concurrency: 'The far side is busy',
  transient: 'The far side cannot be reached',
  contract: 'The far side is not understood',
}
