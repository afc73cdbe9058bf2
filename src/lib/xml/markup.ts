import { DASH, GREATER, LESS, QUESTION, isSpace } from './bytes.ts'
import { XmlFault } from './error.ts'
import type { XmlLimits } from './limits.ts'
import { checkInstruction, readDeclaration, skipDoctype } from './prolog.ts'
import type { ByteWindow } from './window.ts'

const COMMENT_START = Buffer.from('<!--')
const CDATA_START = Buffer.from('<![CDATA[')
const DOCTYPE_START = Buffer.from('<!DOCTYPE')
const DECLARATION_START = Buffer.from('<?xml')

/**
 * What is neither tag nor text: the start of a document, comments, instructions, the DOCTYPE, the start of CDATA. Each
 * method looks at the window's position and returns the position behind, or 0 when more bytes are needed.
 */
export class MarkupScanner {
  /** Whether what was passed last was the start of a CDATA section. */
  isCdata = false
  /** Whether the declaration says ISO-8859-1: all that follows has to be transcoded. */
  isLatin1 = false
  junkBytes = 0

  readonly #window: ByteWindow
  readonly #limits: XmlLimits
  #sawDoctype = false
  /** How far the markup at the window's position has been searched for its end, in bytes from its `<`. */
  #searched = 0

  constructor(window: ByteWindow, limits: XmlLimits) {
    this.#window = window
    this.#limits = limits
  }

  /** In the root element: a comment, an instruction, or the nine bytes that start CDATA. */
  scanInside(): number {
    const { bytes, position } = this.#window
    this.isCdata = false
    if (bytes[position + 1] === QUESTION) return this.#findInstructionEnd()
    const cdata = this.#matches(CDATA_START)
    if (cdata === 'unknown') return 0
    this.isCdata = cdata === 'yes'
    return this.isCdata ? position + CDATA_START.length : this.#scanComment()
  }

  /** Around the root element: a comment, an instruction, before it also one DOCTYPE. */
  scanOutside(beforeRoot: boolean): number {
    const { bytes, position } = this.#window
    if (bytes[position + 1] === QUESTION) return this.#findInstructionEnd()
    const doctype = this.#matches(DOCTYPE_START)
    if (doctype === 'unknown') return 0
    return doctype === 'yes' ? this.#scanDoctype(beforeRoot) : this.#scanComment()
  }

  /** Passes the byte order mark, what stands before the first `<`, and the XML declaration; false for more bytes. */
  scanStart(): boolean {
    const window = this.#window
    const { bytes, end } = window
    if (window.bytesRead < 3) return false
    if (window.documentOffset(window.position) === 0) window.position = passByteOrderMark(bytes)
    while (window.position < end && bytes[window.position] !== LESS) {
      window.position += 1
      this.junkBytes += 1
    }
    window.startRun()
    if (this.junkBytes > this.#limits.junkBytesMax) {
      throw new XmlFault(
        'junk_too_long',
        `More than ${this.#limits.junkBytesMax} bytes stand before the XML.`,
        end,
      )
    }
    if (window.position >= end) return false
    const declaration = this.#matches(DECLARATION_START)
    if (declaration === 'unknown') return false
    if (declaration === 'no') return true
    const afterTarget = window.position + DECLARATION_START.length
    if (afterTarget >= end) return false
    return isSpace(bytes[afterTarget]!) ? this.#scanDeclaration() : true
  }

  #scanDeclaration(): boolean {
    const window = this.#window
    const { bytes, end, position: start } = window
    const close = indexOfPair(bytes.subarray(0, end), start + 2, QUESTION, GREATER)
    this.#checkLength('The XML declaration', (close < 0 ? end : close) - start)
    if (close < 0) return false
    this.isLatin1 = readDeclaration(bytes, start, close + 2) === 'iso-8859-1'
    window.position = close + 2
    window.startRun()
    if (this.isLatin1) window.replaceRest(latin1ToUtf8(bytes.subarray(close + 2, end)))
    return true
  }

  #scanDoctype(beforeRoot: boolean): number {
    const { bytes, end, position: start } = this.#window
    if (!beforeRoot || this.#sawDoctype) {
      throw new XmlFault('doctype', 'A DOCTYPE stands elsewhere than once before the root element.', start)
    }
    const next = skipDoctype(bytes, start, end)
    this.#checkLength('The DOCTYPE', (next === 0 ? end : next) - start)
    this.#sawDoctype = next > 0
    return next
  }

  #scanComment(): number {
    const { bytes, end, position: start } = this.#window
    const comment = this.#matches(COMMENT_START)
    if (comment === 'no') throw new XmlFault('section', 'A "<!" starts nothing that is allowed here.', start)
    if (comment === 'unknown') return 0
    const from = start + Math.max(this.#searched, COMMENT_START.length)
    const dashes = indexOfPair(bytes.subarray(0, end), from, DASH, DASH)
    if (dashes < 0 || dashes + 2 >= end) {
      this.#searched = (dashes < 0 ? end - 1 : dashes) - start
      return 0
    }
    this.#searched = 0
    if (bytes[dashes + 2] !== GREATER) throw new XmlFault('comment', 'A comment holds "--".', dashes)
    return dashes + 3
  }

  #findInstructionEnd(): number {
    const { bytes, end, position: start } = this.#window
    const from = start + Math.max(this.#searched, 2)
    const close = indexOfPair(bytes.subarray(0, end), from, QUESTION, GREATER)
    this.#checkLength('An instruction', (close < 0 ? end : close) - start)
    this.#searched = close < 0 ? end - 1 - start : 0
    if (close < 0) return 0
    checkInstruction(bytes, start + 2, close)
    return close + 2
  }

  #checkLength(what: string, lengthBytes: number): void {
    if (lengthBytes <= this.#limits.markupBytesMax) return
    throw new XmlFault(
      'limit',
      `${what} has more than ${this.#limits.markupBytesMax} bytes.`,
      this.#window.position,
    )
  }

  /** Whether the bytes at the window's position are these; `unknown` while there are too few. */
  #matches(literal: Buffer): 'yes' | 'no' | 'unknown' {
    const { bytes, end, position } = this.#window
    for (let index = 0; index < literal.length; index += 1) {
      if (position + index >= end) return 'unknown'
      if (bytes[position + index] !== literal[index]) return 'no'
    }
    return 'yes'
  }
}

export function latin1ToUtf8(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1'), 'utf8')
}

/** Position of the first two bytes `first` `second` from `from` on, or -1. */
function indexOfPair(bytes: Buffer, from: number, first: number, second: number): number {
  let at = bytes.indexOf(first, from)
  while (at >= 0 && bytes[at + 1] !== second) at = bytes.indexOf(first, at + 1)
  return at
}

function passByteOrderMark(bytes: Buffer): number {
  const [first, second, third] = bytes
  const utf16 =
    (first === 0xff && second === 0xfe) ||
    (first === 0xfe && second === 0xff) ||
    (first === LESS && second === 0) ||
    (first === 0 && second === LESS)
  if (utf16) throw new XmlFault('encoding', 'The document is UTF-16; only UTF-8 and ISO-8859-1 are read.', 0)
  return first === 0xef && second === 0xbb && third === 0xbf ? 3 : 0
}
