import * as B from './bytes.ts'
import { REFERENCE_LENGTH_STEP, readReference } from './entities.ts'
import { XmlFault } from './error.ts'
import { TextPieces } from './pieces.ts'
import { HAS_CR, HAS_FORBIDDEN, HAS_HIGH, HAS_REFERENCE, IS_CDATA } from './text.ts'
import type { ByteWindow } from './window.ts'

/** Scans what stands between tags, and notes what is to be done to it when it is taken. */
export class TextScanner {
  repairedChars = 0
  /** The text since the last tag, as far as its pieces have ended. */
  readonly pieces = new TextPieces()
  readonly #window: ByteWindow
  /** The piece of text being scanned: where it starts and what was met in it. */
  #pieceStart = 0
  #pieceFlags = 0

  constructor(window: ByteWindow) {
    this.#window = window
  }

  get isInCdata(): boolean {
    return (this.#pieceFlags & IS_CDATA) !== 0
  }

  /** The window's position is behind the start of a CDATA section. */
  beginCdata(): void {
    this.#pieceFlags = IS_CDATA
  }

  append(chunk: Buffer): void {
    const window = this.#window
    const pieceStart = this.#pieceStart - window.runStart
    window.append(chunk)
    this.#pieceStart = pieceStart + window.runStart
  }

  /** Starts to collect the text from the window's position on. */
  startRun(): void {
    this.pieces.clear()
    this.#pieceStart = this.#window.startRun()
  }

  /** Goes on to the next `<` and the byte after it; false when more bytes are needed. */
  scanText(): boolean {
    const window = this.#window
    const { bytes, end } = window
    const classes = B.TEXT_CLASS
    let at = window.position
    let step = 1
    while (step > 0) {
      let byteClass: number = B.PLAIN
      while (at < end && (byteClass = classes[bytes[at]!]!) === B.PLAIN) at += 1
      if (at >= end || byteClass === B.CLASS_LESS) break
      if (byteClass === B.CLASS_GREATER && this.#afterTwoBrackets(at)) {
        throw new XmlFault('cdata_end_in_text', 'Text holds "]]>" outside of CDATA.', at)
      }
      step = this.#noteSpecial(byteClass, at)
      at += step
    }
    window.position = at
    return step > 0 && at + 1 < end
  }

  /** Goes on to the end of the CDATA section and behind it; false when more bytes are needed. */
  scanCdata(): boolean {
    const window = this.#window
    const { bytes, end } = window
    const classes = B.CDATA_CLASS
    let at = window.position
    let step = 1
    while (step > 0) {
      let byteClass: number = B.PLAIN
      while (at < end && (byteClass = classes[bytes[at]!]!) === B.PLAIN) at += 1
      if (at >= end) break
      if (byteClass === B.CLASS_GREATER && this.#afterTwoBrackets(at)) {
        this.endPiece(at - 2, at + 1)
        return true
      }
      step = this.#noteSpecial(byteClass, at)
      at += step
    }
    window.position = at
    return false
  }

  #afterTwoBrackets(at: number): boolean {
    const bytes = this.#window.bytes
    return (
      at - 2 >= this.#pieceStart && bytes[at - 1] === B.BRACKET_CLOSE && bytes[at - 2] === B.BRACKET_CLOSE
    )
  }

  /** Notes what is special about the byte at `at`; returns how many bytes it takes, 0 when more are needed. */
  #noteSpecial(byteClass: number, at: number): number {
    const { bytes, end } = this.#window
    if (byteClass === B.CLASS_AMPERSAND) {
      this.#pieceFlags |= HAS_REFERENCE
      return readReference(bytes, at, end) % REFERENCE_LENGTH_STEP
    }
    if (byteClass === B.CLASS_CR) {
      this.#pieceFlags |= HAS_CR
    } else if (byteClass === B.CLASS_HIGH) {
      const step = B.utf8Step(bytes, at, end)
      this.#pieceFlags |= HAS_HIGH
      if (step >= 0) return step
      this.#pieceFlags |= HAS_FORBIDDEN
      this.repairedChars += 1
      return -step
    } else if (byteClass === B.CLASS_FORBIDDEN) {
      this.#pieceFlags |= HAS_FORBIDDEN
      this.repairedChars += 1
    }
    return 1
  }

  /** Ends the current piece of text at `end` and starts the next one at `next`, where scanning goes on. */
  endPiece(end: number, next: number): void {
    const window = this.#window
    if (end > this.#pieceStart) {
      this.pieces.add(this.#pieceStart - window.runStart, end - window.runStart, this.#pieceFlags)
    }
    this.#pieceStart = next
    this.#pieceFlags = 0
    window.position = next
  }
}
