import { z } from 'zod'
import type { CheckContext, ReadContext, SourceMessage, SourceModule } from '../../../model/source.ts'
import type { HostDetections } from '../../../model/vm.ts'
import type { QualysClient } from '../client.ts'
import { readFoPages } from '../fo-read.ts'
import { toFoInstant, toIdParams } from '../fo-requests.ts'
import { ListFingerprints } from './fingerprint.ts'
import { DetectionReader, NAMES } from './parse.ts'
import { ROOT } from './schema.ts'

const ENDPOINT = 'fo/asset/host/vm/detection'
const VERSION = '5.0'

const Config = z.object({
  /** The version of the detection API; 5.0 is what this module was written for. */
  apiVersion: z
    .string()
    .regex(/^[2-9]\.[0-9]$/)
    .default(VERSION),
})
export type DetectionsConfig = z.infer<typeof Config>

/** Host list detection: the VM findings of hosts. */
export const detections = {
  id: 'qualys.detections',
  title: 'VM detections',
  description:
    'Vulnerabilities that scanners and agents have found on hosts, open and fixed, with their results.',
  produces: ['detection', 'host'],
  dependsOn: ['qualys.host-ids'],
  // A host without a matching detection is missing from the answer, which says nothing about the host.
  coverage: 'partial',
  endpoints: [{ name: 'Host list detection', path: toPath(VERSION), version: VERSION }],
  permissions: [
    'API access',
    'A role that reads VM results: Manager, Unit Manager, Scanner or Reader, or a custom role',
  ],
  config: Config,
  check,
  read,
} satisfies SourceModule<HostDetections, DetectionsConfig, QualysClient>

function toPath(version: string): string {
  return `/api/${version}/fo/asset/host/vm/detection/`
}

/**
 * Options: `showIgs` (information gathered, default false), `showResults` (default true). Yields one array for each
 * chunk of the stream; a host with more than `HOST_PART_DETECTIONS_MAX` detections comes in several parts. A host whose
 * detections have the fingerprint that the request names for it comes without them.
 */
function read(
  context: ReadContext<DetectionsConfig, QualysClient>,
): AsyncGenerator<SourceMessage<HostDetections>> {
  const { client, signal, config, request, integrationId } = context
  return readFoPages<HostDetections>({
    client,
    signal,
    endpoint: ENDPOINT,
    path: toPath(config.apiVersion),
    params: toParams(request),
    expectRoot: ROOT,
    names: NAMES,
    createReader: () => {
      const asked = { withInformation: request.options?.['showIgs'] === true }
      return new DetectionReader(integrationId, new ListFingerprints(asked, request.fingerprints))
    },
  })
}

/** All states are always asked for, ignored and disabled ones too: what is filtered away would look as if it were gone. */
function toParams(request: ReadContext<DetectionsConfig, QualysClient>['request']): Record<string, string> {
  const params: Record<string, string> = {
    action: 'list',
    status: 'New,Active,Re-Opened,Fixed',
    include_ignored: '1',
    include_disabled: '1',
    show_reopened_info: '1',
    show_asset_id: '1',
    show_qds: '1',
    show_tags: '1',
    show_results: request.options?.['showResults'] === false ? '0' : '1',
    show_igs: request.options?.['showIgs'] === true ? '1' : '0',
    arf_kernel_filter: '0',
  }
  if (request.ids !== undefined) Object.assign(params, toIdParams(request.ids))
  if (request.changedSinceMs !== undefined) params['vm_processed_after'] = toFoInstant(request.changedSinceMs)
  return params
}

async function check({ client, config, signal }: CheckContext<DetectionsConfig, QualysClient>) {
  let hostCount = 0
  const messages = readFoPages<HostDetections>({
    client,
    signal,
    endpoint: ENDPOINT,
    path: toPath(config.apiVersion),
    params: { action: 'list', truncation_limit: '1', show_results: '0' },
    expectRoot: ROOT,
    names: NAMES,
    createReader: () => new DetectionReader('check'),
  })
  for await (const message of messages) {
    if (message.type === 'records') hostCount += message.records.length
    // One answer is enough: the rest of the list is not asked for.
    if (message.type === 'answer') break
  }
  return {
    message: hostCount > 0 ? 'Detections are visible.' : 'The detection list can be read and is empty.',
  }
}
