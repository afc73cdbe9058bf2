import { XMLParser, XMLValidator } from 'fast-xml-parser'

export type CriteriaKinds = Readonly<Record<string, 'number' | 'text'>>

export interface ServiceRequest {
  limit: number
  /** Records to leave out, from `startFromOffset`, which counts from 1. */
  offset: number
  criteria: readonly { field: string; operator: string; value: string; kind: 'number' | 'text' }[]
}

/** A refusal of the QPS family: status 200, and the code in the body. */
export class QpsError extends Error {
  override readonly name = 'QpsError'
  readonly responseCode: string
  readonly resolution: string

  constructor(responseCode: string, message: string, resolution: string) {
    super(message)
    this.responseCode = responseCode
    this.resolution = resolution
  }
}

const LIMIT_DEFAULT = 100
const LIMIT_MAX = 1000
const OPERATORS = {
  number: ['EQUALS', 'NOT EQUALS', 'GREATER', 'LESSER', 'IN'],
  text: ['CONTAINS', 'EQUALS', 'NOT EQUALS'],
}

/** Reads and judges a ServiceRequest; an empty body asks for everything. Throws QpsError. */
export function readServiceRequest(body: string, kinds: CriteriaKinds): ServiceRequest {
  if (body.trim() === '') return { limit: LIMIT_DEFAULT, offset: 0, criteria: [] }
  if (XMLValidator.validate(body) !== true) {
    throw new QpsError('INVALID_XML', 'The request is not well-formed XML.', 'Please check the request body.')
  }
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    parseTagValue: false,
    isArray: (name) => name === 'Criteria',
  })
  const root = asRecord(asRecord(parser.parse(body))['ServiceRequest'])
  const preferences = asRecord(root['preferences'])
  const listed = asRecord(root['filters'])['Criteria']
  const criteria = (Array.isArray(listed) ? (listed as unknown[]) : []).map((item) =>
    readCriteria(asRecord(item), kinds),
  )
  const fromId = preferences['startFromId']
  if (typeof fromId === 'string') {
    criteria.push({ field: 'id', operator: 'GREATER', value: String(Number(fromId) - 1), kind: 'number' })
  }
  return {
    limit: Math.min(LIMIT_MAX, positive(preferences['limitResults'], LIMIT_DEFAULT)),
    offset: positive(preferences['startFromOffset'], 1) - 1,
    criteria,
  }
}

function readCriteria(
  item: Record<string, unknown>,
  kinds: CriteriaKinds,
): ServiceRequest['criteria'][number] {
  const field = textOf(item['@field'])
  const operator = textOf(item['@operator'])
  const value = textOf(item['#text'])
  const kind = kinds[field]
  if (kind === undefined) {
    throw new QpsError(
      'INVALID_REQUEST',
      `Criteria: Invalid criteria field '${field}'.`,
      `Allowed fields: ${Object.keys(kinds).join(', ')}.`,
    )
  }
  if (!OPERATORS[kind].includes(operator)) {
    throw new QpsError(
      'INVALID_REQUEST',
      `Criteria: Invalid operator for criteria '${field}' (${operator}).`,
      `Values expected: ${OPERATORS[kind].join(', ')}.`,
    )
  }
  const wrong = kind === 'number' ? value.split(',').find((part) => !/^\d+$/.test(part.trim())) : undefined
  if (wrong !== undefined) {
    throw new QpsError(
      'INVALID_REQUEST',
      `Criteria: Invalid value format for criteria '${field}' (${wrong}).`,
      'Specify criteria value(s) as Long.',
    )
  }
  return { field, operator, value, kind }
}

export function matches(
  request: ServiceRequest,
  valuesOf: (field: string) => readonly (string | undefined)[],
): boolean {
  return request.criteria.every((criteria) => {
    const values = valuesOf(criteria.field).filter((value) => value !== undefined)
    if (criteria.operator === 'NOT EQUALS') return !values.includes(criteria.value)
    return values.some((value) => isHit(value, criteria))
  })
}

function isHit(value: string, criteria: ServiceRequest['criteria'][number]): boolean {
  const wanted = criteria.value
  switch (criteria.operator) {
    case 'EQUALS':
      return value === wanted
    case 'CONTAINS':
      return value.includes(wanted)
    case 'IN':
      return wanted.split(',').some((part) => part.trim() === value)
    case 'GREATER':
      return BigInt(value) > BigInt(wanted)
    case 'LESSER':
      return BigInt(value) < BigInt(wanted)
    default:
      return false
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.trim() : ''
}

function positive(value: unknown, otherwise: number): number {
  const number = Number(value)
  return Number.isInteger(number) && number > 0 ? number : otherwise
}
