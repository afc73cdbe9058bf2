import type { DetectionRecord } from '../../../model/vm.ts'

const SLOTS_MIN = 1_024

/**
 * The detections of one host by identity, to notice when one comes twice (T3). Only what decides which is better is
 * kept, so that a host with many detections costs little.
 */
export class SeenDetections {
  /** Slot → index + 1 in the lists; 0 is free. Open addressing by the first four bytes of the identity. */
  #slots = new Int32Array(SLOTS_MIN)
  #identities: Buffer[] = []
  #lastTestMs: number[] = []
  #lastUpdateMs: number[] = []

  clear(): void {
    if (this.#identities.length === 0) return
    this.#slots = this.#slots.length > SLOTS_MIN ? new Int32Array(SLOTS_MIN) : this.#slots.fill(0)
    this.#identities = []
    this.#lastTestMs = []
    this.#lastUpdateMs = []
  }

  /** `new`, or which of the two is the better one: the one tested later, or else updated later, or else the first. */
  add(detection: DetectionRecord): 'new' | 'earlier' | 'later' {
    const slot = this.#find(detection.identity)
    const lastTestMs = detection.lastTestMs ?? Number.NEGATIVE_INFINITY
    const lastUpdateMs = detection.lastUpdateMs ?? Number.NEGATIVE_INFINITY
    const known = this.#slots[slot]! - 1
    if (known < 0) {
      this.#identities.push(detection.identity)
      this.#lastTestMs.push(lastTestMs)
      this.#lastUpdateMs.push(lastUpdateMs)
      this.#slots[slot] = this.#identities.length
      if (this.#identities.length * 2 > this.#slots.length) this.#grow()
      return 'new'
    }
    const knownTestMs = this.#lastTestMs[known]!
    if (lastTestMs < knownTestMs) return 'earlier'
    if (lastTestMs === knownTestMs && lastUpdateMs <= this.#lastUpdateMs[known]!) return 'earlier'
    this.#lastTestMs[known] = lastTestMs
    this.#lastUpdateMs[known] = lastUpdateMs
    return 'later'
  }

  /** The slot of this identity, or the free one where it belongs. */
  #find(identity: Buffer): number {
    const mask = this.#slots.length - 1
    let slot = identity.readInt32LE(0) & mask
    for (;;) {
      const known = this.#slots[slot]! - 1
      if (known < 0 || this.#identities[known]!.equals(identity)) return slot
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2)
    for (const [index, identity] of this.#identities.entries()) this.#slots[this.#find(identity)] = index + 1
  }
}
