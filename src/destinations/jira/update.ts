import { type Block, cutText, singleLine } from '../../model/blocks.ts'
import { HubError, isHubError } from '../../model/errors.ts'
import type { Drift, UpdateOutcome, UpdateTicket, WrittenFields } from '../../model/ticket-destination.ts'
import { type AdfDoc, adfTextSize, blocksToAdf } from './adf.ts'
import { type JiraClient, pathPart } from './client.ts'
import { EDGE_REFUSED, JiraRefusal } from './errors.ts'
import { replaceFence, splitFence } from './fence.ts'
import {
  checkedLabels,
  cutDescription,
  OUR_TEXT_CHARS_MAX,
  OWNED_FIELDS,
  type OwnedField,
  ownedFieldNames,
  TEXT_CHARS_MAX,
  toJiraFields,
  toSummary,
  withoutCode,
} from './fields.ts'
import { EditableIssue } from './schema.ts'

/** With less room than this beside the text of people, ours is not worth writing. */
const ROOM_CHARS_MIN = 500
const MARKUP_HEADROOM_CHARS = 1_000
const DETAIL_CHARS_MAX = 200

interface Edit {
  fields: WrittenFields
  description?: AdfDoc
  labels: ({ add: string } | { remove: string })[]
}

interface Planned {
  edit: Edit
  /** Fields that already say what they should. */
  settled: WrittenFields
  drift: Drift[]
}

/** Reads the ticket, changes only what is ours and still as we left it, and says what it left alone. */
export async function updateTicket(
  client: JiraClient,
  request: UpdateTicket,
  signal: AbortSignal,
): Promise<UpdateOutcome> {
  const issue = await readForEdit(client, request.ref.issueId, signal)
  if (issue === 'gone') return gone()
  const planned = plan(issue, request)
  if (isEmpty(planned.edit)) return { outcome: 'unchanged', written: planned.settled, drift: planned.drift }
  try {
    await put(client, request.ref.issueId, { edit: planned.edit, signal })
    return done(planned)
  } catch (error) {
    if (isHubError(error, 'not_found')) return gone()
    const second = lesser(issue, request, { planned, error })
    if (second === undefined) throw error
    if (!isEmpty(second.edit)) await put(client, request.ref.issueId, { edit: second.edit, signal })
    return done(second)
  }
}

function gone(): UpdateOutcome {
  return { outcome: 'gone', written: {}, drift: [] }
}

function done(planned: Planned): UpdateOutcome {
  return {
    outcome: isEmpty(planned.edit) ? 'unchanged' : 'updated',
    written: { ...planned.settled, ...planned.edit.fields },
    drift: planned.drift,
  }
}

async function readForEdit(
  client: JiraClient,
  issueId: string,
  signal: AbortSignal,
): Promise<EditableIssue | 'gone'> {
  try {
    return await client.call(
      {
        method: 'GET',
        path: `/rest/api/3/issue/${pathPart(issueId)}`,
        query: { fields: 'summary,description,labels,priority,duedate' },
        what: 'read a ticket',
        repeat: 'read',
      },
      EditableIssue,
      signal,
    )
  } catch (error) {
    if (isHubError(error, 'not_found')) return 'gone'
    throw error
  }
}

async function put(
  client: JiraClient,
  issueId: string,
  { edit, signal }: { edit: Edit; signal: AbortSignal },
): Promise<void> {
  const fields = {
    ...toJiraFields(edit.fields),
    ...(edit.description !== undefined && { description: edit.description }),
  }
  const body = {
    ...(Object.keys(fields).length > 0 && { fields }),
    ...(edit.labels.length > 0 && { update: { labels: edit.labels } }),
  }
  // Not repeated after a lost answer: a person may have written since, so the ticket has to be read again first.
  await client.send(
    {
      method: 'PUT',
      path: `/rest/api/3/issue/${pathPart(issueId)}`,
      body,
      what: 'update a ticket',
      repeat: 'write',
    },
    signal,
  )
}

/** Pure: what to change, and what people have taken over. */
function plan(issue: EditableIssue, request: UpdateTicket): Planned {
  const fields = planFields(issue, request)
  const description = planDescription(issue.fields.description, request.description)
  return {
    edit: { fields: fields.write, labels: planLabels(issue, request), ...description.edit },
    settled: fields.settled,
    drift: [...fields.drift, ...description.drift],
  }
}

function planFields(
  issue: EditableIssue,
  { fields = {}, lastWritten = {} }: UpdateTicket,
): { write: WrittenFields; settled: WrittenFields; drift: Drift[] } {
  const wanted: WrittenFields = {
    ...fields,
    ...(fields.summary !== undefined && { summary: toSummary(fields.summary) }),
  }
  const current: Required<WrittenFields> = {
    summary: issue.fields.summary ?? '',
    priorityId: issue.fields.priority?.id ?? null,
    dueDate: issue.fields.duedate ?? null,
  }
  const write: Record<string, string | null> = {}
  const settled: Record<string, string | null> = {}
  const drift: Drift[] = []
  for (const name of ownedFieldNames(wanted)) {
    const value = wanted[name] ?? null
    if (current[name] === value) settled[name] = value
    else if (current[name] === asWritten(name, lastWritten)) write[name] = value
    else drift.push({ field: name, reason: 'changed_by_person', detail: quoted(current[name]) })
  }
  return { write, settled, drift }
}

/** What we left there; undefined when we never wrote it, so that whatever stands there is somebody else's. */
function asWritten(name: OwnedField, lastWritten: WrittenFields): string | null | undefined {
  const value = lastWritten[name]
  return name === 'summary' && typeof value === 'string' ? toSummary(value) : value
}

function quoted(value: string | null): string {
  return value === null ? 'a person emptied it' : `now "${cutText(singleLine(value), DETAIL_CHARS_MAX)}"`
}

function planLabels(issue: EditableIssue, request: UpdateTicket): Edit['labels'] {
  const present = new Set(issue.fields.labels ?? [])
  return [
    ...checkedLabels(request.labelsAdd ?? [])
      .filter((label) => !present.has(label))
      .map((label) => ({ add: label })),
    ...checkedLabels(request.labelsRemove ?? [])
      .filter((label) => present.has(label))
      .map((label) => ({ remove: label })),
  ]
}

function planDescription(
  existing: unknown,
  blocks: readonly Block[] | undefined,
): { edit: { description?: AdfDoc }; drift: Drift[] } {
  if (blocks === undefined) return { edit: {}, drift: [] }
  const parts = splitFence(existing)
  if (typeof parts === 'string') return { edit: {}, drift: [fenceDrift(parts)] }
  const theirs = adfTextSize([...parts.before, ...parts.after])
  const room = Math.min(OUR_TEXT_CHARS_MAX, TEXT_CHARS_MAX - MARKUP_HEADROOM_CHARS - theirs)
  if (room < ROOM_CHARS_MIN) {
    const detail = `the text of people takes ${theirs} of ${TEXT_CHARS_MAX} characters`
    return { edit: {}, drift: [{ field: 'description', reason: 'no_room', detail }] }
  }
  const fence = replaceFence(existing, blocksToAdf(cutDescription(blocks, room)))
  return { edit: fence.state === 'replaced' ? { description: fence.doc } : {}, drift: [] }
}

function fenceDrift(state: 'missing' | 'broken'): Drift {
  return state === 'missing'
    ? {
        field: 'description',
        reason: 'fence_missing',
        detail: 'a person removed the lines that mark our part',
      }
    : {
        field: 'description',
        reason: 'fence_broken',
        detail: 'the lines that mark our part are doubled or out of order',
      }
}

function isEmpty(edit: Edit): boolean {
  return Object.keys(edit.fields).length === 0 && edit.description === undefined && edit.labels.length === 0
}

/** What to try after a clean refusal, if doing without something can help. */
function lesser(
  issue: EditableIssue,
  request: UpdateTicket,
  { planned, error }: { planned: Planned; error: unknown },
): Planned | undefined {
  if (error instanceof HubError && error.code === EDGE_REFUSED && request.description !== undefined)
    return plan(issue, { ...request, description: withoutCode(request.description) })
  if (!(error instanceof JiraRefusal) || error.status !== 400) return undefined
  const refused = (['priorityId', 'dueDate'] as const).filter(
    (name) => planned.edit.fields[name] !== undefined && error.fields[OWNED_FIELDS[name]] !== undefined,
  )
  if (refused.length === 0 || refused.length !== Object.keys(error.fields).length) return undefined
  const kept = Object.entries(planned.edit.fields).filter(
    ([name]) => !refused.some((other) => other === name),
  )
  return {
    ...planned,
    edit: { ...planned.edit, fields: Object.fromEntries(kept) },
    drift: [
      ...planned.drift,
      ...refused.map((field): Drift => ({
        field,
        reason: 'refused',
        detail: error.fields[OWNED_FIELDS[field]] ?? '',
      })),
    ],
  }
}
