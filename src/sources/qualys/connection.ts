import type { Clock } from '../../lib/clock.ts'
import { createHttpDoor } from '../../lib/http/index.ts'
import type { QuotaPort } from '../../model/quota.ts'
import { createQualysClient, type QualysClient, type QualysWait } from './client.ts'
import type { QualysConfig } from './config.ts'
import { resolveBaseUrls } from './platforms.ts'

/** What of the configuration says where Qualys is and who asks. */
export type QualysAccess = Pick<QualysConfig, 'url' | 'username' | 'password'> &
  Partial<Pick<QualysConfig, 'gatewayUrl' | 'privatePlatform' | 'allowedCidrs'>>

export interface ConnectionOptions {
  access: QualysAccess
  quota: QuotaPort
  clock: Clock
  /** e.g. `Patchbay/0.1.0`. */
  userAgent: string
  /** Certificates trusted beside the usual ones, and a proxy; both for the whole process. */
  caPem?: string
  proxyUrl?: string
  idleTimeoutMs?: number
  onWait?: (info: QualysWait) => void
}

export interface QualysConnection {
  client: QualysClient
  close(): Promise<void>
}

/**
 * A door of its own with a client in it; to be closed.
 * @throws HubError `config` when the URL is refused.
 */
export function connectQualys(options: ConnectionOptions): QualysConnection {
  const { access, quota, clock, userAgent, caPem, proxyUrl, idleTimeoutMs, onWait } = options
  const { apiUrl } = resolveBaseUrls(access.url, access)
  const door = createHttpDoor({
    userAgent,
    clock,
    allowedCidrs: access.privatePlatform === true ? (access.allowedCidrs ?? []) : [],
    ...(caPem === undefined ? {} : { caPem }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
  })
  const client = createQualysClient({
    door,
    baseUrl: apiUrl,
    username: access.username,
    password: access.password,
    quota,
    clock,
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(onWait === undefined ? {} : { onWait }),
  })
  return { client, close: () => door.close() }
}
