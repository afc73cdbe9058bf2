/**
 * Text for people, as plain data: what a ticket, a preview or a terminal shows, before any destination's own format. The
 * renderers (ADF, wiki markup, terminal) put every string into a text position, so nothing in the data can become markup.
 */
export type Mark = 'strong' | 'em' | 'code'

interface TextInline {
  kind: 'text'
  text: string
  marks?: readonly Mark[]
}

/** Only http, https and mailto become links; a renderer shows any other href as text. */
interface LinkInline {
  kind: 'link'
  text: string
  href: string
}

export type Inline = TextInline | LinkInline

/** A cell is a line of inlines; renderers turn line ends in its text into breaks. */
export type Cell = readonly Inline[]

export type PanelTone = 'info' | 'note' | 'success' | 'warning' | 'error'

export type HeadingLevel = 1 | 2 | 3 | 4 | 5 | 6

export type Block =
  | { kind: 'heading'; level: HeadingLevel; content: readonly Inline[] }
  | { kind: 'paragraph'; content: readonly Inline[] }
  | { kind: 'list'; ordered: boolean; items: readonly (readonly Block[])[] }
  | { kind: 'table'; header: readonly Cell[]; rows: readonly (readonly Cell[])[] }
  | { kind: 'code'; text: string; language?: string }
  | { kind: 'rule' }
  | { kind: 'expand'; title: string; blocks: readonly Block[] }
  | { kind: 'panel'; tone: PanelTone; blocks: readonly Block[] }

/** Deeper nesting than this is shown as plain text by every renderer. */
export const BLOCK_DEPTH_MAX = 6

type Words = string | Inline | readonly Inline[]

function inlines(words: Words): readonly Inline[] {
  if (typeof words === 'string') return words === '' ? [] : [{ kind: 'text', text: words }]
  return 'kind' in words ? [words] : words
}

export const text = (value: string): Inline => ({ kind: 'text', text: value })
export const strong = (value: string): Inline => ({ kind: 'text', text: value, marks: ['strong'] })
const em = (value: string): Inline => ({ kind: 'text', text: value, marks: ['em'] })
export const code = (value: string): Inline => ({ kind: 'text', text: value, marks: ['code'] })
export const link = (value: string, href: string): Inline => ({ kind: 'link', text: value, href })

export const heading = (level: HeadingLevel, words: Words): Block => ({
  kind: 'heading',
  level,
  content: inlines(words),
})
export const paragraph = (words: Words): Block => ({ kind: 'paragraph', content: inlines(words) })
export const rule = (): Block => ({ kind: 'rule' })
export const codeBlock = (value: string, language?: string): Block => ({
  kind: 'code',
  text: value,
  ...(language !== undefined && { language }),
})
export const expand = (title: string, blocks: readonly Block[]): Block => ({ kind: 'expand', title, blocks })
export const panel = (tone: PanelTone, blocks: readonly Block[]): Block => ({ kind: 'panel', tone, blocks })

/** Each item is a text of one paragraph, or blocks. */
export function list(
  items: readonly (Words | readonly Block[])[],
  options: { ordered?: boolean } = {},
): Block {
  return { kind: 'list', ordered: options.ordered ?? false, items: items.map(toItem) }
}

export function table(header: readonly Words[], rows: readonly (readonly Words[])[]): Block {
  return { kind: 'table', header: header.map(inlines), rows: rows.map((row) => row.map(inlines)) }
}

function toItem(item: Words | readonly Block[]): readonly Block[] {
  if (Array.isArray(item) && item.some(isBlock)) return item as readonly Block[]
  return [paragraph(item as Words)]
}

function isBlock(part: Block | Inline): part is Block {
  return part.kind !== 'text' && part.kind !== 'link'
}

// Control characters (with DEL and C1) drive terminals, and NUL cannot be stored; the bidirectional controls make a
// line read differently from what it says. Tab and line feed are ordinary text.
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]/gu

/** Text that is safe to store and to show: well formed, line ends as `\n`, unprintable characters as U+FFFD. */
export function cleanText(value: string): string {
  return value.toWellFormed().replaceAll(/\r\n?/gu, '\n').replaceAll(UNPRINTABLE, '\ufffd')
}

/** One line: line ends and runs of white space become one space. */
export function singleLine(value: string): string {
  return cleanText(value).replaceAll(/\s+/gu, ' ').trim()
}

/** At most `charsMax` UTF-16 units, ending in an ellipsis if something was cut; never half a surrogate pair. */
export function cutText(value: string, charsMax: number): string {
  if (value.length <= charsMax) return value
  if (charsMax <= 0) return ''
  const kept = value.slice(0, charsMax - 1)
  return `${/[\ud800-\udbff]$/u.test(kept) ? kept.slice(0, -1) : kept}…`
}

/** The href if it may become a link: http, https or mailto, without control characters or credentials. */
export function safeHref(href: string): string | undefined {
  if (href.length > HREF_CHARS_MAX || !URL.canParse(href)) return undefined
  const url = new URL(href)
  if (!['http:', 'https:', 'mailto:'].includes(url.protocol)) return undefined
  if (url.username !== '' || url.password !== '') return undefined
  return url.href
}

const HREF_CHARS_MAX = 2_000

function inlinesToText(content: readonly Inline[]): string {
  return content.map((inline) => cleanText(inline.text)).join('')
}

// What a destination's markup needs around the text, roughly: systems that limit a field count their own form of it.
const OVERHEAD = { inline: 4, cell: 3, line: 5, container: 16 } as const

/** About how many characters this text takes in a ticket field, markup included. */
export function blocksSize(blocks: readonly Block[]): number {
  return blocks.reduce((sum, block) => sum + blockSize(block), 0)
}

function inlinesSize(content: readonly Inline[]): number {
  return content.reduce(
    (sum, part) => sum + part.text.length + OVERHEAD.inline + (part.kind === 'link' ? part.href.length : 0),
    0,
  )
}

function rowSize(cells: readonly Cell[]): number {
  return cells.reduce<number>((sum, cell) => sum + inlinesSize(cell) + OVERHEAD.cell, OVERHEAD.line)
}

function blockSize(block: Block): number {
  switch (block.kind) {
    case 'heading':
    case 'paragraph':
      return inlinesSize(block.content) + OVERHEAD.line
    case 'list':
      return block.items.reduce<number>((sum, item) => sum + blocksSize(item) + OVERHEAD.line, OVERHEAD.line)
    case 'table':
      return block.rows.reduce<number>(
        (sum, row) => sum + rowSize(row),
        rowSize(block.header) + OVERHEAD.container,
      )
    case 'code':
      return block.text.length + OVERHEAD.container
    case 'rule':
      return OVERHEAD.line
    case 'expand':
      return blocksSize(block.blocks) + block.title.length + OVERHEAD.container
    case 'panel':
      return blocksSize(block.blocks) + OVERHEAD.container
  }
}

/**
 * The beginning of the text that fits into `charsMax` (by `blocksSize`), with `note` as its last paragraph if anything
 * had to go: a reader must see that there is more. Rows, items and lines go from the end.
 */
export function cutBlocks(
  blocks: readonly Block[],
  charsMax: number,
  note = '… cut: this text is longer than the field allows',
): { blocks: readonly Block[]; cut: boolean } {
  if (blocksSize(blocks) <= charsMax) return { blocks, cut: false }
  const notice = paragraph(em(note))
  return { blocks: [...firstThatFit(blocks, charsMax - blockSize(notice)), notice], cut: true }
}

function firstThatFit(blocks: readonly Block[], charsMax: number): readonly Block[] {
  const kept: Block[] = []
  let left = charsMax
  for (const block of blocks) {
    const size = blockSize(block)
    if (size > left) {
      const piece = cutBlock(block, left)
      if (piece !== undefined) kept.push(piece)
      break
    }
    kept.push(block)
    left -= size
  }
  return kept
}

function cutBlock(block: Block, charsMax: number): Block | undefined {
  const room = charsMax - blockSize(emptied(block))
  if (room <= 0) return undefined
  switch (block.kind) {
    case 'heading':
    case 'rule':
      return undefined
    case 'paragraph': {
      const rest = cutText(inlinesToText(block.content), room - OVERHEAD.inline)
      return rest === '' ? undefined : paragraph(rest)
    }
    case 'code':
      return { ...block, text: cutText(block.text, room) }
    case 'list': {
      const items = prefixThatFits(block.items, room, (item) => blocksSize(item) + OVERHEAD.line)
      return items.length === 0 ? undefined : { ...block, items }
    }
    case 'table': {
      const rows = prefixThatFits(block.rows, room, rowSize)
      return rows.length === 0 ? undefined : { ...block, rows }
    }
    case 'expand':
    case 'panel': {
      const inner = firstThatFit(block.blocks, room)
      return inner.length === 0 ? undefined : { ...block, blocks: inner }
    }
  }
}

function emptied(block: Block): Block {
  switch (block.kind) {
    case 'heading':
    case 'paragraph':
      return { ...block, content: [] }
    case 'list':
      return { ...block, items: [] }
    case 'table':
      return { ...block, rows: [] }
    case 'code':
      return { ...block, text: '' }
    case 'rule':
      return block
    case 'expand':
    case 'panel':
      return { ...block, blocks: [] }
  }
}

function prefixThatFits<Part>(
  parts: readonly Part[],
  charsMax: number,
  sizeOf: (part: Part) => number,
): readonly Part[] {
  let left = charsMax
  const end = parts.findIndex((part) => (left -= sizeOf(part)) < 0)
  return end === -1 ? parts : parts.slice(0, end)
}
