import { isIP } from 'node:net'

import { isGlobalAddress } from '../../lib/http/addresses.ts'
import { HubError } from '../../model/errors.ts'

export interface Platform {
  pod: string
  api: string
  gateway: string
  ui: string
}

/** Source: Qualys API reference, platform identification. US1 and EU1 do not follow the pattern of the others. */
export const PLATFORMS: readonly Platform[] = [
  {
    pod: 'US1',
    api: 'qualysapi.qualys.com',
    gateway: 'gateway.qg1.apps.qualys.com',
    ui: 'qualysguard.qualys.com',
  },
  podOf('US2', 'qg2.apps.qualys.com'),
  podOf('US3', 'qg3.apps.qualys.com'),
  podOf('US4', 'qg4.apps.qualys.com'),
  {
    pod: 'EU1',
    api: 'qualysapi.qualys.eu',
    gateway: 'gateway.qg1.apps.qualys.eu',
    ui: 'qualysguard.qualys.eu',
  },
  podOf('EU2', 'qg2.apps.qualys.eu'),
  podOf('EU3', 'qg3.apps.qualys.it'),
  podOf('IN1', 'qg1.apps.qualys.in'),
  podOf('CA1', 'qg1.apps.qualys.ca'),
  podOf('AE1', 'qg1.apps.qualys.ae'),
  podOf('UK1', 'qg1.apps.qualys.co.uk'),
  podOf('AU1', 'qg1.apps.qualys.com.au'),
  podOf('KSA1', 'qg1.apps.qualysksa.com'),
]

export interface BaseUrls {
  /** Without a trailing slash, e.g. `https://qualysapi.qg2.apps.qualys.com`. */
  apiUrl: string
  gatewayUrl: string
  /** Null for a private platform. */
  pod: string | null
}

export interface BaseUrlOptions {
  gatewayUrl?: string | undefined
  /** A Qualys platform run by the customer: any host is accepted, and http to addresses that are not public. */
  privatePlatform?: boolean | undefined
}

/**
 * Finds the base URLs that belong to what was entered. Only hosts of the platform table are accepted, unless
 * `privatePlatform` says that the host is the customer's own; which addresses may be connected to is the door's matter.
 * @throws HubError `config` that names the right URL.
 */
export function resolveBaseUrls(url: string, options: BaseUrlOptions = {}): BaseUrls {
  const api = parseBaseUrl(url, 'URL')
  if (options.privatePlatform === true) return resolvePrivate(api, options.gatewayUrl)
  const platform = PLATFORMS.find((candidate) => candidate.api === api.hostname)
  if (platform === undefined) throw refuseHost(api.hostname)
  const apiUrl = `https://${platform.api}`
  const gatewayUrl = `https://${platform.gateway}`
  if (api.protocol !== 'https:' || api.port !== '') {
    throw new HubError('config', `Qualys is reached by https on its usual port only. Use ${apiUrl}.`, {
      code: 'url_refused',
    })
  }
  if (options.gatewayUrl !== undefined) {
    const given = parseBaseUrl(options.gatewayUrl, 'gateway URL')
    if (given.origin !== gatewayUrl) {
      const message = `The gateway of ${platform.pod} is ${gatewayUrl}, not ${given.origin}. Leave the gateway URL out or use that one.`
      throw new HubError('config', message, { code: 'url_refused' })
    }
  }
  return { apiUrl, gatewayUrl, pod: platform.pod }
}

/** The character after the company prefix of a user name hints at the platform; a hint, nothing more. */
const POD_BY_SEPARATOR: Readonly<Record<string, string>> = {
  _: 'US1',
  '2': 'US2',
  '3': 'US3',
  '6': 'US4',
  '-': 'EU1',
  '5': 'EU2',
  '!': 'EU2',
}

/**
 * A sentence when the user name looks like that of another platform, else null. User names are five letters of the
 * company, the separator, two letters of the person and maybe a number.
 */
export function platformHint(username: string, pod: string | null): string | null {
  const separator = /^[a-z]{5}([^a-z])[a-z]{2}\d{0,3}$/i.exec(username)?.[1]
  const likely = PLATFORMS.find((platform) => platform.pod === POD_BY_SEPARATOR[separator ?? ''])
  if (likely === undefined || pod === null || likely.pod === pod) return null
  return `The user name looks like one of platform ${likely.pod}; its URL is https://${likely.api}.`
}

function podOf(pod: string, domain: string): Platform {
  return { pod, api: `qualysapi.${domain}`, gateway: `gateway.${domain}`, ui: `qualysguard.${domain}` }
}

function parseBaseUrl(text: string, what: string): URL {
  const trimmed = text.trim()
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.hostname === '') {
    const message = `The ${what} cannot be read. It looks like https://qualysapi.qg2.apps.qualys.com.`
    throw new HubError('config', message, { code: 'url_refused' })
  }
  if (url.username !== '' || url.password !== '') {
    const message = `The ${what} must not hold a user name or a password; they have fields of their own.`
    throw new HubError('config', message, { code: 'url_refused' })
  }
  url.hostname = url.hostname.replace(/\.$/, '')
  return url
}

function resolvePrivate(api: URL, gatewayText: string | undefined): BaseUrls {
  refuseUi(api.hostname)
  refusePlainHttp(api)
  const gateway = gatewayText === undefined ? null : parseBaseUrl(gatewayText, 'gateway URL')
  if (gateway !== null) refusePlainHttp(gateway)
  const derived = new URL(api)
  derived.hostname = api.hostname.replace(/^qualysapi\./, 'gateway.')
  return { apiUrl: api.origin, gatewayUrl: (gateway ?? derived).origin, pod: null }
}

/** Only what can be seen in the URL; for a name, the door judges the address it resolves to. */
function refusePlainHttp({ protocol, hostname, host }: URL): void {
  if (protocol !== 'http:') return
  const address = hostname.replace(/^\[|\]$/g, '')
  const isPublicName = isIP(address) === 0 && /\.qualys(ksa)?\./i.test(hostname)
  if (!isPublicName && !isGlobalAddress(address)) return
  const message = `http:// to a public host would show the password to everybody on the way. Use https://${host}.`
  throw new HubError('config', message, { code: 'url_refused' })
}

function refuseUi(hostname: string): void {
  if (!hostname.startsWith('qualysguard.')) return
  const platform = PLATFORMS.find((candidate) => candidate.ui === hostname)
  const right = platform?.api ?? hostname.replace(/^qualysguard\./, 'qualysapi.')
  const message = `${hostname} is the address of the Qualys user interface, which has no API. Use https://${right}.`
  throw new HubError('config', message, { code: 'url_refused' })
}

function refuseHost(hostname: string): HubError {
  refuseUi(hostname)
  const platform = PLATFORMS.find((candidate) => candidate.gateway === hostname)
  const list = PLATFORMS.map(({ pod, api }) => `${pod} https://${api}`).join(', ')
  const message =
    platform === undefined
      ? `${hostname} is not the API host of a known Qualys platform. Known are: ${list}.`
      : `${hostname} is the gateway of ${platform.pod}. The URL is https://${platform.api}.`
  return new HubError('config', message, {
    code: 'url_refused',
    hint: 'Qualys shows the right host under Help, About. For a private platform of your own, set privatePlatform.',
  })
}
