import fc from 'fast-check'
import { expect, test } from 'vitest'

import { findRoot } from './root.ts'

const BOM = '\u00EF\u00BB\u00BF'

test.each([
  ['<A>', 'A'],
  ['<A/>', 'A'],
  ['<A x="1">', 'A'],
  [`${BOM}<?xml version="1.0"?>\n<A>`, 'A'],
  ['  \n junk at the head <?xml version="1.0"?><A>', 'A'],
  ['<?xml version="1.0"?><!DOCTYPE A SYSTEM "https://x.example/a.dtd?a>b"><!-- <B> --><A>', 'A'],
  ["<!DOCTYPE A PUBLIC '>' '>'><A>", 'A'],
  ['<!-- keep-alive --><!-- keep-alive --><HOST_LIST_OUTPUT>', 'HOST_LIST_OUTPUT'],
])('the root element is found past whatever may stand before it: %s', (text, name) => {
  expect(findRoot(text, false)).toEqual({ kind: 'root', name })
})

test.each([
  ['<!doctype html><html>', 'html'],
  ['<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN"><HTML>', 'html'],
  ['<html lang="en">', 'html'],
  ['  {"message":"x"}', 'json'],
  ['[{"response":{}}]', 'json'],
  [' \r\n', 'empty'],
  ['', 'empty'],
  ['Service unavailable', 'other'],
  ['<!-- never ends', 'other'],
  ['<1>', 'other'],
])('what is no XML document is told apart: %s', (text, kind) => {
  expect(findRoot(text, true).kind).toBe(kind)
})

test('a beginning never says anything else than the whole does', () => {
  const whole = `${BOM} junk <?xml version="1.0"?><!DOCTYPE A SYSTEM "a.dtd"><!-- <B> --><ABC x="1"><html>`
  const html = `<!DOCTYPE   html PUBLIC "x"><html>`
  fc.assert(
    fc.property(fc.constantFrom(whole, html), fc.nat(), (text, cut) => {
      const part = findRoot(text.slice(0, cut % (text.length + 1)), false)
      expect([{ kind: 'more' }, findRoot(text, true)]).toContainEqual(part)
    }),
  )
})
