import fc from 'fast-check'
import { expect, test } from 'vitest'

import { anyBlocks } from '../../test/support/any-blocks.ts'
import {
  type Block,
  blocksSize,
  cleanText,
  code,
  codeBlock,
  cutBlocks,
  cutText,
  expand,
  heading,
  link,
  list,
  panel,
  paragraph,
  rule,
  safeHref,
  singleLine,
  strong,
  table,
  text,
} from './blocks.ts'
import { blocksToText } from './blocks-text.ts'

test('blocks read well in a terminal: aligned tables, indented lists and code', () => {
  const shown = blocksToText([
    heading(1, 'KB5031234'),
    paragraph([
      text('On '),
      strong('2'),
      text(' hosts, see '),
      link('Patchbay', 'https://patchbay.example.com/'),
    ]),
    table(
      ['Host', 'IP', 'First found'],
      [
        ['web-01.example.com', '192.0.2.5', '2026-08-01'],
        ['db', '192.0.2.16', [code('—')]],
      ],
    ),
    list(['one', [paragraph('two'), list(['deeper'])]], { ordered: true }),
    expand('Solution', [codeBlock('yum update\nreboot')]),
    panel('warning', [paragraph('Known exploited')]),
    rule(),
  ])
  expect(shown).toBe(
    `KB5031234
=========

On 2 hosts, see Patchbay <https://patchbay.example.com/>

Host                IP          First found
──────────────────  ──────────  ───────────
web-01.example.com  192.0.2.5   2026-08-01
db                  192.0.2.16  —

1. one
2. two

   - deeper

▸ Solution
      yum update
      reboot

│ Known exploited

────────────────────────────────────────`,
  )
})

test('the terminal gets no control sequence and no reversed text from the data', () => {
  const hostile = '\u001b[2J\u001b]0;owned\u0007 \u202efdp.exe \u0000\u009b31m'
  const shown = blocksToText([
    heading(3, hostile),
    paragraph([link(hostile, `javascript:${hostile}`)]),
    table([hostile], [[hostile]]),
    codeBlock(hostile),
    expand(hostile, [list([hostile])]),
  ])
  // oxlint-disable-next-line no-control-regex
  expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/u)
  expect(shown).toContain('[2J')
})

test('any blocks can be shown as text', () => {
  fc.assert(
    fc.property(anyBlocks(), (blocks) => {
      // oxlint-disable-next-line no-control-regex
      expect(blocksToText(blocks)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/u)
    }),
  )
})

test('nesting deeper than the limit is shown as an ellipsis instead of failing', () => {
  let blocks: readonly Block[] = [paragraph('bottom')]
  for (let depth = 0; depth < 50; depth += 1) blocks = [expand(`level ${depth}`, blocks)]
  expect(blocksToText(blocks)).toContain('…')
})

test('cut blocks fit, end with the note, and are cut only when they have to be', () => {
  fc.assert(
    fc.property(anyBlocks(), fc.integer({ min: 100, max: 2_000 }), (blocks, charsMax) => {
      const { blocks: kept, cut } = cutBlocks(blocks, charsMax, '… cut')
      expect(cut).toBe(blocksSize(blocks) > charsMax)
      expect(blocksSize(kept)).toBeLessThanOrEqual(charsMax)
      if (cut) expect(blocksToText(kept)).toMatch(/… cut$/u)
      else expect(kept).toBe(blocks)
    }),
  )
})

test('a table that is too long keeps its header and its first rows', () => {
  const rows = Array.from({ length: 100 }, (_, index) => [`host-${index}`])
  const { blocks } = cutBlocks([table(['Host'], rows), paragraph('after')], 500)
  const [first, last, ...more] = blocks
  expect(first).toMatchObject({ kind: 'table', header: [[{ text: 'Host' }]] })
  expect(first?.kind === 'table' ? first.rows.length : 0).toBeGreaterThan(10)
  expect(last).toMatchObject({ kind: 'paragraph' })
  expect(more).toEqual([])
})

test('cleaned text is well formed and has no control characters but tab and line end', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 20 }), (value, charsMax) => {
      const clean = cleanText(value)
      expect(clean.isWellFormed()).toBe(true)
      expect(cleanText(clean)).toBe(clean)
      // oxlint-disable-next-line no-control-regex
      expect(clean).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/u)
      expect(singleLine(value)).not.toMatch(/\n|^\s|\s$/u)
      expect(cutText(clean, charsMax).length).toBeLessThanOrEqual(charsMax)
      expect(cutText(clean, charsMax).isWellFormed()).toBe(true)
    }),
  )
})

test('only http, https and mailto without credentials become links', () => {
  expect(['https://example.com/a?b=c#d', 'http://example.com', 'mailto:a@example.com'].map(safeHref)).toEqual(
    ['https://example.com/a?b=c#d', 'http://example.com/', 'mailto:a@example.com'],
  )
  const refused = [
    'javascript:alert(1)',
    'JAVASCRIPT:alert(1)',
    ' java\nscript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'https://user:password@example.com/',
    'relative/path',
    '//example.com',
    '',
    `https://example.com/${'x'.repeat(3_000)}`,
  ]
  expect(refused.map(safeHref)).toEqual(refused.map(() => undefined))
})
