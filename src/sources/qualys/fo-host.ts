import { type XmlNode, childOf, childrenOf, textOf } from '../../lib/xml/tree.ts'
import type { HostRecord, TagRef } from '../../model/vm.ts'
import { FieldReader, type FieldTable, type TakenNode } from './fo-fields.ts'

/** A host while it is read; `hostId` stays empty until it is known. */
export interface HostDraft extends Omit<HostRecord, 'extra'> {
  ec2InstanceId: string | null
}

/** The HOST element of the host list and of a detection answer, which differ in a few names only. */
const HOST_FIELDS: FieldTable<HostDraft> = {
  leaves: {
    ID: (host, values) => {
      host.hostId = values.id() ?? ''
    },
    ASSET_ID: (host, values) => {
      host.assetId = values.id()
    },
    IP: (host, values) => {
      host.ip = values.text()
    },
    IPV6: (host, values) => {
      host.ipv6 = values.text()
    },
    TRACKING_METHOD: (host, values) => {
      host.trackingMethod = values.word()
    },
    NETWORK_ID: (host, values) => {
      host.networkId = values.word()
    },
    OS: (host, values) => {
      host.os = values.word()
    },
    OS_CPE: (host, values) => {
      host.osCpe = values.word()
    },
    DNS: (host, values) => {
      host.dns = values.text()
    },
    NETBIOS: (host, values) => {
      host.netbios = values.text()
    },
    QG_HOSTID: (host, values) => {
      host.agentId = values.text()
    },
    CLOUD_PROVIDER: (host, values) => {
      host.cloudProvider = values.word()
    },
    CLOUD_SERVICE: (host, values) => {
      host.cloudService = values.word()
    },
    CLOUD_RESOURCE_ID: (host, values) => {
      host.cloudResourceId = values.text()
    },
    EC2_INSTANCE_ID: (host, values) => {
      host.ec2InstanceId = values.text()
    },
    SERIAL_NUMBER: (host, values) => {
      host.serialNumber = values.text()
    },
    HARDWARE_UUID: (host, values) => {
      host.hardwareUuid = values.text()
    },
    FIRST_FOUND_DATE: (host, values) => {
      host.firstFoundMs = values.instant()
    },
    LAST_ACTIVITY: (host, values) => {
      host.lastActivityMs = values.instant()
    },
    LAST_SCAN_DATETIME: (host, values) => {
      host.lastScanMs = values.instant()
    },
    LAST_VULN_SCAN_DATETIME: (host, values) => {
      host.lastScanMs = values.instant()
    },
    LAST_VM_SCANNED_DATE: (host, values) => {
      host.lastVmScannedMs = values.instant()
    },
    LAST_VM_AUTH_SCANNED_DATE: (host, values) => {
      host.lastVmAuthScannedMs = values.instant()
    },
    LAST_PC_SCANNED_DATE: (host, values) => {
      host.lastPcScannedMs = values.instant()
    },
    LAST_COMPLIANCE_SCAN_DATETIME: (host, values) => {
      host.lastPcScannedMs = values.instant()
    },
    TRURISK_SCORE: (host, values) => {
      host.trurisk = values.integer()
    },
    ASSET_CRITICALITY_SCORE: (host, values) => {
      host.criticality = values.integer()
    },
    OWNER: (host, values) => {
      host.owner = values.word()
    },
  },
  nodes: { TAGS: takeTags, DNS_DATA: takeDnsData },
}

/** The names of the host's leaves, to be the first names that a scanner knows. */
export const HOST_LEAF_NAMES: readonly string[] = Object.keys(HOST_FIELDS.leaves)

/** The largest number that the store can keep as an id. */
const ID_MAX = 2n ** 63n - 1n

function takeTags(host: HostDraft, node: XmlNode): TakenNode {
  const tags: TagRef[] = []
  let taken: TakenNode = 'wholly'
  for (const tag of childrenOf(node, 'TAG')) {
    const id = textOf(childOf(tag, 'TAG_ID'))?.trim() ?? ''
    if (!/^[1-9][0-9]{0,18}$/.test(id) || BigInt(id) > ID_MAX) return 'unreadable'
    tags.push({ id, name: textOf(childOf(tag, 'NAME')) ?? '' })
    if (tag.children.length > 2 || tag.attributes.length > 0) taken = 'partly'
  }
  host.tags = tags
  return tags.length === node.children.length ? taken : 'partly'
}

function takeDnsData(host: HostDraft, node: XmlNode): TakenNode {
  host.fqdn = textOf(childOf(node, 'FQDN'))
  return node.children.length === (host.fqdn === null ? 0 : 1) ? 'wholly' : 'partly'
}

function emptyDraft(): HostDraft {
  return {
    hostId: '',
    assetId: null,
    ip: null,
    ipv6: null,
    trackingMethod: null,
    networkId: null,
    os: null,
    osCpe: null,
    dns: null,
    fqdn: null,
    netbios: null,
    agentId: null,
    cloudProvider: null,
    cloudService: null,
    cloudResourceId: null,
    ec2InstanceId: null,
    serialNumber: null,
    hardwareUuid: null,
    firstFoundMs: null,
    lastActivityMs: null,
    lastScanMs: null,
    lastVmScannedMs: null,
    lastVmAuthScannedMs: null,
    lastPcScannedMs: null,
    trurisk: null,
    criticality: null,
    owner: null,
    tags: null,
  }
}

/** Where the elements of a HOST stand: in root, RESPONSE, HOST_LIST and HOST. */
export const HOST_FIELDS_DEPTH = 5

/** Reads the fields of one HOST after the other. */
export class HostReader {
  readonly fields: FieldReader<HostDraft>
  draft: HostDraft = emptyDraft()

  /** `firstName` is the number that the scanner has for the first of `HOST_LEAF_NAMES`. */
  constructor(firstName: number) {
    this.fields = new FieldReader({
      depth: HOST_FIELDS_DEPTH,
      table: HOST_FIELDS,
      firstName,
      draft: this.draft,
    })
  }

  begin(): void {
    this.draft = emptyDraft()
    this.fields.begin(this.draft)
  }

  /** The host as far as it has been read. */
  record(): HostRecord {
    const { ec2InstanceId, ...host } = this.draft
    if (ec2InstanceId !== null && host.cloudResourceId === null) host.cloudResourceId = ec2InstanceId
    else if (ec2InstanceId !== null && host.cloudResourceId !== ec2InstanceId) {
      this.fields.keepOnce('EC2_INSTANCE_ID', ec2InstanceId)
    }
    return { ...host, extra: this.fields.extra() }
  }

  /** What is wrong with the host, as a sentence; null when nothing is. */
  problem(): string | null {
    const { unreadable, repeated } = this.fields
    if (unreadable.length > 0) return `These elements of a host cannot be read: ${unreadable.join(', ')}.`
    return repeated.length > 0 ? `These elements of a host came twice: ${repeated.join(', ')}.` : null
  }
}
