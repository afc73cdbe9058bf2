import type { Clock } from '../../../src/lib/clock.ts'
import type { KbEntry, KbSpec } from '../knowledge-base.ts'
import type { When } from './time.ts'

export interface Tag {
  id: string
  name: string
}

export interface Host {
  id: string
  assetId: string
  ip?: string | undefined
  ipv6?: string | undefined
  trackingMethod: string
  networkId?: string | undefined
  os?: string | undefined
  dns?: string | undefined
  netbios?: string | undefined
  qgHostId?: string | undefined
  cloudProvider?: string | undefined
  cloudService?: string | undefined
  cloudResourceId?: string | undefined
  ec2InstanceId?: string | undefined
  serialNumber?: string | undefined
  hardwareUuid?: string | undefined
  tags: readonly Tag[]
  firstFound: When
  /** When the scan ended on the host. */
  scanned: When
  scanSeconds: number
  authScanned?: When | undefined
  /** When Qualys had processed the scan: what `vm_processed_after` looks at. */
  processed: When
  /** Elements that replace those of the same name: raw XML content, or null to leave the element out. */
  raw?: Readonly<Record<string, string | null>> | undefined
}

export interface Detection {
  uniqueVulnId: string
  qid: string
  type: string
  severity?: number | undefined
  port?: number | undefined
  protocol?: string | undefined
  fqdn?: string | undefined
  ssl?: 0 | 1 | undefined
  instance?: string | undefined
  results?: string | undefined
  /** Absent for information gathered. */
  status?: string | undefined
  firstFound?: When | undefined
  lastFound?: When | undefined
  qds?: number | undefined
  timesFound?: number | undefined
  lastTest?: When | undefined
  lastUpdate?: When | undefined
  lastFixed?: When | undefined
  firstReopened?: When | undefined
  lastReopened?: When | undefined
  timesReopened?: number | undefined
  service?: string | undefined
  ignored: boolean
  disabled: boolean
  affectRunningKernel?: 0 | 1 | undefined
  affectRunningService?: 0 | 1 | undefined
  affectExploitableConfig?: 0 | 1 | undefined
  lastProcessed?: When | undefined
  /** What `detection_updated_since` looks at: the last change of status, else the last time it was found. */
  statusChanged?: When | undefined
  /** Elements that replace those of the same name: raw XML content, or null to leave the element out. */
  raw?: Readonly<Record<string, string | null>> | undefined
  /** The whole DETECTION element, verbatim. */
  rawXml?: string | undefined
}

export type DetectionSpec = Partial<Detection> & { qid: string }
export type HostSpec = Partial<Omit<Host, 'tags'>> & {
  id: string
  tags?: readonly (string | Tag)[]
  detections?: readonly DetectionSpec[]
}

/** Which detections of a host: every field that is given must be equal; `{}` is all of them. */
export type DetectionMatch = Partial<
  Pick<Detection, 'qid' | 'port' | 'protocol' | 'fqdn' | 'ssl' | 'instance' | 'status' | 'uniqueVulnId'>
>

interface DetectionOverride {
  match: DetectionMatch
  /** `fix` and `reopen` also move the dates; `remove` makes it vanish without a word; an object sets fields. */
  change: 'fix' | 'reopen' | 'see-again' | 'remove' | Partial<Detection>
}

/** A change of one host, in force from the estate's day at the moment of the call. */
export interface HostOverride {
  purged?: boolean
  /** The id vanishes and its detections are listed under this host. */
  mergedInto?: string
  /** Hidden from these user names or roles. An empty list shows it again. */
  hiddenFrom?: readonly string[]
  tags?: readonly (string | Tag)[]
  addTags?: readonly (string | Tag)[]
  removeTags?: readonly string[]
  host?: Partial<Omit<Host, 'id' | 'tags'>>
  detections?: readonly DetectionOverride[]
  addDetections?: readonly DetectionSpec[]
  /** Gives the host this many more detections, told apart by INSTANCE; made on the fly, not kept. */
  bulk?: { count: number; qid?: string; resultBytes?: number }
  /** When Qualys processed the change; the estate's now when absent. */
  atMs?: number
  /** Keeps scan and processing dates as they are, so that delta filters do not see the change. */
  silent?: boolean
}

export interface Campaign {
  family: 'windows' | 'rhel' | 'ubuntu' | 'common'
  /** Which patch of that family, in the order of the knowledge base. */
  patchIndex: number
  /** Each affected host is fixed on one of these days. */
  fixDays: readonly number[]
  reopenDay?: number
  /** Share of the affected hosts on which the patch is gone again on `reopenDay`. */
  reopenShare?: number
}

export interface EstateOptions {
  seed?: number
  /** How many generated hosts stand on day 0, or the hosts themselves. */
  hosts?: number | readonly HostSpec[]
  /** Explicit hosts beside the generated ones. */
  extraHosts?: readonly HostSpec[]
  detectionsPerHost?: number
  resultBytes?: number
  /** Explicit knowledge-base entries; they replace generated ones of the same QID. */
  kb?: readonly KbSpec[]
  /** Midnight of day 0. */
  day0Ms?: number
  /** Share of the hosts that are scanned and processed on a day after day 0. */
  scanShare?: number
  newShare?: number
  fixShare?: number
  reopenShare?: number
  purgeShare?: number
  mergeShare?: number
  retagShare?: number
  /** New hosts a day, as a share of those of day 0. */
  hostGrowth?: number
  campaigns?: readonly Campaign[]
  /** Tells the estate what now is, for overrides and explicit hosts; midday of the current day when absent. */
  clock?: Clock
}

export interface HostRange {
  idMin?: number
  idMax?: number
}

export interface Viewer {
  username: string
  role: string
}

export interface TruthHost {
  id: string
  host: Host
  scannedToday: boolean
  /** Vulnerabilities in every status, ignored and disabled ones included, information gathered not. */
  detections(): Iterable<Detection>
  informationGathered(): Iterable<Detection>
}

/** What is so on a day, for the oracle of a test. Lists name what happened on that very day. */
export interface Truth {
  day: number
  hosts(): Iterable<TruthHost>
  purged: string[]
  merged: { from: string; to: string }[]
  appeared: string[]
  retagged: string[]
}

export interface Estate {
  readonly seed: number
  readonly day: number
  /** The clock it was made with. */
  readonly clock: Clock | undefined
  /** Changes with every override and day: what was rendered before is no longer true. */
  readonly version: number
  setDay(day: number): void
  advanceDay(): number
  dayStartMs(day: number): number
  nowMs(): number
  /** Present hosts by ascending id, of the current day unless another is named. */
  hosts(range?: HostRange, day?: number): Iterable<Host>
  host(id: string, day?: number): Host | undefined
  detections(hostId: string, options?: { day?: number; results?: boolean }): Iterable<Detection>
  informationGathered(hostId: string, options?: { day?: number; results?: boolean }): Iterable<Detection>
  isVisible(hostId: string, viewer: Viewer): boolean
  tags(): Tag[]
  kb(day?: number): readonly KbEntry[]
  kbEntry(qid: string, day?: number): KbEntry | undefined
  override(hostId: string, change: HostOverride): void
  overrideAll(change: HostOverride, where: (host: Host) => boolean): number
  /** Takes a tag off every host and out of the tag list. */
  removeTag(name: string): void
  setKb(entry: KbSpec): void
  removeKb(qid: string): void
  addHost(host: HostSpec): void
  truth(day?: number): Truth
}
