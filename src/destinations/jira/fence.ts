import { z } from 'zod'

import type { Block } from '../../model/blocks.ts'
import { type AdfDoc, adfDoc, type AdfNode, adfText, blocksToAdf } from './adf.ts'

/**
 * Patchbay owns the part of the description between two marker paragraphs. A marker is recognised by its first word at
 * the top of the document, so that a person may format or lengthen it; removed, doubled or moved, it means that people
 * took the description over.
 */
const BEGIN = 'patchbay:begin'
const END = 'patchbay:end'
const MARKER = /^\s*patchbay:(begin|end)(?![\w-])/u

const BEGIN_TEXT = `${BEGIN} · what stands between these two lines is rewritten by Patchbay; write above or below it`

export type Fence =
  | { state: 'replaced' | 'unchanged'; doc: AdfDoc }
  /** Not to be rewritten. `missing`: no markers; `broken`: doubled, only one, or in the wrong order. */
  | { state: 'missing' | 'broken' }

/** Our text between its markers, as the whole description of a new ticket. */
export function fencedDoc(blocks: readonly Block[]): AdfDoc {
  return adfDoc(fenced(blocksToAdf(blocks)))
}

/** Pure. The nodes before and after the fence are given back as they came, the very same objects. */
export function replaceFence(existing: unknown, ours: readonly AdfNode[]): Fence {
  const parts = splitFence(existing)
  if (typeof parts === 'string') return { state: parts }
  const content = [...parts.before, ...fenced(ours), ...parts.after]
  return {
    state: same(parts.inside, ours.map(defused)) ? 'unchanged' : 'replaced',
    doc: { ...(existing as AdfDoc), content },
  }
}

/** What stands in a description, by whom; a string says why that cannot be told. */
export function splitFence(
  existing: unknown,
): { before: AdfNode[]; inside: AdfNode[]; after: AdfNode[] } | 'missing' | 'broken' {
  const content = topNodes(existing)
  const markers = content.flatMap((node, index) => {
    const kind = markerOf(node)
    return kind === undefined ? [] : [{ kind, index }]
  })
  if (markers.length === 0) return 'missing'
  const [begin, end, ...more] = markers
  if (begin?.kind !== 'begin' || end?.kind !== 'end' || more.length > 0) return 'broken'
  return {
    before: content.slice(0, begin.index),
    inside: content.slice(begin.index + 1, end.index),
    after: content.slice(end.index + 1),
  }
}

const Top = z.looseObject({ type: z.literal('doc'), content: z.array(z.looseObject({ type: z.string() })) })

function topNodes(existing: unknown): AdfNode[] {
  // Only judged by the schema, never copied through it: the nodes of people must stay the objects that came.
  return Top.safeParse(existing).success ? (existing as AdfDoc).content : []
}

function markerOf(node: AdfNode): 'begin' | 'end' | undefined {
  if (node.type !== 'paragraph') return undefined
  const kind = MARKER.exec(adfText(node))?.[1]
  return kind === 'begin' || kind === 'end' ? kind : undefined
}

function fenced(ours: readonly AdfNode[]): AdfNode[] {
  return [marker(BEGIN_TEXT), ...ours.map(defused), marker(END)]
}

function marker(text: string): AdfNode {
  return { type: 'paragraph', content: [{ type: 'text', text, marks: [{ type: 'code' }] }] }
}

/** Data that reads like a marker must not move the fence. */
function defused(node: AdfNode): AdfNode {
  if (markerOf(node) === undefined) return node
  return { ...node, content: [{ type: 'text', text: '“' }, ...(node.content ?? [])] }
}

/** Jira adds ids of its own and drops what is empty; neither is a change. */
function same(left: readonly AdfNode[], right: readonly AdfNode[]): boolean {
  return JSON.stringify(left.map(normal)) === JSON.stringify(right.map(normal))
}

function normal(node: AdfNode): unknown {
  const attrs = Object.entries(node.attrs ?? {})
    .filter(([name, value]) => name !== 'localId' && value !== null && value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return [
    node.type,
    node.text ?? '',
    attrs,
    (node.marks ?? []).map((mark) => [mark.type, mark.attrs ?? {}]),
    (node.content ?? []).map(normal),
  ]
}
