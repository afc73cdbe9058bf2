import type { ActiveFault, Fault, TextFault } from './faults.ts'
import { chunk } from './render/xml.ts'
import type { Chunk } from './render/xml.ts'

const RESULTS_START = '<RESULTS><![CDATA['

/** Bytes that no well-formed XML may hold, or that are not the UTF-8 the prolog promises. */
const INTRUDERS = {
  nul: Buffer.from([0x61, 0x00, 0x62]),
  control: Buffer.from([0x01, 0x08, 0x0b, 0x1b, 0x1f]),
  'invalid-utf8': Buffer.from([0xc3, 0x28, 0xff, 0xe2, 0x82]),
  latin1: Buffer.from('M\u00fcller \u00e9', 'latin1'),
}

const TEXT_KINDS = new Set<Fault['kind']>([
  'prefix',
  'suffix',
  'no-prolog',
  'entity-bomb',
  'odd-comments',
  'comments-after-root',
  'two-host-lists',
  'unknown-elements',
  'in-results',
  'generic-return',
])

/** The answer with all text faults of the call applied, still chunk by chunk. */
export function withTextFaults(chunks: Iterable<Chunk>, active: readonly ActiveFault[]): Iterable<Chunk> {
  let result = chunks
  for (const { fault } of active) {
    if (isTextFault(fault)) result = apply(result, fault)
  }
  return result
}

function isTextFault(fault: Fault): fault is TextFault {
  return TEXT_KINDS.has(fault.kind)
}

function apply(chunks: Iterable<Chunk>, fault: TextFault): Iterable<Chunk> {
  switch (fault.kind) {
    case 'prefix':
      return surround(chunks, fault.text, '')
    case 'suffix':
      return surround(chunks, '', fault.text)
    case 'comments-after-root':
      return surround(chunks, '', '\n<!-- keep-alive for NOTHING  -->\n\n<!-- <HOST><ID>1</ID></HOST> -->\n')
    case 'in-results':
      return inResults(chunks, fault)
    case 'generic-return':
      return genericReturn(chunks, fault.afterItems ?? 1)
    case 'two-host-lists':
      return twoLists(chunks)
    case 'no-prolog':
    case 'entity-bomb':
    case 'odd-comments':
    case 'unknown-elements':
      return edit(chunks, fault.kind)
  }
}

function* surround(chunks: Iterable<Chunk>, before: string, after: string): Generator<Chunk> {
  if (before !== '') yield chunk('text', before)
  yield* chunks
  if (after !== '') yield chunk('text', after)
}

type EditKind = 'no-prolog' | 'entity-bomb' | 'odd-comments' | 'unknown-elements'

function* edit(chunks: Iterable<Chunk>, kind: EditKind): Generator<Chunk> {
  for (const part of chunks) {
    if (kind === 'no-prolog' && part.kind === 'prolog') continue
    if (kind === 'entity-bomb' && part.kind === 'doctype') yield chunk('doctype', bombed(String(part.data)))
    else if (kind === 'odd-comments' && part.kind.startsWith('item')) yield withComments(part)
    else if (kind === 'unknown-elements' && part.kind === 'item') yield withUnknownElements(part)
    else yield part
    if (kind === 'entity-bomb' && part.kind === 'open') yield chunk('text', '    <NOTE>&e9;</NOTE>\n')
    if (kind === 'odd-comments') yield chunk('comment', '<!-- keep-alive for OUTPUT  -->\n')
  }
}

/** Ten times ten entities nine levels deep: a parser that expands them dies of memory. */
function bombed(doctype: string): string {
  const levels = Array.from({ length: 9 }, (_, n) => `<!ENTITY e${n + 1} "${`&e${n};`.repeat(10)}">`)
  return doctype.replace(/>\n$/, ` [\n<!ENTITY e0 "boom">\n${levels.join('\n')}\n]>\n`)
}

function withComments(part: Chunk): Chunk {
  const text = String(part.data).replaceAll('</QID>\n', '</QID><!-- keep-alive -->\n<!---->\n')
  return chunk(part.kind, text.replaceAll('</ID>\n', '</ID>\n<!-- <ID>1</ID> -->'))
}

function withUnknownElements(part: Chunk): Chunk {
  const extra = '<NEW_THING level="1"><INNER>7</INNER><HOST_LIST_NOTE/></NEW_THING>\n'
  const text = String(part.data).replaceAll('</QID>\n', `</QID>\n            ${extra}`)
  return chunk(part.kind, text.replace('</ID>\n', `</ID>\n        ${extra}`))
}

function* inResults(
  chunks: Iterable<Chunk>,
  fault: { what: keyof typeof INTRUDERS; hostId?: string },
): Generator<Chunk> {
  let isPlaced = false
  let hostId = ''
  for (const part of chunks) {
    if (part.kind === 'item') hostId = /<ID>(\d+)<\/ID>/.exec(String(part.data))?.[1] ?? ''
    const isHere =
      !isPlaced && part.kind.startsWith('item') && (fault.hostId === undefined || fault.hostId === hostId)
    const data = Buffer.from(part.data)
    const at = isHere ? data.indexOf(RESULTS_START) : -1
    if (at < 0) {
      yield part
      continue
    }
    isPlaced = true
    const split = at + RESULTS_START.length
    yield chunk(
      part.kind,
      Buffer.concat([data.subarray(0, split), INTRUDERS[fault.what], data.subarray(split)]),
    )
  }
}

/** The far side's own end of the story in the middle of a list: no closing root, no more hosts. */
function* genericReturn(chunks: Iterable<Chunk>, afterItems: number): Generator<Chunk> {
  let items = 0
  for (const part of chunks) {
    if (part.kind === 'item' && ++items > afterItems) break
    if (part.kind === 'warning' || part.kind === 'close') break
    yield part
  }
  yield chunk(
    'text',
    '<GENERIC_RETURN>\n  <API name="list" />\n  <RETURN status="FAILED" number="999">\n    Internal error\n  </RETURN>\n</GENERIC_RETURN>\n',
  )
}

function* twoLists(chunks: Iterable<Chunk>): Generator<Chunk> {
  let items = 0
  for (const part of chunks) {
    if (part.kind === 'item' && ++items === 2) yield chunk('open', '    </HOST_LIST>\n    <HOST_LIST>\n')
    yield part
  }
}
