import fc from 'fast-check'
import { expect, test } from 'vitest'
import { blocksToText } from '../../model/blocks-text.ts'
import { htmlToBlocks } from './kb-html.ts'

test('paragraphs, lists, code and links of the knowledge base become blocks', () => {
  const html = `<P>Install the <B>update</B>.<BR>Then restart.
    <UL><LI>first</LI><LI>second <A HREF="https://vendor.example.com/a?b=1&amp;c=2">notes</A></LI></UL><PRE>yum update</PRE>`
  expect(htmlToBlocks(html)).toEqual([
    {
      kind: 'paragraph',
      content: [
        { kind: 'text', text: 'Install the ' },
        { kind: 'text', text: 'update', marks: ['strong'] },
        { kind: 'text', text: '.' },
      ],
    },
    { kind: 'paragraph', content: [{ kind: 'text', text: 'Then restart.' }] },
    {
      kind: 'list',
      ordered: false,
      items: [
        [{ kind: 'paragraph', content: [{ kind: 'text', text: 'first' }] }],
        [
          {
            kind: 'paragraph',
            content: [
              { kind: 'text', text: 'second ' },
              { kind: 'link', text: 'notes', href: 'https://vendor.example.com/a?b=1&c=2' },
            ],
          },
        ],
      ],
    },
    { kind: 'code', text: 'yum update' },
  ])
})

test('what could act in a browser leaves no trace but its words', () => {
  const html = `<script>alert(1)</script><style>p{}</style><img src=x onerror=alert(2)>
    <a href="javascript:alert(3)">press</a> <a href="data:text/html,x">here</a><svg onload=alert(4)><p>in svg</p></svg>
    <p onclick="alert(5)">&lt;b&gt;not bold&lt;/b&gt; &amp;lt;i&amp;gt;</p>`
  const blocks = htmlToBlocks(html)
  expect(JSON.stringify(blocks)).not.toMatch(/javascript:|data:|alert|"href"/)
  expect(blocksToText(blocks)).toContain('press here')
  expect(blocksToText(blocks)).toContain('<b>not bold</b> &lt;i&gt;')
})

test('any text at all becomes blocks without throwing, and only safe links', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '<p>',
      '</p>',
      '<ul><li>',
      '<a href="',
      'javascript:',
      '">',
      '<!--',
      '<![CDATA[',
      '\0',
      '<table>',
      '&#x0;',
    ),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const hrefs = JSON.stringify(htmlToBlocks(pieces.join(''))).match(/"href":"[^"]*"/g) ?? []
      expect(hrefs.every((href) => /^"href":"(https?|mailto):/.test(href))).toBe(true)
    }),
  )
})

test('HTML nested a hundred thousand deep neither throws nor takes long to say nothing', () => {
  expect(htmlToBlocks('<b>'.repeat(100_000)).length).toBeLessThan(2)
})
