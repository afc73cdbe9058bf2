/**
 * What the VM modules say, in Patchbay's words. `null` always means that the source said nothing: absent ≠ 0 ≠ empty.
 * Ids are strings; instants are milliseconds since the epoch, UTC.
 */

/** A tag as Qualys shows it: the id is the identity, the name is for people. */
export interface TagRef {
  id: string
  name: string
}

/** A host as the host list or a detection answer describes it. */
export interface HostRecord {
  hostId: string
  assetId: string | null
  ip: string | null
  ipv6: string | null
  trackingMethod: string | null
  networkId: string | null
  os: string | null
  osCpe: string | null
  dns: string | null
  fqdn: string | null
  netbios: string | null
  /** QG_HOSTID: the agent's or the agentless tracking's GUID. */
  agentId: string | null
  cloudProvider: string | null
  cloudService: string | null
  /** The provider's resource id; EC2_INSTANCE_ID where only that is given. */
  cloudResourceId: string | null
  serialNumber: string | null
  hardwareUuid: string | null
  firstFoundMs: number | null
  lastActivityMs: number | null
  lastScanMs: number | null
  lastVmScannedMs: number | null
  lastVmAuthScannedMs: number | null
  lastPcScannedMs: number | null
  trurisk: number | null
  criticality: number | null
  owner: string | null
  /** `null` when tags were not asked for; an empty list is the statement that the host has none. */
  tags: readonly TagRef[] | null
  /** Elements that were sent and are not listed above, by name (first level), as text; nothing is thrown away. */
  extra: Readonly<Record<string, string>> | null
}

/** One detection. Which fields go into which hash is decided in the detections module and nowhere else. */
export interface DetectionRecord {
  /**
   * 16 bytes over (integration, host id, QID, port, protocol, ssl, fqdn, instance), each with a mark for absent. Type,
   * severity and title are attributes and never part of it.
   */
  identity: Buffer
  /** 16 bytes over everything but the volatile fields; the text of RESULTS goes in through its own hash. */
  stateHash: Buffer
  /** 8 bytes over last found, last test, last processed, last update and times found. */
  volatileHash: Buffer
  uniqueVulnId: string | null
  qid: string
  /** Confirmed, Potential, Info; another word is kept as it is. */
  type: string | null
  severity: number | null
  port: number | null
  protocol: string | null
  ssl: boolean | null
  fqdn: string | null
  instance: string | null
  results: string | null
  /** 16 bytes of SHA-256 over the UTF-8 bytes of `results`; the key of its evidence. */
  resultsHash: Buffer | null
  /** The word Qualys used: New, Active, Re-Opened, Fixed; verbatim, so that an unknown word is seen. */
  status: string | null
  firstFoundMs: number | null
  lastFoundMs: number | null
  lastTestMs: number | null
  lastUpdateMs: number | null
  lastFixedMs: number | null
  firstReopenedMs: number | null
  lastReopenedMs: number | null
  lastProcessedMs: number | null
  timesFound: number | null
  timesReopened: number | null
  qds: number | null
  service: string | null
  ignored: boolean | null
  disabled: boolean | null
  affectRunningKernel: boolean | null
  affectRunningService: boolean | null
  affectExploitableConfig: boolean | null
  /** Elements that were sent and are not listed above, by name, as text (QDS_FACTORS, ASSET_CVE, …); part of the state hash. */
  extra: Readonly<Record<string, string>> | null
}

/**
 * A host with its detections. A host with more detections than `HOST_PART_DETECTIONS_MAX` comes in several parts, in
 * order; only the last has `isLastPart`, and only then is it known which detections did not come.
 */
export interface HostDetections {
  host: HostRecord
  detections: readonly DetectionRecord[]
  isLastPart: boolean
  /**
   * 16 bytes over all detections of the host as they came, for `ReadRequest.fingerprints` of a later read; null where they
   * have to be read then as well. Only the last part may have it.
   */
  fingerprint: Buffer | null
  /** The fingerprint is the one that the request named: the detections are as they were, and were not read. */
  isAsBefore: boolean
}

export const HOST_PART_DETECTIONS_MAX = 5_000

/** A QID of the knowledge base. HTML fields are kept as sent and are hostile text. */
export interface VulnerabilityRecord {
  qid: string
  type: string | null
  severity: number | null
  title: string
  category: string | null
  patchable: boolean | null
  publishedMs: number | null
  lastModifiedMs: number | null
  codeModifiedMs: number | null
  patchPublishedMs: number | null
  /** When a user of the subscription edited the entry last: then `severity` is the edited one, and Qualys' own is not told. */
  customizedMs: number | null
  customizedBy: string | null
  diagnosisHtml: string | null
  consequenceHtml: string | null
  solutionHtml: string | null
  cvssV2: CvssScore | null
  cvssV3: CvssScore | null
  pci: boolean | null
  disabled: boolean | null
  cves: readonly Reference[]
  vendorReferences: readonly Reference[]
  software: readonly { product: string; vendor: string }[]
  threatIntel: readonly { id: string; name: string }[]
  discoveryRemote: boolean | null
  /** Elements that were sent and are not listed above, by name, as text. */
  extra: Readonly<Record<string, string>> | null
}

export interface CvssScore {
  base: number | null
  temporal: number | null
  vector: string | null
}

export interface Reference {
  id: string
  url: string | null
}

/** A tag of the subscription (QPS Asset Management). */
export interface TagRecord extends TagRef {
  parentId: string | null
  ruleType: string | null
  criticality: number | null
}
