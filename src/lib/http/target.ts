import { isIP } from 'node:net'

import { type AddressSet, isGlobalAddress } from './addresses.ts'
import { HttpDoorError } from './errors.ts'

export interface Target {
  url: URL
  /** Scheme, host and path: all that may stand in a message. */
  where: string
}

/** Checks what can be seen without the network: scheme, user info, addresses written in the URL in whatever form. */
export function parseTarget(text: string, allowed: AddressSet): Target {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new HttpDoorError('refused_url', 'The URL cannot be read.', { sent: false })
  }
  const where = `${url.protocol}//${url.host}${url.pathname}`
  const refuse = (why: string) =>
    new HttpDoorError('refused_url', `${where} is refused: ${why}`, { sent: false })
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('only http and https are spoken.')
  if (url.username !== '' || url.password !== '')
    throw refuse('a URL must not hold a user name or a password.')
  const address = literalAddress(url.hostname)
  if (address !== null) {
    const refusal = refusalOf(url.protocol, [address], allowed)
    if (refusal !== null)
      throw new HttpDoorError('refused_address', `${where} is refused: ${refusal}`, { sent: false })
  }
  return { url, where }
}

/**
 * Why these addresses of one host may not be connected to; null when they all may. All have to pass, since which one
 * is tried first is not ours to decide.
 */
export function refusalOf(
  protocol: string,
  addresses: readonly string[],
  allowed: AddressSet,
): string | null {
  if (addresses.length === 0) return 'the name has no address.'
  for (const address of addresses) {
    const isGlobal = isGlobalAddress(address)
    if (!isGlobal && !allowed.has(address)) {
      return `${address} is not a public address and is not in the list of allowed networks.`
    }
    if (protocol === 'http:' && isGlobal)
      return 'plain http to a public address would show the password; use https.'
  }
  return null
}

/** The IP address when the host of a URL is one. URL parsing has already turned decimal, octal and hex forms into one. */
export function literalAddress(hostname: string): string | null {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return isIP(bare) === 0 ? null : bare
}
