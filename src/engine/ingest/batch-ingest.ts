import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { HubError } from '../../model/errors.ts'
import type { RunMode } from '../../model/finding.ts'
import type { QuarantinedRecord } from '../../model/source.ts'
import { QUARANTINE_RAW_CHARS_MAX } from '../../model/source.ts'
import type { DetectionRecord, HostDetections, HostRecord } from '../../model/vm.ts'
import type { DirectTarget, StagingTarget } from '../../store/bulk/finding-rows.ts'
import { type KnownFindings, readKnownFindings } from '../../store/bulk/known-findings.ts'
import {
  type StoredLife,
  listExpectedAmong,
  listLivesByKey,
  listSourceKeys,
} from '../../store/queries/findings.ts'
import type { HostFingerprint } from '../../store/queries/fingerprints.ts'
import { PRESENT, firstSight, seeAgain } from '../lifecycle.ts'
import { FindingIds } from './finding-ids.ts'
import { KnownHost } from './known-host.ts'
import { type DirectRows, RowSink } from './row-sink.ts'
import { toLife, toRow, toRowChange, unstorable } from './row.ts'
import { type Contradiction, contradictionOf, contradictionSentence, listInsisted } from './source-keys.ts'

export interface IngestCounts {
  receivedHosts: number
  receivedRecords: number
  unexpectedHosts: number
  newRecords: number
  changedRecords: number
  seenRecords: number
  unchangedRecords: number
  olderRecords: number
  quarantinedRecords: number
  /** Came with the identity of another record of the same answer, which is better and was taken. */
  collidedRecords: number
}

export interface IngestResult {
  counts: IngestCounts
  hosts: readonly HostRecord[]
  direct: DirectRows
  quarantined: readonly QuarantinedRecord[]
  /** The first of the records that were no better than another one with their identity: told, not owed. */
  collisions: readonly QuarantinedRecord[]
  /** Places whose answer left out findings that should have come, with their ids. */
  incompletePlaces: ReadonlyMap<string, string[]>
  /** Places that came more than once in one answer; only the first was taken. */
  repeatedPlaces: ReadonlySet<string>
  /** Places that came at all. */
  seenPlaces: ReadonlySet<string>
  /** Places whose detections were those of their last answer, and were not read. */
  placesAsBefore: ReadonlySet<string>
  /** Of the places whose answer was taken whole. */
  fingerprints: readonly HostFingerprint[]
}

/** Detections that are compared with one prefetch. */
const COMPARE_DETECTIONS_MAX = 4_000
const QUARANTINED_RECORDS_MAX = 10_000
/** Collisions are counted; so many of a batch are kept, to be looked at. */
const COLLISIONS_KEPT_MAX = 100

interface AddedRecord {
  hostId: string
  placeId: string
  detection: DetectionRecord
}

interface ChangedRecord {
  id: string
  hostId: string
  host: KnownHost
  detection: DetectionRecord
}

/** What one group of hosts brought that needs a look into the store. */
interface Brought {
  changed: ChangedRecord[]
  added: AddedRecord[]
  left: { placeIds: string[]; ids: string[] }
}

/**
 * Takes the detections of one attempt at a batch: compares them with what is known and writes what differs to staging,
 * in short transactions of its own. Nothing of it counts before the merge.
 */
export class BatchIngest {
  readonly #pool: pg.Pool
  readonly #clock: Clock
  readonly #run: { integrationId: string; runId: string; mode: RunMode }
  readonly #withInformation: boolean
  readonly #sink: RowSink
  readonly #places: ReadonlyMap<string, string>
  readonly #known: ReadonlyMap<string, HostFingerprint>
  readonly #ids: FindingIds

  readonly #counts: IngestCounts = {
    receivedHosts: 0,
    receivedRecords: 0,
    unexpectedHosts: 0,
    newRecords: 0,
    changedRecords: 0,
    seenRecords: 0,
    unchangedRecords: 0,
    olderRecords: 0,
    quarantinedRecords: 0,
    collidedRecords: 0,
  }
  readonly #hosts: HostRecord[] = []
  readonly #quarantined: QuarantinedRecord[] = []
  readonly #collisions: QuarantinedRecord[] = []
  readonly #incomplete = new Map<string, string[]>()
  readonly #repeated = new Set<string>()
  readonly #finished = new Set<string>()
  readonly #asBefore = new Set<string>()
  readonly #fingerprints = new Map<string, HostFingerprint>()
  /** Of the hosts whose last part has not come yet. */
  #contradictions: Contradiction[] = []
  #current: KnownHost | null = null

  constructor(options: {
    pool: pg.Pool
    clock: Clock
    staging: StagingTarget
    target: DirectTarget
    mode: RunMode
    /** Whether information gathered was asked for. */
    withInformation: boolean
    /** Host id of Qualys → place. Only these hosts were asked for. */
    places: ReadonlyMap<string, string>
    /** By host id of Qualys; what the source was told. */
    fingerprints: ReadonlyMap<string, HostFingerprint>
  }) {
    this.#pool = options.pool
    this.#clock = options.clock
    this.#run = { ...options.target, mode: options.mode }
    this.#withInformation = options.withInformation
    this.#sink = new RowSink(options.pool, options.staging, options.target)
    this.#places = options.places
    this.#known = options.fingerprints
    this.#ids = new FindingIds(options.pool)
  }

  async add(hosts: readonly HostDetections[]): Promise<void> {
    let group: HostDetections[] = []
    let groupDetections = 0
    for (const host of hosts) {
      group.push(host)
      groupDetections += host.detections.length
      if (groupDetections < COMPARE_DETECTIONS_MAX) continue
      await this.#addGroup(group)
      group = []
      groupDetections = 0
    }
    if (group.length > 0) await this.#addGroup(group)
  }

  quarantine(record: QuarantinedRecord): void {
    if (record.isCollision === true) {
      this.#counts.collidedRecords += 1
      if (this.#counts.collidedRecords <= COLLISIONS_KEPT_MAX) this.#collisions.push(record)
      return
    }
    // More than this is no odd record but an odd answer; as a failed batch it is cut until its cause is alone.
    if (this.#quarantined.length >= QUARANTINED_RECORDS_MAX)
      throw new HubError(
        'contract',
        `More than ${QUARANTINED_RECORDS_MAX} records of one answer could not be understood, at last: ${record.reason}`,
      )
    this.#counts.quarantinedRecords += 1
    this.#quarantined.push(record)
  }

  async finish(): Promise<IngestResult> {
    for (const one of this.#contradictions.splice(0)) this.#putContradictionAside(one)
    const direct = await this.#sink.finish()
    return {
      counts: this.#counts,
      hosts: this.#hosts,
      direct,
      quarantined: this.#quarantined,
      collisions: this.#collisions,
      incompletePlaces: this.#incomplete,
      repeatedPlaces: this.#repeated,
      seenPlaces: this.#finished,
      placesAsBefore: this.#asBefore,
      fingerprints: this.#wholeFingerprints(),
    }
  }

  /** Of whom nothing is owed: what was put aside or left out has to be met again. */
  #wholeFingerprints(): HostFingerprint[] {
    const putAside = new Set(this.#quarantined.map(({ hostId }) => this.#places.get(hostId ?? '')))
    return [...this.#fingerprints.values()].filter(
      ({ placeId }) =>
        !putAside.has(placeId) && !this.#incomplete.has(placeId) && !this.#repeated.has(placeId),
    )
  }

  async #addGroup(group: readonly HostDetections[]): Promise<void> {
    const known = await readKnownFindings(this.#pool, this.#placesToRead(group))
    await this.#ids.reserve(group.reduce((sum, host) => sum + host.detections.length, 0))
    const brought: Brought = { changed: [], added: [], left: { placeIds: [], ids: [] } }
    for (const part of group) this.#addPart(part, known, brought)
    await this.#writeAddedToKnownHosts(brought.added)
    await this.#writeChanged(brought.changed)
    await this.#settleContradictions()
    await this.#noteLeftOut(brought.left)
    await this.#sink.flush()
  }

  #placesToRead(group: readonly HostDetections[]): string[] {
    const placeIds = new Set<string>()
    for (const { host, isAsBefore } of group) {
      const placeId = isAsBefore ? undefined : this.#places.get(host.hostId)
      if (placeId !== undefined && placeId !== this.#current?.placeId) placeIds.add(placeId)
    }
    return [...placeIds]
  }

  #addPart(part: HostDetections, known: KnownFindings, out: Brought): void {
    const placeId = this.#places.get(part.host.hostId)
    if (placeId === undefined) {
      this.#counts.unexpectedHosts += part.isLastPart ? 1 : 0
      return
    }
    if (this.#finished.has(placeId)) {
      // Which of the two is right cannot be known: the first stands, and the host is asked for once more.
      this.#repeated.add(placeId)
      return
    }
    if (part.isAsBefore) return this.#passHost(placeId, part.host)
    if (this.#current?.placeId !== placeId) {
      this.#current = new KnownHost(placeId, known.get(placeId))
      this.#hosts.push(part.host)
      this.#counts.receivedHosts += 1
    }
    const host = this.#current
    for (const detection of part.detections) this.#addDetection(host, part.host, detection, out)
    if (!part.isLastPart) return
    for (const id of host.notSeenIds()) {
      out.left.placeIds.push(placeId)
      out.left.ids.push(id)
    }
    this.#finished.add(placeId)
    this.#current = null
    const { fingerprint } = part
    if (fingerprint !== null)
      this.#fingerprints.set(placeId, { placeId, fingerprint, records: host.seenCount })
  }

  /** A host whose detections are as they were: what it says of itself counts, and nothing else is new. */
  #passHost(placeId: string, host: HostRecord): void {
    const records = this.#known.get(host.hostId)?.records ?? 0
    this.#counts.receivedHosts += 1
    this.#counts.receivedRecords += records
    this.#counts.unchangedRecords += records
    this.#hosts.push(host)
    this.#finished.add(placeId)
    this.#asBefore.add(placeId)
  }

  #addDetection(host: KnownHost, record: HostRecord, detection: DetectionRecord, out: Brought): void {
    const { hostId } = record
    const { placeId } = host
    this.#counts.receivedRecords += 1
    const problem = unstorable(detection)
    if (problem !== null) return this.#quarantineDetection(hostId, detection, problem)
    const comparison = host.compare(detection)
    switch (comparison.kind) {
      case 'unchanged':
        this.#counts.unchangedRecords += 1
        return
      case 'volatile':
        this.#counts.seenRecords += 1
        this.#sink.writeVolatile({ id: comparison.id, placeId }, detection)
        return
      case 'changed':
        host.takeKey(detection.uniqueVulnId)
        out.changed.push({ id: comparison.id, hostId, host, detection })
        return
      case 'new':
        if (!host.takeKey(detection.uniqueVulnId))
          return this.#quarantineDetection(
            hostId,
            detection,
            `UNIQUE_VULN_ID ${detection.uniqueVulnId} came with two findings of this host in one answer; the first one was kept.`,
          )
        if (host.isNew) this.#writeNew(hostId, placeId, detection, true)
        else out.added.push({ hostId, placeId, detection })
        return
      case 'repeated':
        this.#quarantineDetection(
          hostId,
          detection,
          'The same detection came twice in one answer; the first one was kept.',
        )
    }
  }

  /** New findings of known hosts: a UNIQUE_VULN_ID that stands behind another identity is a contradiction. */
  async #writeAddedToKnownHosts(added: readonly AddedRecord[]): Promise<void> {
    if (added.length === 0) return
    const placeIds = [...new Set(added.map((record) => record.placeId))]
    const sourceKeys = added.flatMap(({ detection }) => detection.uniqueVulnId ?? [])
    const taken = new Set<string>()
    if (sourceKeys.length > 0)
      for (const row of await listSourceKeys(this.#pool, { placeIds, sourceKeys }))
        taken.add(`${row.placeId} ${row.sourceKey}`)
    for (const { hostId, placeId, detection } of added) {
      if (detection.uniqueVulnId !== null && taken.has(`${placeId} ${detection.uniqueVulnId}`))
        this.#quarantineDetection(
          hostId,
          detection,
          `UNIQUE_VULN_ID ${detection.uniqueVulnId} belongs to another finding of this host.`,
        )
      else this.#writeNew(hostId, placeId, detection, false)
    }
  }

  #writeNew(hostId: string, placeId: string, detection: DetectionRecord, hostIsNew: boolean): void {
    const result = firstSight(detection, PRESENT, this.#clock.nowMs())
    if (result.outcome !== 'known') {
      if (result.outcome === 'quarantine') this.#quarantineDetection(hostId, detection, result.reason)
      return
    }
    this.#counts.newRecords += 1
    const key = { id: this.#ids.take(), placeId }
    this.#sink.writeNew(toRow(key, detection, result.life, detection.firstFoundMs), hostIsNew)
  }

  async #writeChanged(changed: readonly ChangedRecord[]): Promise<void> {
    if (changed.length === 0) return
    const stored = await listLivesByKey(this.#pool, {
      placeIds: changed.map((record) => record.host.placeId),
      ids: changed.map((record) => record.id),
    })
    const byId = new Map(stored.map((life) => [life.id, life]))
    for (const record of changed) {
      const previous = byId.get(record.id)
      if (previous === undefined)
        throw new Error(`Finding ${record.id} was compared but is not in the store.`)
      const contradiction = contradictionOf(record, previous)
      if (contradiction === null) this.#writeOneChanged(record, previous)
      else if (this.#contradictions.length < QUARANTINED_RECORDS_MAX) this.#contradictions.push(contradiction)
      else this.#putContradictionAside(contradiction)
    }
  }

  /**
   * A finding whose UNIQUE_VULN_ID changed is put aside: one of the two is not what it was. When a later full run brings
   * the same again and nothing speaks against it, the new key is taken.
   */
  async #settleContradictions(): Promise<void> {
    const ready = this.#contradictions.filter(({ host }) => this.#finished.has(host.placeId))
    if (ready.length === 0) return
    this.#contradictions = this.#contradictions.filter(({ host }) => !this.#finished.has(host.placeId))
    const insisted =
      this.#run.mode === 'full' ? await listInsisted(this.#pool, this.#run, ready) : new Set<Contradiction>()
    for (const one of ready)
      if (insisted.has(one)) this.#writeOneChanged(one, one.previous)
      else this.#putContradictionAside(one)
  }

  #putContradictionAside(one: Contradiction): void {
    this.#quarantineDetection(one.hostId, one.detection, contradictionSentence(one))
  }

  #writeOneChanged({ id, hostId, host, detection }: ChangedRecord, previous: StoredLife): void {
    const { placeId } = host
    const result = seeAgain(toLife(previous), detection, PRESENT, this.#clock.nowMs())
    switch (result.outcome) {
      case 'quarantine':
        return this.#quarantineDetection(hostId, detection, result.reason)
      case 'older':
        this.#counts.olderRecords += 1
        this.#fingerprints.delete(placeId)
        return
      case 'known': {
        this.#counts.changedRecords += 1
        const effectiveMs = previous.firstFoundEffectiveAt?.getTime() ?? detection.firstFoundMs
        const row = toRow({ id, placeId }, detection, result.life, effectiveMs)
        this.#sink.writeChanged(row, toRowChange(result.transitions))
      }
    }
  }

  async #noteLeftOut(left: { placeIds: string[]; ids: string[] }): Promise<void> {
    if (left.ids.length === 0) return
    const withInformation = this.#withInformation
    for (const { placeId, id } of await listExpectedAmong(this.#pool, { ...left, withInformation })) {
      const ids = this.#incomplete.get(placeId)
      if (ids === undefined) this.#incomplete.set(placeId, [id])
      else ids.push(id)
    }
  }

  #quarantineDetection(hostId: string, detection: DetectionRecord, reason: string): void {
    const raw = JSON.stringify({ ...detection, results: undefined, identity: undefined })
    this.quarantine({ hostId, qid: detection.qid, reason, raw: raw.slice(0, QUARANTINE_RAW_CHARS_MAX) })
  }
}
