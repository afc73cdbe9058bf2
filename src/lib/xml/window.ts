const OWN_BYTES_MIN = 131_072
const NO_BYTES = Buffer.alloc(0)

/**
 * The bytes that are still needed: a whole chunk as it came, or, when something reaches over the end of a chunk, a
 * buffer of our own with the rest of the old chunk and the new one. It grows by doubling, so that a long text in small
 * chunks is copied a bounded number of times.
 */
export class ByteWindow {
  bytes: Buffer = NO_BYTES
  /** All positions count from the start of `bytes`. */
  end = 0
  position = 0
  /** Where the text since the last tag starts; nothing before it is kept, unless there is a mark. */
  runStart = 0
  /** From here on everything is kept; -1 for no mark. */
  mark = -1

  #own: Buffer | null = null
  /** Bytes of the document before the start of `bytes`. */
  #passed = 0

  get bytesRead(): number {
    return this.#passed + this.end
  }

  /** Where in the document a position is. */
  documentOffset(position: number): number {
    return this.#passed + position
  }

  startRun(): number {
    this.runStart = this.position
    return this.position
  }

  append(chunk: Buffer): void {
    const keepFrom = this.mark >= 0 ? Math.min(this.mark, this.runStart) : this.runStart
    const keptBytes = this.end - keepFrom
    if (keptBytes === 0) this.#use(chunk, chunk.length, keepFrom)
    else this.#join(chunk, keepFrom, keptBytes)
  }

  #join(chunk: Buffer, keepFrom: number, keptBytes: number): void {
    const own = this.#own
    const needed = keptBytes + chunk.length
    if (own !== null && this.bytes === own && this.end + chunk.length <= own.length) {
      own.set(chunk, this.end)
      this.end += chunk.length
      return
    }
    const target = own !== null && needed <= own.length ? own : Buffer.allocUnsafeSlow(ownBytes(needed))
    // `copy` is a memmove, so the two may overlap.
    this.bytes.copy(target, 0, keepFrom, this.end)
    target.set(chunk, keptBytes)
    this.#own = target
    this.#use(target, needed, keepFrom)
  }

  /** Goes on with other bytes, in which what was at `shift` is at 0. */
  #use(bytes: Buffer, end: number, shift: number): void {
    this.#passed += shift
    this.bytes = bytes
    this.end = end
    this.position -= shift
    this.runStart -= shift
    if (this.mark >= 0) this.mark -= shift
  }

  /** Puts other bytes in place of all from `position` on. */
  replaceRest(rest: Buffer): void {
    const passed = this.#passed + this.position
    this.#own = null
    this.bytes = rest
    this.end = rest.length
    this.position = 0
    this.runStart = 0
    this.#passed = passed
  }
}

function ownBytes(needed: number): number {
  return Math.max(OWN_BYTES_MIN, 2 ** Math.ceil(Math.log2(needed + 1)))
}
