import { SaxesParser } from 'saxes'
import { expect, test } from 'vitest'
import { XmlError } from './error.ts'
import type { XmlLimits } from './limits.ts'
import { NameTable } from './names.ts'
import { CLOSE, DONE, NEED_BYTES, XmlScanner } from './scanner.ts'
import { XmlTreeBuilder, innerText } from './tree.ts'

interface Result {
  texts: string[]
  attributes: string[]
  repairedChars: number
  junkBytes: number
}

function scan(input: string | Buffer, limits: Partial<XmlLimits> = {}, chunkBytes = 1_000_000): Result {
  const scanner = new XmlScanner(new NameTable(), limits)
  const bytes = Buffer.from(input)
  const result: Result = { texts: [], attributes: [], repairedChars: 0, junkBytes: 0 }
  let at = 0
  for (;;) {
    const token = scanner.next()
    if (token === DONE) break
    if (token === NEED_BYTES) {
      if (at >= bytes.length) scanner.end()
      else scanner.write(bytes.subarray(at, at + chunkBytes))
      at += chunkBytes
    } else if (token === CLOSE) {
      if (scanner.isLeaf) result.texts.push(scanner.text())
    } else {
      result.attributes.push(...scanner.attributes.map((attribute) => attribute.value))
    }
  }
  return { ...result, repairedChars: scanner.repairedChars, junkBytes: scanner.junkBytes }
}

function codeOf(input: string | Buffer, limits: Partial<XmlLimits> = {}, chunkBytes = 1_000_000): string {
  try {
    scan(input, limits, chunkBytes)
    return 'well-formed'
  } catch (error) {
    if (error instanceof XmlError) return error.code
    throw error
  }
}

test('entity bombs and external entities are refused, and no entity beyond the five is known', () => {
  const laughs = Array.from(
    { length: 9 },
    (_, index) => `<!ENTITY l${index + 1} "${`&l${index};`.repeat(10)}">`,
  )
  expect(codeOf(`<!DOCTYPE a [<!ENTITY l0 "ha">${laughs.join('')}]><a>&l9;</a>`)).toBe('doctype_subset')
  expect(codeOf('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>')).toBe('doctype_subset')
  expect(codeOf('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://192.0.2.1/"> %x;]><a/>')).toBe('doctype_subset')
  expect(codeOf('<!DOCTYPE a SYSTEM "http://192.0.2.1/x.dtd"><a>&x;</a>')).toBe('entity')
  for (const entity of [
    '&nbsp;',
    '&LT;',
    '&toString;',
    '&__proto__;',
    '&;',
    '& ',
    '&amp',
    `&${'a'.repeat(50)};`,
  ]) {
    expect([entity, codeOf(`<a>${entity}</a>`)]).toEqual([entity, 'entity'])
    expect([entity, codeOf(`<a b="${entity}"/>`)]).toEqual([entity, 'entity'])
  }
})

test('numeric references are bounded to the characters that XML allows', () => {
  const bad = [
    '&#9999999;',
    '&#x110000;',
    '&#xD800;',
    '&#xDFFF;',
    '&#0;',
    '&#1;',
    '&#xB;',
    '&#xFFFE;',
    '&#xFFFF;',
    '&#;',
    '&#x;',
    '&#X41;',
    '&#-1;',
    '&#1e2;',
    '&#99999999999999999999;',
  ]
  for (const reference of bad) {
    expect([reference, codeOf(`<a>${reference}</a>`)]).toEqual([reference, 'character_reference'])
    expect([reference, codeOf(`<a b='${reference}'/>`)]).toEqual([reference, 'character_reference'])
  }
  expect(scan('<a>&#65;&#x1F600;&#xFFFD;&#x10FFFF;&#9;&#13;&#xA;</a>').texts).toEqual([
    'A\u{1F600}\uFFFD\u{10FFFF}\t\r\n',
  ])
})

test('every limit holds, and its message names the unit', () => {
  const messageOf = (input: string, limits: Partial<XmlLimits>) => {
    try {
      scan(input, limits)
      return 'well-formed'
    } catch (error) {
      if (!(error instanceof XmlError) || error.code !== 'limit') throw error
      return error.message
    }
  }
  const deep = 1_000_000
  expect(messageOf('<a>'.repeat(deep) + '</a>'.repeat(deep), {})).toContain('64 deep')
  expect(messageOf(`<a b="${'x'.repeat(100_000)}"/>`, {})).toContain('65536 bytes')
  expect(messageOf(`<a ${'b'.repeat(300)}="x"/>`, {})).toContain('256 bytes')
  expect(messageOf(`<${'b'.repeat(300)}/>`, {})).toContain('256 bytes')
  const attributes = Array.from({ length: 65 }, (_, index) => `a${index}="x"`).join(' ')
  expect(messageOf(`<a ${attributes}/>`, {})).toContain('64 attributes')
  const names = Array.from({ length: 2_001 }, (_, index) => `<n${index}/>`).join('')
  expect(messageOf(`<a>${names}</a>`, {})).toContain('2000 different')
  expect(messageOf(`<a>${'x'.repeat(101)}</a>`, { textBytesMax: 100 })).toContain('100 bytes')
  expect(messageOf(`<a><![CDATA[${'x'.repeat(101)}]]></a>`, { textBytesMax: 100 })).toContain('100 bytes')
  expect(messageOf(`<a>${'<!-- -->'.repeat(20)}</a>`, { textBytesMax: 100 })).toContain('100 bytes')
  expect(messageOf(`<a><?p ${'x'.repeat(100_000)}?></a>`, {})).toContain('65536 bytes')
  expect(messageOf(`<!DOCTYPE a SYSTEM "${'x'.repeat(100_000)}"><a/>`, {})).toContain('65536 bytes')
  expect(messageOf(`<a>${'<b>x</b>'.repeat(100)}</a>`, { totalBytesMax: 500 })).toContain('500 bytes')
})

test('a text without end is refused before it fills the memory, in chunks of any size', () => {
  const endless = `<a><b>${'x'.repeat(300_000)}`
  for (const chunkBytes of [100, 4_096, 65_536]) {
    expect(codeOf(endless, { textBytesMax: 100_000, markupBytesMax: 1_000 }, chunkBytes)).toBe('limit')
  }
})

test('a document that is cut at any byte is an error', () => {
  const xml =
    '\uFEFF<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE a SYSTEM "x"><!-- c --><a b="1&amp;2">é&#65;<![CDATA[x]]]>' +
    ']]><!-- d --><?p q?><c/></a>'
  const bytes = Buffer.from(xml.replace(']]]>]]>', ']]]]>'))
  for (let length = 0; length < bytes.length; length += 1) {
    expect(['truncated', 'no_root']).toContain(codeOf(bytes.subarray(0, length)))
  }
  expect(codeOf(bytes)).toBe('well-formed')
})

test('after the root only comments, instructions and white space may follow, and they have to be whole', () => {
  for (const after of ['', ' \r\n\t', '<!-- x -->', '<?p x?>', '\n<!-- a --><!-- b -->\n']) {
    expect(codeOf(`<a/>${after}`)).toBe('well-formed')
  }
  for (const after of ['x', '<b/>', '</a>', '&amp;', '<![CDATA[]]>', '\u0000', '<a']) {
    expect(['after_root', 'section']).toContain(codeOf(`<a/>${after}`))
  }
  expect(codeOf('<a/><!-- x')).toBe('truncated')
  expect(codeOf('<a/><!DOCTYPE a>')).toBe('doctype')
  expect(codeOf('<a/><')).toBe('truncated')
})

test('what stands before the document is passed and counted, up to a limit', () => {
  expect(scan(' \r\n junk <a>x</a>')).toMatchObject({ texts: ['x'], junkBytes: 9 })
  expect(scan('x<?xml version="1.0"?><a>x</a>')).toMatchObject({ texts: ['x'], junkBytes: 1 })
  expect(scan('\uFEFF<a>x</a>')).toMatchObject({ texts: ['x'], junkBytes: 0 })
  expect(codeOf(`${'x'.repeat(70_000)}<a/>`)).toBe('junk_too_long')
  expect(codeOf('<?xml version="1.0"?>junk<a/>')).toBe('no_root')
  expect(codeOf('')).toBe('no_root')
  expect(codeOf('   ')).toBe('no_root')
  expect(codeOf('no XML at all')).toBe('no_root')
  expect(codeOf('</a>')).toBe('no_root')
})

test('UTF-16, other encodings and other versions are refused; ISO-8859-1 is read', () => {
  const utf16 = Buffer.from('<?xml version="1.0"?><a>x</a>', 'utf16le')
  expect(codeOf(utf16)).toBe('encoding')
  expect(codeOf(Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]))).toBe('encoding')
  expect(codeOf(Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(utf16).swap16()]))).toBe('encoding')
  expect(codeOf(Buffer.from(utf16).swap16())).toBe('encoding')
  for (const encoding of ['UTF-16', 'windows-1252', 'EBCDIC-CP-US', 'UTF-7']) {
    expect(codeOf(`<?xml version="1.0" encoding="${encoding}"?><a/>`)).toBe('encoding')
  }
  expect(codeOf('<?xml version="1.1"?><a/>')).toBe('version')
  const latin1 = Buffer.from(
    '<?xml version="1.0" encoding="ISO-8859-1"?><a b="\u00E9">caf\u00E9 \u00FF</a>',
    'latin1',
  )
  for (const chunkBytes of [1, 5, 1_000]) {
    expect(scan(latin1, {}, chunkBytes)).toMatchObject({
      texts: ['caf\u00E9 \u00FF'],
      attributes: ['\u00E9'],
      repairedChars: 0,
    })
  }
})

test('bytes that are not UTF-8 and characters that XML forbids become U+FFFD and are counted', () => {
  const cases: [number[], string, number][] = [
    [[0x00], '\uFFFD', 1],
    [[0x07, 0x1f, 0x0b], '\uFFFD\uFFFD\uFFFD', 3],
    [[0x7f], '\u007F', 0],
    [[0xc3], '\uFFFD', 1],
    [[0xc3, 0x28], '\uFFFD(', 1],
    [[0xe2, 0x82], '\uFFFD', 1],
    [[0xe2, 0x28, 0xa1], '\uFFFD(\uFFFD', 2],
    [[0xf0, 0x9f, 0x98], '\uFFFD', 1],
    [[0xc0, 0xaf], '\uFFFD\uFFFD', 2],
    [[0xed, 0xa0, 0x80], '\uFFFD\uFFFD\uFFFD', 3],
    [[0xf5, 0x80], '\uFFFD\uFFFD', 2],
    [[0xef, 0xbf, 0xbe], '\uFFFD', 1],
    [[0xef, 0xbf, 0xbf], '\uFFFD', 1],
    [[0xef, 0xbf, 0xbd], '\uFFFD', 0],
    [[0xf4, 0x8f, 0xbf, 0xbf], '\u{10FFFF}', 0],
    [[0xf4, 0x90, 0x80, 0x80], '\uFFFD\uFFFD\uFFFD\uFFFD', 4],
  ]
  for (const [bytes, expected, repairedChars] of cases) {
    const around = (before: string, after: string) =>
      Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)])
    for (const chunkBytes of [1, 1_000]) {
      const text = scan(around('<a>x', 'y</a>'), {}, chunkBytes)
      expect(text).toMatchObject({ texts: [`x${expected}y`], repairedChars })
      expect(scan(around('<a>', '</a>'), {}, chunkBytes)).toMatchObject({ texts: [expected], repairedChars })
      const cdata = scan(around('<a><![CDATA[x', ']]></a>'), {}, chunkBytes)
      expect(cdata).toMatchObject({ texts: [`x${expected}`], repairedChars })
      const attribute = scan(around('<a b="x', '"/>'), {}, chunkBytes)
      expect(attribute).toMatchObject({ attributes: [`x${expected}`], repairedChars })
    }
  }
  const oddName = Buffer.concat([Buffer.from('<a'), Buffer.from([0xc3, 0xc3]), Buffer.from('/>')])
  expect(codeOf(oddName)).toBe('name')
  expect(codeOf('<a\u0000/>')).toBe('tag')
})

test('repaired text is what a parser reads from the same document after replacement', () => {
  let seed = 1
  const random = (max: number) => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) % max
  for (let round = 0; round < 2_000; round += 1) {
    const interesting = [
      0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0x0d, 0x0a, 0x00, 0x41, 0xff, 0xef,
      0xbf, 0xbe,
    ]
    const noise = Buffer.from(
      Array.from({ length: 1 + random(8) }, () => interesting[random(interesting.length)]!),
    )
    const bytes = Buffer.concat([
      Buffer.from('<a>'),
      noise,
      Buffer.from('<![CDATA['),
      noise,
      Buffer.from(']]></a>'),
    ])
    const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    const isForbidden = (char: string) =>
      (char < ' ' && !'\t\n\r'.includes(char)) || '\uFFFE\uFFFF'.includes(char)
    const repaired = Array.from(decoded, (char) => (isForbidden(char) ? '\uFFFD' : char)).join('')
    const texts: string[] = []
    const parser = new SaxesParser()
    parser.on('text', (text) => texts.push(text))
    parser.on('cdata', (text) => texts.push(text))
    parser.write(repaired).close()
    const expected = texts.join('')
    for (const chunkBytes of [1, 1_000]) expect(scan(bytes, {}, chunkBytes).texts).toEqual([expected])
  }
})

test('line ends are folded in text and CDATA, but not those that are written as references', () => {
  expect(scan('<a>1\r\n2\r3\n4\r\r\n5&#13;&#10;6<![CDATA[\r\n7\r]]>\n</a>').texts).toEqual([
    '1\n2\n3\n4\n\n5\r\n6\n7\n\n',
  ])
  expect(scan('<a b="1\r\n2\t3\n4&#10;5"/>').attributes).toEqual(['1 2 3 4\n5'])
})

test('close tags have to match exactly, for known and for unknown elements', () => {
  for (const xml of [
    '<HOST></HOSTS>',
    '<HOST></HOS>',
    '<HOST></host>',
    '<HOST></ HOST>',
    '<HOST></HOST x="">',
    '<HOST></HOST/>',
    '<a><b></a></b>',
    '<HOST></>',
    '<é></e>',
  ]) {
    expect([xml, codeOf(xml)]).toEqual([xml, 'close_tag'])
  }
  expect(codeOf('<HOST></HOST \r\n\t>')).toBe('well-formed')
})

test('attributes are checked like a parser does', () => {
  for (const xml of [
    '<a b/>',
    '<a b=c/>',
    '<a b="x" b="y"/>',
    '<a b="<"/>',
    '<a 1="x"/>',
    '<a ="x"/>',
    '<a b = x"/>',
  ]) {
    expect(['attribute', 'name']).toContain(codeOf(xml))
  }
  expect(codeOf('<a b="x"c="y"/>')).toBe('tag')
  expect(codeOf('<a/ >')).toBe('tag')
  expect(codeOf('<a b="x>')).toBe('truncated')
})

test('comments hold no "--", and sections are only what XML knows', () => {
  expect(codeOf('<a><!-- a -- b --></a>')).toBe('comment')
  expect(codeOf('<a><!-- a ---></a>')).toBe('comment')
  expect(codeOf('<a><!----><!-- - --></a>')).toBe('well-formed')
  for (const xml of ['<a><!X></a>', '<a><![CDATA x]]></a>', '<a><!DOCTYPE b></a>', '<a><!-x--></a>'])
    expect(codeOf(xml)).toBe('section')
  expect(codeOf('<a>]]></a>')).toBe('cdata_end_in_text')
  expect(codeOf('<a>]<!-- x -->]&gt;]]&gt;</a>')).toBe('well-formed')
  expect(codeOf('<a>< b/></a>')).toBe('tag')
})

test('names such as __proto__ are names like any other', () => {
  expect(scan('<__proto__ __proto__="1" constructor="2"><toString>x</toString></__proto__>')).toMatchObject({
    texts: ['x'],
    attributes: ['1', '2'],
  })
})

test('an error says where in the document it is, across chunks', () => {
  const xml = `<a>${'<b>x</b>'.repeat(100)}<c></d></a>`
  for (const chunkBytes of [1, 50, 10_000]) {
    try {
      scan(xml, {}, chunkBytes)
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ name: 'XmlError', code: 'close_tag', byteOffset: xml.indexOf('</d>') })
    }
  }
})

test('the marked part of a document can be had as it came, over chunks of any size', () => {
  const record = `<r a="1">é&amp;<![CDATA[</r>]]><x/>${'y'.repeat(100)}</r>`
  const bytes = Buffer.from(`<a>${record}<q/>${record}</a>`)
  for (const chunkBytes of [1, 7, 64, 10_000]) {
    const scanner = new XmlScanner()
    const seen: string[] = []
    let at = 0
    for (let token = scanner.next(); token !== DONE; token = scanner.next()) {
      if (token === NEED_BYTES) {
        if (at >= bytes.length) scanner.end()
        else scanner.write(Buffer.from(bytes.subarray(at, at + chunkBytes)))
        at += chunkBytes
      } else if (scanner.names.nameOf(scanner.name) === 'r') {
        if (token === CLOSE) {
          seen.push(scanner.markedRaw(1_000), scanner.markedRaw(5))
          scanner.unmark()
        } else scanner.mark()
      }
    }
    expect(seen).toEqual([record, record.slice(0, 5), record, record.slice(0, 5)])
  }
})

test('a small tree keeps elements, attributes and text, and can be written as XML again', () => {
  const inner = '<b x="1&quot;&lt;">t&amp;t</b><c></c><b>é<d>z</d>u</b>'
  const scanner = new XmlScanner()
  const tree = new XmlTreeBuilder()
  scanner.write(Buffer.from(`<a>\n ${inner.replaceAll('><b', '>\n  <b')}\n</a>`))
  scanner.end()
  tree.begin('a', [])
  scanner.next()
  let token = scanner.next()
  while (scanner.depth > 1) {
    tree.add(token, scanner)
    token = scanner.next()
  }
  const root = tree.end(scanner)
  expect(innerText(root)).toBe(inner)
  expect(tree.isActive).toBe(false)
})
