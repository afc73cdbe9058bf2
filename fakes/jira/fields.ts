import { z } from 'zod'

import { adfProblem, adfTextLength } from './adf-check.ts'
import { PRIORITIES, RESOLUTIONS } from './defaults.ts'
import type { FakeIssue, FakeIssueType, FakeProject } from './types.ts'
import type { World } from './world.ts'

const SUMMARY_CHARS_MAX = 255
const TEXT_CHARS_MAX = 32_767
const LABEL_CHARS_MAX = 255

/** Collects what is wrong per field; a request with any of it changes nothing. */
export type FieldErrors = Map<string, string>

/** What a `fields` object changes about an issue. */
export type FieldChanges = Partial<
  Pick<
    FakeIssue,
    | 'summary'
    | 'description'
    | 'labels'
    | 'priorityId'
    | 'dueDate'
    | 'assigneeId'
    | 'componentIds'
    | 'custom'
    | 'resolutionId'
  >
>

export interface FieldScope {
  world: World
  project: FakeProject
  type: FakeIssueType
  /** `resolution` can only be set on a transition's screen. */
  screen: 'create' | 'edit' | 'transition'
}

const OFF_SCREEN = (field: string): string =>
  `Field '${field}' cannot be set. It is not on the appropriate screen, or unknown.`

const Id = z.object({ id: z.string() })
const IdOrName = z.union([Id, z.object({ name: z.string() })])

/** Reads `fields`, as strictly as Jira does: one bad field and the whole request is refused. */
export function readFields(
  scope: FieldScope,
  fields: Record<string, unknown>,
  errors: FieldErrors,
): FieldChanges {
  const changes: FieldChanges = {}
  for (const [field, value] of Object.entries(fields)) {
    const read = READERS[field]
    if (read !== undefined && !scope.type.hiddenFields?.includes(field)) {
      const result = read(scope, value)
      if (typeof result === 'string') errors.set(field, result)
      else Object.assign(changes, result)
    } else if (scope.type.extraFields?.some((extra) => extra.id === field)) {
      changes.custom = { ...changes.custom, [field]: value }
    } else errors.set(field, OFF_SCREEN(field))
  }
  return changes
}

type Reader = (scope: FieldScope, value: unknown) => FieldChanges | string

const READERS: Readonly<Record<string, Reader>> = {
  summary: (_scope, value) => {
    if (typeof value !== 'string' || value.trim() === '') return 'You must specify a summary of the issue.'
    if (/[\r\n]/u.test(value)) return 'The summary is invalid because it contains newline characters.'
    if (value.length > SUMMARY_CHARS_MAX) return `Summary can't exceed ${SUMMARY_CHARS_MAX} characters.`
    return { summary: value }
  },
  description: (_scope, value) => {
    if (value === null) return { description: null }
    return richTextProblem(value) ?? { description: value }
  },
  labels: (_scope, value) => {
    if (!Array.isArray(value) || !value.every((label) => typeof label === 'string'))
      return 'data was not an array'
    return value.map(labelProblem).find((problem) => problem !== undefined) ?? { labels: [...new Set(value)] }
  },
  priority: (_scope, value) => {
    const id = byIdOrName(value, PRIORITIES)
    return id === undefined ? 'The priority selected is invalid.' : { priorityId: id }
  },
  duedate: ({ world, project }, value) => {
    if (!world.may(project.key, 'SCHEDULE_ISSUES')) return OFF_SCREEN('duedate')
    if (value === null) return { dueDate: null }
    const valid =
      typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/u.test(value) && !Number.isNaN(Date.parse(value))
    return valid ? { dueDate: value } : 'Error parsing date string. Expected format: yyyy-MM-dd'
  },
  assignee: (scope, value) => readAssignee(scope, value),
  components: ({ project }, value) => {
    const parsed = z.array(IdOrName).safeParse(value)
    if (!parsed.success) return 'data was not an array'
    const ids = parsed.data.map((component) => byIdOrName(component, project.components ?? []))
    return ids.every((id) => id !== undefined) ? { componentIds: ids } : 'Component id is not valid'
  },
  resolution: ({ screen }, value) => {
    if (screen !== 'transition') return OFF_SCREEN('resolution')
    const id = byIdOrName(value, RESOLUTIONS)
    return id === undefined ? 'The resolution selected is invalid.' : { resolutionId: id }
  },
}

function readAssignee({ world, project }: FieldScope, value: unknown): FieldChanges | string {
  if (!world.may(project.key, 'ASSIGN_ISSUES')) return OFF_SCREEN('assignee')
  if (value === null) return { assigneeId: null }
  const parsed = z.union([z.object({ accountId: z.string() }), Id]).safeParse(value)
  if (!parsed.success) return 'data was not an object'
  const accountId = 'accountId' in parsed.data ? parsed.data.accountId : parsed.data.id
  if (!world.users.some((user) => user.accountId === accountId))
    return `Account ID '${accountId}' is not valid.`
  const assignable = project.assignable?.includes(accountId) ?? true
  return assignable ? { assigneeId: accountId } : `User '${accountId}' cannot be assigned issues.`
}

export function richTextProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null)
    return 'Operation value must be an Atlassian Document (see the Atlassian Document Format)'
  const problem = adfProblem(value)
  if (problem !== undefined) return `The document is not valid: ${problem}.`
  return adfTextLength(value) > TEXT_CHARS_MAX
    ? `The entered text is too long. It exceeds the allowed limit of ${TEXT_CHARS_MAX} characters.`
    : undefined
}

function labelProblem(label: string): string | undefined {
  if (label === '') return 'A label is empty.'
  if (/\s/u.test(label)) return `The label '${label}' contains spaces which is invalid.`
  return label.length > LABEL_CHARS_MAX
    ? `The label '${label}' exceeds the maximum length allowed.`
    : undefined
}

function byIdOrName(value: unknown, known: readonly { id: string; name: string }[]): string | undefined {
  const parsed = IdOrName.safeParse(value)
  if (!parsed.success) return undefined
  const wanted = parsed.data
  return known.find((one) => ('id' in wanted ? one.id === wanted.id : one.name === wanted.name))?.id
}

const Operation = z
  .strictObject({ add: z.unknown().optional(), remove: z.unknown().optional(), set: z.unknown().optional() })
  .refine((operation) => Object.keys(operation).length === 1)

/** The `update` part of an edit: labels one by one, any other field by `set`. */
export function readUpdates(
  scope: FieldScope,
  issue: FakeIssue,
  { update, errors }: { update: Record<string, unknown>; errors: FieldErrors },
): FieldChanges {
  const changes: FieldChanges = {}
  for (const [field, operations] of Object.entries(update)) {
    const parsed = z.array(Operation).safeParse(operations)
    if (!parsed.success) {
      errors.set(field, 'data was not an array of operations')
      continue
    }
    for (const operation of parsed.data) {
      if ('set' in operation) Object.assign(changes, readFields(scope, { [field]: operation.set }, errors))
      else if (field === 'labels')
        changes.labels = editLabels(changes.labels ?? issue.labels, operation, errors)
      else errors.set(field, OFF_SCREEN(field))
    }
  }
  return changes
}

function editLabels(
  labels: readonly string[],
  operation: { add?: unknown; remove?: unknown },
  errors: FieldErrors,
): readonly string[] {
  const label = operation.add ?? operation.remove
  const problem = typeof label === 'string' ? labelProblem(label) : 'data was not a string'
  if (problem !== undefined || typeof label !== 'string') {
    errors.set('labels', problem ?? '')
    return labels
  }
  if ('remove' in operation) return labels.filter((other) => other !== label)
  return labels.includes(label) ? labels : [...labels, label]
}
