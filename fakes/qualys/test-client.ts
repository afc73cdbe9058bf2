import { request } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { SaxesParser } from 'saxes'
import type { FakeQualys } from './server.ts'
import { DEFAULT_USER } from './users.ts'

export interface Reply {
  status: number
  headers: Record<string, string>
  bytes: Buffer
  /** The text, uncompressed if it can be. */
  text: string
  /** False when the connection closed before the answer was complete. */
  isComplete: boolean
}

export interface CallOptions {
  path: string
  /** A form; a text is sent as the body of a QPS call. */
  form?: Readonly<Record<string, string>> | string
  method?: string
  gzip?: boolean
  user?: { username: string; password: string } | null
  headers?: Record<string, string | undefined>
  /** Called with every piece as it arrives. */
  onData?: (piece: Buffer) => void
}

export const HLD = '/api/5.0/fo/asset/host/vm/detection/'
export const HOSTS = '/api/5.0/fo/asset/host/'
export const KB = '/api/4.0/fo/knowledge_base/vuln/'

/** One plain HTTP call, on a connection of its own, that tells everything about how the answer came. */
export function call(fake: FakeQualys, options: CallOptions): Promise<Reply> {
  const { form, user = DEFAULT_USER } = options
  const isForm = typeof form === 'object'
  const body = isForm ? new URLSearchParams(form).toString() : form
  const wanted: Record<string, string | undefined> = {
    'x-requested-with': 'test',
    authorization:
      user === null
        ? undefined
        : `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`,
    'accept-encoding': options.gzip === true ? 'gzip' : undefined,
    'content-type':
      body === undefined ? undefined : isForm ? 'application/x-www-form-urlencoded' : 'text/xml',
    ...options.headers,
  }
  const headers = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const method = options.method ?? (body === undefined ? 'GET' : 'POST')
  const sent = request(`${fake.url}${options.path}`, {
    method,
    headers: headers as Record<string, string>,
    agent: false,
  })
  sent.on('error', reject)
  sent.on('response', (response) => {
    const pieces: Buffer[] = []
    response.on('data', (piece: Buffer) => {
      pieces.push(piece)
      options.onData?.(piece)
    })
    response.on('error', () => {})
    response.on('close', () => {
      const bytes = Buffer.concat(pieces)
      const isGzip = response.headers['content-encoding'] === 'gzip'
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers as Record<string, string>,
        bytes,
        text: isGzip ? unzip(bytes) : bytes.toString('utf8'),
        isComplete: response.complete,
      })
    })
  })
  sent.end(body)
  return promise
}

function unzip(bytes: Buffer): string {
  try {
    return gunzipSync(bytes).toString('utf8')
  } catch {
    return ''
  }
}

/** Every text between `<name>` and `</name>`, without CDATA marks. */
export function texts(xml: string, name: string): string[] {
  const found = xml.matchAll(
    new RegExp(`<${name}(?: [^>]*)?>(?:<!\\[CDATA\\[)?(.*?)(?:\\]\\]>)?</${name}>`, 'gs'),
  )
  return [...found].map((match) => match[1] ?? '')
}

export function hostIds(xml: string): string[] {
  return [...xml.matchAll(/<HOST>\s*<ID>(\d+)<\/ID>/g)].map((match) => match[1] ?? '')
}

/** The ids of `details=None`, with ranges spread. */
export function setIds(xml: string): string[] {
  const ids: string[] = []
  for (const [, one, first, last] of xml.matchAll(/<ID>(\d+)<\/ID>|<ID_RANGE>(\d+)-(\d+)<\/ID_RANGE>/g)) {
    if (one !== undefined) ids.push(one)
    else for (let id = Number(first); id <= Number(last); id++) ids.push(String(id))
  }
  return ids
}

/** Which element stands in which, in the order of first sight; throws when the text is not well-formed. */
export function structureOf(xml: string): Map<string, string[]> {
  const children = new Map<string, string[]>()
  const path: string[] = []
  const parser = new SaxesParser()
  parser.on('opentag', (tag) => {
    const parent = path.join('/')
    const names = children.get(parent) ?? []
    if (!names.includes(tag.name)) names.push(tag.name)
    children.set(parent, names)
    path.push(tag.name)
  })
  parser.on('closetag', () => void path.pop())
  parser.on('error', (error) => {
    throw error
  })
  parser.write(xml).close()
  return children
}
