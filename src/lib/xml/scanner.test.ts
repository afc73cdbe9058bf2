import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { expect, test } from 'vitest'
import { XmlError } from './error.ts'
import type { XmlLimits } from './limits.ts'
import { NameTable } from './names.ts'
import { CLOSE, DONE, NEED_BYTES, OPEN, XmlScanner } from './scanner.ts'

type Event = ['open', string, Record<string, string>] | ['close', string] | ['text', string]

/** What the scanner says of a document that comes in these chunks. */
function scan(
  chunks: readonly Buffer[],
  limits: Partial<XmlLimits> = {},
): { events: Event[]; scanner: XmlScanner } {
  const scanner = new XmlScanner(new NameTable(), limits)
  const events: Event[] = []
  let given = 0
  for (;;) {
    const token = scanner.next()
    if (token === DONE) return { events, scanner }
    if (token === NEED_BYTES) {
      const chunk = chunks[given]
      given += 1
      // A copy, so that bytes kept beyond their chunk would be noticed.
      if (chunk === undefined) scanner.end()
      else scanner.write(Buffer.from(chunk))
      continue
    }
    const text = scanner.text()
    if (text !== '') events.push(['text', text])
    const name = scanner.names.nameOf(scanner.name)
    if (token === CLOSE) events.push(['close', name])
    if (token === OPEN) {
      const attributes: Record<string, string> = Object.create(null) as Record<string, string>
      for (const attribute of scanner.attributes) attributes[attribute.name] = attribute.value
      events.push(['open', name, attributes])
    }
  }
}

const scanText = (xml: string) => scan([Buffer.from(xml)]).events

function scanOrCode(chunks: readonly Buffer[], limits: Partial<XmlLimits> = {}): Event[] | string {
  try {
    return scan(chunks, limits).events
  } catch (error) {
    if (error instanceof XmlError) return error.code
    throw error
  }
}

/** What saxes, a strict parser, says of the same document; null when it refuses it. */
function parseWithSaxes(xml: string): Event[] | null {
  const parser = new SaxesParser()
  const events: Event[] = []
  let depth = 0
  let text = ''
  const flush = () => {
    if (text !== '') events.push(['text', text])
    text = ''
  }
  parser.on('error', (error) => {
    throw error
  })
  const onText = (part: string) => {
    if (depth > 0) text += part
  }
  parser.on('text', onText)
  parser.on('cdata', onText)
  parser.on('opentag', (tag) => {
    flush()
    depth += 1
    events.push([
      'open',
      tag.name,
      Object.assign(Object.create(null), tag.attributes) as Record<string, string>,
    ])
  })
  parser.on('closetag', (tag) => {
    flush()
    depth -= 1
    events.push(['close', tag.name])
  })
  try {
    parser.write(xml).close()
    return events
  } catch {
    return null
  }
}

// --- generated documents ------------------------------------------------------------------------------------------

const nameArb = fc.constantFrom(
  'A',
  'HOST',
  'QID',
  'a.b-c',
  '_x',
  'n:s',
  'é',
  '名',
  '__proto__',
  'HOSTS',
  'constructor',
)
const plainTextArb = fc
  .array(
    fc.constantFrom(
      'a',
      ' ',
      '\n',
      '\r\n',
      '\r',
      '\t',
      'é',
      '漏',
      '😀',
      '\u0085',
      ']',
      ']]',
      "'",
      '"',
      '=',
      '0',
    ),
    {
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(''))
const referenceArb = fc.constantFrom(
  '&lt;',
  '&gt;',
  '&amp;',
  '&quot;',
  '&apos;',
  '&#13;',
  '&#xA;',
  '&#x1F600;',
  '&#0065;',
)
const commentArb = plainTextArb.map((text) => `<!--${text}<&>-${text}-->`.replaceAll(/-+-->/g, '-->'))
const cdataArb = fc
  .array(fc.constantFrom('<', '&amp;', ']', ']]', '>', '</HOST>', 'é', '\r\n', 'x', '\n', '<!--'), {
    maxLength: 8,
  })
  .map((parts) => `<![CDATA[${parts.join('').replaceAll(']]>', ']] >')}]]>`)
const instructionArb = plainTextArb.map((text) => `<?pi ${text.replaceAll('?>', '')}?>`)
const attributeArb = fc
  .tuple(
    fc.constantFrom('a', 'severity', 'x:y', '__proto__'),
    fc.array(fc.oneof(plainTextArb, referenceArb), { maxLength: 3 }),
  )
  .map(([name, parts]) => ({ name, text: `${name} = "${parts.join('').replaceAll('"', '')}>"` }))
const attributesArb = fc
  .uniqueArray(attributeArb, { maxLength: 3, selector: (attribute) => attribute.name })
  .map((attributes) => attributes.map((attribute) => ` ${attribute.text}`).join(''))

const { element: elementArb } = fc.letrec<{ element: string; content: string }>((tie) => ({
  element: fc
    .tuple(nameArb, attributesArb, fc.array(tie('content'), { maxLength: 4 }))
    .map(([name, attributes, content]) =>
      content.length === 0
        ? `<${name}${attributes}/>`
        : `<${name}${attributes}\n>${content.join('')}</${name} >`,
    ),
  content: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    plainTextArb.map((text) => text.replaceAll(']]>', '')),
    referenceArb,
    cdataArb,
    commentArb,
    instructionArb,
    tie('element'),
  ),
}))
const miscArb = fc.oneof(fc.constantFrom('', '\n', ' \r\n'), commentArb, instructionArb)
const documentArb = fc
  .tuple(
    fc.constantFrom('', '<?xml version="1.0" encoding="UTF-8" ?>', "<?xml version='1.0' standalone='yes'?>"),
    miscArb,
    fc.constantFrom(
      '',
      '<!DOCTYPE A SYSTEM "https://example.com/a.dtd">',
      '<!DOCTYPE A PUBLIC \'-//x\' "y>" >',
    ),
    miscArb,
    elementArb,
    miscArb,
  )
  .map((parts) => parts.join(''))

test('generated documents give the same events as a strict parser gives', () => {
  fc.assert(
    fc.property(documentArb, (xml) => {
      const expected = parseWithSaxes(xml)
      expect(expected).not.toBeNull()
      expect(scanText(xml)).toEqual(expected)
    }),
    { numRuns: 1_500 },
  )
})

test('a document gives the same events wherever it is split, and in chunks of one byte', () => {
  fc.assert(
    fc.property(documentArb, (xml) => {
      const bytes = Buffer.from(xml)
      const whole = scan([bytes]).events
      for (let at = 0; at <= bytes.length; at += 1) {
        expect(scan([bytes.subarray(0, at), bytes.subarray(at)]).events).toEqual(whole)
      }
      expect(scan(Array.from(bytes, (byte) => Buffer.from([byte]))).events).toEqual(whole)
    }),
    { numRuns: 60 },
  )
})

/** Where the scanner refuses on purpose what the parser lets pass. */
const STRICTER_CODES = new Set([
  'doctype',
  'doctype_subset',
  'encoding',
  'version',
  'declaration',
  'instruction',
])

const mutationArb = fc.array(
  fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('delete', 'insert', 'replace', 'double'),
    what: fc.constantFrom(
      ...Array.from('<>&;"\'/!?-[]= \r\nax:0#'),
      '<!--',
      '-->',
      ']]>',
      '<![CDATA[',
      '<?',
      '?>',
      '</A>',
      '<A>',
      '&#',
      '&x;',
      '--',
    ),
  }),
  { minLength: 1, maxLength: 3 },
)

function mutate(xml: string, mutations: readonly { at: number; kind: string; what: string }[]): string {
  let chars = Array.from(xml)
  for (const { at, kind, what } of mutations) {
    const index = at % (chars.length + 1)
    const rest = chars.slice(kind === 'delete' || kind === 'replace' ? index + 1 : index)
    const put = kind === 'delete' ? [] : kind === 'double' ? chars.slice(index, index + 3) : [what]
    chars = [...chars.slice(0, index), ...put, ...rest]
  }
  return chars.join('')
}

test('broken documents are refused by both, or read the same by both', () => {
  fc.assert(
    fc.property(documentArb, mutationArb, (xml, mutations) => {
      const broken = mutate(xml, mutations)
      const fromSaxes = parseWithSaxes(broken)
      const result = scanOrCode([Buffer.from(broken)])
      if (typeof result === 'string') {
        if (!STRICTER_CODES.has(result))
          expect({ broken, events: fromSaxes, result }).toEqual({ broken, events: null, result })
      } else if (broken.trimStart().startsWith('<') && broken.startsWith('<')) {
        expect({ broken, events: result }).toEqual({ broken, events: fromSaxes })
      }
      const chunked = scanOrCode(Array.from(Buffer.from(broken), (byte) => Buffer.from([byte])))
      expect(chunked).toEqual(result)
    }),
    { numRuns: 4_000 },
  )
})
