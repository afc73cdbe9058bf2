import type { Clock } from '../../lib/clock.ts'
import { HttpDoorError } from '../../lib/http/index.ts'
import { childOf, textAt } from '../../lib/xml-small.ts'
import { HubError } from '../../model/errors.ts'
import type { QualysClient } from './client.ts'
import { connectQualys, type QualysAccess } from './connection.ts'
import { fromDoorError, truncatedError } from './errors.ts'
import { createLocalQuota } from './local-quota.ts'
import { platformHint, resolveBaseUrls } from './platforms.ts'
import { tags } from './tags/index.ts'

/** One line of the diagnosis. */
export interface ProbeResult {
  name: string
  ok: boolean
  /** What was seen, or what failed and why. */
  message: string
  /** What to do, or what to ask the Qualys administrator for; null when all is well. */
  hint: string | null
  /** Qualys' code or a short word; null when all is well. */
  code: string | null
}

export interface ApiVersions {
  hld: string
  hostList: string
  kb: string
}

interface ProbeContext {
  client: QualysClient
  versions: ApiVersions
  signal: AbortSignal
}

interface Probe {
  name: string
  run(context: ProbeContext): Promise<string>
}

const VERSIONS_DEFAULT: ApiVersions = { hld: '5.0', hostList: '5.0', kb: '4.0' }

/** One cheap call for each API that is used. Source: Qualys API reference, permission probe. */
const PROBES: readonly Probe[] = [
  {
    name: 'login',
    run: async ({ client, signal }) => {
      const about = await client.msp({
        endpoint: 'msp/about',
        path: '/msp/about.php',
        expectRoot: 'ABOUT',
        signal,
      })
      return `User name and password are accepted; Qualys is ${textAt(about, 'ABOUT', 'WEB-VERSION') ?? 'of unknown version'}.`
    },
  },
  {
    name: 'portal version',
    run: async ({ client, signal }) => {
      const path = '/qps/rest/portal/version'
      const { data } = await client.qps({ endpoint: 'qps/portal/version', method: 'GET', path, signal })
      const portal = toPortalInfo(data)
      return `The portal is ${portal.applicationVersion ?? 'of unknown version'}.`
    },
  },
  {
    name: 'host list',
    run: (context) =>
      probeFo(context, {
        endpoint: 'fo/asset/host',
        path: `/api/${context.versions.hostList}/fo/asset/host/`,
        params: { action: 'list', details: 'None', truncation_limit: '1' },
        expectRoot: 'HOST_LIST_OUTPUT',
        seen: {
          element: /<ID(?:_RANGE)?>/,
          yes: 'Hosts are visible.',
          no: 'The user sees no hosts; give it asset groups or tags.',
        },
      }),
  },
  {
    name: 'host detections',
    run: (context) =>
      probeFo(context, {
        endpoint: 'fo/asset/host/vm/detection',
        path: `/api/${context.versions.hld}/fo/asset/host/vm/detection/`,
        params: { action: 'list', truncation_limit: '1', show_igs: '1', show_results: '0' },
        expectRoot: 'HOST_LIST_VM_DETECTION_OUTPUT',
        seen: {
          element: /<DETECTION>/,
          yes: 'Detections are visible.',
          no: 'The first host has no detections.',
        },
      }),
  },
  {
    name: 'knowledge base',
    run: (context) =>
      probeFo(context, {
        endpoint: 'fo/knowledge_base/vuln',
        path: `/api/${context.versions.kb}/fo/knowledge_base/vuln/`,
        params: { action: 'list', ids: '1-2' },
        expectRoot: 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT',
        seen: {
          element: /<VULN>/,
          yes: 'The knowledge base can be read.',
          no: 'The knowledge base answers.',
        },
      }),
  },
  {
    name: 'tags',
    run: async ({ client, signal }) => (await tags.check({ config: {}, client, signal })).message,
  },
]

/**
 * Tries each API once, judging by the bodies. After a refusal that counts towards locking the account, the rest is
 * not tried.
 */
export async function probeQualys(options: {
  client: QualysClient
  /** When it aborts, the checks that are left fail; nothing is thrown. */
  signal: AbortSignal
  versions?: ApiVersions
  /** Silence of Qualys that fails a check. */
  idleTimeoutMs?: number
}): Promise<readonly ProbeResult[]> {
  const { client, signal, versions = VERSIONS_DEFAULT, idleTimeoutMs = PROBE_IDLE_TIMEOUT_MS } = options
  const context = { versions, signal, client: withIdleTimeout(client, idleTimeoutMs) }
  const results: ProbeResult[] = []
  let isOver = false
  for (const probe of PROBES) {
    if (isOver) {
      results.push(skipped(probe.name))
      continue
    }
    try {
      const message = await probe.run(context)
      results.push({ name: probe.name, ok: true, message, hint: null, code: null })
    } catch (error) {
      const failure = toProbeError(error, { signal, idleTimeoutMs })
      results.push(failed(probe.name, failure))
      isOver = failure.kind === 'auth' || signal.aborted
    }
  }
  return results
}

function withIdleTimeout(client: QualysClient, idleTimeoutMs: number): QualysClient {
  return {
    apiHost: client.apiHost,
    fo: (call) => client.fo({ ...call, idleTimeoutMs }),
    msp: (call) => client.msp({ ...call, idleTimeoutMs }),
    qps: (call) => client.qps({ ...call, idleTimeoutMs }),
  }
}

/** Why a check failed; what is neither the far side's doing nor an end that was asked for is thrown on. */
function toProbeError(
  error: unknown,
  { signal, idleTimeoutMs }: { signal: AbortSignal; idleTimeoutMs: number },
): HubError {
  if (signal.aborted) {
    const isLate = signal.reason instanceof Error && signal.reason.name === 'TimeoutError'
    return isLate
      ? new HubError('transient', 'Qualys did not answer within the time that all checks have together.', {
          code: 'timeout',
          hint: TIMEOUT_HINT,
          cause: error,
        })
      : new HubError('transient', 'The check was stopped before Qualys answered.', {
          code: 'stopped',
          cause: error,
        })
  }
  if (!(error instanceof HubError)) throw error
  if (error.code !== 'timeout') return error
  return new HubError('transient', `Qualys did not answer within ${idleTimeoutMs / 1000} seconds.`, {
    code: 'timeout',
    hint: TIMEOUT_HINT,
    cause: error,
  })
}

const TIMEOUT_HINT = 'Try again; if it stays, look for a proxy or firewall that holds the connection.'

/** Diagnoses an account that is not configured yet, from what would be entered: URL check first, then every probe. */
export async function diagnoseQualys(options: {
  access: QualysAccess
  clock: Clock
  userAgent: string
  signal: AbortSignal
  versions?: ApiVersions
  caPem?: string
  proxyUrl?: string
  /** Silence of Qualys that fails a check. */
  idleTimeoutMs?: number
}): Promise<readonly ProbeResult[]> {
  const { access, signal, versions, idleTimeoutMs, ...rest } = options
  try {
    const { apiUrl, pod } = resolveBaseUrls(access.url, access)
    const where = pod === null ? 'a private platform' : `platform ${pod}`
    const url = {
      name: 'URL',
      ok: true,
      message: `${apiUrl} is ${where}.`,
      hint: platformHint(access.username, pod),
      code: null,
    }
    const connection = connectQualys({ ...rest, access, quota: createLocalQuota(options.clock) })
    try {
      return [
        url,
        ...(await probeQualys({
          client: connection.client,
          signal,
          ...(versions === undefined ? {} : { versions }),
          ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
        })),
      ]
    } finally {
      await connection.close()
    }
  } catch (caught) {
    const error = caught instanceof HttpDoorError ? fromDoorError(caught, signal) : caught
    if (!(error instanceof HubError)) throw error
    return [failed('URL', error), ...PROBES.map(({ name }) => skipped(name))]
  }
}

export interface PortalInfo {
  applicationVersion: string | null
  webVersion: string | null
  scannerVersion: string | null
  signaturesVersion: string | null
}

/** The `data` of `portal/version`. */
export function toPortalInfo(data: unknown): PortalInfo {
  const node = { data } as Parameters<typeof textAt>[0]
  const qweb = childOf(childOf(node, 'data'), 'QWeb-Version')
  return {
    applicationVersion: textAt(node, 'data', 'Portal-Version', 'PortalApplication-VERSION'),
    webVersion: textAt(qweb, 'WEB-VERSION'),
    scannerVersion: textAt(qweb, 'SCANNER-VERSION'),
    signaturesVersion: textAt(qweb, 'VULNSIGS-VERSION'),
  }
}

interface FoProbe {
  endpoint: string
  path: string
  params: Readonly<Record<string, string>>
  expectRoot: string
  seen: { element: RegExp; yes: string; no: string }
}

const PROBE_BYTES_MAX = 1024 * 1024
/** Qualys answers these calls at once; somebody sits before the screen and waits. */
const PROBE_IDLE_TIMEOUT_MS = 30_000

async function probeFo({ client, signal }: ProbeContext, { seen, ...call }: FoProbe): Promise<string> {
  const answer = await client.fo({ ...call, signal })
  let text = ''
  for await (const chunk of answer.body) {
    text += chunk.toString('latin1')
    if (seen.element.test(text)) return seen.yes
    if (answer.bytesRead() > PROBE_BYTES_MAX) break
  }
  // Only an answer that came to its end can say that there is nothing.
  if (!text.includes(`</${call.expectRoot}>`)) throw truncatedError(call.path)
  return seen.no
}

function failed(name: string, { message, hint, code, kind }: HubError): ProbeResult {
  return { name, ok: false, message, hint: hint ?? null, code: code ?? kind }
}

function skipped(name: string): ProbeResult {
  const message = 'Not tried, since an earlier check failed.'
  return { name, ok: false, message, hint: null, code: 'skipped' }
}
