import { BRACKET_OPEN, DOUBLE_QUOTE, APOSTROPHE, GREATER } from './bytes.ts'
import { XmlFault } from './error.ts'
import { readName } from './names.ts'

export type XmlEncoding = 'utf-8' | 'iso-8859-1'

const S = '[ \\t\\r\\n]'
const DECLARATION = new RegExp(
  `^<\\?xml${S}+version${S}*=${S}*(?:"([^"]*)"|'([^']*)')` +
    `(?:${S}+encoding${S}*=${S}*(?:"([A-Za-z][A-Za-z0-9._-]*)"|'([A-Za-z][A-Za-z0-9._-]*)'))?` +
    `(?:${S}+standalone${S}*=${S}*(?:"(?:yes|no)"|'(?:yes|no)'))?${S}*\\?>$`,
)

/** Reads `<?xml …?>`, whose bytes are `bytes[start, end)`, and says how the document is encoded. */
export function readDeclaration(bytes: Buffer, start: number, end: number): XmlEncoding {
  const match = DECLARATION.exec(bytes.toString('latin1', start, end))
  if (match === null) throw new XmlFault('declaration', 'The XML declaration is malformed.', start)
  const version = match[1] ?? match[2]
  if (version !== '1.0') throw new XmlFault('version', 'The document is not XML 1.0.', start)
  const encoding = (match[3] ?? match[4] ?? 'utf-8').toLowerCase()
  if (encoding === 'utf-8' || encoding === 'utf8' || encoding === 'us-ascii') return 'utf-8'
  if (encoding === 'iso-8859-1' || encoding === 'latin1') return 'iso-8859-1'
  throw new XmlFault(
    'encoding',
    `The document declares the encoding ${encoding}; only UTF-8 and ISO-8859-1 are read.`,
    start,
  )
}

const DOCTYPE = new RegExp(
  `^<!DOCTYPE${S}+([^ \\t\\r\\n>"'\\[]+)` +
    `(?:${S}+(?:SYSTEM|PUBLIC${S}+(?:"[^"]*"|'[^']*'))${S}+(?:"[^"]*"|'[^']*'))?${S}*>$`,
  'd',
)

/**
 * Finds the end of the DOCTYPE at `start` and checks its form; 0 when more bytes are needed. What it names is never
 * fetched, and an internal subset is refused, since entities are declared there.
 */
export function skipDoctype(bytes: Buffer, start: number, end: number): number {
  let quote = 0
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!
    if (quote !== 0) {
      if (byte === quote) quote = 0
    } else if (byte === DOUBLE_QUOTE || byte === APOSTROPHE) {
      quote = byte
    } else if (byte === BRACKET_OPEN) {
      throw new XmlFault(
        'doctype_subset',
        'The DOCTYPE has an internal subset, where entities are declared.',
        at,
      )
    } else if (byte === GREATER) {
      checkDoctype(bytes, start, at + 1)
      return at + 1
    }
  }
  return 0
}

function checkDoctype(bytes: Buffer, start: number, end: number): void {
  const name = DOCTYPE.exec(bytes.toString('latin1', start, end))?.indices?.[1]
  if (name === undefined) throw new XmlFault('doctype', 'The DOCTYPE is malformed.', start)
  try {
    readName(bytes, start + name[0], start + name[1])
  } catch {
    throw new XmlFault('doctype', 'The DOCTYPE names no element.', start)
  }
}

/** Checks the target of a processing instruction `<?…?>` whose content is `bytes[start, end)`. */
export function checkInstruction(bytes: Buffer, start: number, end: number): void {
  const space = /[ \t\r\n]/.exec(bytes.toString('latin1', start, Math.min(end, start + 1_024)))
  const target = readInstructionTarget(bytes, start, space === null ? end : start + space.index)
  if (target.toLowerCase() === 'xml') {
    throw new XmlFault('declaration', 'An XML declaration stands elsewhere than at the start.', start)
  }
}

function readInstructionTarget(bytes: Buffer, start: number, end: number): string {
  try {
    return readName(bytes, start, end)
  } catch {
    throw new XmlFault(
      'instruction',
      'A processing instruction has no target, or one that is no name.',
      start,
    )
  }
}
