import { detectionType, resultText } from '../knowledge-base.ts'
import type { Family, KbEntry } from '../knowledge-base.ts'
import type { GeneratedHosts } from './generated-hosts.ts'
import { hash32, pick, Salt, trialsUntil, unit } from './hash.ts'
import type { Settings } from './settings.ts'
import { lifecycleOf } from './timeline.ts'
import type { Timeline } from './timeline.ts'
import type { Campaign, Detection } from './types.ts'

const FAMILIES: readonly Family[] = ['windows', 'rhel', 'ubuntu', 'common']
/** Numbers per host in UNIQUE_VULN_ID: own detections, then those of the host merged into it, then facts. */
const NUMBERS_PER_HOST = 100_000
const MERGED_FROM_NUMBER = 45_000
const FACTS_FROM_NUMBER = 90_000

export interface DetectionQuery {
  day: number
  /** False leaves RESULTS out, which is most of the work. */
  results: boolean
  kb: ReadonlyMap<string, KbEntry>
}

interface Slot {
  number: number
  qid: string
  /** More than the catalogue holds: the same QID once more, on another port or instance. */
  variant: number
  /** The day from which on the slot is there at all. */
  bornDay: number
  toggles: readonly number[]
}

/** Which detections a generated host has: slots are drawn from the catalogue, each with days on which it comes and goes. */
export class GeneratedDetections {
  readonly #settings: Settings
  readonly #hosts: GeneratedHosts
  readonly #lists = new Map<Family, readonly string[]>()
  readonly #facts: readonly string[]
  readonly #campaigns = new Map<string, Campaign>()

  constructor(settings: Settings, hosts: GeneratedHosts, catalogue: readonly KbEntry[]) {
    this.#settings = settings
    this.#hosts = hosts
    for (const family of FAMILIES) {
      const shared = catalogue.filter(
        (entry) => entry.shape.family === family || entry.shape.family === 'common',
      )
      this.#lists.set(
        family,
        shared.map((entry) => entry.qid),
      )
    }
    this.#facts = catalogue.filter((entry) => entry.shape.family === 'info').map((entry) => entry.qid)
    for (const campaign of settings.campaigns) {
      const patch = patchesOf(catalogue, campaign.family)[campaign.patchIndex]
      if (patch === undefined)
        throw new RangeError(`Family ${campaign.family} has no patch number ${campaign.patchIndex}.`)
      for (const qid of patch) this.#campaigns.set(qid, campaign)
    }
    if (this.#campaigns.size > 0) hosts.isForced = (index, day) => this.#isForced(index, day)
  }

  *detections(index: number, query: DetectionQuery): Generator<Detection> {
    const timeline = this.#hosts.timeline(index, query.day)
    for (const slot of this.#allSlots(index, query.day)) {
      const detection = this.#detection(index, slot, { timeline, query })
      if (detection !== undefined) yield detection
    }
  }

  /**
   * The host's own slots, and those that the host merged into it had until then. What both have counts once: it is the
   * own one, unless that was born after the merge.
   */
  *#allSlots(index: number, day: number): Generator<Slot> {
    const merged = this.#mergedIndex(index, day)
    if (merged === undefined) {
      yield* this.#slots(index, day)
      return
    }
    const mergeDay = this.#hosts.mergeDay(merged)
    const gained = new Map<string, Slot>()
    for (const slot of this.#slots(merged, mergeDay - 1)) {
      gained.set(`${slot.qid}/${slot.variant}`, { ...slot, number: MERGED_FROM_NUMBER + slot.number })
    }
    for (const slot of this.#slots(index, day)) {
      const place = `${slot.qid}/${slot.variant}`
      if (slot.bornDay < mergeDay) gained.delete(place)
      if (!gained.has(place)) yield slot
    }
    yield* gained.values()
  }

  *informationGathered(index: number, query: DetectionQuery): Generator<Detection> {
    const { seed } = this.#settings
    const timeline = this.#hosts.timeline(index, query.day)
    const count = Math.min(this.#facts.length, 8 + (hash32(seed, index, 3, Salt.size) % 6))
    const processed = this.#hosts.processedMs(index, timeline.lastScan)
    for (let n = 0; n < count; n++) {
      const qid = pick(this.#facts, hash32(seed, index, 0, Salt.offset) + n)
      const entry = query.kb.get(qid)
      if (entry === undefined) continue
      const found = this.#hosts.scanMs(index, timeline.lastScan)
      yield {
        uniqueVulnId: String((index + 1) * NUMBERS_PER_HOST + FACTS_FROM_NUMBER + n),
        qid,
        type: 'Info',
        severity: entry.severity,
        results: query.results ? resultText(entry, this.#hosts.dnsName(index), 80) : undefined,
        ...(n % 2 === 0
          ? { firstFound: this.#hosts.scanMs(index, -30), lastFound: found, lastTest: found }
          : {}),
        ignored: false,
        disabled: false,
        lastProcessed: processed,
      }
    }
  }

  #mergedIndex(index: number, day: number): number | undefined {
    return index % 2 === 0 && this.#hosts.mergeDay(index + 1) <= day ? index + 1 : undefined
  }

  /** A host in a hundred is clean, so that it is on the host list and never among the detections. */
  #baseCount(index: number): number {
    const { seed, detectionsPerHost } = this.#settings
    if (hash32(seed, index, 0, Salt.empty) % 100 === 0) return 0
    return Math.round(detectionsPerHost * (0.3 + 1.4 * unit(seed, index, 0, Salt.size)))
  }

  *#slots(index: number, day: number): Generator<Slot> {
    const base = this.#baseCount(index)
    const draw = this.#drawer(index)
    for (let number = 0; number < base; number++) {
      const { qid, variant } = draw(number)
      const campaign = variant === 0 ? this.#campaigns.get(qid) : undefined
      if (campaign !== undefined && this.#hosts.bornDay(index) > 0) continue
      const toggles =
        campaign === undefined ? this.#baseToggles(index, number) : this.#campaignToggles(index, campaign)
      yield { number, qid, variant, bornDay: 0, toggles }
    }
    let number = base
    for (let born = 1; born <= day; born++) {
      const expected = base * this.#settings.newShare
      const chance = unit(this.#settings.seed, index, born, Salt.newborn)
      const count = Math.floor(expected) + (chance < expected % 1 ? 1 : 0)
      for (let n = 0; n < count; n++, number++) {
        const { qid, variant } = draw(number)
        if (this.#campaigns.has(qid)) continue
        yield { number, qid, variant, bornDay: born, toggles: this.#laterToggles(index, number, [born]) }
      }
    }
  }

  /** Steps through the family's list with a stride that shares no divisor with its length: no QID twice in one round. */
  #drawer(index: number): (number: number) => { qid: string; variant: number } {
    const { seed } = this.#settings
    const list = this.#lists.get(this.#hosts.family(index)) ?? []
    const offset = hash32(seed, index, 1, Salt.offset) % list.length
    const stride = strideFor(list.length, hash32(seed, index, 1, Salt.stride))
    return (number) => ({
      qid: pick(list, (offset + number * stride) % list.length),
      variant: Math.floor(number / list.length),
    })
  }

  #baseToggles(index: number, number: number): readonly number[] {
    const { seed } = this.#settings
    const bornDay = this.#hosts.bornDay(index)
    if (bornDay > 0) return this.#laterToggles(index, number, [bornDay])
    const life = unit(seed, index, number, Salt.life)
    const age = 1 + (hash32(seed, index, number, Salt.born) % 400)
    if (life < 0.03) return this.#laterToggles(index, number, [0])
    if (life < 0.1) {
      const fixed = -1 - (hash32(seed, index, number, Salt.found) % 39)
      const again = trialsUntil(unit(seed, index, number, Salt.reopen), 0.02)
      return life < 0.032 ? [-40 - age, fixed, again] : [-40 - age, fixed]
    }
    if (life < 0.14) return this.#laterToggles(index, number, [-60 - age, -55, -20])
    return this.#laterToggles(index, number, [-age])
  }

  /** After `start`, which leaves the problem there: when it goes, whether it comes back, when it goes for good. */
  #laterToggles(index: number, number: number, start: readonly number[]): readonly number[] {
    const { seed, fixShare, reopenShare } = this.#settings
    const from = Math.max(0, start.at(-1) ?? 0)
    const fix = from + trialsUntil(unit(seed, index, number, Salt.fix), fixShare)
    const again = unit(seed, index, number, Salt.reopen)
    if (again >= reopenShare) return [...start, fix]
    const reopen = fix + 1 + Math.floor((again / reopenShare) * 6)
    return [...start, fix, reopen, reopen + 1 + trialsUntil(unit(seed, index, number, Salt.refix), 0.1)]
  }

  #campaignToggles(index: number, campaign: Campaign): readonly number[] {
    const { seed } = this.#settings
    const found = -20 - (hash32(seed, index, 0, Salt.campaign) % 40)
    const fixed = pick(campaign.fixDays, hash32(seed, index, 1, Salt.campaign))
    const isReopened = unit(seed, index, 2, Salt.campaign) < (campaign.reopenShare ?? 1)
    return campaign.reopenDay !== undefined && isReopened
      ? [found, fixed, campaign.reopenDay]
      : [found, fixed]
  }

  /** A campaign must be visible on its days, so the hosts it touches are scanned then. */
  #isForced(index: number, day: number): boolean {
    const merged = this.#mergedIndex(index, day)
    return this.#isTouched(index, day) || (merged !== undefined && this.#isTouched(merged, day))
  }

  #isTouched(index: number, day: number): boolean {
    const base = this.#baseCount(index)
    const draw = this.#drawer(index)
    for (let number = 0; number < base; number++) {
      const campaign = this.#campaigns.get(draw(number).qid)
      if (campaign !== undefined && (campaign.reopenDay === day || campaign.fixDays.includes(day)))
        return true
    }
    return false
  }

  #detection(
    index: number,
    slot: Slot,
    at: { timeline: Timeline; query: DetectionQuery },
  ): Detection | undefined {
    const entry = at.query.kb.get(slot.qid)
    const life = lifecycleOf(slot.toggles, at.timeline)
    if (entry === undefined || life === undefined) return undefined
    const { seed } = this.#settings
    const hosts = this.#hosts
    const lastScan = at.timeline.lastScan
    const scan = (day: number) => hosts.scanMs(index, day)
    const processed = hosts.processedMs(index, lastScan)
    const lastFound = scan(life.lastFoundDay)
    const changed = life.changedDay === undefined ? lastFound : hosts.processedMs(index, life.changedDay)
    const hash = hash32(seed, index, slot.number, Salt.type)
    const { shape } = entry
    return {
      uniqueVulnId: String((index + 1) * NUMBERS_PER_HOST + slot.number),
      qid: slot.qid,
      type: detectionType(entry, hash),
      severity: entry.severity,
      port: shape.port === undefined ? undefined : shape.port + slot.variant * 1000,
      protocol: shape.protocol,
      fqdn: shape.fqdn === true && hash % 3 === 0 ? hosts.dnsName(index) : undefined,
      ssl: shape.ssl,
      instance: instanceOf(entry, slot.variant),
      results: at.query.results
        ? resultText(entry, hosts.dnsName(index), this.#settings.resultBytes)
        : undefined,
      status: life.status,
      firstFound: scan(life.firstFoundDay),
      lastFound,
      qds: Math.min(100, entry.severity * 16 + (hash32(seed, index, slot.number, Salt.qds) % 20)),
      timesFound: life.timesFound,
      lastTest: scan(lastScan),
      lastUpdate: life.status === 'Fixed' ? changed : processed,
      lastFixed: life.fixedDay === undefined ? undefined : scan(life.fixedDay),
      firstReopened: life.firstReopenedDay === undefined ? undefined : scan(life.firstReopenedDay),
      lastReopened: life.lastReopenedDay === undefined ? undefined : scan(life.lastReopenedDay),
      timesReopened: life.timesReopened > 0 ? life.timesReopened : undefined,
      service: shape.service,
      ignored: hash32(seed, index, slot.number, Salt.ignored) % 100 === 0,
      disabled: entry.disabled,
      affectRunningKernel: shape.kernel === true ? (hash % 4 === 0 ? 0 : 1) : undefined,
      lastProcessed: processed,
      statusChanged: changed,
    }
  }
}

function instanceOf(entry: KbEntry, variant: number): string | undefined {
  if (entry.shape.instance !== undefined)
    return variant === 0 ? entry.shape.instance : `${entry.shape.instance}${variant}`
  return variant > 0 && entry.shape.port === undefined ? `copy-${variant}` : undefined
}

function strideFor(length: number, hash: number): number {
  let stride = 1 + (hash % Math.max(1, length - 1))
  while (greatestCommonDivisor(stride, length) !== 1) stride++
  return stride
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

/** QIDs by patch, i.e. by equal sets of vendor references, in the order of their first QID. */
export function patchesOf(catalogue: readonly KbEntry[], family: Family): string[][] {
  const patches = new Map<string, string[]>()
  for (const entry of catalogue) {
    if (entry.shape.family !== family || entry.vendorReferences.length === 0) continue
    const key = entry.vendorReferences
      .map((reference) => reference.id)
      .toSorted()
      .join(',')
    const qids = patches.get(key)
    if (qids === undefined) patches.set(key, [entry.qid])
    else qids.push(entry.qid)
  }
  return [...patches.values()]
}
