import type { LookupAddress } from 'node:dns'
import { lookup as dnsLookup } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { getCACertificates } from 'node:tls'
import { callbackify } from 'node:util'

import { Agent, buildConnector, type Dispatcher, ProxyAgent } from 'undici'

import type { AddressSet } from './addresses.ts'
import { HttpDoorError } from './errors.ts'
import { parseTarget, refusalOf } from './target.ts'

const CONNECT_TIMEOUT_MS = 15_000
const CONNECTIONS_PER_HOST_MAX = 16
const RESPONSE_HEADER_BYTES_MAX = 32 * 1024
const KEEP_ALIVE_MS = 10_000

export type ResolveHost = (hostname: string) => Promise<readonly { address: string; family: number }[]>

export interface ConnectOptions {
  allowed: AddressSet
  caPem: string | undefined
  proxyUrl: string | undefined
  resolve: ResolveHost | undefined
}

/** Marks a failure before the connection stood, so that nothing of the request can have left. */
export class ConnectPhaseError extends Error {
  override readonly name = 'ConnectPhaseError'
}

/**
 * The undici dispatcher whose every new connection goes to an address that was checked a moment before: the check and
 * the connection use the same answer of the name service, so that a second answer cannot differ.
 */
export function createDispatcher(options: ConnectOptions): Dispatcher {
  const shared = {
    connections: CONNECTIONS_PER_HOST_MAX,
    pipelining: 1,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    allowH2: false,
  }
  if (options.proxyUrl !== undefined) return createProxyDispatcher(options.proxyUrl, options, shared)
  const connectors = {
    'http:': buildConnector(connectorOptions('http:', options)),
    'https:': buildConnector(connectorOptions('https:', options)),
  }
  return new Agent({
    ...shared,
    connect: (target, callback) => {
      const connector = connectors[target.protocol === 'https:' ? 'https:' : 'http:']
      connector(target, (...[error, socket]) => {
        if (error === null) callback(null, socket)
        else callback(new ConnectPhaseError('The connection could not be made.', { cause: error }), null)
      })
    },
  })
}

/**
 * Through a proxy the far address is the proxy's choice, so the address check holds for the proxy itself; addresses
 * written in the URL are still checked, and plain http is not forwarded to names.
 */
function createProxyDispatcher(proxyUrl: string, options: ConnectOptions, shared: Agent.Options): Dispatcher {
  const { url, token } = parseProxyUrl(proxyUrl)
  parseTarget(url.href, options.allowed)
  return new ProxyAgent({
    ...shared,
    uri: url.href,
    ...(token === null ? {} : { token }),
    proxyTls: connectorOptions(url.protocol, options),
    requestTls: tlsOptions(options.caPem),
  })
}

/** The proxy without its credentials, and these as a header value; null when it needs none. */
function parseProxyUrl(proxyUrl: string): { url: URL; token: string | null } {
  try {
    const url = new URL(proxyUrl)
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
    url.username = ''
    url.password = ''
    return { url, token: credentials === ':' ? null : `Basic ${Buffer.from(credentials).toString('base64')}` }
  } catch {
    throw new HttpDoorError('refused_url', 'The URL of the proxy cannot be read.', { sent: false })
  }
}

function connectorOptions(protocol: string, options: ConnectOptions): buildConnector.BuildOptions {
  const lookup = createGuardedLookup(protocol, options.allowed, options.resolve ?? resolveByName)
  return { timeout: CONNECT_TIMEOUT_MS, allowH2: false, lookup, ...tlsOptions(options.caPem) }
}

function tlsOptions(caPem: string | undefined) {
  const trust = caPem === undefined ? {} : { ca: [...getCACertificates('default'), caPem] }
  return { rejectUnauthorized: true, minVersion: 'TLSv1.2' as const, ...trust }
}

function createGuardedLookup(protocol: string, allowed: AddressSet, resolve: ResolveHost): LookupFunction {
  const lookupChecked = callbackify(async (hostname: string): Promise<LookupAddress[]> => {
    const found = await resolve(hostname).catch((cause: unknown) => {
      throw new HttpDoorError('dns', `${hostname} cannot be resolved.`, { sent: false, cause })
    })
    const refusal = refusalOf(
      protocol,
      found.map(({ address }) => address),
      allowed,
    )
    if (refusal === null) return [...found]
    throw new HttpDoorError('refused_address', `${hostname} is refused: ${refusal}`, { sent: false })
  })
  return (hostname, options, callback) => {
    lookupChecked(hostname, (error, found) => {
      const first = found?.[0]
      if (first === undefined) callback(error ?? new Error('No address.'), '', 0)
      else if (options.all === true) callback(null, found)
      else callback(null, first.address, first.family)
    })
  }
}

const resolveByName: ResolveHost = (hostname) => dnsLookup(hostname, { all: true })
