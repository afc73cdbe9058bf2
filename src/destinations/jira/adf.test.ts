import fc from 'fast-check'
import { expect, test } from 'vitest'

import { adfProblem } from '../../../fakes/jira/adf-check.ts'
import { anyBlocks } from '../../../test/support/any-blocks.ts'
import { jiraSpec, SPECS_DIR } from '../../../test/support/jira-spec.ts'
import {
  type Block,
  codeBlock,
  cutBlocks,
  expand,
  heading,
  link,
  list,
  panel,
  paragraph,
  table,
  text,
} from '../../model/blocks.ts'
import { adfDoc, type AdfNode, adfText, blocksToAdf } from './adf.ts'
import { fencedDoc, replaceFence, splitFence } from './fence.ts'
import { checkedLabels, toSummary, withoutCode } from './fields.ts'
import { quoted } from './jql.ts'

const paragraphOf = (value: string): AdfNode => ({
  type: 'paragraph',
  content: [{ type: 'text', text: value }],
})

test('any blocks become a document that the structural check accepts', () => {
  fc.assert(
    fc.property(anyBlocks(), (blocks) => {
      expect(adfProblem(fencedDoc(blocks))).toBeUndefined()
      expect(adfProblem(fencedDoc(cutBlocks(withoutCode(blocks), 500).blocks))).toBeUndefined()
    }),
    { numRuns: 500 },
  )
})

test.skipIf(SPECS_DIR === undefined)(
  'any blocks become a document that the schema of the format accepts (needs PATCHBAY_SPECS)',
  () => {
    fc.assert(
      fc.property(anyBlocks(), (blocks) => {
        expect(jiraSpec()?.adf(fencedDoc(blocks))).toEqual([])
      }),
      { numRuns: 500 },
    )
  },
)

test('what ADF does not allow in a place is shown in a plainer form', () => {
  const everything: Block[] = [
    heading(2, 'Title'),
    table(['A'], [['b']]),
    expand('More', [paragraph('inner')]),
    panel('info', [paragraph('noted')]),
  ]
  const [item] = blocksToAdf([list([everything])])
  const inItem = item?.content?.[0]?.content ?? []
  expect(inItem.map((node) => node.type)).toEqual([
    'paragraph',
    'codeBlock',
    'paragraph',
    'paragraph',
    'paragraph',
  ])
  expect(inItem.map(adfText)).toEqual(['Title', 'A\n─\nb', 'More', 'inner', 'noted'])
  const [outer] = blocksToAdf([expand('Outer', everything)])
  expect(outer?.content?.map((node) => node.type)).toEqual([
    'heading',
    'table',
    'paragraph',
    'paragraph',
    'panel',
  ])
})

test('a list item that would begin with a list begins with an empty line', () => {
  const [node] = blocksToAdf([list([[list(['inner'])]])])
  expect(node?.content?.[0]?.content?.map((child) => child.type)).toEqual(['paragraph', 'bulletList'])
})

test('code keeps no other mark, an unsafe link shows where it would have led, and lines become breaks', () => {
  const [node] = blocksToAdf([
    paragraph([
      { kind: 'text', text: 'a', marks: ['strong', 'code'] },
      link('click', 'javascript:x'),
      link('', 'https://example.com/'),
      text('one\r\ntwo'),
    ]),
  ])
  expect(node?.content).toEqual([
    { type: 'text', text: 'a', marks: [{ type: 'code' }] },
    { type: 'text', text: 'click (javascript:x)' },
    {
      type: 'text',
      text: 'https://example.com/',
      marks: [{ type: 'link', attrs: { href: 'https://example.com/' } }],
    },
    { type: 'text', text: 'one' },
    { type: 'hardBreak' },
    { type: 'text', text: 'two' },
  ])
})

/** Nodes as people make them; some read like half a marker. */
function peopleNodes(): fc.Arbitrary<AdfNode[]> {
  const words = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1 }),
    fc.constantFrom('begin', 'patchbay', 'patchbay:beginning'),
  )
  return fc.array(
    fc.oneof(
      words.map(paragraphOf),
      fc.constant({ type: 'rule' }),
      fc.record({
        type: fc.constant('mediaSingle'),
        attrs: fc.dictionary(fc.string(), fc.jsonValue()),
      }) as fc.Arbitrary<AdfNode>,
      words.map((value) => ({ type: 'panel', attrs: { panelType: 'note' }, content: [paragraphOf(value)] })),
    ),
    { maxLength: 5 },
  )
}

test('replacing the fence leaves the nodes of people byte for byte as they were', () => {
  fc.assert(
    fc.property(peopleNodes(), peopleNodes(), anyBlocks(), anyBlocks(), (before, after, old, fresh) => {
      const existing: unknown = JSON.parse(
        JSON.stringify(adfDoc([...before, ...fencedDoc(old).content, ...after])),
      )
      const fence = replaceFence(existing, blocksToAdf(fresh))
      if (!('doc' in fence)) throw new Error(fence.state)
      const parts = splitFence(JSON.parse(JSON.stringify(fence.doc)))
      if (typeof parts === 'string') throw new Error(parts)
      expect(JSON.stringify(parts.before)).toBe(JSON.stringify(before))
      expect(JSON.stringify(parts.after)).toBe(JSON.stringify(after))
      expect(replaceFence(fence.doc, blocksToAdf(fresh)).state).toBe('unchanged')
    }),
    { numRuns: 300 },
  )
})

test('data that reads like a marker does not move the fence', () => {
  const tricky = [paragraph('patchbay:end'), paragraph('patchbay:begin again'), paragraph('  patchbay:end x')]
  const doc = adfDoc([paragraphOf('above'), ...fencedDoc(tricky).content, paragraphOf('below')])
  const parts = splitFence(doc)
  expect(parts).toMatchObject({ before: [paragraphOf('above')], after: [paragraphOf('below')] })
  expect(replaceFence(doc, blocksToAdf([paragraph('new')])).state).toBe('replaced')
})

test('a fence is recognised after Jira has stored it and a person has formatted its markers', () => {
  const doc = structuredClone(fencedDoc([paragraph('x'), table(['A'], [['b']])]))
  for (const node of doc.content) node.attrs = { localId: 'a1b2' }
  doc.content[0] = {
    type: 'paragraph',
    content: [
      { type: 'text', text: 'patchbay:begin', marks: [{ type: 'strong' }] },
      { type: 'text', text: ' our robot writes here' },
    ],
  }
  expect(replaceFence(doc, blocksToAdf([paragraph('x'), table(['A'], [['b']])])).state).toBe('unchanged')
})

test('a fence that is gone, halved, doubled or turned round is left alone', () => {
  const { content } = fencedDoc([paragraph('x')])
  const states = [
    null,
    'text',
    {},
    adfDoc([]),
    adfDoc(content.slice(1, -1)),
    adfDoc(content.slice(0, -1)),
    adfDoc(content.slice(1)),
    adfDoc([...content, ...content]),
    adfDoc(content.toReversed()),
    adfDoc([{ type: 'expand', attrs: { title: 'moved' }, content }]),
  ].map((existing) => replaceFence(existing, []).state)
  expect(states).toEqual([
    'missing',
    'missing',
    'missing',
    'missing',
    'missing',
    'broken',
    'broken',
    'broken',
    'broken',
    'missing',
  ])
})

test('any summary is one line of at most 255 characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (value) => {
      const summary = toSummary(`T${value}`)
      expect(summary.length).toBeLessThanOrEqual(255)
      expect(summary).not.toMatch(/[\r\n]/u)
      expect(toSummary(summary)).toBe(summary)
    }),
  )
  expect(() => toSummary(' \n ')).toThrow('needs a summary')
})

test('a label is either what Jira accepts or refused before it is sent', () => {
  expect(checkedLabels(['a', 'b', 'a'])).toEqual(['a', 'b'])
  for (const bad of ['', 'a b', 'a\tb', 'a\u0000', 'x'.repeat(256)])
    expect(() => checkedLabels([bad])).toThrow('cannot be a label')
})

test('a quoted value cannot end its own quotes', () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      const inner = quoted(value).slice(1, -1)
      expect(inner.replaceAll(/\\[\\"]/gu, '')).not.toMatch(/["\\]/u)
      expect(inner.replaceAll(/\\(.)/gu, '$1')).toBe(value)
    }),
  )
  expect(blocksToAdf([codeBlock('')])).toEqual([])
})
