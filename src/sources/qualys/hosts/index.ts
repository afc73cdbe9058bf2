import { z } from 'zod'
import type { CheckContext, ReadContext, SourceMessage, SourceModule } from '../../../model/source.ts'
import type { HostRecord } from '../../../model/vm.ts'
import type { QualysClient } from '../client.ts'
import { ID_SET_NAMES, IdSetReader } from '../fo-id-set.ts'
import { readFoPages } from '../fo-read.ts'
import { toFoInstant, toIdParams } from '../fo-requests.ts'
import { HostListReader, NAMES } from './parse.ts'
import { ROOT } from './schema.ts'

const ENDPOINT = 'fo/asset/host'
const VERSION = '5.0'
const PERMISSIONS = [
  'API access',
  'A role that sees the hosts: Manager, Unit Manager, Scanner or Reader, in its own scope',
]

const Config = z.object({
  /** The version of the host list API; 5.0 is what this module was written for. */
  apiVersion: z
    .string()
    .regex(/^[2-9]\.[0-9]$/)
    .default(VERSION),
  /** Asks for TruRisk scores as well, where the subscription has them. */
  showTrurisk: z.boolean().default(false),
})
export type HostsConfig = z.infer<typeof Config>

type Context = ReadContext<HostsConfig, QualysClient>

/** The ids of all hosts that the account sees: cheap, and the only truth about which hosts are there. */
export const hostIds = {
  id: 'qualys.host-ids',
  title: 'Host ids',
  description:
    'The complete list of host ids, or of those processed since an instant. It is complete, or it throws.',
  produces: ['host_id'],
  dependsOn: [],
  coverage: 'full',
  endpoints: [{ name: 'Host list', path: toPath(VERSION), version: VERSION }],
  permissions: PERMISSIONS,
  config: Config,
  check,
  read: readIds,
} satisfies SourceModule<string, HostsConfig, QualysClient>

/** The description of hosts: names, addresses, tracking, cloud, tags, scan times. */
export const hosts = {
  id: 'qualys.hosts',
  title: 'Hosts',
  description:
    'Hosts with names, addresses, operating system, cloud identity, tags and the times of their scans.',
  produces: ['host'],
  dependsOn: ['qualys.host-ids'],
  coverage: 'full',
  endpoints: [{ name: 'Host list', path: toPath(VERSION), version: VERSION }],
  permissions: PERMISSIONS,
  config: Config,
  check,
  read: readHosts,
} satisfies SourceModule<HostRecord, HostsConfig, QualysClient>

function toPath(version: string): string {
  return `/api/${version}/fo/asset/host/`
}

function readIds({ client, signal, config, request }: Context): AsyncGenerator<SourceMessage<string>> {
  return readFoPages<string>({
    client,
    signal,
    endpoint: ENDPOINT,
    path: toPath(config.apiVersion),
    params: { action: 'list', details: 'None', truncation_limit: '0', ...toSelection(request) },
    expectRoot: ROOT,
    names: ID_SET_NAMES,
    createReader: () => new IdSetReader(),
  })
}

function readHosts({ client, signal, config, request }: Context): AsyncGenerator<SourceMessage<HostRecord>> {
  return readFoPages<HostRecord>({
    client,
    signal,
    endpoint: ENDPOINT,
    path: toPath(config.apiVersion),
    params: {
      action: 'list',
      details: 'All',
      show_asset_id: '1',
      show_tags: '1',
      ...(config.showTrurisk ? { show_trurisk: '1' } : {}),
      ...toSelection(request),
    },
    expectRoot: ROOT,
    names: NAMES,
    createReader: () => new HostListReader(),
  })
}

function toSelection(request: Context['request']): Record<string, string> {
  const selection = request.ids === undefined ? {} : toIdParams(request.ids)
  if (request.changedSinceMs !== undefined)
    selection['vm_processed_after'] = toFoInstant(request.changedSinceMs)
  return selection
}

async function check({ client, config, signal }: CheckContext<HostsConfig, QualysClient>) {
  let hostCount = 0
  for await (const message of readIds({ client, config, signal, integrationId: 'check', request: {} })) {
    if (message.type === 'records') hostCount += message.records.length
  }
  return { message: `${hostCount.toLocaleString('en-US')} hosts are visible.` }
}
