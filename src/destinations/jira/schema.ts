import { z } from 'zod'

import type { StatusCategory } from '../../model/ticket-destination.ts'

/** What Jira sends, only the fields used (Jira Cloud platform REST API, version 3). Unknown members are ignored. */

const STATUS_CATEGORIES: readonly string[] = ['new', 'indeterminate', 'done']

/** A category Jira may add one day counts as work in progress: never as done. */
const Category = z
  .string()
  .transform((key) => (STATUS_CATEGORIES.includes(key) ? (key as StatusCategory) : 'indeterminate'))

const Status = z.object({
  id: z.string(),
  name: z.string(),
  statusCategory: z.object({ key: Category }),
})

const Named = z.object({ id: z.string(), name: z.string() })

const IssueFields = z.object({
  summary: z.string().nullish(),
  status: Status,
  labels: z.array(z.string()).nullish(),
  priority: Named.nullish(),
  duedate: z.string().nullish(),
  assignee: z.object({ accountId: z.string() }).nullish(),
  resolution: Named.nullish(),
  created: z.string(),
  updated: z.string(),
  project: z.object({ key: z.string() }),
})

export const Issue = z.object({
  id: z.string().regex(/^\d{1,19}$/u),
  key: z.string(),
  fields: IssueFields,
  properties: z.record(z.string(), z.unknown()).nullish(),
})
export type Issue = z.infer<typeof Issue>

export const SNAPSHOT_FIELDS = [
  'summary',
  'status',
  'labels',
  'priority',
  'duedate',
  'assignee',
  'resolution',
  'created',
  'updated',
  'project',
] as const

export const CreatedIssue = z.object({ id: z.string().regex(/^\d{1,19}$/u), key: z.string().min(1) })

export const BulkFetched = z.object({ issues: z.array(Issue) })

export const SearchPage = z.object({
  issues: z.array(Issue),
  nextPageToken: z.string().nullish(),
  isLast: z.boolean().nullish(),
})

/** The description is kept as it came: text of people must survive byte for byte. */
export const EditableIssue = z.object({
  key: z.string(),
  fields: z.object({
    summary: z.string().nullish(),
    description: z.unknown(),
    labels: z.array(z.string()).nullish(),
    priority: Named.nullish(),
    duedate: z.string().nullish(),
  }),
})
export type EditableIssue = z.infer<typeof EditableIssue>

export const IssueStatus = z.object({ key: z.string(), fields: z.object({ status: Status }) })

const ScreenField = z.object({
  required: z.boolean(),
  name: z.string(),
  hasDefaultValue: z.boolean().nullish(),
  allowedValues: z.array(z.unknown()).nullish(),
})

export const Transition = z.object({
  id: z.string(),
  name: z.string(),
  to: Status,
  isAvailable: z.boolean().nullish(),
  fields: z.record(z.string(), ScreenField).nullish(),
})
export type Transition = z.infer<typeof Transition>

export const Transitions = z.object({ transitions: z.array(Transition) })

export const CommentPage = z.object({ comments: z.array(z.object({ id: z.string() })), total: z.number() })

export const CommentList = z.object({
  values: z.array(
    z.object({
      id: z.string(),
      properties: z.array(z.object({ key: z.string(), value: z.unknown() })).nullish(),
    }),
  ),
})

export const IssueLinks = z.object({
  fields: z.object({
    issuelinks: z
      .array(
        z.object({
          type: z.object({ name: z.string() }),
          outwardIssue: z.object({ id: z.string() }).nullish(),
        }),
      )
      .nullish(),
  }),
})

export const ServerInfo = z.object({ deploymentType: z.string(), version: z.string().nullish() })
export const Myself = z.object({ accountId: z.string(), displayName: z.string().nullish() })
export const Project = z.object({ id: z.string(), key: z.string(), name: z.string() })
export const MyPermissions = z.object({
  permissions: z.record(z.string(), z.object({ havePermission: z.boolean() })),
})
export const IssueTypePage = z.object({ issueTypes: z.array(Named), total: z.number() })
export const CreateFieldPage = z.object({
  fields: z.array(ScreenField.extend({ fieldId: z.string() })),
  total: z.number(),
})
