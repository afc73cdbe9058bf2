import { hash32, pick, Salt, trialsUntil, unit, uuidOf } from './hash.ts'
import type { Settings } from './settings.ts'
import type { TagRegistry } from './tags.ts'
import { DAY_MS } from './time.ts'
import { Timeline } from './timeline.ts'
import type { Family } from '../knowledge-base.ts'
import type { Host, Tag } from './types.ts'

const FIRST_HOST_ID = 100_000_000
/** Ids ascend by 1 to 13, so that they are sparse and the index can still be computed from the id. */
const ID_STEP = 7
const SCAN_WINDOW_SECONDS = 8 * 3600

const SYSTEMS: readonly { os: string; family: Family; name: string }[] = [
  { os: 'Windows Server 2022 Datacenter 64 bit Edition', family: 'windows', name: 'win' },
  { os: 'Windows Server 2019 Standard 64 bit Edition', family: 'windows', name: 'win' },
  { os: 'Windows 11 Enterprise 64 bit Edition Version 23H2', family: 'windows', name: 'ws' },
  { os: 'Microsoft Windows 10 Enterprise 10.0.19045 64-bit N/A Build 19045', family: 'windows', name: 'ws' },
  { os: 'Red Hat Enterprise Linux 9.4', family: 'rhel', name: 'rhel' },
  { os: 'Red Hat Enterprise Linux Server 8.10', family: 'rhel', name: 'rhel' },
  { os: 'Ubuntu Linux 24.04.1', family: 'ubuntu', name: 'ubu' },
  { os: 'Ubuntu Linux 22.04.5', family: 'ubuntu', name: 'ubu' },
  { os: 'Linux 2.x', family: 'common', name: 'app' },
]
const TEAMS = ['Team: Web', 'Team: Database', 'Team: Platform', 'Team: Workplace'] as const
const SITES = ['Site: Zurich', 'Site: Oslo', 'Site: Lisbon'] as const
const NETS = ['192.0.2', '198.51.100', '203.0.113'] as const
const ADDRESSES_PER_NET = 254

/** The hosts of a generated estate; every answer is computed from the seed, nothing is kept per host. */
export class GeneratedHosts {
  readonly #settings: Settings
  readonly #tags: TagRegistry
  readonly #newPerDay: number
  /** Says whether a host must be scanned on a day because a campaign touches it then. */
  isForced: (index: number, day: number) => boolean = () => false

  constructor(settings: Settings, tags: TagRegistry) {
    this.#settings = settings
    this.#tags = tags
    this.#newPerDay = settings.hosts === 0 ? 0 : Math.ceil(settings.hosts * settings.hostGrowth)
    if (settings.hosts > 0) {
      for (const name of [
        'OS: Windows',
        'OS: Linux',
        'Cloud Agent',
        'Env: Production',
        'Env: Test',
        ...SITES,
        ...TEAMS,
      ]) {
        tags.tag(name)
      }
    }
  }

  countOn(day: number): number {
    return this.#settings.hosts + Math.max(0, day) * this.#newPerDay
  }

  idOf(index: number): number {
    return FIRST_HOST_ID + index * ID_STEP + (hash32(this.#settings.seed, index, 0, Salt.id) % ID_STEP)
  }

  /** The smallest index whose id is `id` or above. */
  indexFrom(id: number): number {
    const index = Math.max(0, Math.floor((id - FIRST_HOST_ID) / ID_STEP))
    return this.idOf(index) >= id ? index : index + 1
  }

  indexOf(id: number, day: number): number | undefined {
    const index = this.indexFrom(id)
    return index < this.countOn(day) && this.idOf(index) === id ? index : undefined
  }

  bornDay(index: number): number {
    if (index < this.#settings.hosts) return 0
    return 1 + Math.floor((index - this.#settings.hosts) / Math.max(1, this.#newPerDay))
  }

  /** Not on the list any more from this day on, because its data were purged. */
  purgeDay(index: number): number {
    const { seed, purgeShare } = this.#settings
    return this.bornDay(index) + trialsUntil(unit(seed, index, 0, Salt.purge), purgeShare)
  }

  /** From this day on the host is part of the one before it. Infinity when that never happens. */
  mergeDay(index: number): number {
    const { seed, mergeShare, hosts } = this.#settings
    if (index % 2 === 0 || index >= hosts) return Number.POSITIVE_INFINITY
    const day = trialsUntil(unit(seed, index, 0, Salt.merge), mergeShare * 2)
    return this.purgeDay(index) > day && this.purgeDay(index - 1) > day ? day : Number.POSITIVE_INFINITY
  }

  isPresent(index: number, day: number): boolean {
    if (index >= this.countOn(day) || this.bornDay(index) > day) return false
    return this.purgeDay(index) > day && this.mergeDay(index) > day
  }

  isScannedOn(index: number, day: number): boolean {
    const born = this.bornDay(index)
    if (day <= 0 || day === born) return day >= born
    if (day < born) return false
    return (
      unit(this.#settings.seed, index, day, Salt.scanned) < this.#settings.scanShare ||
      this.isForced(index, day)
    )
  }

  timeline(index: number, day: number): Timeline {
    const scans: number[] = []
    for (let d = 1; d <= day; d++) if (this.isScannedOn(index, d)) scans.push(d)
    return new Timeline(scans)
  }

  /** Scans happen between midnight and eight, each host at another time. */
  scanMs(index: number, day: number): number {
    const second = hash32(this.#settings.seed, index, day, Salt.scanOffset) % SCAN_WINDOW_SECONDS
    return this.#settings.day0Ms + day * DAY_MS + second * 1000
  }

  processedMs(index: number, day: number): number {
    return (
      this.scanMs(index, day) + 15_000 + (hash32(this.#settings.seed, index, day, Salt.found) % 240) * 1000
    )
  }

  family(index: number): Family {
    return this.#system(index).family
  }

  dnsName(index: number): string {
    return `${this.#system(index).name}-${String(index).padStart(6, '0')}.example.com`
  }

  isRetaggedOn(index: number, day: number): boolean {
    if (day <= Math.max(0, this.bornDay(index))) return false
    return unit(this.#settings.seed, index, day, Salt.retag) < this.#settings.retagShare
  }

  host(index: number, day: number): Host {
    const { seed } = this.#settings
    const dns = this.dnsName(index)
    const system = this.#system(index)
    const lastScan = this.#lastScan(index, day)
    const trackingUnit = unit(seed, index, 0, Salt.tracking)
    const trackingMethod =
      trackingUnit < 0.55 ? 'AGENT' : trackingUnit < 0.85 ? 'IP' : trackingUnit < 0.9 ? 'DNS' : 'EC2'
    const scanned = this.scanMs(index, lastScan)
    const hostNumber = Math.floor(index / (NETS.length * ADDRESSES_PER_NET))
    const host: Host = {
      id: String(this.idOf(index)),
      assetId: String(this.idOf(index) * 3 + 1),
      ip: `${pick(NETS, index)}.${1 + (Math.floor(index / NETS.length) % ADDRESSES_PER_NET)}`,
      trackingMethod,
      networkId: String(hostNumber),
      os: system.os,
      dns,
      firstFound: this.scanMs(index, this.bornDay(index) > 0 ? this.bornDay(index) : -400),
      scanned,
      scanSeconds: 60 + (hash32(seed, index, lastScan, Salt.found) % 900),
      processed: this.processedMs(index, lastScan),
      serialNumber: `SN${hash32(seed, index, 1, Salt.uuid).toString(36).toUpperCase()}`,
      tags: this.#tagsOf(index, day, trackingMethod),
    }
    if (hostNumber > 0 || index % 11 === 0)
      host.ipv6 = `2001:db8:${(index >>> 16).toString(16)}::${((index & 0xffff) + 1).toString(16)}`
    if (system.family === 'windows') host.netbios = dns.slice(0, dns.indexOf('.')).toUpperCase()
    if (trackingMethod === 'AGENT' || trackingMethod === 'EC2') host.qgHostId = uuidOf(seed, index, Salt.uuid)
    if (trackingMethod === 'AGENT' || index % 5 !== 0) host.authScanned = scanned
    if (trackingMethod === 'EC2') this.#setCloud(host, index)
    return host
  }

  #setCloud(host: Host, index: number): void {
    const instance = `i-0${uuidOf(this.#settings.seed, index, Salt.cloud).replaceAll('-', '').slice(0, 16)}`
    host.cloudProvider = 'AWS'
    host.cloudService = 'EC2'
    host.cloudResourceId = instance
    host.ec2InstanceId = instance
  }

  #lastScan(index: number, day: number): number {
    for (let d = day; d > 0; d--) if (this.isScannedOn(index, d)) return d
    return Math.min(0, day)
  }

  #system(index: number) {
    return pick(SYSTEMS, hash32(this.#settings.seed, index, 0, Salt.os))
  }

  #tagsOf(index: number, day: number, trackingMethod: string): Tag[] {
    const hash = hash32(this.#settings.seed, index, 0, Salt.tags)
    let team = hash
    for (let d = 1; d <= day; d++) if (this.isRetaggedOn(index, d)) team++
    const names = [
      this.family(index) === 'windows' ? 'OS: Windows' : 'OS: Linux',
      hash % 4 === 0 ? 'Env: Test' : 'Env: Production',
      pick(SITES, hash >>> 4),
      pick(TEAMS, team % TEAMS.length),
    ]
    if (trackingMethod === 'AGENT') names.push('Cloud Agent')
    return names.map((name) => this.#tags.tag(name))
  }
}
