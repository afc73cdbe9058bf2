/**
 * A structural check of the Atlassian Document Format, as strict as the real API for everything Patchbay sends. Nodes
 * that only people make (media, mentions, macros) are known by name and not looked into further.
 */
const DEPTH_MAX = 50

const INLINE = [
  'text',
  'hardBreak',
  'mention',
  'emoji',
  'date',
  'status',
  'inlineCard',
  'placeholder',
  'inlineExtension',
  'mediaInline',
]
const LISTS = ['bulletList', 'orderedList', 'taskList', 'decisionList']
const LEAF_BLOCKS = [
  'paragraph',
  'heading',
  'codeBlock',
  'rule',
  'blockCard',
  'embedCard',
  'mediaSingle',
  'mediaGroup',
  'extension',
]
const CELL_BLOCKS = [...LEAF_BLOCKS, ...LISTS, 'panel', 'blockquote', 'nestedExpand']

const CHILDREN: Readonly<Record<string, readonly string[]>> = {
  doc: [
    ...LEAF_BLOCKS,
    ...LISTS,
    'panel',
    'blockquote',
    'table',
    'expand',
    'layoutSection',
    'bodiedExtension',
  ],
  paragraph: INLINE,
  heading: INLINE,
  codeBlock: ['text'],
  blockquote: [
    'paragraph',
    'bulletList',
    'orderedList',
    'codeBlock',
    'mediaSingle',
    'mediaGroup',
    'extension',
  ],
  bulletList: ['listItem'],
  orderedList: ['listItem'],
  listItem: ['paragraph', 'bulletList', 'orderedList', 'taskList', 'codeBlock', 'mediaSingle', 'extension'],
  panel: [
    'paragraph',
    'heading',
    'codeBlock',
    'rule',
    'blockCard',
    'mediaSingle',
    'mediaGroup',
    'extension',
    ...LISTS,
  ],
  expand: [...CELL_BLOCKS, 'table'],
  nestedExpand: [
    'paragraph',
    'heading',
    'codeBlock',
    'rule',
    'panel',
    'blockquote',
    'mediaSingle',
    'mediaGroup',
    ...LISTS,
  ],
  table: ['tableRow'],
  tableRow: ['tableHeader', 'tableCell'],
  tableHeader: CELL_BLOCKS,
  tableCell: CELL_BLOCKS,
  layoutSection: ['layoutColumn'],
}
const NEVER_EMPTY = [
  'listItem',
  'bulletList',
  'orderedList',
  'panel',
  'expand',
  'nestedExpand',
  'blockquote',
  'table',
  'tableHeader',
  'tableCell',
]
const KNOWN = new Set([
  ...Object.keys(CHILDREN),
  ...Object.values(CHILDREN).flat(),
  'taskItem',
  'blockTaskItem',
  'decisionItem',
  'media',
  'caption',
  'layoutColumn',
])
const MARKS = new Set([
  'strong',
  'em',
  'code',
  'link',
  'strike',
  'underline',
  'subsup',
  'textColor',
  'backgroundColor',
  'annotation',
])
const BESIDE_CODE = new Set(['code', 'link', 'annotation'])
const PANELS = ['info', 'note', 'tip', 'warning', 'error', 'success', 'custom']
const NODE_MEMBERS = new Set(['type', 'text', 'attrs', 'marks', 'content', 'version'])

type Bag = Record<string, unknown>

/** What is wrong with a document, as a sentence; undefined when nothing is. */
export function adfProblem(doc: unknown): string | undefined {
  if (!isBag(doc) || doc['type'] !== 'doc' || doc['version'] !== 1 || !Array.isArray(doc['content']))
    return 'not a document'
  return nodeProblem(doc, 0)
}

/** Characters of text in a document. */
export function adfTextLength(node: unknown): number {
  if (!isBag(node)) return 0
  const own = typeof node['text'] === 'string' ? node['text'].length : 0
  const content = Array.isArray(node['content']) ? (node['content'] as unknown[]) : []
  return content.reduce<number>((sum, child) => sum + adfTextLength(child), own)
}

function nodeProblem(node: Bag, depth: number): string | undefined {
  const type = String(node['type'])
  if (depth > DEPTH_MAX) return 'nested too deeply'
  if (!KNOWN.has(type)) return `unknown node ${type}`
  const member = Object.keys(node).find((name) => !NODE_MEMBERS.has(name))
  if (member !== undefined) return `${type} has a member ${member}`
  if (type === 'text') return textProblem(node)
  return attrsProblem(type, node['attrs']) ?? contentProblem(type, node['content'], depth)
}

function contentProblem(type: string, content: unknown, depth: number): string | undefined {
  if (content === undefined) return NEVER_EMPTY.includes(type) ? `${type} without content` : undefined
  if (!Array.isArray(content)) return `content of ${type} is not a list`
  if (content.length === 0 && NEVER_EMPTY.includes(type)) return `${type} without content`
  const allowed = CHILDREN[type]
  for (const child of content as unknown[]) {
    if (!isBag(child)) return `a child of ${type} is not a node`
    const childType = String(child['type'])
    if (allowed !== undefined && !allowed.includes(childType)) return `${childType} inside ${type}`
    if (type === 'codeBlock' && child['marks'] !== undefined) return 'marks inside a codeBlock'
    const problem = nodeProblem(child, depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}

function attrsProblem(type: string, attrs: unknown): string | undefined {
  if (attrs !== undefined && !isBag(attrs)) return `attrs of ${type} is not an object`
  const bag = attrs ?? {}
  if (type === 'heading') {
    const level = bag['level']
    return typeof level === 'number' && level >= 1 && level <= 6 ? undefined : 'heading without a level'
  }
  if (type === 'panel') return PANELS.includes(String(bag['panelType'])) ? undefined : 'panel without a type'
  if (type === 'nestedExpand') return attrs === undefined ? 'nestedExpand without attrs' : undefined
  return undefined
}

function textProblem(node: Bag): string | undefined {
  if (typeof node['text'] !== 'string' || node['text'] === '') return 'empty text node'
  if (node['content'] !== undefined) return 'text with content'
  const marks = node['marks'] ?? []
  if (!Array.isArray(marks)) return 'marks are not a list'
  const types = (marks as unknown[]).map((mark) => (isBag(mark) ? String(mark['type']) : ''))
  const unknown = types.find((type) => !MARKS.has(type))
  if (unknown !== undefined) return `unknown mark ${unknown}`
  if (new Set(types).size < types.length) return 'a mark twice'
  if (types.includes('code') && !types.every((type) => BESIDE_CODE.has(type)))
    return 'code beside another mark'
  return (marks as Bag[]).map(linkProblem).find((problem) => problem !== undefined)
}

function linkProblem(mark: Bag): string | undefined {
  if (mark['type'] !== 'link') return undefined
  const attrs = mark['attrs']
  if (!isBag(attrs) || typeof attrs['href'] !== 'string' || attrs['href'] === '') return 'link without href'
  return /^(?:javascript|data|vbscript):/iu.test(attrs['href'].trim())
    ? 'link with a forbidden scheme'
    : undefined
}

function isBag(value: unknown): value is Bag {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
