import { childOf, textAt } from '../../lib/xml-small.ts'
import { HubError } from '../../model/errors.ts'
import { classifyAnswer, isRefusedByCode } from './errors.ts'
import { type OpenedBody, readWhole } from './fo-answer.ts'
import { parseWhole } from './msp.ts'

const QPS_BODY_BYTES_MAX = 16 * 1024 * 1024

export interface QpsRequest {
  criteria?: readonly QpsCriterion[]
  limitResults?: number
}

interface QpsCriterion {
  field: string
  operator: 'EQUALS' | 'NOT EQUALS' | 'GREATER' | 'LESSER' | 'IN' | 'CONTAINS'
  value: string
}

export interface QpsAnswer {
  count: number
  hasMoreRecords: boolean
  lastId: string | null
  /** What stood in `<data>`, every leaf a string; to be checked with zod. Null when there was none. */
  data: unknown
  /** Decoded bytes of the whole answer. */
  bytes: number
}

/** The XML of a request; criteria are joined by AND. */
export function toServiceRequest({ criteria = [], limitResults }: QpsRequest): string {
  const limit =
    limitResults === undefined
      ? ''
      : `<preferences><limitResults>${limitResults}</limitResults></preferences>`
  const filters = criteria.map(
    ({ field, operator, value }) =>
      `<Criteria field="${escapeXml(field)}" operator="${operator}">${escapeXml(value)}</Criteria>`,
  )
  const filter = filters.length === 0 ? '' : `<filters>${filters.join('')}</filters>`
  return `<?xml version="1.0" encoding="UTF-8"?><ServiceRequest>${limit}${filter}</ServiceRequest>`
}

/** Reads a whole QPS answer; the status is always 200, so the `responseCode` in it is what counts. */
export async function readServiceResponse(
  opened: OpenedBody,
  { path, arrays = [] }: { path: string; arrays?: readonly string[] },
): Promise<QpsAnswer> {
  const body = await readWhole(opened, QPS_BODY_BYTES_MAX, path)
  const { status, headers, redact } = opened
  const refused = (): HubError =>
    classifyAnswer({ path, status, headers, body, expectRoot: 'ServiceResponse', redact })
  // A refusal is one even when its document is cut: to ask again would count towards locking the account.
  if (isRefusedByCode(body)) throw refused()
  const response = childOf(parseWhole(body, path, new Set(arrays)), 'ServiceResponse')
  if (textAt(response, 'responseCode') !== 'SUCCESS') throw refused()
  const hasMoreRecords = textAt(response, 'hasMoreRecords') === 'true'
  const lastId = textAt(response, 'lastId')
  if (hasMoreRecords && (lastId === null || !/^\d{1,20}$/.test(lastId))) {
    throw new HubError('contract', `The answer of Qualys to ${path} has more records but no last id.`, {
      code: 'no_last_id',
    })
  }
  const data = childOf(response, 'data')
  return {
    count: Number(textAt(response, 'count') ?? 0),
    hasMoreRecords,
    lastId,
    data: typeof data === 'object' ? data : null,
    bytes: opened.bytesRead(),
  }
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
