import type { IncomingMessage } from 'node:http'

const BODY_BYTES_MAX = 16 * 1024 * 1024

export interface ReadRequest {
  method: string
  path: string
  pairs: [string, string][]
  params: Record<string, string>
  body: string
  headers: Record<string, string>
  authorization: string | undefined
  acceptsGzip: boolean
  urlBytes: number
}

/** The whole request; query and form are one, as they are for Qualys. Credentials are kept out of what is logged. */
export async function readRequest(req: IncomingMessage): Promise<ReadRequest> {
  const address = new URL(req.url ?? '/', 'http://fake.invalid')
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of req as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > BODY_BYTES_MAX) throw new RangeError(`A request body is at most ${BODY_BYTES_MAX} bytes.`)
    pieces.push(piece)
  }
  const body = Buffer.concat(pieces).toString('utf8')
  const isForm = req.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
  const pairs = [...address.searchParams, ...(isForm ? new URLSearchParams(body) : [])]
  const { authorization, cookie: _cookie, ...others } = req.headers
  const headers = Object.entries(others).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  )
  return {
    method: req.method ?? 'GET',
    path: address.pathname,
    pairs,
    params: Object.fromEntries(pairs),
    body,
    headers: Object.fromEntries(headers),
    authorization,
    acceptsGzip: /\bgzip\b/i.test(String(req.headers['accept-encoding'] ?? '')),
    urlBytes: Buffer.byteLength(req.url ?? ''),
  }
}
