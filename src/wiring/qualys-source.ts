import type { Clock } from '../lib/clock.ts'
import type { BoundModule, VmSource } from '../engine/vm-source.ts'
import type { QuotaPort } from '../model/quota.ts'
import type { SourceModule } from '../model/source.ts'
import type { QualysClient } from '../sources/qualys/client.ts'
import type { QualysConfig } from '../sources/qualys/config.ts'
import { connectQualys } from '../sources/qualys/connection.ts'
import { detections } from '../sources/qualys/detections/index.ts'
import { hostIds, hosts } from '../sources/qualys/hosts/index.ts'
import { knowledgeBase } from '../sources/qualys/knowledge-base/index.ts'
import { tags } from '../sources/qualys/tags/index.ts'

/** Quota keys of endpoints that take one call at a time: the knowledge base has one lane per subscription. */
export const QUALYS_SINGLE_LANES: ReadonlySet<string> = new Set(['fo/knowledge_base/vuln'])

const DAY_MS = 24 * 60 * 60_000

export interface QualysSourceOptions {
  integrationId: string
  config: QualysConfig
  quota: QuotaPort
  clock: Clock
  userAgent: string
  caPem?: string
  proxyUrl?: string
  idleTimeoutMs?: number
  onWait?: (wait: { endpoint: string; untilMs: number; reason: string }) => void
}

/** The VM modules of one Qualys integration, bound to its client: what the engine is given. */
export function createQualysSource(options: QualysSourceOptions): VmSource {
  const { config, integrationId } = options
  const connection = connectQualys({ access: config, ...options })
  const { client } = connection
  const bind = <Item, Config>(
    module: SourceModule<Item, Config, QualysClient>,
    moduleConfig: Config,
  ): BoundModule<Item> => ({
    id: module.id,
    read: (request, signal) => module.read({ integrationId, config: moduleConfig, client, signal, request }),
  })
  const { hostList, hld, kb } = config.versions
  const hostConfig = { apiVersion: hostList, showTrurisk: false }
  return {
    hostIds: bind(hostIds, hostConfig),
    hosts: bind(hosts, hostConfig),
    detections: bind(detections, { apiVersion: hld }),
    vulnerabilities: bind(knowledgeBase, { apiVersion: kb }),
    tags: bind(tags, {}),
    scope: {
      user: config.username,
      url: config.url,
      modules: `host list ${hostList}, detections ${hld}, knowledge base ${kb}`,
    },
    showIgs: config.showIgs,
    showResults: config.showResults,
    knowledge: config.knowledge,
    syncIntervalMs: config.autoSyncFrequency * DAY_MS,
    close: () => connection.close(),
  }
}
