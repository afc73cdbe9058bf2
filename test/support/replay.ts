import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

/** A response as a real Qualys once sent it, with what had been asked. */
export interface Recording {
  name: string
  request: { method: string; path: string; postData: string | null }
  status: number
  headers: Readonly<Record<string, string>>
  body: Buffer
}

/** The folder with recorded responses; null when the environment names none, so that tests can say that they skip. */
export const RECORDINGS_FOLDER: string | null = process.env['PATCHBAY_RECORDINGS'] ?? null

/** All recorded exchanges with Qualys (`<name>.meta.json` beside `<name>.response.xml`), by name. */
export async function loadQualysRecordings(folder: string): Promise<readonly Recording[]> {
  const place = join(folder, 'qualys', 'recorded', 'recordings')
  const names = (await readdir(place)).filter((file) => file.endsWith('.meta.json')).toSorted()
  return Promise.all(names.map((file) => loadRecording(place, file.slice(0, -'.meta.json'.length))))
}

interface Meta {
  request: { method: string; url: string; postData: unknown }
  response: { status: number; headers: Record<string, string> }
}

async function loadRecording(place: string, name: string): Promise<Recording> {
  const { request, response } = JSON.parse(await readFile(join(place, `${name}.meta.json`), 'utf8')) as Meta
  return {
    name,
    request: {
      method: request.method,
      path: new URL(request.url).pathname,
      postData: request.postData === null ? null : JSON.stringify(request.postData),
    },
    status: response.status,
    headers: response.headers,
    body: await readFile(join(place, `${name}.response.xml`)),
  }
}

export interface Scripted {
  status?: number
  headers?: Readonly<Record<string, string>>
  body?: string | Buffer
  /** Sends the body packed, as Qualys does for those who accept it. */
  gzip?: boolean
  /** Bytes after which the connection is closed. */
  cutAt?: number
  /** Keeps the answer open after the body. */
  isOpenEnded?: boolean
}

interface SeenRequest {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

export interface ReplayServer {
  url: string
  requests: readonly SeenRequest[]
  /** Answers that are not finished. */
  readonly open: number
  close(): Promise<void>
}

/** Headers of the recorded connection that say nothing about the replayed one. */
const CONNECTION_HEADERS = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'content-encoding',
])

/** Answers the calls one after the other with these answers; the last one is repeated. Loopback only. */
export async function startReplay(answers: readonly Scripted[]): Promise<ReplayServer> {
  const requests: SeenRequest[] = []
  let open = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    open += 1
    response.on('close', () => {
      open -= 1
    })
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const answer = answers[Math.min(requests.length, answers.length - 1)] ?? {}
      requests.push({ method, url, headers, body: Buffer.concat(chunks).toString('utf8') })
      const plain = Buffer.from(answer.body ?? '')
      const bytes = answer.gzip === true ? gzipSync(plain) : plain
      response.writeHead(answer.status ?? 200, {
        ...Object.fromEntries(
          Object.entries(answer.headers ?? {}).filter(([name]) => !CONNECTION_HEADERS.has(name)),
        ),
        ...(answer.gzip === true ? { 'content-encoding': 'gzip' } : {}),
      })
      if (answer.cutAt !== undefined)
        response.write(bytes.subarray(0, answer.cutAt), () => response.destroy())
      else if (answer.isOpenEnded === true) response.write(bytes)
      else response.end(bytes)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get open() {
      return open
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
