import { z } from 'zod'

import { HubError } from '../../model/errors.ts'
import {
  REF_PROPERTY,
  type TicketProperty,
  type TicketRef,
  type TicketSnapshot,
} from '../../model/ticket-destination.ts'
import type { Issue } from './schema.ts'

const Property = z.object({ v: z.literal(1), key: z.string(), attempt: z.string() })

export function ticketRef(siteUrl: string, issue: { id: string; key: string }): TicketRef {
  return { issueId: issue.id, issueKey: issue.key, url: `${siteUrl}/browse/${encodeURIComponent(issue.key)}` }
}

export function toSnapshot(siteUrl: string, issue: Issue): TicketSnapshot {
  const { fields } = issue
  return {
    ref: ticketRef(siteUrl, issue),
    projectKey: fields.project.key,
    status: toStatus(fields.status),
    summary: fields.summary ?? '',
    labels: fields.labels ?? [],
    priorityId: fields.priority?.id ?? null,
    dueDate: fields.duedate ?? null,
    assigneeId: fields.assignee?.accountId ?? null,
    resolution: fields.resolution?.name ?? null,
    createdMs: timeMs(fields.created),
    updatedMs: timeMs(fields.updated),
    property: toProperty(issue.properties?.[REF_PROPERTY]),
  }
}

export function toStatus(status: Issue['fields']['status']): TicketSnapshot['status'] {
  return { id: status.id, name: status.name, category: status.statusCategory.key }
}

function toProperty(value: unknown): TicketProperty | null {
  const parsed = Property.safeParse(value)
  return parsed.success ? parsed.data : null
}

/** Jira writes `2026-11-21T03:54:05.000+0000`. */
function timeMs(value: string): number {
  const ms = Date.parse(value.replace(/([+-]\d{2})(\d{2})$/u, '$1:$2'))
  if (Number.isNaN(ms)) throw new HubError('contract', 'Jira sent a time that cannot be read.')
  return ms
}
