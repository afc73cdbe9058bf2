import { hash } from 'node:crypto'
import type { DetectionRecord } from '../../../model/vm.ts'

/**
 * The version of the canonical encoding below. It is hashed with everything: a new version makes every detection look
 * new, so it needs a migration of the stored hashes.
 */
const ENCODING_VERSION = 1

const ABSENT = 0
const PRESENT = 1
const IDENTITY_BYTES = 16
const STATE_BYTES = 16
const VOLATILE_BYTES = 8
const RESULTS_BYTES = 16
const SLAB_BYTES = 65_536
const SCRATCH_BYTES_MIN = 4_096

/** What makes a detection the same detection; `null` is absent, which is neither 0 nor empty. */
export interface DetectionPlace {
  integrationId: string
  hostId: string
  qid: string
  port: number | null
  protocol: string | null
  ssl: boolean | null
  fqdn: string | null
  instance: string | null
}

/** 16 bytes that are the same for two detections exactly when all eight parts are. */
export function identityOf(place: DetectionPlace): Buffer {
  const encoder = new Encoder()
  encodePlace(encoder, place, place)
  return Buffer.from(encoder.digest(), 'latin1').subarray(0, IDENTITY_BYTES)
}

function encodePlace(
  encoder: Encoder,
  scope: Pick<DetectionPlace, 'integrationId' | 'hostId'>,
  place: Omit<DetectionPlace, 'integrationId' | 'hostId'>,
): void {
  encoder.begin('identity')
  encoder.text(scope.integrationId)
  encoder.text(scope.hostId)
  encoder.text(place.qid)
  encoder.number(place.port)
  encoder.text(place.protocol)
  encoder.flag(place.ssl)
  encoder.text(place.fqdn)
  encoder.text(place.instance)
}

/** Puts the hashes into detections, as the docstrings of `DetectionRecord` say. */
export class DetectionSealer {
  readonly #integrationId: string
  readonly #encoder = new Encoder()
  #slab = Buffer.alloc(0)
  #slabUsed = 0

  constructor(integrationId: string) {
    this.#integrationId = integrationId
  }

  seal(detection: DetectionRecord, hostId: string): void {
    const encoder = this.#encoder
    encodePlace(encoder, { integrationId: this.#integrationId, hostId }, detection)
    detection.identity = this.#keep(encoder.digest(), IDENTITY_BYTES)
    if (detection.results !== null) {
      detection.resultsHash = this.#keep(hash('sha256', detection.results, 'binary'), RESULTS_BYTES)
    }
    encodeState(encoder, detection)
    detection.stateHash = this.#keep(encoder.digest(), STATE_BYTES)
    detection.volatileHash = this.#reserve(VOLATILE_BYTES)
    writeVolatile(detection.volatileHash, detection)
  }

  #keep(digest: string, length: number): Buffer {
    const kept = this.#reserve(length)
    kept.write(digest, 0, length, 'latin1')
    return kept
  }

  /** A piece of a larger allocation, since a `Buffer` of its own costs more than the hash. */
  #reserve(length: number): Buffer {
    if (this.#slabUsed + length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.#slabUsed = 0
    }
    const start = this.#slabUsed
    this.#slabUsed += length
    return this.#slab.subarray(start, start + length)
  }
}

/** Everything but the volatile fields; the place goes in through the identity, the results through their hash. */
function encodeState(encoder: Encoder, detection: DetectionRecord): void {
  encoder.begin('state')
  encoder.bytes(detection.identity)
  encoder.text(detection.uniqueVulnId)
  encoder.text(detection.type)
  encoder.number(detection.severity)
  encoder.bytes(detection.resultsHash)
  encoder.text(detection.status)
  encoder.number(detection.firstFoundMs)
  encoder.number(detection.lastFixedMs)
  encoder.number(detection.firstReopenedMs)
  encoder.number(detection.lastReopenedMs)
  encoder.number(detection.timesReopened)
  encoder.number(detection.qds)
  encoder.text(detection.service)
  encoder.flag(detection.ignored)
  encoder.flag(detection.disabled)
  encoder.flag(detection.affectRunningKernel)
  encoder.flag(detection.affectRunningService)
  encoder.flag(detection.affectExploitableConfig)
  encoder.record(detection.extra)
}

/**
 * Two lanes of 32 bits, mixed as in MurmurHash3: here nobody gains by a collision, which would only leave a last-found
 * date as it was, so that the price of a fourth SHA-256 is not worth paying.
 */
function writeVolatile(target: Buffer, detection: DetectionRecord): void {
  const { lastFoundMs, lastTestMs, lastProcessedMs, lastUpdateMs, timesFound } = detection
  for (const [lane, seed] of LANE_SEEDS.entries()) {
    let lane32 = seed ^ ENCODING_VERSION
    lane32 = mix(mix(mix(lane32, lastFoundMs), lastTestMs), lastProcessedMs)
    lane32 = mix(mix(lane32, lastUpdateMs), timesFound)
    target.writeInt32BE(lane32, lane * 4)
  }
}

const LANE_SEEDS = [0x2545_f491, 0x6c07_8965] as const

function mix(lane32: number, value: number | null): number {
  const high = value === null ? -1 : Math.floor(value / 0x1_0000_0000)
  const low = value === null ? 0 : value - high * 0x1_0000_0000
  return mixWord(mixWord(lane32, high), low)
}

function mixWord(lane32: number, word: number): number {
  let mixed = Math.imul(lane32 ^ (word | 0), 0x85eb_ca6b) + 0x5bd1_e995
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2_ae35)
  return mixed ^ (mixed >>> 13)
}

/**
 * The canonical encoding: a version, a purpose, then each value as a mark for absent or present and, when present, a
 * flag as one byte, a number as eight bytes, a text as its length in bytes and its UTF-8. No two lists of values of the
 * same kinds have the same encoding.
 */
class Encoder {
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES_MIN)
  #used = 0

  begin(purpose: 'identity' | 'state'): void {
    this.#used = 0
    this.#scratch[this.#used++] = ENCODING_VERSION
    this.#scratch[this.#used++] = purpose.charCodeAt(0)
  }

  text(value: string | null): void {
    this.#reserve(5 + (value?.length ?? 0) * 3)
    if (value === null) {
      this.#scratch[this.#used++] = ABSENT
      return
    }
    this.#scratch[this.#used] = PRESENT
    const start = this.#used + 5
    const length = writeUtf8(this.#scratch, value, start)
    this.#scratch.writeUInt32BE(length, this.#used + 1)
    this.#used = start + length
  }

  number(value: number | null): void {
    this.#reserve(9)
    this.#scratch[this.#used++] = value === null ? ABSENT : PRESENT
    if (value === null) return
    this.#scratch.writeDoubleBE(value, this.#used)
    this.#used += 8
  }

  flag(value: boolean | null): void {
    this.#reserve(2)
    this.#scratch[this.#used++] = value === null ? ABSENT : PRESENT
    if (value !== null) this.#scratch[this.#used++] = value ? 1 : 0
  }

  bytes(value: Buffer | null): void {
    this.#reserve(5 + (value?.length ?? 0))
    this.#scratch[this.#used++] = value === null ? ABSENT : PRESENT
    if (value === null) return
    this.#scratch.writeUInt32BE(value.length, this.#used)
    value.copy(this.#scratch, this.#used + 4)
    this.#used += 4 + value.length
  }

  /** Entries in the order of their names, so that the order in which they were sent does not matter. */
  record(value: Readonly<Record<string, string>> | null): void {
    const names = value === null ? [] : Object.keys(value)
    if (names.length > 1) names.sort()
    this.number(value === null ? null : names.length)
    for (const name of names) {
      this.text(name)
      this.text(value?.[name] ?? null)
    }
  }

  /** The SHA-256 of what was encoded, as a latin1 string: that is the fastest way to get it. */
  digest(): string {
    return hash('sha256', this.#scratch.subarray(0, this.#used), 'binary')
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#scratch.length) return
    const wider = Buffer.allocUnsafeSlow((this.#used + bytes) * 2)
    this.#scratch.copy(wider, 0, 0, this.#used)
    this.#scratch = wider
  }
}

const SHORT_CHARS_MAX = 48

/** Short ASCII is written here, which is faster than the call into the runtime. */
function writeUtf8(target: Buffer, text: string, start: number): number {
  const { length } = text
  if (length > SHORT_CHARS_MAX) return target.write(text, start)
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index)
    if (code >= 0x80) return target.write(text, start)
    target[start + index] = code
  }
  return length
}
