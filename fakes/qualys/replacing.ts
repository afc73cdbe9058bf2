import type { Answer } from './call.ts'
import type { ActiveFault, Fault, ReplacingFault } from './faults.ts'
import { waitText } from './limits.ts'
import { htmlPage, serviceResponse, simpleReturn } from './render/returns.ts'
import { chunk } from './render/xml.ts'

const REPLACING = new Set<Fault['kind']>([
  'status',
  'html',
  'empty',
  'simple-return',
  'internal-error',
  'maintenance',
  'busy',
  'spent',
  'too-many-requests',
  'qps',
  'reset',
])

export function replacingFault(active: readonly ActiveFault[]): ReplacingFault | undefined {
  return active.map(({ fault }) => fault).find((fault): fault is ReplacingFault => REPLACING.has(fault.kind))
}

export interface ReplaceContext {
  nowMs: number
  baseUrl: string
}

export function busyAnswer(callsToFinish: number, context: ReplaceContext): Answer {
  return returned(context, {
    status: 409,
    code: 1960,
    text: `This API cannot be run again until ${callsToFinish} currently running API instance${callsToFinish === 1 ? '' : 's'} has finished.`,
    items: [['CALLS_TO_FINISH', String(callsToFinish)]],
  })
}

export function spentAnswer(
  seconds: number,
  context: ReplaceContext,
  tell: readonly ('header' | 'item' | 'text')[] = ['header', 'item', 'text'],
): Answer {
  const wait = tell.includes('text') ? `for another ${waitText(seconds)}` : 'for some time'
  const answer = returned(context, {
    status: 409,
    code: 1965,
    text: `This API cannot be run again ${wait}.`,
    items: tell.includes('item') ? [['SECONDS_TO_WAIT', String(seconds)]] : [],
  })
  return tell.includes('header')
    ? { ...answer, headers: { 'X-RateLimit-ToWait-Sec': String(seconds) } }
    : answer
}

/** The answer that a fault gives in the place of the real one; `reset` is not an answer and is done by the server. */
export function replacingAnswer(
  fault: Exclude<ReplacingFault, { kind: 'reset' }>,
  context: ReplaceContext,
): Answer {
  switch (fault.kind) {
    case 'status':
      return plain(fault.status, fault.body, fault)
    case 'html':
      return {
        status: fault.status ?? 200,
        contentType: 'text/html;charset=UTF-8',
        chunks: htmlPage(fault.page),
      }
    case 'empty':
      return { status: fault.status, contentType: 'application/xml', chunks: [] }
    case 'simple-return':
      return returned(context, { status: 200, ...fault })
    case 'internal-error':
      return returned(context, { status: 500, code: 999, text: 'Internal Error' })
    case 'maintenance':
      return returned(context, { status: 503, code: 1999, text: MAINTENANCE })
    case 'busy':
      return busyAnswer(fault.callsToFinish ?? 1, context)
    case 'spent':
      return spentAnswer(fault.seconds, context, fault.tell)
    case 'too-many-requests':
      return plain(429, 'Too Many Requests\n', {
        headers:
          fault.waitSeconds === undefined ? {} : { 'X-RateLimit-ToWait-Sec': String(fault.waitSeconds) },
      })
    case 'qps':
      return qpsAnswer(fault, context)
  }
}

const MAINTENANCE =
  'We are performing scheduled maintenance on our systems. We apologize for any inconvenience.'

function plain(
  status: number,
  body: string | undefined,
  { contentType = 'text/plain', headers = {} }: { contentType?: string; headers?: Record<string, string> },
): Answer {
  return { status, contentType, headers, chunks: [chunk('text', body ?? '')] }
}

function qpsAnswer(fault: Extract<ReplacingFault, { kind: 'qps' }>, context: ReplaceContext): Answer {
  const { responseCode, message = 'An error occurred.', resolution = 'Please try again.' } = fault
  const envelope = { baseUrl: context.baseUrl, xsd: '2.0/am/tag', responseCode }
  const chunks = serviceResponse({ ...envelope, error: { message, resolution } })
  return { status: 200, contentType: 'application/xml', chunks }
}

export function returned(
  context: ReplaceContext,
  refusal: {
    status: number
    code: number
    text: string
    items?: readonly (readonly [string, string])[]
    prolog?: boolean
  },
): Answer {
  return {
    status: refusal.status,
    contentType: 'application/xml',
    chunks: simpleReturn({ ...context, ...refusal, prolog: refusal.prolog ?? false }),
  }
}
