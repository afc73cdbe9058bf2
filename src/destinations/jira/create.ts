import { HubError } from '../../model/errors.ts'
import {
  type CreatedTicket,
  type CreateTicket,
  HASH_LABEL,
  REF_PROPERTY,
  TICKET_LABEL,
  type TicketProperty,
  type WrittenFields,
} from '../../model/ticket-destination.ts'
import type { JiraClient } from './client.ts'
import { EDGE_REFUSED, JiraRefusal } from './errors.ts'
import { fencedDoc } from './fence.ts'
import {
  checkedLabels,
  cutDescription,
  type JiraSettings,
  toJiraFields,
  toSummary,
  withoutCode,
} from './fields.ts'
import { CreatedIssue } from './schema.ts'
import { ticketRef } from './snapshot.ts'

/** Fields a ticket can do without: each needs its own permission or a value of the project. */
const OPTIONAL_FIELDS = new Set(['priority', 'duedate', 'assignee', 'components'])

/**
 * One request; label and property travel in its body, so that a ticket whose answer was lost can be found. Only after a
 * clean refusal, when surely nothing was made, is it tried once more without what was refused.
 */
export async function createTicket(
  client: JiraClient,
  settings: JiraSettings,
  { request, signal }: { request: CreateTicket; signal: AbortSignal },
): Promise<CreatedTicket> {
  const body = toBody(settings, request)
  try {
    return toCreated(settings, request, { issue: await post(client, body, signal), body, leftOut: [] })
  } catch (error) {
    const second = lesser(body, request, error)
    if (second === undefined) throw error
    const issue = await post(client, second.body, signal)
    return toCreated(settings, request, { issue, ...second })
  }
}

interface CreateBody {
  fields: Record<string, unknown>
  properties: { key: string; value: TicketProperty }[]
}

async function post(
  client: JiraClient,
  body: CreateBody,
  signal: AbortSignal,
): Promise<{ id: string; key: string }> {
  return client.call(
    { method: 'POST', path: '/rest/api/3/issue', body, what: 'create a ticket', repeat: 'once' },
    CreatedIssue,
    signal,
  )
}

function toBody(settings: JiraSettings, request: CreateTicket): CreateBody {
  const { content, target } = request
  if (!HASH_LABEL.test(request.hashLabel))
    throw new HubError('contract', 'The hash label is not one that Patchbay makes.')
  const property: TicketProperty = { v: 1, key: request.key, attempt: request.attemptId }
  return {
    fields: {
      ...settings.config.fixedFields,
      project: { key: target.projectKey },
      issuetype: target.issueType,
      description: fencedDoc(cutDescription(content.description)),
      labels: checkedLabels([TICKET_LABEL, request.hashLabel, ...(content.labels ?? [])]),
      ...toJiraFields(owned(request)),
      ...(content.assigneeId !== undefined && { assignee: { accountId: content.assigneeId } }),
      ...(content.componentIds?.length && { components: content.componentIds.map((id) => ({ id })) }),
    },
    properties: [{ key: REF_PROPERTY, value: property }],
  }
}

function owned({ content }: CreateTicket): WrittenFields {
  return {
    summary: toSummary(content.summary),
    ...(content.priorityId !== undefined && { priorityId: content.priorityId }),
    ...(content.dueDate !== undefined && { dueDate: content.dueDate }),
  }
}

type LeftOut = CreatedTicket['leftOut']

/** What to try after a refusal, if doing without something can help. */
function lesser(
  body: CreateBody,
  request: CreateTicket,
  error: unknown,
): { body: CreateBody; leftOut: LeftOut } | undefined {
  if (error instanceof HubError && error.code === EDGE_REFUSED) {
    const description = fencedDoc(cutDescription(withoutCode(request.content.description)))
    const fields = { ...body.fields, description }
    return { body: { ...body, fields }, leftOut: [{ field: 'description', reason: error.message }] }
  }
  if (!(error instanceof JiraRefusal) || error.status !== 400) return undefined
  const leftOut = Object.entries(error.fields).map(([field, reason]) => ({ field, reason }))
  const helps =
    leftOut.length > 0 && leftOut.every(({ field }) => OPTIONAL_FIELDS.has(field) && field in body.fields)
  if (!helps) return undefined
  const refused = new Set(leftOut.map(({ field }) => field))
  const fields = Object.fromEntries(Object.entries(body.fields).filter(([field]) => !refused.has(field)))
  return { body: { ...body, fields }, leftOut }
}

function toCreated(
  settings: JiraSettings,
  request: CreateTicket,
  made: { issue: { id: string; key: string }; body: CreateBody; leftOut: LeftOut },
): CreatedTicket {
  const { priorityId, dueDate, ...rest } = owned(request)
  const written: WrittenFields = {
    ...rest,
    ...('priority' in made.body.fields && priorityId !== undefined && { priorityId }),
    ...('duedate' in made.body.fields && dueDate !== undefined && { dueDate }),
  }
  return { ref: ticketRef(settings.siteUrl, made.issue), written, leftOut: made.leftOut }
}
