import fc from 'fast-check'
import { expect, test } from 'vitest'

import { childOf, parseSmallXml, SmallXmlError, textAt } from './xml-small.ts'

function codeOf(text: string): string {
  try {
    parseSmallXml(text)
  } catch (error) {
    expect(error).toBeInstanceOf(SmallXmlError)
    return (error as SmallXmlError).code
  }
  return 'parsed'
}

test('a small document becomes objects whose leaves are strings, with arrays where asked', () => {
  const text = `<?xml version="1.0"?><!DOCTYPE R SYSTEM "https://example.com/r.dtd"><!-- c -->
    <R x="1"><n>007</n><list><Tag><id>9007199254740993</id></Tag></list><b>true</b><e/></R><!-- end -->`
  expect(parseSmallXml(text, new Set(['Tag']))).toEqual({
    R: { n: '007', list: { Tag: [{ id: '9007199254740993' }] }, b: 'true', e: '' },
  })
})

test('the five entities and numbers are decoded once, in text and not in CDATA', () => {
  const text = '<R><a>&amp;lt; &#65;&#x42; &quot;&apos; &nbsp;</a><b><![CDATA[&amp; <x>]]></b></R>'
  expect(parseSmallXml(text)).toEqual({ R: { a: `&lt; AB "' &nbsp;`, b: '&amp; <x>' } })
})

test('the white space beside CDATA and entities stays, that around a text goes', () => {
  expect(parseSmallXml('<R>\n <a>  x &amp; <![CDATA[<b> ]]> y\n</a>\n <c> </c></R>\n')).toEqual({
    R: { a: 'x & <b>  y', c: '' },
  })
})

test('numeric references beyond Unicode do no harm', () => {
  expect(parseSmallXml('<R>&#9999999;&#xFFFFFFFF;&#0;&#xD800;</R>')).toEqual({ R: '\uFFFD'.repeat(4) })
})

test('a document may hold many entities', () => {
  const node = parseSmallXml(`<R>${'<a>x &amp; y</a>'.repeat(5_000)}</R>`)
  expect(childOf(node, 'R')).toEqual({ a: Array.from({ length: 5_000 }, () => 'x & y') })
})

test('an entity bomb and an external entity are refused in a small document', () => {
  expect(codeOf('<!DOCTYPE R [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><R>&b;</R>')).toBe('entities')
  const external = codeOf('<!DOCTYPE R [<!ENTITY a SYSTEM "file:///etc/passwd">]><R>&a;</R>')
  expect(['entities', 'malformed']).toContain(external)
  expect(['entities', 'malformed']).toContain(codeOf('<R><!DOCTYPE R [<!ENTITY a "b">]>&a;</R>'))
})

test('element names that could pollute a prototype change none', () => {
  expect(codeOf('<R><__proto__><polluted>1</polluted></__proto__></R>')).toBe('malformed')
  const node = parseSmallXml('<R><toString>1</toString></R>')
  expect(typeof String(Object.keys(node))).toBe('string')
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  expect(textAt(node, 'R', 'valueOf')).toBeNull()
})

test('a document cut anywhere is never accepted', () => {
  const text = '<R><responseCode>SUCCESS</responseCode><data><Tag><id>1</id></Tag></data></R>'
  fc.assert(
    fc.property(fc.integer({ min: 0, max: text.length - 1 }), (length) => {
      expect(codeOf(text.slice(0, length))).toBe(length < 2 ? 'malformed' : 'cut')
    }),
  )
})

test('depth is limited, and what is not XML is told as such', () => {
  expect(codeOf('<a>'.repeat(100_000) + '</a>'.repeat(100_000))).toBe('malformed')
  expect(codeOf('Service unavailable')).toBe('malformed')
  expect(codeOf('{"error":"x"}')).toBe('malformed')
})
