import {
  AMPERSAND,
  APOSTROPHE,
  CR,
  DOUBLE_QUOTE,
  EQUALS,
  GREATER,
  LESS,
  LF,
  NAME_CLASS,
  SLASH,
  TAB,
  isSpace,
  utf8Step,
} from './bytes.ts'
import { REFERENCE_LENGTH_STEP, readReference } from './entities.ts'
import { XmlFault } from './error.ts'
import type { XmlLimits } from './limits.ts'
import { readName } from './names.ts'

export interface XmlAttribute {
  name: string
  value: string
}

export interface TagTail {
  attributes: readonly XmlAttribute[]
  selfClosing: boolean
  /** Position after the `>`. */
  next: number
  repairedChars: number
}

const NO_ATTRIBUTES: readonly XmlAttribute[] = []

/** Reads the rest of an open tag, from the end of its name to its `>`; null when more bytes are needed. */
export function readTagTail(bytes: Buffer, nameEnd: number, end: number, limits: XmlLimits): TagTail | null {
  let attributes: XmlAttribute[] | null = null
  let repairedChars = 0
  let at = nameEnd
  for (;;) {
    const from = at
    at = skipSpace(bytes, from, end)
    if (at >= end) return null
    const byte = bytes[at]!
    if (byte === GREATER || byte === SLASH) {
      const next = byte === SLASH ? afterSlash(bytes, at, end) : at + 1
      if (next === 0) return null
      return { attributes: attributes ?? NO_ATTRIBUTES, selfClosing: byte === SLASH, next, repairedChars }
    }
    if (at === from)
      throw new XmlFault('tag', 'A tag holds a character that may not follow its name or a value.', at)
    const attribute = readAttribute(bytes, at, end, limits)
    if (attribute === null) return null
    attributes ??= []
    addAttribute(attributes, attribute, { position: at, limits })
    repairedChars += attribute.repairedChars
    at = attribute.next
  }
}

function afterSlash(bytes: Buffer, at: number, end: number): number {
  if (at + 1 >= end) return 0
  if (bytes[at + 1] !== GREATER) throw new XmlFault('tag', 'A "/" in a tag is not followed by ">".', at)
  return at + 2
}

function addAttribute(
  attributes: XmlAttribute[],
  attribute: XmlAttribute,
  where: { position: number; limits: XmlLimits },
): void {
  if (attributes.some((other) => other.name === attribute.name)) {
    throw new XmlFault('attribute', 'An element has the same attribute twice.', where.position)
  }
  if (attributes.length >= where.limits.attributesMax) {
    throw new XmlFault(
      'limit',
      `An element has more than ${where.limits.attributesMax} attributes.`,
      where.position,
    )
  }
  attributes.push({ name: attribute.name, value: attribute.value })
}

interface ReadAttribute extends XmlAttribute {
  next: number
  repairedChars: number
}

function readAttribute(bytes: Buffer, start: number, end: number, limits: XmlLimits): ReadAttribute | null {
  let at = start
  while (at < end && NAME_CLASS[bytes[at]!] !== 0) at += 1
  if (at >= end) return null
  if (at - start > limits.nameBytesMax) {
    throw new XmlFault('limit', `An attribute name has more than ${limits.nameBytesMax} bytes.`, start)
  }
  if (at === start)
    throw new XmlFault('attribute', 'A tag holds a character that starts no attribute name.', at)
  const name = readName(bytes, start, at)
  const equals = skipSpace(bytes, at, end)
  if (equals >= end) return null
  if (bytes[equals] !== EQUALS) throw new XmlFault('attribute', 'An attribute has no value.', equals)
  const quoteAt = skipSpace(bytes, equals + 1, end)
  if (quoteAt >= end) return null
  const quote = bytes[quoteAt]!
  if (quote !== DOUBLE_QUOTE && quote !== APOSTROPHE) {
    throw new XmlFault('attribute', 'The value of an attribute is not quoted.', quoteAt)
  }
  const value = readValue(bytes, quoteAt + 1, end, quote)
  if (value === null) return null
  return { name, value: value.value, next: value.next, repairedChars: value.repairedChars }
}

function skipSpace(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && isSpace(bytes[at]!)) at += 1
  return at
}

/** Reads a value up to its closing quote: white space becomes a space, references are expanded. */
function readValue(
  bytes: Buffer,
  start: number,
  end: number,
  quote: number,
): { value: string; next: number; repairedChars: number } | null {
  let value = ''
  let from = start
  let at = start
  let repairedChars = 0
  while (at < end) {
    const byte = bytes[at]!
    if (byte === quote)
      return { value: value + bytes.toString('utf8', from, at), next: at + 1, repairedChars }
    if (byte > AMPERSAND && byte !== LESS && byte < 0x80) {
      at += 1
      continue
    }
    const special = readSpecial(bytes, at, end)
    if (special === null) return null
    if (special.replacement !== null) {
      value += bytes.toString('utf8', from, at) + special.replacement
      from = at + special.length
      if (special.replacement === '\uFFFD' && byte !== AMPERSAND) repairedChars += 1
    }
    at += special.length
  }
  return null
}

/** One character of a value that may need work; null when more bytes are needed. */
function readSpecial(
  bytes: Buffer,
  at: number,
  end: number,
): { replacement: string | null; length: number } | null {
  const byte = bytes[at]!
  if (byte === LESS) throw new XmlFault('attribute', 'The value of an attribute holds a "<".', at)
  if (byte === AMPERSAND) {
    const reference = readReference(bytes, at, end)
    if (reference === 0) return null
    return {
      replacement: String.fromCodePoint(Math.floor(reference / REFERENCE_LENGTH_STEP)),
      length: reference % REFERENCE_LENGTH_STEP,
    }
  }
  if (byte >= 0x80) {
    const step = utf8Step(bytes, at, end)
    if (step === 0) return null
    return step > 0 ? { replacement: null, length: step } : { replacement: '\uFFFD', length: -step }
  }
  if (byte === CR) {
    if (at + 1 >= end) return null
    return { replacement: ' ', length: bytes[at + 1] === LF ? 2 : 1 }
  }
  if (byte === TAB || byte === LF) return { replacement: ' ', length: 1 }
  return { replacement: byte < 0x20 ? '\uFFFD' : null, length: 1 }
}
