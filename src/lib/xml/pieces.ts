import { HAS_HIGH, IS_CDATA, decodePiece } from './text.ts'

/**
 * The text between two tags as the pieces it was written in: text and CDATA sections, cut by comments. Positions count
 * from the start of the run, so that they survive when the bytes are moved.
 */
export class TextPieces {
  count = 0
  /** Triples of (start, end, flags). */
  #pieces = new Int32Array(48)

  clear(): void {
    this.count = 0
  }

  add(start: number, end: number, flags: number): void {
    const index = this.count * 3
    if (index + 3 > this.#pieces.length) {
      const wider = new Int32Array(this.#pieces.length * 2)
      wider.set(this.#pieces)
      this.#pieces = wider
    }
    this.#pieces[index] = start
    this.#pieces[index + 1] = end
    this.#pieces[index + 2] = flags
    this.count += 1
  }

  decode(bytes: Buffer, runStart: number): string {
    const pieces = this.#pieces
    let text = ''
    for (let index = 0; index < this.count * 3; index += 3) {
      text += decodePiece(bytes, runStart + pieces[index]!, runStart + pieces[index + 1]!, pieces[index + 2]!)
    }
    return text
  }

  get isVerbatim(): boolean {
    return this.count === 0 || (this.count === 1 && (this.#pieces[2]! & ~(IS_CDATA | HAS_HIGH)) === 0)
  }

  get isAscii(): boolean {
    return this.count === 0 || (this.count === 1 && (this.#pieces[2]! & ~IS_CDATA) === 0)
  }

  get start(): number {
    return this.count === 0 ? 0 : this.#pieces[0]!
  }

  get end(): number {
    return this.count === 0 ? 0 : this.#pieces[1]!
  }
}
