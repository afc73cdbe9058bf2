import type { KbEntry } from '../knowledge-base.ts'
import { completeDetection } from './explicit.ts'
import type { TagRegistry } from './tags.ts'
import { DAY_MS } from './time.ts'
import type { When } from './time.ts'
import type { Detection, DetectionMatch, Host, HostOverride } from './types.ts'

export interface AppliedOverride {
  day: number
  atMs: number
  change: HostOverride
}

/** What tests changed by hand, per host, in the order in which they did it. The only thing kept per host. */
export class Overrides {
  readonly #byHost = new Map<string, AppliedOverride[]>()
  readonly #mergedFrom = new Map<string, { id: string; day: number }[]>()
  readonly #tags: TagRegistry

  constructor(tags: TagRegistry) {
    this.#tags = tags
  }

  add(hostId: string, applied: AppliedOverride): void {
    const list = this.#byHost.get(hostId) ?? []
    list.push(applied)
    this.#byHost.set(hostId, list)
    const to = applied.change.mergedInto
    if (to === undefined) return
    const sources = this.#mergedFrom.get(to) ?? []
    sources.push({ id: hostId, day: applied.day })
    this.#mergedFrom.set(to, sources)
  }

  of(hostId: string, day: number): readonly AppliedOverride[] {
    return this.#byHost.get(hostId)?.filter((applied) => applied.day <= day) ?? []
  }

  has(hostId: string): boolean {
    return this.#byHost.has(hostId) || this.#mergedFrom.has(hostId)
  }

  mergedFrom(hostId: string, day: number): string[] {
    return (
      this.#mergedFrom
        .get(hostId)
        ?.filter((source) => source.day <= day)
        .map((source) => source.id) ?? []
    )
  }

  *entries(): Generator<[string, AppliedOverride]> {
    for (const [id, list] of this.#byHost) for (const applied of list) yield [id, applied]
  }

  isGone(hostId: string, day: number): boolean {
    let gone = false
    for (const { change } of this.of(hostId, day)) {
      if (change.purged !== undefined) gone = change.purged
      if (change.mergedInto !== undefined) gone = true
    }
    return gone
  }

  hiddenFrom(hostId: string, day: number): readonly string[] {
    return (
      this.of(hostId, day).findLast(({ change }) => change.hiddenFrom !== undefined)?.change.hiddenFrom ?? []
    )
  }

  host(base: Host, day: number): Host {
    let host = base
    for (const { change, atMs } of this.of(base.id, day)) {
      host = { ...host, ...change.host, tags: this.#changedTags(host, change) }
      if (change.silent === true) continue
      if (change.host?.processed === undefined) host.processed = later(host.processed, atMs)
      if (change.host?.scanned === undefined) host.scanned = later(host.scanned, atMs)
    }
    if (!this.#tags.hasRemoved) return host
    return { ...host, tags: host.tags.filter((tag) => !this.#tags.isRemoved(tag.name)) }
  }

  *detections(
    base: Iterable<Detection>,
    context: { host: Host; day: number; scanned: When; kbEntry: (qid: string) => KbEntry | undefined },
  ): Generator<Detection> {
    const list = this.of(context.host.id, context.day)
    const settle = (detection: Detection, from: number): Detection | undefined => {
      let result: Detection | undefined = detection
      for (const applied of list.slice(from)) {
        if (result === undefined) return undefined
        result = changed(result, applied, context.scanned)
      }
      return result
    }
    for (const detection of base) {
      const settled = settle(detection, 0)
      if (settled !== undefined) yield settled
    }
    for (const [index, { change }] of list.entries()) {
      for (const spec of change.addDetections ?? []) {
        const entry = context.kbEntry(spec.qid)
        const settled = settle(completeDetection(spec, { host: context.host, entry }), index + 1)
        if (settled !== undefined) yield settled
      }
      if (change.bulk !== undefined) yield* bulk(change.bulk, context)
    }
  }

  #changedTags(host: Host, change: HostOverride): Host['tags'] {
    let tags = change.tags === undefined ? host.tags : change.tags.map((tag) => this.#tags.tag(tag))
    if (change.addTags !== undefined) tags = [...tags, ...change.addTags.map((tag) => this.#tags.tag(tag))]
    const gone = change.removeTags
    return gone === undefined ? tags : tags.filter((tag) => !gone.includes(tag.name))
  }
}

function* bulk(
  options: NonNullable<HostOverride['bulk']>,
  context: { host: Host; kbEntry: (qid: string) => KbEntry | undefined },
): Generator<Detection> {
  const qid = options.qid ?? '38100'
  const entry = context.kbEntry(qid)
  const results = 'bulk\t'.repeat(Math.ceil((options.resultBytes ?? 300) / 5))
  for (let n = 0; n < options.count; n++) {
    yield completeDetection({ qid, instance: `bulk-${n}`, results }, { host: context.host, entry })
  }
}

function changed(detection: Detection, applied: AppliedOverride, scanned: When): Detection | undefined {
  let result: Detection = detection
  for (const { match, change } of applied.change.detections ?? []) {
    if (!isMatch(result, match)) continue
    if (change === 'remove') return undefined
    if (change === 'fix') result = fixed(result, applied.atMs)
    else if (change === 'reopen') result = reopened(result, applied.atMs, scanned)
    else if (change === 'see-again') result = seenAgain(result, applied.atMs)
    else result = { ...result, ...change }
  }
  return result
}

function isMatch(detection: Detection, match: DetectionMatch): boolean {
  return (Object.keys(match) as (keyof DetectionMatch)[]).every((key) => detection[key] === match[key])
}

function fixed(detection: Detection, atMs: number): Detection {
  const lastFound = detection.lastFound
  return {
    ...detection,
    status: 'Fixed',
    lastFound: typeof lastFound === 'number' ? Math.min(lastFound, atMs - DAY_MS) : lastFound,
    lastFixed: atMs,
    lastTest: later(detection.lastTest, atMs),
    lastUpdate: atMs,
    lastProcessed: later(detection.lastProcessed, atMs),
    statusChanged: atMs,
  }
}

function reopened(detection: Detection, atMs: number, scanned: When): Detection {
  const isScannedSince = typeof scanned === 'number' && scanned > atMs
  return {
    ...detection,
    status: isScannedSince ? 'Active' : 'Re-Opened',
    lastFound: later(detection.lastFound, atMs),
    lastTest: later(detection.lastTest, atMs),
    lastUpdate: later(detection.lastUpdate, atMs),
    lastProcessed: later(detection.lastProcessed, atMs),
    timesFound: (detection.timesFound ?? 0) + 1,
    firstReopened: detection.firstReopened ?? atMs,
    lastReopened: atMs,
    timesReopened: (detection.timesReopened ?? 0) + 1,
    statusChanged: atMs,
  }
}

function seenAgain(detection: Detection, atMs: number): Detection {
  const isOneShot = detection.status === 'New' || detection.status === 'Re-Opened'
  return {
    ...detection,
    status: isOneShot ? 'Active' : detection.status,
    lastFound: later(detection.lastFound, atMs),
    lastTest: later(detection.lastTest, atMs),
    lastUpdate: later(detection.lastUpdate, atMs),
    lastProcessed: later(detection.lastProcessed, atMs),
    timesFound: (detection.timesFound ?? 0) + 1,
    statusChanged: detection.statusChanged,
  }
}

function later(when: When | undefined, ms: number): When {
  return typeof when === 'number' ? Math.max(when, ms) : (when ?? ms)
}
