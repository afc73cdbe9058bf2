import { HASH, LOWER_X, NAME_CLASS, SEMICOLON, isXmlChar } from './bytes.ts'
import { XmlFault } from './error.ts'

/** Bytes of one reference, from `&` to `;`. */
const REFERENCE_BYTES_MAX = 32
/** A reference is answered as `codePoint * 64 + length in bytes`. */
export const REFERENCE_LENGTH_STEP = 64

const BUILT_IN = new Map([
  ['lt', 0x3c],
  ['gt', 0x3e],
  ['amp', 0x26],
  ['quot', 0x22],
  ['apos', 0x27],
])

/**
 * Reads the reference whose `&` is at `position`: the five built-in entities and numeric references to characters that
 * XML allows, nothing else. Returns `codePoint * REFERENCE_LENGTH_STEP + length`, or 0 when more bytes are needed.
 */
export function readReference(bytes: Buffer, position: number, end: number): number {
  const last = Math.min(end, position + REFERENCE_BYTES_MAX)
  let at = position + 1
  while (at < last && bytes[at] !== SEMICOLON) {
    if (NAME_CLASS[bytes[at]!] === 0 && bytes[at] !== HASH) {
      throw new XmlFault('entity', 'A "&" starts no reference.', position)
    }
    at += 1
  }
  if (at >= last) {
    if (at < position + REFERENCE_BYTES_MAX) return 0
    throw new XmlFault('entity', `A reference is not closed within ${REFERENCE_BYTES_MAX} bytes.`, position)
  }
  const codePoint =
    bytes[position + 1] === HASH
      ? numericReference(bytes, position, at)
      : BUILT_IN.get(bytes.toString('latin1', position + 1, at))
  if (codePoint === undefined) {
    throw new XmlFault('entity', 'An entity is used that is not one of the five of XML.', position)
  }
  return codePoint * REFERENCE_LENGTH_STEP + (at + 1 - position)
}

function numericReference(bytes: Buffer, position: number, semicolon: number): number {
  const hex = bytes[position + 2] === LOWER_X
  const start = position + (hex ? 3 : 2)
  let codePoint = semicolon > start ? 0 : -1
  for (let at = start; at < semicolon && codePoint >= 0; at += 1) {
    const digit = digitOf(bytes[at]!, hex)
    codePoint = digit < 0 ? -1 : codePoint * (hex ? 16 : 10) + digit
    if (codePoint > 0x10ffff) codePoint = -1
  }
  if (!isXmlChar(codePoint)) {
    throw new XmlFault(
      'character_reference',
      'A numeric reference names no character that XML allows.',
      position,
    )
  }
  return codePoint
}

function digitOf(byte: number, hex: boolean): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  if (!hex) return -1
  if (byte >= 0x41 && byte <= 0x46) return byte - 0x37
  return byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1
}
