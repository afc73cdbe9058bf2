import { detectionType } from '../knowledge-base.ts'
import type { KbEntry } from '../knowledge-base.ts'
import { hashText } from './hash.ts'
import type { TagRegistry } from './tags.ts'
import { DAY_MS } from './time.ts'
import type { Detection, DetectionSpec, Host, HostSpec } from './types.ts'

export interface ExplicitHost {
  host: Host
  detections: readonly Detection[]
}

/** A complete host out of the few fields that a test cares for: scanned and processed shortly before `nowMs`. */
export function completeHost(
  spec: HostSpec,
  context: { nowMs: number; tags: TagRegistry; kbEntry: (qid: string) => KbEntry | undefined },
): ExplicitHost {
  if (!/^[1-9]\d{0,15}$/.test(spec.id))
    throw new TypeError(`A host id is a positive number of at most 16 digits: ${spec.id}`)
  const { detections = [], tags = [], ...fields } = spec
  const number = Number(spec.id)
  const processed = context.nowMs - 3_600_000
  const host: Host = {
    assetId: String(number * 3 + 1),
    ip: `192.0.2.${1 + (number % 254)}`,
    trackingMethod: 'IP',
    networkId: '0',
    os: 'Windows Server 2022 Datacenter 64 bit Edition',
    dns: `host-${spec.id}.example.com`,
    firstFound: context.nowMs - 100 * DAY_MS,
    scanned: processed - 15_000,
    scanSeconds: 352,
    authScanned: processed - 15_000,
    processed,
    ...fields,
    tags: tags.map((tag) => context.tags.tag(tag)),
  }
  const completed = detections.map((detection) =>
    completeDetection(detection, { host, entry: context.kbEntry(detection.qid) }),
  )
  return { host, detections: completed }
}

/** A complete detection out of the few fields that a test cares for; what the test sets to undefined stays absent. */
export function completeDetection(
  spec: DetectionSpec,
  context: { host: Host; entry: KbEntry | undefined },
): Detection {
  const { host, entry } = context
  const type = spec.type ?? (entry === undefined ? 'Confirmed' : detectionType(entry, 0))
  const base: Detection = {
    uniqueVulnId: uniqueNumber(host.id, spec),
    qid: spec.qid,
    type,
    severity: entry?.severity ?? 3,
    results: `Found on ${host.dns ?? host.id}\tversion 1.0\nrequired\t2.0`,
    ignored: false,
    disabled: entry?.disabled ?? false,
    lastProcessed: host.processed,
  }
  if (type === 'Info') return { ...base, ...spec }
  const status = 'status' in spec ? spec.status : 'Active'
  return { ...base, status, ...lifecycleFields(status, host), ...spec }
}

/** Dates that go with a status: found for a month, tested in the last scan, fixed or reopened in it. */
function lifecycleFields(status: string | undefined, host: Host): Partial<Detection> {
  const dayBefore = (days: number) =>
    typeof host.scanned === 'number' ? host.scanned - days * DAY_MS : host.scanned
  const fields: Partial<Detection> = {
    firstFound: status === 'New' ? host.scanned : dayBefore(30),
    lastFound: status === 'Fixed' ? dayBefore(1) : host.scanned,
    timesFound: status === 'New' ? 1 : 30,
    lastTest: host.scanned,
    lastUpdate: host.processed,
    statusChanged: host.scanned,
  }
  if (status === 'Fixed') return { ...fields, lastFixed: host.scanned, statusChanged: host.processed }
  if (status !== 'Re-Opened') return fields
  const reopened = { firstReopened: host.scanned, lastReopened: host.scanned, timesReopened: 1 }
  return { ...fields, ...reopened, lastFixed: dayBefore(5), statusChanged: host.processed }
}

/** The same detection gets the same number again; two fields apart, another one. */
function uniqueNumber(hostId: string, spec: DetectionSpec): string {
  const identity = [hostId, spec.qid, spec.port, spec.protocol, spec.ssl, spec.fqdn, spec.instance].join(
    '\u0000',
  )
  return String(4_000_000_000_000_000 + hashText(identity) * 0x10_0000 + (hashText(identity, 7) & 0xf_ffff))
}
