import { NAME_CLASS, utf8Step } from './bytes.ts'
import { XmlFault } from './error.ts'

const TABLE_SLOTS = 8_192

/** The hash that `find` and `add` want of the name in `bytes[start, end)`. */
export function hashName(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0
  for (let at = start; at < end; at += 1) hash = (Math.imul(hash, 31) + bytes[at]!) | 0
  return hash
}

/**
 * Element names as small numbers. A reader interns the names it knows first and gets 0, 1, 2… in that order; a table
 * belongs to one document at a time, since unknown names are added to it.
 */
export class NameTable {
  /** Slot → id + 1; 0 is free. Open addressing, so the table is kept at most half full. */
  readonly #slots = new Int32Array(TABLE_SLOTS)
  readonly #bytes: Buffer[] = []
  readonly #names: string[] = []

  constructor(known: readonly string[] = []) {
    for (const name of known) this.intern(name)
  }

  get size(): number {
    return this.#names.length
  }

  nameOf(id: number): string {
    return this.#names[id] ?? ''
  }

  bytesOf(id: number): Buffer {
    return this.#bytes[id]!
  }

  intern(name: string): number {
    const bytes = Buffer.from(name)
    const hash = hashName(bytes, 0, bytes.length)
    const found = this.find(bytes, 0, bytes.length, hash)
    return found >= 0 ? found : this.add(bytes, 0, bytes.length, hash)
  }

  /** The id of the name in `bytes[start, end)`, or -1. */
  find(bytes: Buffer, start: number, end: number, hash: number): number {
    let slot = (hash ^ (hash >>> 13)) & (TABLE_SLOTS - 1)
    for (;;) {
      const id = this.#slots[slot]! - 1
      if (id < 0) return -1
      const name = this.#bytes[id]!
      if (name.length === end - start) {
        let index = 0
        while (index < name.length && name[index] === bytes[start + index]) index += 1
        if (index === name.length) return id
      }
      slot = (slot + 1) & (TABLE_SLOTS - 1)
    }
  }

  /** Adds a name that `find` did not find; a name that XML does not allow is refused here, once. */
  add(bytes: Buffer, start: number, end: number, hash: number): number {
    if (this.#names.length >= TABLE_SLOTS / 2) {
      throw new XmlFault(
        'limit',
        `The document has more than ${TABLE_SLOTS / 2} different element names.`,
        start,
      )
    }
    const name = readName(bytes, start, end)
    let slot = (hash ^ (hash >>> 13)) & (TABLE_SLOTS - 1)
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (TABLE_SLOTS - 1)
    this.#names.push(name)
    this.#bytes.push(Buffer.from(bytes.subarray(start, end)))
    this.#slots[slot] = this.#names.length
    return this.#names.length - 1
  }
}

const NAME_START =
  ':A-Z_a-z\\u{C0}-\\u{D6}\\u{D8}-\\u{F6}\\u{F8}-\\u{2FF}\\u{370}-\\u{37D}\\u{37F}-\\u{1FFF}\\u{200C}\\u{200D}' +
  '\\u{2070}-\\u{218F}\\u{2C00}-\\u{2FEF}\\u{3001}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFFD}\\u{10000}-\\u{EFFFF}'
const NAME = new RegExp(
  `^[${NAME_START}][${NAME_START}\\-.0-9\\u{B7}\\u{300}-\\u{36F}\\u{203F}\\u{2040}]*$`,
  'u',
)

/** The name in `bytes[start, end)` by the `Name` production of XML 1.0; names are never repaired. */
export function readName(bytes: Buffer, start: number, end: number): string {
  if (isAsciiName(bytes, start, end)) return bytes.toString('latin1', start, end)
  for (let at = start; at < end;) {
    const step = bytes[at]! < 0x80 ? 1 : utf8Step(bytes, at, end)
    if (step <= 0) throw new XmlFault('name', 'A name holds bytes that are not UTF-8.', at)
    at += step
  }
  const name = bytes.toString('utf8', start, end)
  if (!NAME.test(name)) throw new XmlFault('name', 'A name holds a character that names may not hold.', start)
  return name
}

function isAsciiName(bytes: Buffer, start: number, end: number): boolean {
  if (start >= end || NAME_CLASS[bytes[start]!] !== 2) return false
  let at = start
  while (at < end && bytes[at]! < 0x80 && NAME_CLASS[bytes[at]!] !== 0) at += 1
  return at === end
}
