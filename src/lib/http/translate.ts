import { ConnectPhaseError } from './connect.ts'
import { HttpDoorError, type HttpDoorErrorCode } from './errors.ts'

const ERRORS_DEPTH_MAX = 8

/** Codes of Node, OpenSSL, zlib and undici, and what they mean here. */
const CODES: Readonly<Record<string, HttpDoorErrorCode>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  UND_ERR_PRX_TLS: 'tls',
  UND_ERR_PROXY_CONN: 'connect',
  // The proxy refused the tunnel; a call that we gave up is told by its signal.
  UND_ERR_ABORTED: 'connect',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  ETIMEDOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_OVERFLOW: 'too_large',
  UND_ERR_SOCKET: 'reset',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'truncated',
  UND_ERR_INVALID_ARG: 'refused_url',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  Z_BUF_ERROR: 'truncated',
  Z_DATA_ERROR: 'encoding',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  HOSTNAME_MISMATCH: 'tls',
  EPROTO: 'tls',
}

const NEVER_SENT: ReadonlySet<HttpDoorErrorCode> = new Set([
  'dns',
  'connect',
  'refused_url',
  'refused_address',
  'tls',
])

const SENTENCES: Readonly<Record<HttpDoorErrorCode, string>> = {
  refused_url: 'the request cannot be sent as it is.',
  refused_address: 'its address is refused.',
  dns: 'the name cannot be resolved.',
  connect: 'no connection can be made.',
  timeout: 'nothing came for too long.',
  reset: 'the connection was closed before the answer.',
  too_large: 'the answer is larger than is accepted.',
  tls: 'its certificate is not trusted, or no secure connection can be agreed on.',
  redirect: 'it redirects, which is not followed.',
  truncated: 'the answer was cut off.',
  encoding: 'the answer cannot be decoded.',
  aborted: 'the call was given up.',
}

export interface TranslateContext {
  where: string
  phase: 'request' | 'body'
  signal: AbortSignal | undefined
}

/** Turns whatever Node and undici throw into the one error of the door. */
export function toDoorError(error: unknown, context: TranslateContext): HttpDoorError {
  const chain = causeChain(error)
  const own = chain.find((link): link is HttpDoorError => link instanceof HttpDoorError)
  if (own !== undefined) return own
  const isConnectPhase = chain.some((link) => link instanceof ConnectPhaseError)
  const code = codeOf(chain, context, isConnectPhase)
  const sent = !isConnectPhase && (context.phase === 'body' || !NEVER_SENT.has(code))
  return new HttpDoorError(code, `${context.where}: ${SENTENCES[code]}`, { sent, cause: error })
}

function codeOf(
  chain: readonly unknown[],
  context: TranslateContext,
  isConnectPhase: boolean,
): HttpDoorErrorCode {
  if (context.signal?.aborted === true) return 'aborted'
  for (const link of chain) {
    const raw = (link as { code?: unknown }).code
    const name = typeof raw === 'string' ? raw : ''
    const known = CODES[name] ?? (/^(CERT_|ERR_SSL_|ERR_TLS_)/.test(name) ? 'tls' : undefined)
    if (known === undefined) continue
    // A connection that closes in the middle of a body is a cut answer; undici reports both alike.
    if ((known === 'reset' || known === 'connect') && context.phase === 'body') return 'truncated'
    if (known === 'reset' && isConnectPhase) return 'connect'
    return known
  }
  if (isConnectPhase) return 'connect'
  return context.phase === 'body' ? 'truncated' : 'reset'
}

function causeChain(error: unknown): readonly unknown[] {
  const chain: unknown[] = []
  const queue: unknown[] = [error]
  while (queue.length > 0 && chain.length < ERRORS_DEPTH_MAX) {
    const link = queue.shift()
    if (!(link instanceof Error)) continue
    chain.push(link)
    if (link.cause !== undefined) queue.push(link.cause)
    if (link instanceof AggregateError) queue.push(...(link.errors as unknown[]))
  }
  return chain
}
