import { AMPERSAND, CR, LF, utf8Step } from './bytes.ts'
import { REFERENCE_LENGTH_STEP, readReference } from './entities.ts'

/** What was met in a piece of text while it was scanned; 0 means ASCII that can be taken as it is. */
export const HAS_HIGH = 1
export const HAS_CR = 2
export const HAS_REFERENCE = 4
export const HAS_FORBIDDEN = 8
export const IS_CDATA = 16

const NEEDS_WORK = HAS_CR | HAS_REFERENCE | HAS_FORBIDDEN

/** The string that a scanned piece `bytes[start, end)` stands for. */
export function decodePiece(bytes: Buffer, start: number, end: number, flags: number): string {
  if ((flags & NEEDS_WORK) !== 0) return decodeWithWork(bytes, start, end, (flags & IS_CDATA) === 0)
  return (flags & HAS_HIGH) !== 0 ? bytes.toString('utf8', start, end) : bytes.toString('latin1', start, end)
}

/** Folds line ends, expands references and puts U+FFFD for what XML forbids. */
function decodeWithWork(bytes: Buffer, start: number, end: number, references: boolean): string {
  let text = ''
  let from = start
  let at = start
  while (at < end) {
    const byte = bytes[at]!
    let replacement: string | null = null
    let length = 1
    if (byte === CR) {
      replacement = '\n'
      if (at + 1 < end && bytes[at + 1] === LF) length = 2
    } else if (byte === AMPERSAND && references) {
      const reference = readReference(bytes, at, end)
      replacement = String.fromCodePoint(Math.floor(reference / REFERENCE_LENGTH_STEP))
      length = reference % REFERENCE_LENGTH_STEP
    } else if (byte >= 0x80) {
      const step = utf8Step(bytes, at, end)
      // At the end of a piece a cut character is final: the next byte is markup.
      length = step > 0 ? step : step < 0 ? -step : end - at
      if (step <= 0) replacement = '\uFFFD'
    } else if (byte < 0x20 && byte !== 0x09 && byte !== LF) {
      replacement = '\uFFFD'
    }
    if (replacement !== null) {
      text += bytes.toString('utf8', from, at) + replacement
      from = at + length
    }
    at += length
  }
  return text + bytes.toString('utf8', from, end)
}
