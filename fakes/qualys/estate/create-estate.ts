import type { Clock } from '../../../src/lib/clock.ts'
import { completeKbEntry, evolveKnowledgeBase, generateKnowledgeBase } from '../knowledge-base.ts'
import type { KbEntry, KbSpec } from '../knowledge-base.ts'
import { completeHost } from './explicit.ts'
import type { ExplicitHost } from './explicit.ts'
import { GeneratedDetections } from './generated-detections.ts'
import { GeneratedHosts } from './generated-hosts.ts'
import { Overrides } from './overrides.ts'
import { settingsOf } from './settings.ts'
import type { Settings } from './settings.ts'
import { TagRegistry } from './tags.ts'
import { DAY_MS } from './time.ts'
import { createTruth } from './truth.ts'
import type {
  Detection,
  Estate,
  EstateOptions,
  Host,
  HostOverride,
  HostRange,
  HostSpec,
  Tag,
  Truth,
  Viewer,
} from './types.ts'

const NOON_MS = DAY_MS / 2
const KB_DAYS_CACHED_MAX = 8

/**
 * An estate as Qualys sees it: hosts, their detections, tags and the knowledge base, evolving day by day. A number of
 * hosts gives a generated one (a pure function of the seed, without a byte per host); a list gives exactly those hosts.
 */
export function createEstate(options: EstateOptions = {}): Estate {
  return new EvolvingEstate(options)
}

class EvolvingEstate implements Estate {
  readonly #settings: Settings
  readonly #tags = new TagRegistry()
  readonly #overrides = new Overrides(this.#tags)
  readonly #hosts: GeneratedHosts
  readonly #detections: GeneratedDetections
  readonly #explicit = new Map<string, ExplicitHost & { day: number }>()
  #explicitIds: number[] = []
  readonly #catalogue: readonly KbEntry[]
  readonly #kbOverrides: { day: number; qid: string; spec: KbSpec | undefined }[] = []
  readonly #kbDays = new Map<number, KbDay>()
  readonly clock: Clock | undefined
  #day = 0
  #version = 0

  constructor(options: EstateOptions) {
    this.#settings = settingsOf(options)
    this.clock = options.clock
    const isGenerated = this.#settings.hosts > 0 || options.kb === undefined
    this.#catalogue = isGenerated ? generateKnowledgeBase(this.#settings.seed, this.#settings.day0Ms) : []
    this.#hosts = new GeneratedHosts(this.#settings, this.#tags)
    this.#detections = new GeneratedDetections(this.#settings, this.#hosts, this.#catalogue)
    for (const entry of options.kb ?? []) this.setKb(entry)
    const explicit = typeof options.hosts === 'object' ? options.hosts : []
    for (const host of [...explicit, ...(options.extraHosts ?? [])]) this.addHost(host)
  }

  get seed(): number {
    return this.#settings.seed
  }

  get day(): number {
    return this.#day
  }

  get version(): number {
    return this.#version
  }

  setDay(day: number): void {
    if (!Number.isInteger(day) || day < 0)
      throw new RangeError(`A day is 0 or a positive whole number: ${day}`)
    this.#day = day
    this.#version++
  }

  advanceDay(): number {
    this.setDay(this.#day + 1)
    return this.#day
  }

  dayStartMs(day: number): number {
    return this.#settings.day0Ms + day * DAY_MS
  }

  nowMs(): number {
    return this.clock?.nowMs() ?? this.dayStartMs(this.#day) + NOON_MS
  }

  *hosts(range: HostRange = {}, day = this.#day): Generator<Host> {
    const { idMin = 0, idMax = Number.MAX_SAFE_INTEGER } = range
    let next = this.#explicitIds.findIndex((id) => id >= idMin)
    if (next < 0) next = this.#explicitIds.length
    const count = this.#hosts.countOn(day)
    for (let index = this.#hosts.indexFrom(idMin); index < count; index++) {
      const id = this.#hosts.idOf(index)
      if (id > idMax) break
      for (; (this.#explicitIds[next] ?? Infinity) < id; next++)
        yield* this.#present(this.#explicitIds[next] ?? 0, day)
      if (this.#explicitIds[next] !== id) yield* this.#presentGenerated(index, day)
    }
    for (; (this.#explicitIds[next] ?? Infinity) <= idMax; next++) {
      yield* this.#present(this.#explicitIds[next] ?? 0, day)
    }
  }

  host(id: string, day = this.#day): Host | undefined {
    const [host] = this.#present(Number(id), day)
    return host
  }

  detections(hostId: string, options: { day?: number; results?: boolean } = {}): Iterable<Detection> {
    return this.#overridden(hostId, { ...options, kind: 'vulnerability' })
  }

  informationGathered(
    hostId: string,
    options: { day?: number; results?: boolean } = {},
  ): Iterable<Detection> {
    return this.#overridden(hostId, { ...options, kind: 'information' })
  }

  isVisible(hostId: string, viewer: Viewer): boolean {
    if (!this.#overrides.has(hostId)) return true
    const hidden = this.#overrides.hiddenFrom(hostId, this.#day)
    return !hidden.includes(viewer.username) && !hidden.includes(viewer.role)
  }

  tags(): Tag[] {
    return this.#tags.list()
  }

  kb(day = this.#day): readonly KbEntry[] {
    return this.#kbOn(day).sorted
  }

  kbEntry(qid: string, day = this.#day): KbEntry | undefined {
    return this.#kbOn(day).byQid.get(qid)
  }

  override(hostId: string, change: HostOverride): void {
    this.#overrides.add(hostId, { day: this.#day, atMs: change.atMs ?? this.nowMs(), change })
    this.#version++
  }

  overrideAll(change: HostOverride, where: (host: Host) => boolean): number {
    const ids = [...this.hosts()].filter(where).map((host) => host.id)
    for (const id of ids) this.override(id, change)
    return ids.length
  }

  removeTag(name: string): void {
    this.#tags.remove(name)
    this.#version++
  }

  setKb(spec: KbSpec): void {
    this.#kbOverrides.push({ day: this.#day, qid: spec.qid, spec })
    this.#kbDays.clear()
    this.#version++
  }

  removeKb(qid: string): void {
    this.#kbOverrides.push({ day: this.#day, qid, spec: undefined })
    this.#kbDays.clear()
    this.#version++
  }

  addHost(spec: HostSpec): void {
    const context = { nowMs: this.nowMs(), tags: this.#tags, kbEntry: (qid: string) => this.kbEntry(qid) }
    this.#explicit.set(spec.id, { ...completeHost(spec, context), day: this.#day })
    this.#explicitIds = [...this.#explicit.keys()].map(Number).toSorted((a, b) => a - b)
    this.#version++
  }

  truth(day = this.#day): Truth {
    return createTruth({
      estate: this,
      day,
      generated: this.#hosts,
      overrides: this.#overrides,
      explicitIdsOf: (onDay) =>
        [...this.#explicit].filter(([, host]) => host.day === onDay).map(([id]) => id),
    })
  }

  *#present(id: number, day: number): Generator<Host> {
    const explicit = this.#explicit.get(String(id))
    if (explicit === undefined) {
      const index = this.#hosts.indexOf(id, day)
      if (index !== undefined) yield* this.#presentGenerated(index, day)
      return
    }
    if (explicit.day > day || this.#overrides.isGone(explicit.host.id, day)) return
    yield this.#overrides.host(explicit.host, day)
  }

  *#presentGenerated(index: number, day: number): Generator<Host> {
    if (!this.#hosts.isPresent(index, day)) return
    const host = this.#hosts.host(index, day)
    if (this.#overrides.has(host.id)) {
      if (this.#overrides.isGone(host.id, day)) return
      yield this.#overrides.host(host, day)
    } else yield this.#tags.hasRemoved ? this.#overrides.host(host, day) : host
  }

  *#overridden(
    hostId: string,
    options: { day?: number; results?: boolean; kind: 'vulnerability' | 'information' },
  ): Generator<Detection> {
    const day = options.day ?? this.#day
    const results = options.results ?? true
    const base = this.#base(hostId, { day, results, kind: options.kind })
    if (!this.#overrides.has(hostId)) {
      yield* base
      return
    }
    const scanned = this.#explicit.get(hostId)?.host.scanned ?? this.#generatedScan(hostId, day)
    const host = this.host(hostId, day)
    if (host === undefined) return
    const isWanted = (detection: Detection) =>
      (detection.type === 'Info') === (options.kind === 'information')
    const seen = new Set<string>()
    for (const detection of this.#overrides.detections(base, {
      host,
      day,
      scanned,
      kbEntry: (qid) => this.kbEntry(qid, day),
    })) {
      seen.add(placeOf(detection))
      if (isWanted(detection)) yield results ? detection : { ...detection, results: undefined }
    }
    for (const from of this.#overrides.mergedFrom(hostId, day)) {
      for (const detection of this.#base(from, { day, results, kind: options.kind })) {
        if (!seen.has(placeOf(detection))) yield detection
      }
    }
  }

  *#base(
    hostId: string,
    options: { day: number; results: boolean; kind: 'vulnerability' | 'information' },
  ): Generator<Detection> {
    const explicit = this.#explicit.get(hostId)
    const isInfo = options.kind === 'information'
    if (explicit !== undefined) {
      for (const detection of explicit.detections) {
        if ((detection.type === 'Info') !== isInfo) continue
        yield options.results ? detection : { ...detection, results: undefined }
      }
      return
    }
    const index = this.#hosts.indexOf(Number(hostId), options.day)
    if (index === undefined) return
    const query = { day: options.day, results: options.results, kb: this.#kbOn(options.day).byQid }
    yield* isInfo
      ? this.#detections.informationGathered(index, query)
      : this.#detections.detections(index, query)
  }

  #generatedScan(hostId: string, day: number): number {
    const index = this.#hosts.indexOf(Number(hostId), day)
    return index === undefined ? 0 : this.#hosts.scanMs(index, this.#hosts.timeline(index, day).lastScan)
  }

  #kbOn(day: number): KbDay {
    const cached = this.#kbDays.get(day)
    if (cached !== undefined) return cached
    const { seed, day0Ms } = this.#settings
    const evolved = evolveKnowledgeBase(this.#catalogue, { seed, day, day0Ms })
    const byQid = new Map(evolved.map((entry) => [entry.qid, entry]))
    for (const { day: from, qid, spec } of this.#kbOverrides) {
      if (from > day) continue
      const known = byQid.get(qid)
      const nowMs = this.dayStartMs(from) + NOON_MS
      if (spec === undefined) byQid.delete(qid)
      else byQid.set(qid, known === undefined ? completeKbEntry(spec, nowMs) : { ...known, ...spec })
    }
    const sorted = [...byQid.values()].toSorted((a, b) => Number(a.qid) - Number(b.qid))
    if (this.#kbDays.size >= KB_DAYS_CACHED_MAX) this.#kbDays.clear()
    this.#kbDays.set(day, { byQid, sorted })
    return { byQid, sorted }
  }
}

interface KbDay {
  byQid: ReadonlyMap<string, KbEntry>
  sorted: readonly KbEntry[]
}

function placeOf(detection: Detection): string {
  const { qid, port, protocol, ssl, fqdn, instance } = detection
  return [qid, port, protocol, ssl, fqdn, instance].join('\u0000')
}
