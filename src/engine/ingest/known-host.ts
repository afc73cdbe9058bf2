import {
  KNOWN_ENTRY_BYTES,
  KNOWN_ID_AT,
  KNOWN_IDENTITY_AT,
  KNOWN_STATE_HASH_AT,
  KNOWN_VOLATILE_HASH_AT,
} from '../../store/bulk/known-findings.ts'
import type { DetectionRecord } from '../../model/vm.ts'

export type Comparison =
  | { kind: 'new' }
  | { kind: 'repeated' }
  | { kind: 'unchanged' }
  | { kind: 'volatile' | 'changed'; id: string }

/** One host while its detections pass by: what the store knows of it, and what has been seen of it in this answer. */
export class KnownHost {
  readonly placeId: string
  readonly isNew: boolean
  readonly #entries: Buffer
  readonly #offsets = new Map<string, number>()
  readonly #seen = new Set<string>()
  readonly #keys = new Map<string, number>()

  constructor(placeId: string, entries: Buffer | undefined) {
    this.placeId = placeId
    this.isNew = entries === undefined
    this.#entries = entries ?? Buffer.alloc(0)
    for (let at = 0; at < this.#entries.length; at += KNOWN_ENTRY_BYTES)
      this.#offsets.set(this.#identityAt(at), at)
  }

  compare(detection: DetectionRecord): Comparison {
    const identity = detection.identity.toString('latin1')
    if (this.#seen.has(identity)) return { kind: 'repeated' }
    this.#seen.add(identity)
    const at = this.#offsets.get(identity)
    if (at === undefined) return { kind: 'new' }
    if (!this.#equals(detection.stateHash, at + KNOWN_STATE_HASH_AT))
      return { kind: 'changed', id: this.#idAt(at) }
    if (!this.#equals(detection.volatileHash, at + KNOWN_VOLATILE_HASH_AT))
      return { kind: 'volatile', id: this.#idAt(at) }
    return { kind: 'unchanged' }
  }

  /** Notes the UNIQUE_VULN_ID of a new or changed finding; false when another one came with it in this answer. */
  takeKey(sourceKey: string | null): boolean {
    if (sourceKey === null) return true
    const count = this.countOfKey(sourceKey) + 1
    this.#keys.set(sourceKey, count)
    return count === 1
  }

  /** How many new or changed findings of this answer have this UNIQUE_VULN_ID; to be asked only after the last part. */
  countOfKey(sourceKey: string): number {
    return this.#keys.get(sourceKey) ?? 0
  }

  /** How many different findings came. */
  get seenCount(): number {
    return this.#seen.size
  }

  /** Ids of the findings that are known and did not come; to be asked only after the last part. */
  notSeenIds(): string[] {
    const ids: string[] = []
    for (const [identity, at] of this.#offsets) if (!this.#seen.has(identity)) ids.push(this.#idAt(at))
    return ids
  }

  #identityAt(at: number): string {
    return this.#entries.toString('latin1', at + KNOWN_IDENTITY_AT, at + KNOWN_IDENTITY_AT + 16)
  }

  #idAt(at: number): string {
    return this.#entries.readBigInt64BE(at + KNOWN_ID_AT).toString()
  }

  #equals(value: Buffer, at: number): boolean {
    return value.compare(this.#entries, at, at + value.length) === 0
  }
}
