import {
  type Block,
  BLOCK_DEPTH_MAX,
  type Cell,
  cleanText,
  type Inline,
  safeHref,
  singleLine,
} from '../../model/blocks.ts'
import { blocksToText } from '../../model/blocks-text.ts'

/** A node of the Atlassian Document Format. People's nodes may hold anything, so the shape is open. */
export interface AdfNode {
  type: string
  text?: string
  attrs?: Record<string, unknown>
  marks?: { type: string; attrs?: Record<string, unknown> }[]
  content?: AdfNode[]
}

export interface AdfDoc {
  version: 1
  type: 'doc'
  content: AdfNode[]
}

/** Where a block stands decides what ADF allows there; what it does not allow is shown in a plainer form. */
type Place = 'doc' | 'expand' | 'panel' | 'item'

const EXPAND_TITLE_CHARS_MAX = 250

export function adfDoc(content: AdfNode[]): AdfDoc {
  return { version: 1, type: 'doc', content }
}

/**
 * Our text as ADF nodes for the top of a document. Every string of the data ends up in a text node or in an expand's
 * title: nothing in it can become a node, a mention or a macro. Blocks without any text are left out.
 */
export function blocksToAdf(blocks: readonly Block[]): AdfNode[] {
  return nodes(blocks, 'doc', 0)
}

function nodes(blocks: readonly Block[], place: Place, depth: number): AdfNode[] {
  if (depth > BLOCK_DEPTH_MAX) return paragraphNodes([{ kind: 'text', text: blocksToText(blocks) }])
  return blocks.flatMap((block) => blockNodes(block, place, depth))
}

function blockNodes(block: Block, place: Place, depth: number): AdfNode[] {
  switch (block.kind) {
    case 'heading':
      return headingNodes(block, place)
    case 'paragraph':
      return paragraphNodes(block.content)
    case 'list':
      return listNodes(block, depth)
    case 'table':
      return place === 'doc' || place === 'expand' ? tableNodes(block) : codeNodes(blocksToText([block]))
    case 'code':
      return codeNodes(block.text, block.language)
    case 'rule':
      return place === 'item' ? [] : [{ type: 'rule' }]
    case 'expand':
      return expandNodes(block, place, depth)
    case 'panel':
      return panelNodes(block, place, depth)
  }
}

function headingNodes(block: Extract<Block, { kind: 'heading' }>, place: Place): AdfNode[] {
  const content = block.content.map((inline) => ({ ...inline, text: inline.text.replaceAll(/\s+/gu, ' ') }))
  if (place === 'item') {
    return paragraphNodes(
      content.map((inline) => (inline.kind === 'text' ? { ...inline, marks: ['strong'] } : inline)),
    )
  }
  const inner = inlineNodes(content)
  return inner.length === 0 ? [] : [{ type: 'heading', attrs: { level: block.level }, content: inner }]
}

function paragraphNodes(content: readonly Inline[]): AdfNode[] {
  const inner = inlineNodes(content)
  return inner.length === 0 ? [] : [{ type: 'paragraph', content: inner }]
}

function listNodes(block: Extract<Block, { kind: 'list' }>, depth: number): AdfNode[] {
  const items = block.items
    .map((item) => nodes(item, 'item', depth + 1))
    .filter((inner) => inner.length > 0)
    // Jira's editor wants an item to begin with text.
    .map((inner) => (isList(inner[0]) ? [{ type: 'paragraph', content: [] }, ...inner] : inner))
    .map((content): AdfNode => ({ type: 'listItem', content }))
  return items.length === 0 ? [] : [{ type: block.ordered ? 'orderedList' : 'bulletList', content: items }]
}

function isList(node: AdfNode | undefined): boolean {
  return node?.type === 'bulletList' || node?.type === 'orderedList'
}

function tableNodes(block: Extract<Block, { kind: 'table' }>): AdfNode[] {
  const columns = Math.max(block.header.length, ...block.rows.map((row) => row.length))
  if (columns === 0) return []
  const rowNode = (cells: readonly Cell[], type: string): AdfNode => ({
    type: 'tableRow',
    content: Array.from({ length: columns }, (_, column) => cellNode(cells[column] ?? [], type)),
  })
  const head = block.header.length === 0 ? [] : [rowNode(block.header, 'tableHeader')]
  const content = [...head, ...block.rows.map((row) => rowNode(row, 'tableCell'))]
  return [{ type: 'table', content }]
}

function cellNode(cell: Cell, type: string): AdfNode {
  return { type, content: [{ type: 'paragraph', content: inlineNodes(cell) }] }
}

function codeNodes(value: string, language?: string): AdfNode[] {
  const text = cleanText(value)
  if (text === '') return []
  const known = language !== undefined && /^[a-z0-9+#-]{1,30}$/iu.test(language)
  return [{ type: 'codeBlock', ...(known && { attrs: { language } }), content: [{ type: 'text', text }] }]
}

function expandNodes(block: Extract<Block, { kind: 'expand' }>, place: Place, depth: number): AdfNode[] {
  const title = singleLine(block.title).slice(0, EXPAND_TITLE_CHARS_MAX).toWellFormed()
  const inner = nodes(block.blocks, place === 'doc' ? 'expand' : place, depth + 1)
  if (inner.length === 0) return []
  if (place === 'doc') return [{ type: 'expand', attrs: { title }, content: inner }]
  return [...paragraphNodes([{ kind: 'text', text: title, marks: ['strong'] }]), ...inner]
}

function panelNodes(block: Extract<Block, { kind: 'panel' }>, place: Place, depth: number): AdfNode[] {
  const allowed = place === 'doc' || place === 'expand'
  const inner = nodes(block.blocks, allowed ? 'panel' : place, depth + 1)
  if (inner.length === 0 || !allowed) return inner
  return [{ type: 'panel', attrs: { panelType: block.tone }, content: inner }]
}

function inlineNodes(content: readonly Inline[]): AdfNode[] {
  return content.flatMap((inline) => {
    const href = inline.kind === 'link' ? safeHref(inline.href) : undefined
    const shown = inline.kind === 'link' ? linkWords(inline, href) : inline.text
    const marks = href !== undefined ? [{ type: 'link', attrs: { href } }] : textMarks(inline)
    return textNodes(shown, marks)
  })
}

/** A link that may not become one still shows where it would have led. */
function linkWords(inline: Extract<Inline, { kind: 'link' }>, href: string | undefined): string {
  if (href !== undefined) return inline.text === '' ? href : inline.text
  return inline.text === '' || inline.text === inline.href ? inline.href : `${inline.text} (${inline.href})`
}

/** ADF allows code beside no other of our marks. */
function textMarks(inline: Inline): { type: string }[] {
  const marks = inline.kind === 'text' ? [...new Set(inline.marks ?? [])] : []
  return marks.includes('code') ? [{ type: 'code' }] : marks.map((type) => ({ type }))
}

/** An empty text node is not allowed, and a line end inside one would not be seen. */
function textNodes(value: string, marks: NonNullable<AdfNode['marks']>): AdfNode[] {
  return cleanText(value)
    .split('\n')
    .flatMap((line, index): AdfNode[] => [
      ...(index === 0 ? [] : [{ type: 'hardBreak' }]),
      ...(line === '' ? [] : [{ type: 'text', text: line, ...(marks.length > 0 && { marks }) }]),
    ])
}

/** Characters of text in a document of any origin, for the limit of the field. */
export function adfTextSize(nodeList: readonly AdfNode[]): number {
  let size = 0
  const open: AdfNode[] = [...nodeList]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    size += typeof node.text === 'string' ? node.text.length : 2
    if (Array.isArray(node.content)) for (const child of node.content) open.push(child)
  }
  return size
}

/** The text of one node and its children, marks and structure left aside. */
export function adfText(node: AdfNode): string {
  if (typeof node.text === 'string') return node.text
  return Array.isArray(node.content) ? node.content.map(adfText).join('') : ''
}
