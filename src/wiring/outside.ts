import type pg from 'pg'
import type { Vault } from '../api/deps.ts'
import { createJiraCloud } from '../destinations/jira/cloud.ts'
import { JiraConfig } from '../destinations/jira/config.ts'
import type { WaitListener } from '../engine/deps.ts'
import type { PushDeps } from '../engine/push-types.ts'
import type { VmSource } from '../engine/vm-source.ts'
import type { Clock } from '../lib/clock.ts'
import { type HttpDoor, HttpDoorError, createHttpDoor } from '../lib/http/index.ts'
import { HubError } from '../model/errors.ts'
import { type QualysConfig, parseQualysConfig } from '../sources/qualys/config.ts'
import { connectQualys } from '../sources/qualys/connection.ts'
import { type ProbeResult, probeQualys } from '../sources/qualys/probe.ts'
import { type IntegrationRow, getIntegration, setSubscription } from '../store/queries/integrations.ts'
import { SharedQuota } from '../store/shared-quota.ts'
import { QUALYS_SINGLE_LANES, createQualysSource } from './qualys-source.ts'
import { subscriptionOf } from './subscription.ts'

export const USER_AGENT = 'Patchbay/0.1.0'

const JIRA_FIELDS_OF_OURS = ['sensitiveFields']

export interface OutsideOptions {
  pool: pg.Pool
  clock: Clock
  vault: Vault
  /** Names this process in slots. */
  worker: string
  /** Networks that are not public and that this process may connect to. */
  allowedCidrs: readonly string[]
  caPem?: string | undefined
  proxyUrl?: string | undefined
}

/** Everything that this process reaches over HTTP: sources and destinations of integrations, their secrets opened. */
export class Outside {
  readonly #options: OutsideOptions
  readonly #jiraDoor: HttpDoor

  /** @throws HubError `config` when an allowed network cannot be understood. */
  constructor(options: OutsideOptions) {
    this.#options = options
    this.#jiraDoor = openDoor(options)
  }

  /** To be closed by the caller. */
  async connectSource(integration: IntegrationRow, onWait: WaitListener): Promise<VmSource> {
    const { pool, vault } = this.#options
    if (integration.type !== 'vaplugin' || integration.subtype !== 'qualys')
      throw new HubError(
        'config',
        `"${integration.name}" is no Qualys integration; nothing can be read from it.`,
      )
    const secrets = await vault.openAll(pool, integration.id)
    const { sensitiveFields: _, ...stored } = integration.config
    const config = parseQualysConfig({ name: integration.name, ...stored, ...secrets })
    await setSubscription(pool, integration.id, subscriptionOf(config))
    return createQualysSource({
      integrationId: integration.id,
      onWait,
      ...this.#qualys(config, integration.id),
    })
  }

  /** Tries every API of an account once. */
  async probeQualys(config: QualysConfig, signal: AbortSignal): Promise<readonly ProbeResult[]> {
    const options = this.#qualys(config)
    const connection = connectQualys({ ...options, access: options.config })
    try {
      return await probeQualys({ client: connection.client, signal, versions: config.versions })
    } finally {
      await connection.close()
    }
  }

  #qualys(config: QualysConfig, integrationId?: string) {
    const { pool, clock, worker, allowedCidrs, caPem, proxyUrl } = this.#options
    const quota = new SharedQuota({
      pool,
      clock,
      ...(integrationId !== undefined && { integrationId }),
      subscription: subscriptionOf(config),
      holder: worker,
      sharePercent: config.quotaSharePercent,
      singleLaneEndpoints: QUALYS_SINGLE_LANES,
    })
    return {
      // What the operator of this process allows holds for every private platform.
      config: config.privatePlatform
        ? { ...config, allowedCidrs: [...config.allowedCidrs, ...allowedCidrs] }
        : config,
      quota,
      clock,
      userAgent: USER_AGENT,
      ...(caPem !== undefined && { caPem }),
      ...(proxyUrl !== undefined && { proxyUrl }),
    }
  }

  async connectTarget(integrationId: string): Promise<Pick<PushDeps, 'destination' | 'target'>> {
    const { pool, vault } = this.#options
    const integration = await getIntegration(pool, integrationId)
    if (integration === null) throw new HubError('not_found', `There is no integration ${integrationId}.`)
    if (integration.type !== 'ticketing' || integration.subtype !== 'jira')
      throw new HubError('config', `"${integration.name}" takes no tickets.`)
    const secrets = await vault.openAll(pool, integrationId)
    const config = parseJiraConfig({ ...integration.config, ...secrets })
    const { projectKey, issueType } = config
    const isId = /^\d+$/.test(issueType)
    return {
      destination: this.jira(config),
      target: { integrationId, projectKey, issueType: isId ? { id: issueType } : { name: issueType } },
    }
  }

  jira(config: JiraConfig) {
    return createJiraCloud({
      config,
      door: this.#jiraDoor,
      clock: this.#options.clock,
    })
  }

  async close(): Promise<void> {
    await this.#jiraDoor.close()
  }
}

function openDoor({ allowedCidrs, clock, caPem, proxyUrl }: OutsideOptions): HttpDoor {
  try {
    return createHttpDoor({
      userAgent: USER_AGENT,
      allowedCidrs,
      clock,
      ...(caPem !== undefined && { caPem }),
      ...(proxyUrl !== undefined && { proxyUrl }),
    })
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof HttpDoorError)) throw error
    throw new HubError('config', error.message, {
      hint: 'Correct PATCHBAY_ALLOWED_CIDRS or PATCHBAY_PROXY_URL.',
    })
  }
}

/** @throws HubError `config` that names the fields, never their values. */
export function parseJiraConfig(input: unknown): JiraConfig {
  const entered = Object.fromEntries(
    Object.entries(input as Record<string, unknown>).filter(([name]) => !JIRA_FIELDS_OF_OURS.includes(name)),
  )
  const parsed = JiraConfig.safeParse(entered)
  if (parsed.success) return parsed.data
  const sentences = parsed.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `Unknown fields: ${issue.keys.join(', ')}.`
      : `The field "${issue.path.join('.')}": ${issue.message}.`,
  )
  throw new HubError('config', [...new Set(sentences)].join(' '), {
    code: 'bad_config',
    hint: 'Correct the fields named.',
  })
}
