import type { XmlAttribute } from './attributes.ts'
import { readTagTail } from './attributes.ts'
import * as B from './bytes.ts'
import { XmlError, XmlFault, type XmlErrorCode } from './error.ts'
import { XML_LIMITS, type XmlLimits } from './limits.ts'
import { MarkupScanner, latin1ToUtf8 } from './markup.ts'
import { NameTable, hashName } from './names.ts'
import { TextScanner } from './text-scanner.ts'
import { ByteWindow } from './window.ts'

/** More bytes are needed: `write` the next chunk, or `end()`. */
export const NEED_BYTES = 0
/** An element opens: `name`, `depth` and `attributes` are those of it. */
export const OPEN = 1
/** An element closes: `name` and `depth` are those of it; where `isLeaf`, the text is all that stood in it. */
export const CLOSE = 2
/** The document is complete. */
export const DONE = 3
export type XmlToken = typeof NEED_BYTES | typeof OPEN | typeof CLOSE | typeof DONE

const NO_ATTRIBUTES: readonly XmlAttribute[] = []

type State = 'start' | 'before_root' | 'in_root' | 'after_root'

/** What to gather before anything of it is given out as tags. */
export interface LookAhead {
  /** Where to stop; what it looks like inside CDATA is not told from what it is outside. */
  until: Buffer
  /** When this much has come without `until`, all of it is read as ever and nothing is shown. */
  bytesMax: number
  /**
   * Shown the bytes from the current tag to `until`, and where in the document they end. When it returns true they are
   * passed over: nothing of them is checked or given out.
   */
  passesOver(bytes: Buffer, endOffset: number): boolean
}

/**
 * A pull scanner over the bytes of one XML document that comes in chunks. It checks well-formedness like a parser, never
 * fetches anything, knows no entities beyond the five, and makes strings only when it is asked for them. What it yields
 * are tags; the text between the tag before and this one is at hand until `next()` is called again.
 *
 * In one thing it is unlike a parser: in text and attribute values, bytes that are not UTF-8 and characters that XML
 * forbids become U+FFFD and are counted in `repairedChars`, since Qualys passes on what the scanned machines answered.
 */
export class XmlScanner {
  name = -1
  depth = 0
  attributes: readonly XmlAttribute[] = NO_ATTRIBUTES
  /** Whether only text stood between the open tag and this close tag. */
  isLeaf = false
  readonly names: NameTable
  readonly #limits: XmlLimits
  readonly #window = new ByteWindow()
  readonly #markup: MarkupScanner
  readonly #stack: Int32Array
  #state: State = 'start'
  #ended = false

  /** What `#startRun` has to settle about the token that was given out before. */
  #given: 'none' | 'open' | 'close' = 'none'
  #lastWasOpen = false
  #selfClosing = false
  #tagStart = 0
  /** Per element name the name + 1 of the element that was opened after it the last time. */
  readonly #followers: Int32Array
  #lastOpened = 0
  #likely = -1

  readonly #text: TextScanner
  #ahead: LookAhead | null = null
  #aheadSearched = 0

  constructor(names: NameTable = new NameTable(), limits: Partial<XmlLimits> = {}) {
    this.names = names
    this.#limits = { ...XML_LIMITS, ...limits }
    this.#text = new TextScanner(this.#window)
    this.#markup = new MarkupScanner(this.#window, this.#limits)
    this.#followers = new Int32Array(this.#limits.namesMax + names.size + 1)
    this.#stack = new Int32Array(this.#limits.depthMax + 1)
  }

  /** Bytes of the document so far. */
  get bytesRead(): number {
    return this.#window.bytesRead
  }

  /** Characters that were replaced by U+FFFD. */
  get repairedChars(): number {
    return this.#text.repairedChars
  }

  /** Bytes before the first `<` that were skipped. */
  get junkBytes(): number {
    return this.#markup.junkBytes
  }

  /** Adds a chunk, after `next()` said NEED_BYTES. The scanner reads from the chunk itself; it must not be changed. */
  write(chunk: Buffer): void {
    const window = this.#window
    this.#text.append(this.#markup.isLatin1 ? latin1ToUtf8(chunk) : chunk)
    if (window.bytesRead > this.#limits.totalBytesMax) {
      throw this.#error(
        'limit',
        `The document has more than ${this.#limits.totalBytesMax} bytes.`,
        window.position,
      )
    }
  }

  /** Says that no more bytes will come. */
  end(): void {
    this.#ended = true
  }

  next(): XmlToken {
    try {
      if (this.#given !== 'none') this.#startRun()
      if (this.#selfClosing) return this.#giveClose(this.#stack[this.depth]!, true)
      if (this.#ahead !== null && !this.#gather(this.#ahead)) return NEED_BYTES
      const token = this.#state === 'in_root' ? this.#scanContent() : this.#scanOutside()
      if (token === NEED_BYTES) this.#checkWait()
      return token
    } catch (error) {
      throw error instanceof XmlFault ? this.#error(error.code, error.message, error.position) : error
    }
  }

  // --- the text before the current tag ---------------------------------------------------------------------------

  /** The text between the tag before and this one: references expanded, line ends folded, comments left out. */
  text(): string {
    return this.#text.pieces.decode(this.#window.bytes, this.#window.runStart)
  }

  /** Whether the bytes from `textStart` to `textEnd` are the text as UTF-8, with nothing to expand or to repair. */
  get isVerbatim(): boolean {
    return this.#text.pieces.isVerbatim
  }

  /** Like `isVerbatim`, and ASCII alone. */
  get isAscii(): boolean {
    return this.#text.pieces.isAscii
  }

  /** The buffer that `textStart` and `textEnd` point into, until `next()` is called. */
  get bytes(): Buffer {
    return this.#window.bytes
  }

  get textStart(): number {
    return this.#window.runStart + this.#text.pieces.start
  }

  get textEnd(): number {
    return this.#window.runStart + this.#text.pieces.end
  }

  /** Keeps all bytes from the start of the current tag on, until `unmark()`; there is one mark. */
  mark(): void {
    this.#window.mark = this.#tagStart
  }

  unmark(): void {
    this.#window.mark = -1
  }

  /** The document as it came from the mark to the end of the current tag, cut to `charsMax`; NUL becomes U+FFFD. */
  markedRaw(charsMax: number): string {
    const { bytes, mark, position } = this.#window
    if (mark < 0) return ''
    const raw = bytes.toString('utf8', mark, Math.min(position, mark + charsMax * 4))
    return raw.replaceAll('\0', '\uFFFD').slice(0, charsMax)
  }

  /** Where in the document the current tag starts. */
  get tagOffset(): number {
    return this.#window.documentOffset(this.#tagStart)
  }

  /** After an open tag: shows what follows it before it is given out, as `LookAhead` says. */
  lookAhead(ahead: LookAhead): void {
    // An element that is closed already has nothing to look at.
    if (this.#selfClosing) return
    this.#ahead = ahead
    this.#aheadSearched = 0
  }

  /** False when more bytes are needed. */
  #gather(ahead: LookAhead): boolean {
    const window = this.#window
    const bytes = window.bytes.subarray(window.runStart, window.end)
    const found = bytes.indexOf(ahead.until, this.#aheadSearched)
    if (found < 0 && bytes.length < ahead.bytesMax && !this.#ended) {
      this.#aheadSearched = Math.max(0, bytes.length - ahead.until.length + 1)
      return false
    }
    this.#ahead = null
    const end = window.runStart + found
    if (found < 0 || !ahead.passesOver(bytes.subarray(0, found), window.documentOffset(end))) return true
    window.position = end
    this.#text.startRun()
    return true
  }

  // --- inside the root element -----------------------------------------------------------------------------------

  #scanContent(): XmlToken {
    const window = this.#window
    const text = this.#text
    for (;;) {
      if (text.isInCdata) {
        if (!text.scanCdata()) return NEED_BYTES
      } else {
        if (!text.scanText()) return NEED_BYTES
        const second = window.bytes[window.position + 1]!
        if (second === B.SLASH) return this.#scanCloseTag()
        if (!B.isMarkupStart(second)) return this.#scanOpenTag()
        if (!this.#scanMarkup()) return NEED_BYTES
      }
    }
  }

  #scanOpenTag(): XmlToken {
    const { bytes, end, position: start } = this.#window
    const likely = this.#likelyNameEnd(start + 1)
    const nameEnd = likely > 0 ? likely : this.#scanName(start + 1)
    if (nameEnd >= end) return NEED_BYTES
    const name = likely > 0 ? this.#likely : this.#nameId(start + 1, nameEnd)
    this.attributes = NO_ATTRIBUTES
    if (bytes[nameEnd] === B.GREATER) return this.#giveOpen(name, nameEnd + 1)
    const tail = readTagTail(bytes, nameEnd, end, this.#limits)
    if (tail === null) return NEED_BYTES
    this.attributes = tail.attributes
    this.#selfClosing = tail.selfClosing
    this.#text.repairedChars += tail.repairedChars
    return this.#giveOpen(name, tail.next)
  }

  /**
   * Whether the name at `start` is the one that followed the last element when it stood there before, which it mostly
   * is: the end of that name, or 0.
   */
  #likelyNameEnd(start: number): number {
    this.#likely = this.#followers[this.#lastOpened]! - 1
    if (this.#likely < 0) return 0
    const { bytes, end } = this.#window
    const name = this.names.bytesOf(this.#likely)
    const nameEnd = start + name.length
    if (nameEnd >= end) return 0
    for (let index = 0; index < name.length; index += 1) {
      if (bytes[start + index] !== name[index]) return 0
    }
    return B.NAME_CLASS[bytes[nameEnd]!] === 0 ? nameEnd : 0
  }

  #scanName(start: number): number {
    const { bytes, end } = this.#window
    if (B.NAME_CLASS[bytes[start]!] !== 2) {
      throw new XmlFault('tag', 'A "<" starts neither a tag nor markup.', start - 1)
    }
    let at = start
    while (at < end && B.NAME_CLASS[bytes[at]!] !== 0) at += 1
    if (at - start > this.#limits.nameBytesMax) {
      throw new XmlFault('limit', `An element name has more than ${this.#limits.nameBytesMax} bytes.`, start)
    }
    return at
  }

  #nameId(start: number, end: number): number {
    const { names } = this
    const hash = hashName(this.#window.bytes, start, end)
    const found = names.find(this.#window.bytes, start, end, hash)
    if (found >= 0) return found
    if (names.size >= this.#limits.namesMax) {
      throw new XmlFault(
        'limit',
        `The document has more than ${this.#limits.namesMax} different element names.`,
        start,
      )
    }
    return names.add(this.#window.bytes, start, end, hash)
  }

  #giveOpen(name: number, next: number): XmlToken {
    const limits = this.#limits
    this.#endTag(next)
    if (this.depth >= limits.depthMax) {
      throw new XmlFault('limit', `Elements are nested more than ${limits.depthMax} deep.`, next)
    }
    this.depth += 1
    this.#stack[this.depth] = name
    this.#followers[this.#lastOpened] = name + 1
    this.#lastOpened = name
    this.name = name
    this.isLeaf = false
    this.#lastWasOpen = true
    this.#given = 'open'
    return OPEN
  }

  #scanCloseTag(): XmlToken {
    const { bytes, end, position: start } = this.#window
    const open = this.#stack[this.depth]!
    const name = this.names.bytesOf(open)
    let at = start + 2
    let index = 0
    while (index < name.length && at < end && bytes[at] === name[index]) {
      index += 1
      at += 1
    }
    while (index === name.length && at < end && B.isSpace(bytes[at]!)) at += 1
    if (at >= end) return NEED_BYTES
    if (index < name.length || bytes[at] !== B.GREATER) {
      throw new XmlFault(
        'close_tag',
        `A close tag is not that of the open element ${this.names.nameOf(open)}.`,
        start,
      )
    }
    this.#endTag(at + 1)
    return this.#giveClose(open, this.#lastWasOpen)
  }

  #giveClose(name: number, isLeaf: boolean): XmlToken {
    this.#selfClosing = false
    this.name = name
    this.attributes = NO_ATTRIBUTES
    this.isLeaf = isLeaf
    this.#lastWasOpen = false
    this.#given = 'close'
    return CLOSE
  }

  /** The tag at the window's position ends at `next`; with it the text before it is complete. */
  #endTag(next: number): void {
    const { position: start, runStart, mark } = this.#window
    const limits = this.#limits
    if (start - runStart > limits.textBytesMax) {
      throw new XmlFault('limit', `More than ${limits.textBytesMax} bytes stand between two tags.`, runStart)
    }
    if (next - start > limits.markupBytesMax) {
      throw new XmlFault('limit', `A tag has more than ${limits.markupBytesMax} bytes.`, start)
    }
    if (mark >= 0 && next - mark > limits.markedBytesMax) {
      throw new XmlFault('limit', `A record has more than ${limits.markedBytesMax} bytes.`, mark)
    }
    this.#tagStart = start
    this.#text.endPiece(start, next)
  }

  /** Settles the token given out before and starts to collect the text that follows it. */
  #startRun(): void {
    if (this.#given === 'close') {
      this.depth -= 1
      if (this.depth === 0) this.#state = 'after_root'
    }
    this.#given = 'none'
    this.#text.startRun()
  }

  /** More bytes are needed: refuses when there are none, or when too many are kept already. */
  #checkWait(): void {
    const { end, runStart, mark } = this.#window
    const limits = this.#limits
    if (this.#ended) {
      if (this.#state === 'in_root' || this.#state === 'after_root') {
        throw new XmlFault('truncated', 'The document ends before it is complete.', end)
      }
      throw new XmlFault('no_root', 'The document holds no element.', end)
    }
    if (end - runStart > limits.textBytesMax + limits.markupBytesMax) {
      throw new XmlFault('limit', `More than ${limits.textBytesMax} bytes stand between two tags.`, runStart)
    }
    if (mark >= 0 && end - mark > limits.markedBytesMax + limits.markupBytesMax) {
      throw new XmlFault('limit', `A record has more than ${limits.markedBytesMax} bytes.`, mark)
    }
  }

  // --- markup that is not a tag ----------------------------------------------------------------------------------

  /** Passes the comment, CDATA start or instruction at the window's position; false when more bytes are needed. */
  #scanMarkup(): boolean {
    const start = this.#window.position
    const markup = this.#markup.scanInside()
    if (markup === 0) return false
    this.#text.endPiece(start, markup)
    if (this.#markup.isCdata) this.#text.beginCdata()
    return true
  }

  // --- before and after the root element -------------------------------------------------------------------------

  #scanOutside(): XmlToken {
    const window = this.#window
    if (this.#state === 'start') {
      if (!this.#markup.scanStart()) return NEED_BYTES
      this.#state = 'before_root'
    }
    for (;;) {
      const { bytes, end } = window
      while (window.position < end && B.isSpace(bytes[window.position]!)) window.position += 1
      this.#text.startRun()
      if (window.position >= end && this.#ended && this.#state === 'after_root') return DONE
      const isMarkup = window.position < end && bytes[window.position] === B.LESS
      if (window.position + (isMarkup ? 1 : 0) >= end) return NEED_BYTES
      if (!isMarkup || !B.isMarkupStart(bytes[window.position + 1]!)) return this.#startRoot()
      const next = this.#markup.scanOutside(this.#state === 'before_root')
      if (next === 0) return NEED_BYTES
      window.position = next
    }
  }

  #startRoot(): XmlToken {
    const { bytes, position } = this.#window
    if (this.#state === 'after_root') {
      throw new XmlFault(
        'after_root',
        'Something other than comments stands after the root element.',
        position,
      )
    }
    if (bytes[position] !== B.LESS || bytes[position + 1] === B.SLASH) {
      throw new XmlFault('no_root', 'Something other than the root element stands before it.', position)
    }
    this.#state = 'in_root'
    return this.#scanContent()
  }

  #error(code: XmlErrorCode, sentence: string, position: number): XmlError {
    return new XmlError(code, sentence, this.#window.documentOffset(position))
  }
}
