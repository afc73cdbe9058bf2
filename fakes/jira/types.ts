import type { Clock } from '../../src/lib/clock.ts'

type StatusCategory = 'new' | 'indeterminate' | 'done'

export interface FakeStatus {
  id: string
  name: string
  category: StatusCategory
}

export interface FakeTransition {
  id: string
  name: string
  /** Status ids, or `*` for a global transition. */
  from: readonly string[] | '*'
  to: string
  /** Without a screen, fields cannot be set and a comment sent along is silently lost. */
  screen?: { resolution?: 'optional' | 'required'; required?: readonly { id: string; name: string }[] }
}

interface FakeField {
  id: string
  name: string
  required?: boolean
  hasDefault?: boolean
}

export interface FakeIssueType {
  id: string
  name: string
  statuses: readonly FakeStatus[]
  /** The status of a new issue. */
  initial: string
  transitions: readonly FakeTransition[]
  /** Custom fields on the create screen. */
  extraFields?: readonly FakeField[]
  /** System fields that are not on the screens, e.g. `labels`. */
  hiddenFields?: readonly string[]
}

export interface FakeProject {
  id: string
  key: string
  name: string
  issueTypes: readonly FakeIssueType[]
  components?: readonly { id: string; name: string }[]
  /** Accounts that issues can be assigned to; default all. */
  assignable?: readonly string[]
}

export interface FakeUser {
  accountId: string
  displayName: string
  /** Both are needed to sign in over the API. */
  email?: string
  apiToken?: string
}

export interface FakeComment {
  id: string
  authorId: string
  body: unknown
  createdMs: number
  properties: ReadonlyMap<string, unknown>
}

interface FakeRemoteLink {
  id: number
  globalId: string | null
  body: Record<string, unknown>
}

/** Never changed in place: each change puts a new object, so that search can look at an old one. */
export interface FakeIssue {
  id: string
  key: string
  projectKey: string
  typeId: string
  statusId: string
  summary: string
  description: unknown
  labels: readonly string[]
  priorityId: string
  dueDate: string | null
  assigneeId: string | null
  componentIds: readonly string[]
  resolutionId: string | null
  custom: Readonly<Record<string, unknown>>
  properties: ReadonlyMap<string, unknown>
  comments: readonly FakeComment[]
  remoteLinks: readonly FakeRemoteLink[]
  creatorId: string
  createdMs: number
  updatedMs: number
}

export interface FakeIssueLink {
  id: string
  typeId: string
  /** The one the sentence starts with: inward "duplicates" outward. */
  inwardId: string
  outwardId: string
}

export interface LoggedRequest {
  atMs: number
  operation: string
  method: string
  path: string
  body: unknown
  /** What the fake did; null when the connection was dropped before an answer. */
  status: number | null
}

/** Checks against the vendor's specifications; the fake only collects what it says. */
export interface ExchangeValidator {
  request(exchange: { method: string; template: string; query: URLSearchParams; body: unknown }): string[]
  response(exchange: { method: string; template: string; status: number; body: unknown }): string[]
}

export interface RateLimits {
  /** Requests per second and endpoint. */
  burstReadPost: number
  burstPutDelete: number
  /** Writes to one issue. */
  issueWritesPer2s: number
  issueWritesPer30s: number
}

export interface FakeJiraOptions {
  clock: Clock
  projects?: readonly FakeProject[]
  users?: readonly FakeUser[]
  /** How long a change takes until search sees it; everything else is consistent at once. */
  searchLagMs?: number
  limits?: Partial<RateLimits>
  validate?: ExchangeValidator
  /** 0 picks a free one. */
  port?: number
}
