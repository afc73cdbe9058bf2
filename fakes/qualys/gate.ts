import { wrongMethod } from './api-error.ts'
import type { Answer, Endpoint } from './call.ts'
import type { Limits } from './limits.ts'
import type { ReadRequest } from './request.ts'
import { htmlPage, serviceResponse } from './render/returns.ts'
import { busyAnswer, returned, spentAnswer } from './replacing.ts'
import { hostAsset, tag } from './routes/assets.ts'
import { detection } from './routes/detection.ts'
import { hostList } from './routes/host-list.ts'
import { knowledgeBase } from './routes/knowledge-base.ts'
import { about, activityLog, portalVersion } from './routes/small.ts'
import { mayCall, NOT_LICENSED, refusalOf, userOf, WRONG_PASSWORD } from './users.ts'
import type { FakeUser, Refusal } from './users.ts'

const ENDPOINTS: readonly Endpoint[] = [
  hostList,
  detection,
  knowledgeBase,
  activityLog,
  about,
  portalVersion,
  tag,
  hostAsset,
]
const URL_BYTES_MAX = 8_190

export interface Target {
  endpoint: Endpoint
  version: string
}

export function endpointOf(path: string): Target | undefined {
  for (const endpoint of ENDPOINTS) {
    const match = endpoint.pattern.exec(path)
    if (match !== null) return { endpoint, version: match[1] ?? '' }
  }
  return undefined
}

const READING_ACTIONS = new Set(['list', 'export', 'fetch', 'login', 'logout', undefined])

/** Whether a real subscription would be changed by this call: purge, update, ignore, launch, edit, create, delete. */
export function isMutation(request: ReadRequest): boolean {
  if (/^\/qps\/rest\/[\d.]+\/(?:create|update|delete|activate|evaluate|ignore)\//.test(request.path))
    return true
  if (/\/(?:ignore_vuln|ticket_edit|ticket_delete|user|scan)\b[^/]*\.php$/.test(request.path)) return true
  return request.path.startsWith('/api/') && !READING_ACTIONS.has(request.params['action'])
}

export interface Verdict {
  user: FakeUser | undefined
  /** The account is in order, so the answer carries the headers of the subscription. */
  isKnown: boolean
  refusal: Answer | undefined
  /** It holds one of the concurrent calls, until `leave`. */
  isInside: boolean
  leave: () => void
}

interface GateContext {
  users: readonly FakeUser[]
  limits: Limits
  nowMs: number
  baseUrl: string
  /** False for calls that a fault answers: they take nothing from the limits. */
  isCounted: boolean
}

/** Everything that Qualys looks at before it looks at the parameters, in its order. */
export function judge(request: ReadRequest, target: Target | undefined, context: GateContext): Verdict {
  const refuse = (refusal: Answer, user?: FakeUser, isKnown = false): Verdict => ({
    user,
    isKnown,
    refusal,
    isInside: false,
    leave: () => {},
  })
  const notFound: Answer = {
    status: 404,
    contentType: 'text/html;charset=UTF-8',
    chunks: htmlPage('not-found'),
  }
  if (request.urlBytes > URL_BYTES_MAX) return refuse({ ...notFound, status: 414 })
  const user = userOf(request.authorization, context.users)
  const family = target?.endpoint.family ?? (request.path.startsWith('/qps/') ? 'qps' : 'fo')
  if (user === undefined) return refuse(accountRefusal(WRONG_PASSWORD, family, context))
  const problem = refusalOf(user)
  if (problem !== undefined) return refuse(accountRefusal(problem, family, context), user)
  if (isMutation(request)) {
    const text = 'This fake is read only: it refuses whatever would change a subscription.'
    return refuse(returned(context, { status: 403, code: 2012, text }), user, true)
  }
  const isVersionKnown = target?.endpoint.versions?.includes(target.version) !== false
  if (target === undefined || !isVersionKnown) return refuse(notFound, user)
  const { endpoint } = target
  if (family === 'fo' && request.headers['x-requested-with'] === undefined) {
    const text = 'Missing required header(s): X-Requested-With'
    return refuse(returned(context, { status: 400, code: 1903, text }), user)
  }
  if (!mayCall(user, endpoint)) return refuse(accountRefusal(NOT_LICENSED, family, context), user, true)
  return enter(request, endpoint, { ...context, user })
}

function enter(request: ReadRequest, endpoint: Endpoint, context: GateContext & { user: FakeUser }): Verdict {
  const { user } = context
  const inside = { user, isKnown: true, isInside: false }
  let leave = () => {}
  if (endpoint.family === 'fo' && context.isCounted) {
    const entry = context.limits.enter(endpoint.name)
    if (entry.kind === 'busy') return { ...inside, refusal: busyAnswer(entry.callsToFinish, context), leave }
    if (entry.kind === 'spent')
      return { ...inside, refusal: spentAnswer(entry.secondsToWait, context), leave }
    leave = entry.leave
    inside.isInside = true
  }
  if (!endpoint.methods.includes(request.method)) {
    const { status, code, message } = wrongMethod(request.method)
    return { ...inside, refusal: returned(context, { status, code, text: message }), leave }
  }
  return { ...inside, refusal: undefined, leave }
}

/** FO and MSP tell it by status and SIMPLE_RETURN, QPS always with status 200. */
function accountRefusal(refusal: Refusal, family: Endpoint['family'], context: GateContext): Answer {
  if (family !== 'qps') {
    const answer = returned(context, { ...refusal, prolog: true })
    const headers: Record<string, string> =
      refusal.status === 401 ? { 'WWW-Authenticate': 'Basic realm="Qualys API"' } : {}
    return { ...answer, contentType: 'text/xml;charset=UTF-8', headers }
  }
  const isUnknown = refusal.code === WRONG_PASSWORD.code
  const error = isUnknown
    ? { message: 'Authentication failed', resolution: 'Verify both, user and password credentials.' }
    : {
        message: 'You are not authorized to access the application through the API.',
        resolution: 'If you think this is an error, please contact your account manager.',
      }
  return {
    status: 200,
    contentType: 'application/xml',
    chunks: serviceResponse({
      baseUrl: context.baseUrl,
      xsd: '2.0/am/hostasset',
      responseCode: isUnknown ? 'INVALID_CREDENTIALS' : 'UNAUTHORIZED',
      error,
    }),
  }
}
