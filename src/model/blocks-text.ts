import {
  type Block,
  BLOCK_DEPTH_MAX,
  type Cell,
  cleanText,
  cutText,
  type Inline,
  safeHref,
  singleLine,
} from './blocks.ts'

/** Wider cells are cut in the terminal; the ticket itself holds them whole. */
const COLUMN_CHARS_MAX = 60
const RULE_CHARS = 40

/** Readable text for a terminal or a text file: aligned tables, no markup, no escape sequences from the data. */
export function blocksToText(blocks: readonly Block[]): string {
  return linesOf(blocks, 0).join('\n')
}

function linesOf(blocks: readonly Block[], depth: number): string[] {
  const parts = blocks.map((block) => blockLines(block, depth)).filter((lines) => lines.length > 0)
  return parts.flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]))
}

function blockLines(block: Block, depth: number): string[] {
  if (depth > BLOCK_DEPTH_MAX) return ['…']
  switch (block.kind) {
    case 'heading': {
      const title = singleLine(inlineText(block.content))
      if (title === '') return []
      return block.level <= 2 ? [title, (block.level === 1 ? '=' : '-').repeat(title.length)] : [`${title}:`]
    }
    case 'paragraph': {
      const words = inlineText(block.content)
      return words === '' ? [] : words.split('\n')
    }
    case 'list':
      return block.items.flatMap((item, index) => {
        const bullet = block.ordered ? `${index + 1}. ` : '- '
        return hanging(bullet, linesOf(item, depth + 1))
      })
    case 'table':
      return tableLines(block.header, block.rows)
    case 'code':
      return indented(cleanText(block.text).split('\n'), '    ')
    case 'rule':
      return ['─'.repeat(RULE_CHARS)]
    case 'expand':
      return [`▸ ${singleLine(block.title)}`, ...indented(linesOf(block.blocks, depth + 1), '  ')]
    case 'panel':
      return indented(linesOf(block.blocks, depth + 1), '│ ')
  }
}

function inlineText(content: readonly Inline[]): string {
  return content.map(oneInline).join('')
}

function oneInline(inline: Inline): string {
  const shown = cleanText(inline.text)
  if (inline.kind === 'text') return shown
  const href = cleanText(safeHref(inline.href) ?? inline.href)
  return shown === href || shown === '' ? href : `${shown} <${href}>`
}

function tableLines(header: readonly Cell[], rows: readonly (readonly Cell[])[]): string[] {
  const grid = [header, ...rows].map((cells) =>
    cells.map((cell) => cutText(singleLine(inlineText(cell)), COLUMN_CHARS_MAX)),
  )
  const widths: number[] = []
  for (const cells of grid) {
    for (const [column, cell] of cells.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell))
  }
  const [head = [], ...body] = grid.map((cells) =>
    widths.map((size, column) => padded(cells[column] ?? '', size)),
  )
  const line = widths.map((size) => '─'.repeat(size))
  return [head, line, ...body].map((cells) => cells.join('  ').trimEnd())
}

function width(cell: string): number {
  return Array.from(cell).length
}

function padded(cell: string, size: number): string {
  return cell + ' '.repeat(Math.max(0, size - width(cell)))
}

function hanging(bullet: string, lines: readonly string[]): string[] {
  const rest = ' '.repeat(bullet.length)
  return (lines.length === 0 ? [''] : lines).map((line, index) =>
    ((index === 0 ? bullet : line === '' ? '' : rest) + line).trimEnd(),
  )
}

function indented(lines: readonly string[], indent: string): string[] {
  return lines.map((line) => (indent + line).trimEnd())
}
