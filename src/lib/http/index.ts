import type { IncomingHttpHeaders } from 'node:http'

import { type Dispatcher, request as undiciRequest } from 'undici'

import { type Clock, systemClock } from '../clock.ts'
import { type AddressSet, parseCidrs } from './addresses.ts'
import { DecodedBody } from './body.ts'
import { createDispatcher, type ResolveHost } from './connect.ts'
import { HttpDoorError } from './errors.ts'
import { literalAddress, parseTarget, type Target } from './target.ts'
import { toDoorError } from './translate.ts'

export { HttpDoorError, type HttpDoorErrorCode } from './errors.ts'

/** The only way out of the process over HTTP. Every failure of `request` and of a body is an `HttpDoorError`. */
export interface HttpDoor {
  /**
   * Resolves when the headers are there. Any status but a redirect resolves; the body has to be read to its end or
   * discarded, else its connection stays taken.
   */
  request(call: HttpCall): Promise<HttpAnswer>
  close(): Promise<void>
}

export interface HttpCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Absolute, without user info. */
  url: string
  headers?: Readonly<Record<string, string>>
  body?: string | Buffer
  signal?: AbortSignal
  /** Without a byte for so long, the call fails; default `IDLE_TIMEOUT_MS`. A whole call may last. */
  idleTimeoutMs?: number
  /** Decoded bytes; default `BODY_BYTES_MAX`. */
  bodyBytesMax?: number
}

export interface HttpAnswer {
  status: number
  /** Names in lower case; repeated headers are joined by ", ". */
  headers: Readonly<Record<string, string>>
  /** Decoded (gunzipped) bytes. */
  body: HttpBody
}

/** Can be read once, by one of the three. Breaking out of the iteration closes the connection. */
interface HttpBody extends AsyncIterable<Buffer> {
  /** The body as UTF-8; fails with `too_large` beyond `bytesMax` (default 16 MiB). */
  text(bytesMax?: number): Promise<string>
  /** Gives the rest up. Idempotent; never throws. */
  discard(): Promise<void>
}

export interface HttpDoorOptions {
  userAgent: string
  /** Private, loopback or otherwise special addresses that may be connected to, e.g. `10.1.2.0/24`, `127.0.0.1`. */
  allowedCidrs?: readonly string[]
  /** Certificates trusted beside the usual ones. */
  caPem?: string
  /**
   * All calls go through this proxy. The address check then holds for the proxy's own address, since it is the proxy
   * that resolves the target; plain http is only forwarded to allowed addresses written as such.
   */
  proxyUrl?: string
  clock?: Clock
  /** Another name service than the system's. */
  resolve?: ResolveHost
}

const IDLE_TIMEOUT_MS = 120_000
const BODY_BYTES_MAX = 64 * 1024 * 1024

/**
 * Opens the door. Names are resolved and checked when a connection is made: all their addresses have to be global or
 * in `allowedCidrs`; plain http goes to allowed, not global addresses only; redirects are not followed.
 * @throws RangeError when `allowedCidrs` holds something that is not a network.
 * @throws HttpDoorError when `proxyUrl` is refused.
 */
export function createHttpDoor(options: HttpDoorOptions): HttpDoor {
  const allowed = parseCidrs(options.allowedCidrs ?? [])
  const { caPem, proxyUrl, resolve, userAgent } = options
  const clock = options.clock ?? systemClock
  const dispatcher = createDispatcher({ allowed, caPem, proxyUrl, resolve })
  return {
    request: async (call) => {
      const target = parseTarget(call.url, allowed)
      if (proxyUrl !== undefined) refusePlainHttpToName(target, allowed)
      const response = await send(dispatcher, target, {
        ...call,
        headers: { 'user-agent': userAgent, ...lowerCased(call.headers) },
      })
      const headers = joinHeaders(response.headers)
      const body = new DecodedBody(response.body, {
        where: target.where,
        encoding: isBodyless(response.statusCode, headers)
          ? ''
          : (headers['content-encoding'] ?? '').trim().toLowerCase(),
        bytesMax: call.bodyBytesMax ?? BODY_BYTES_MAX,
        signal: call.signal,
        clock,
      })
      if (isRedirect(response.statusCode)) {
        await body.discard()
        throw redirectError(target, response.statusCode, headers['location'])
      }
      return { status: response.statusCode, headers, body }
    },
    close: () => dispatcher.destroy(),
  }
}

async function send(
  dispatcher: Dispatcher,
  { url, where }: Target,
  call: HttpCall,
): Promise<Dispatcher.ResponseData> {
  const idleTimeoutMs = call.idleTimeoutMs ?? IDLE_TIMEOUT_MS
  if (call.signal?.aborted === true) {
    throw new HttpDoorError('aborted', `${where}: the call was given up.`, {
      sent: false,
      cause: call.signal.reason,
    })
  }
  try {
    return await undiciRequest(url, {
      dispatcher,
      method: call.method,
      headers: { 'accept-encoding': 'gzip, deflate, br', ...call.headers },
      body: call.body ?? null,
      signal: call.signal ?? null,
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
    })
  } catch (error) {
    throw toDoorError(error, { where, phase: 'request', signal: call.signal })
  }
}

function refusePlainHttpToName({ url, where }: Target, allowed: AddressSet): void {
  if (url.protocol !== 'http:') return
  const address = literalAddress(url.hostname)
  if (address !== null && allowed.has(address)) return
  const message = `${where} is refused: through a proxy, plain http goes to allowed addresses only; use https.`
  throw new HttpDoorError('refused_url', message, { sent: false })
}

/** Only the host of the new place is told: the rest of a redirect may hold secrets. */
function redirectError({ where }: Target, status: number, location: string | undefined): HttpDoorError {
  const to =
    location !== undefined && URL.canParse(location, where)
      ? new URL(location, where).host
      : 'an unknown place'
  const message = `${where} answered ${status} and redirects to ${to}, which is not followed. Configure the final address.`
  return new HttpDoorError('redirect', message, { sent: true })
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400 && status !== 304
}

function isBodyless(status: number, headers: Readonly<Record<string, string>>): boolean {
  return status === 204 || status === 304 || headers['content-length'] === '0'
}

function lowerCased(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function joinHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const joined: Record<string, string> = Object.create(null) as Record<string, string>
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
  }
  return joined
}
