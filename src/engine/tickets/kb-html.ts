import { type DefaultTreeAdapterTypes, parseFragment } from 'parse5'
import type { Block, Inline, Mark } from '../../model/blocks.ts'
import { cleanText, safeHref, singleLine } from '../../model/blocks.ts'

type Node = DefaultTreeAdapterTypes.ChildNode
type Element = DefaultTreeAdapterTypes.Element

const HTML_CHARS_MAX = 200_000
const DEPTH_MAX = 20
const BLOCKS_MAX = 400

/**
 * Text of the knowledge base as blocks: an allow-list of paragraphs, lists, code and links. It is parsed as a browser
 * would, so what is not allowed is known to be not; its words stay, its element goes. Scripts and styles go whole.
 */
export function htmlToBlocks(html: string): Block[] {
  const builder = new BlockBuilder()
  for (const node of parseFragment(html.slice(0, HTML_CHARS_MAX)).childNodes) walk(node, builder, [], 0)
  builder.endParagraph()
  return builder.blocks.slice(0, BLOCKS_MAX)
}

const DROPPED = new Set([
  'script',
  'style',
  'template',
  'iframe',
  'object',
  'embed',
  'svg',
  'math',
  'head',
  'title',
])
const PARAGRAPHS = new Set([
  'p',
  'div',
  'section',
  'article',
  'blockquote',
  'table',
  'tr',
  'h1',
  'h2',
  'h3',
  'h4',
  'h5',
  'h6',
  'dl',
  'dt',
  'dd',
])
const MARKS: Readonly<Record<string, Mark>> = {
  b: 'strong',
  strong: 'strong',
  i: 'em',
  em: 'em',
  code: 'code',
  tt: 'code',
}

/** Gathers inlines into paragraphs. */
class BlockBuilder {
  readonly blocks: Block[] = []
  #inlines: Inline[] = []

  add(inline: Inline): void {
    this.#inlines.push(inline)
  }

  push(block: Block): void {
    this.endParagraph()
    this.blocks.push(block)
  }

  endParagraph(): void {
    const content = trimInlines(this.#inlines)
    this.#inlines = []
    if (content.length > 0) this.blocks.push({ kind: 'paragraph', content })
  }
}

function walk(node: Node, builder: BlockBuilder, marks: readonly Mark[], depth: number): void {
  if (node.nodeName === '#text') {
    const text = cleanText((node as DefaultTreeAdapterTypes.TextNode).value).replaceAll(/\s+/g, ' ')
    if (text !== '') builder.add({ kind: 'text', text, ...(marks.length > 0 && { marks }) })
    return
  }
  if (!('tagName' in node) || depth > DEPTH_MAX || DROPPED.has(node.tagName)) return
  walkElement(node, builder, marks, depth)
}

function walkElement(element: Element, builder: BlockBuilder, marks: readonly Mark[], depth: number): void {
  const inside = (next: readonly Mark[] = marks) => {
    for (const child of element.childNodes) walk(child, builder, next, depth + 1)
  }
  const mark = MARKS[element.tagName]
  if (mark !== undefined) return inside(marks.includes(mark) ? marks : [...marks, mark])
  switch (element.tagName) {
    case 'br':
      return builder.endParagraph()
    case 'a':
      return addLink(element, builder, inside)
    case 'ul':
    case 'ol':
      return builder.push({ kind: 'list', ordered: element.tagName === 'ol', items: toItems(element, depth) })
    case 'pre':
      return builder.push({ kind: 'code', text: cleanText(textOf(element, 0)).trim() })
    default:
      if (!PARAGRAPHS.has(element.tagName)) return inside()
      builder.endParagraph()
      inside()
      builder.endParagraph()
  }
}

function addLink(element: Element, builder: BlockBuilder, inside: () => void): void {
  const href = safeHref(element.attrs.find((attribute) => attribute.name === 'href')?.value ?? '')
  const text = singleLine(textOf(element, 0))
  if (href === undefined || text === '') return inside()
  builder.add({ kind: 'link', text, href })
}

function toItems(element: Element, depth: number): Block[][] {
  return element.childNodes.flatMap((child) => {
    const builder = new BlockBuilder()
    if ('tagName' in child && child.tagName === 'li')
      for (const inner of child.childNodes) walk(inner, builder, [], depth + 2)
    else walk(child, builder, [], depth + 1)
    builder.endParagraph()
    return builder.blocks.length > 0 ? [builder.blocks] : []
  })
}

function textOf(node: Node, depth: number): string {
  if (node.nodeName === '#text') return (node as DefaultTreeAdapterTypes.TextNode).value
  if (!('childNodes' in node) || depth > DEPTH_MAX) return ''
  return node.childNodes.map((child) => textOf(child, depth + 1)).join('')
}

/** Without white space at its ends; nothing when nothing is left. */
function trimInlines(content: readonly Inline[]): Inline[] {
  const trimmed = [...content]
  while (trimmed.length > 0 && trimmed[0]!.text.trim() === '') trimmed.shift()
  while (trimmed.length > 0 && trimmed.at(-1)!.text.trim() === '') trimmed.pop()
  const first = trimmed[0]
  if (first === undefined) return []
  trimmed[0] = { ...first, text: first.text.trimStart() }
  const last = trimmed.at(-1)!
  trimmed[trimmed.length - 1] = { ...last, text: last.text.trimEnd() }
  return trimmed
}
