import { isoSeconds } from '../estate/time.ts'
import { chunk, elements, escapeXml } from './xml.ts'
import type { Chunk } from './xml.ts'

export interface SimpleReturn {
  nowMs: number
  baseUrl: string
  code?: number | undefined
  text: string
  items?: readonly (readonly [string, string])[]
  /** Recorded 400s come without a prolog, the account errors with one. */
  prolog: boolean
}

export function simpleReturn(options: SimpleReturn): Chunk[] {
  const items = (options.items ?? []).map(
    ([key, value]) =>
      `      <ITEM>\n        <KEY>${escapeXml(key)}</KEY>\n        <VALUE>${escapeXml(value)}</VALUE>\n      </ITEM>\n`,
  )
  const body = elements('    ', [
    ['DATETIME', isoSeconds(options.nowMs)],
    ['CODE', options.code],
    ['TEXT', escapeXml(options.text)],
    ['ITEM_LIST', items.length === 0 ? undefined : `\n${items.join('')}    `],
  ])
  return [
    ...(options.prolog ? [chunk('prolog', '<?xml version="1.0" encoding="UTF-8" ?>\n')] : []),
    chunk('doctype', `<!DOCTYPE SIMPLE_RETURN SYSTEM "${options.baseUrl}/api/2.0/simple_return.dtd">\n`),
    chunk('text', `<SIMPLE_RETURN>\n  <RESPONSE>\n${body}  </RESPONSE>\n</SIMPLE_RETURN>\n`),
  ]
}

/** The envelope of the QPS family; `xsd` is the schema that the address of the endpoint names. */
export function serviceResponse(options: {
  baseUrl: string
  xsd: string
  responseCode: string
  error?: { message: string; resolution: string } | undefined
  body?: string
}): Chunk[] {
  const { error } = options
  const details =
    error === undefined
      ? ''
      : '  <responseErrorDetails>\n' +
        `    <errorMessage>${quoted(error.message)}</errorMessage>\n` +
        `    <errorResolution>${quoted(error.resolution)}</errorResolution>\n  </responseErrorDetails>\n`
  return [
    chunk('prolog', '<?xml version="1.0" encoding="UTF-8"?>\n'),
    chunk(
      'text',
      '<ServiceResponse xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ' +
        `xsi:noNamespaceSchemaLocation="${options.baseUrl}/qps/xsd/${options.xsd}.xsd">\n` +
        `  <responseCode>${options.responseCode}</responseCode>\n${details}${options.body ?? ''}</ServiceResponse>`,
    ),
  ]
}

function quoted(text: string): string {
  return escapeXml(text).replaceAll("'", '&apos;')
}

const PAGES = {
  login:
    'Qualys Login</title></head><body><form method="post" action="/fo/login.php"><input name="UserLogin">',
  maintenance:
    'Scheduled maintenance</title></head><body><p>We will be back soon.<br>Thank you for your patience.',
  'not-found':
    '404 Not Found</title></head><body><h1>Not Found</h1><p>The requested URL was not found on this server.',
} as const

export function htmlPage(page: keyof typeof PAGES): Chunk[] {
  return [chunk('text', `<!DOCTYPE html>\n<html><head><title>${PAGES[page]}</body></html>\n`)]
}
