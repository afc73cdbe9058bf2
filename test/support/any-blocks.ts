import fc from 'fast-check'

import { type Block, BLOCK_DEPTH_MAX, type Inline, type Mark } from '../../src/model/blocks.ts'

const HOSTILE = [
  '',
  ' ',
  '\n',
  '\r\n',
  '\u0000',
  '\ud800',
  '\u202e',
  'patchbay:begin',
  'patchbay:end',
  '{code}',
  '[~admin]',
  '!x.png!',
]
const HREFS = [
  'https://example.com/a',
  'mailto:a@example.com',
  'javascript:alert(1)',
  'data:,x',
  '',
  '\u0000',
]

function anyText(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ maxLength: 40 }),
    fc.constantFrom(...HOSTILE),
  )
}

function anyInline(): fc.Arbitrary<Inline> {
  const marks = fc.subarray<Mark>(['strong', 'em', 'code'])
  return fc.oneof(
    fc.record({ kind: fc.constant('text' as const), text: anyText() }),
    fc.record({ kind: fc.constant('text' as const), text: anyText(), marks }),
    fc.record({
      kind: fc.constant('link' as const),
      text: anyText(),
      href: fc.oneof(fc.constantFrom(...HREFS), anyText(), fc.webUrl()),
    }),
  )
}

const anyInlines = (): fc.Arbitrary<Inline[]> => fc.array(anyInline(), { maxLength: 4 })

function leaf(): fc.Arbitrary<Block> {
  const row = fc.array(anyInlines(), { maxLength: 4 })
  return fc.oneof(
    fc.record({
      kind: fc.constant('heading' as const),
      level: fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const, 5 as const, 6 as const),
      content: anyInlines(),
    }),
    fc.record({ kind: fc.constant('paragraph' as const), content: anyInlines() }),
    fc.record({ kind: fc.constant('table' as const), header: row, rows: fc.array(row, { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('code' as const), text: anyText(), language: anyText() }),
    fc.record({ kind: fc.constant('code' as const), text: anyText() }),
    fc.record({ kind: fc.constant('rule' as const) }),
  )
}

/** Any blocks at all, with empty and hostile texts, nested deeper than any renderer goes. */
export function anyBlocks(): fc.Arbitrary<Block[]> {
  const { blocks } = fc.letrec<{ block: Block; blocks: Block[] }>((tie) => ({
    block: fc.oneof(
      { maxDepth: BLOCK_DEPTH_MAX + 2, depthSize: 'small' },
      leaf(),
      fc.record({
        kind: fc.constant('list' as const),
        ordered: fc.boolean(),
        items: fc.array(tie('blocks'), { maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('expand' as const), title: anyText(), blocks: tie('blocks') }),
      fc.record({
        kind: fc.constant('panel' as const),
        tone: fc.constantFrom(
          'info' as const,
          'note' as const,
          'success' as const,
          'warning' as const,
          'error' as const,
        ),
        blocks: tie('blocks'),
      }),
    ),
    blocks: fc.array(tie('block'), { maxLength: 4 }),
  }))
  return blocks
}
