import { type Block, cutBlocks, cutText, singleLine } from '../../model/blocks.ts'
import { HubError } from '../../model/errors.ts'
import type { WrittenFields } from '../../model/ticket-destination.ts'
import type { JiraConfig } from './config.ts'

const SUMMARY_CHARS_MAX = 255
/** Jira refuses a text field above this. */
export const TEXT_CHARS_MAX = 32_767
/** Our part of a description: below the limit, as it is not documented how Jira counts markup. */
export const OUR_TEXT_CHARS_MAX = 28_000
export const COMMENT_CHARS_MAX = 28_000

const LABEL_CHARS_MAX = 255

/** What every verb needs: the integration's settings and where its tickets are shown. */
export interface JiraSettings {
  siteUrl: string
  config: JiraConfig
}

/** One line of at most 255 characters, as Jira demands; never empty. */
export function toSummary(summary: string): string {
  const line = cutText(singleLine(summary), SUMMARY_CHARS_MAX)
  if (line === '') throw new HubError('contract', 'A ticket needs a summary.')
  return line
}

export function checkedLabels(labels: readonly string[]): readonly string[] {
  const bad = labels.find(
    (label) => label === '' || label.length > LABEL_CHARS_MAX || /[\s\p{Cc}]/u.test(label),
  )
  if (bad === undefined) return [...new Set(labels)]
  throw new HubError('config', `"${cutText(singleLine(bad), 60)}" cannot be a label.`, {
    code: 'label',
    hint: 'A label has no spaces and at most 255 characters.',
  })
}

export function cutDescription(blocks: readonly Block[], charsMax = OUR_TEXT_CHARS_MAX): readonly Block[] {
  return cutBlocks(blocks, charsMax, '… cut: the ticket field holds no more; Patchbay shows the whole list')
    .blocks
}

/**
 * The same text without what scanners recorded, for a firewall that takes it for an attack. That something is missing
 * is said in its place.
 */
export function withoutCode(blocks: readonly Block[]): readonly Block[] {
  return blocks.map((block): Block => {
    switch (block.kind) {
      case 'code':
        return { kind: 'paragraph', content: [{ kind: 'text', text: LEFT_OUT, marks: ['em'] }] }
      case 'expand':
      case 'panel':
        return { ...block, blocks: withoutCode(block.blocks) }
      case 'list':
        return { ...block, items: block.items.map(withoutCode) }
      case 'heading':
      case 'paragraph':
      case 'table':
      case 'rule':
        return block
    }
  })
}

const LEFT_OUT = '(left out: a firewall in front of Jira refused this text; Patchbay shows it)'

/** Our names of the fields that a person may take over, and Jira's. */
export const OWNED_FIELDS = { summary: 'summary', priorityId: 'priority', dueDate: 'duedate' } as const
export type OwnedField = keyof typeof OWNED_FIELDS

export function ownedFieldNames(fields: WrittenFields): OwnedField[] {
  return (Object.keys(OWNED_FIELDS) as OwnedField[]).filter((name) => fields[name] !== undefined)
}

export function toJiraFields(fields: WrittenFields): Record<string, unknown> {
  return {
    ...(fields.summary !== undefined && { summary: fields.summary }),
    ...(fields.priorityId !== undefined && {
      priority: fields.priorityId === null ? null : { id: fields.priorityId },
    }),
    ...(fields.dueDate !== undefined && { duedate: fields.dueDate }),
  }
}
