/** The bytes and byte classes of XML 1.0 in UTF-8. */

export const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
const SPACE = 0x20
const BANG = 0x21
export const DOUBLE_QUOTE = 0x22
export const HASH = 0x23
export const AMPERSAND = 0x26
export const APOSTROPHE = 0x27
export const DASH = 0x2d
export const SLASH = 0x2f
export const SEMICOLON = 0x3b
export const LESS = 0x3c
export const EQUALS = 0x3d
export const GREATER = 0x3e
export const QUESTION = 0x3f
export const BRACKET_OPEN = 0x5b
export const BRACKET_CLOSE = 0x5d
export const LOWER_X = 0x78

/** Classes of the bytes in text and CDATA; 0 needs no attention. */
export const PLAIN = 0
export const CLASS_LESS = 1
export const CLASS_AMPERSAND = 2
export const CLASS_CR = 3
export const CLASS_GREATER = 4
export const CLASS_FORBIDDEN = 5
export const CLASS_HIGH = 6

function textClasses(special: Readonly<Record<number, number>>): Uint8Array {
  const classes = new Uint8Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    if (byte >= 0x80) classes[byte] = CLASS_HIGH
    else if (byte < 0x20 && byte !== TAB && byte !== LF && byte !== CR) classes[byte] = CLASS_FORBIDDEN
    else classes[byte] = special[byte] ?? PLAIN
  }
  return classes
}

export const TEXT_CLASS = textClasses({
  [LESS]: CLASS_LESS,
  [AMPERSAND]: CLASS_AMPERSAND,
  [CR]: CLASS_CR,
  [GREATER]: CLASS_GREATER,
})

export const CDATA_CLASS = textClasses({ [CR]: CLASS_CR, [GREATER]: CLASS_GREATER })

/** 1 where the byte may stand in a name, 2 where it may also start one; bytes of multi-byte characters are checked later. */
export const NAME_CLASS = new Uint8Array(256)
for (let byte = 0; byte < 256; byte += 1) {
  const letter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
  if (letter || byte === 0x5f || byte === 0x3a || byte >= 0x80) NAME_CLASS[byte] = 2
  else if ((byte >= 0x30 && byte <= 0x39) || byte === DASH || byte === 0x2e) NAME_CLASS[byte] = 1
}

export function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === TAB
}

/** The `Char` production of XML 1.0. */
export function isXmlChar(codePoint: number): boolean {
  if (codePoint < 0x20) return codePoint === TAB || codePoint === LF || codePoint === CR
  if (codePoint <= 0xd7ff) return true
  return (codePoint >= 0xe000 && codePoint <= 0xfffd) || (codePoint >= 0x10000 && codePoint <= 0x10ffff)
}

/**
 * Looks at the multi-byte character at `position`. Returns its length in bytes when it is a character that XML allows,
 * the negated length of what has to be replaced by one U+FFFD when it is not, and 0 when more bytes are needed to tell.
 */
export function utf8Step(bytes: Uint8Array, position: number, end: number): number {
  const first = bytes[position]!
  const length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1
  if (length === 1) return -1
  if (position + 1 >= end) return 0
  const second = bytes[position + 1]!
  if (second < secondByteMin(first) || second > secondByteMax(first)) return -1
  for (let index = 2; index < length; index += 1) {
    if (position + index >= end) return 0
    if ((bytes[position + index]! & 0xc0) !== 0x80) return -index
  }
  // U+FFFE and U+FFFF are valid UTF-8, but XML forbids them.
  if (first === 0xef && second === 0xbf && bytes[position + 2]! >= 0xbe) return -3
  return length
}

function secondByteMin(first: number): number {
  if (first === 0xe0) return 0xa0
  return first === 0xf0 ? 0x90 : 0x80
}

function secondByteMax(first: number): number {
  if (first === 0xed) return 0x9f
  return first === 0xf4 ? 0x8f : 0xbf
}

/** Whether `<` and this byte start a comment, CDATA, a DOCTYPE or an instruction. */
export function isMarkupStart(byte: number): boolean {
  return byte === BANG || byte === QUESTION
}
