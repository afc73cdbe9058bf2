import type { Block } from './blocks.ts'

/** Every ticket of Patchbay carries it, so that one search finds them all. */
export const TICKET_LABEL = 'patchbay'
/** The key of the property, on the ticket and on each of our comments, that proves where it comes from. */
export const REF_PROPERTY = 'patchbay.ref'
/** Shared by the tickets of one group: `patchbay-` and lower-case hex, as search is not case-sensitive. */
export const HASH_LABEL = /^patchbay-[0-9a-f]{16,40}$/u

export const READ_TICKETS_MAX = 100
export const FIND_LABELS_MAX = 50

/** `issueId` is the identity; the key changes when a person moves the ticket to another project. */
export interface TicketRef {
  issueId: string
  issueKey: string
  url: string
}

export interface TicketTarget {
  projectKey: string
  /** By id where known: names are localised and change. */
  issueType: { id: string } | { name: string }
}

/** Written with the ticket in the same request, so that a ticket whose answer was lost can be recognised. */
export interface TicketProperty {
  v: 1
  /** The group's dedupe key. */
  key: string
  /** Which attempt made it. */
  attempt: string
}

export interface TicketContent {
  /** Made one line and cut to what the field takes. */
  summary: string
  description: readonly Block[]
  /** Beside `patchbay` and the hash label, which are added. */
  labels?: readonly string[]
  priorityId?: string
  /** YYYY-MM-DD. */
  dueDate?: string
  assigneeId?: string
  componentIds?: readonly string[]
}

export interface CreateTicket {
  target: TicketTarget
  hashLabel: string
  /** The group's dedupe key, see `TicketProperty`. */
  key: string
  attemptId: string
  content: TicketContent
}

export interface CreatedTicket {
  ref: TicketRef
  /** What was written, as it was sent: the `lastWritten` of a later update. */
  written: WrittenFields
  /** Fields the far side refused; the ticket was made without them. */
  leftOut: readonly { field: string; reason: string }[]
}

/** The fields that Patchbay owns as long as nobody else changes them; null = it was written empty. */
export interface WrittenFields {
  summary?: string
  priorityId?: string | null
  dueDate?: string | null
}

export type StatusCategory = 'new' | 'indeterminate' | 'done'

export interface TicketStatus {
  id: string
  name: string
  category: StatusCategory
}

export interface TicketSnapshot {
  ref: TicketRef
  projectKey: string
  status: TicketStatus
  summary: string
  labels: readonly string[]
  priorityId: string | null
  dueDate: string | null
  assigneeId: string | null
  resolution: string | null
  createdMs: number
  updatedMs: number
  /** Null when the ticket has none, e.g. a copy that a person made: labels are copied, properties are not. */
  property: TicketProperty | null
}

/** `verified`: the property names the key that was asked for; anything else must not be adopted. */
export interface FoundTicket extends TicketSnapshot {
  hashLabel: string
  verified: boolean
}

export interface FindTickets {
  projectKey: string
  /** At most `FIND_LABELS_MAX`; the value is the dedupe key that the property must name. */
  keysByHashLabel: ReadonlyMap<string, string>
}

export interface UpdateTicket {
  ref: TicketRef
  /** Only the fields that should now say something else; null empties the field. */
  fields?: WrittenFields
  /** What Patchbay wrote last. A field that says something else by now was changed by a person and is left alone. */
  lastWritten?: WrittenFields
  /** The whole of our part of the description; what people wrote around it stays as it is. */
  description?: readonly Block[]
  labelsAdd?: readonly string[]
  labelsRemove?: readonly string[]
}

export type Drift =
  | { field: 'summary' | 'priorityId' | 'dueDate'; reason: 'changed_by_person' | 'refused'; detail: string }
  | {
      field: 'description'
      /** `fence_missing`: a person removed the markers; `fence_broken`: they are doubled or out of order. */
      reason: 'fence_missing' | 'fence_broken' | 'no_room'
      detail: string
    }

export interface UpdateOutcome {
  outcome: 'updated' | 'unchanged' | 'gone'
  /** What stands in the ticket now by our hand: keep it as the next `lastWritten`, together with the fields not named. */
  written: WrittenFields
  drift: readonly Drift[]
}

export interface AddComment {
  ref: TicketRef
  /** The comment's identity: asked for twice, it is added once. */
  commentKey: string
  blocks: readonly Block[]
  /** False only when it surely was never tried before; saves looking for it. Default true. */
  mayExist?: boolean
}

export interface TransitionTicket {
  ref: TicketRef
  to: 'done' | 'open'
  /** Added after the transition, also when somebody else had already done it. */
  comment?: { commentKey: string; blocks: readonly Block[] }
  /** By name, where the workflow asks for one; otherwise the configured or a usual one is taken. */
  resolution?: string
}

export interface TransitionOutcome {
  outcome: 'changed' | 'unchanged' | 'gone'
  status: TicketStatus | null
}

export interface TicketLink {
  from: TicketRef
  to: TicketRef
  /** The name of the link type, e.g. `Duplicate`: `from` duplicates `to`. */
  type: string
}

export interface RemoteLink {
  ref: TicketRef
  /** The link's identity: written again, it is replaced. */
  globalId: string
  url: string
  title: string
  resolved: boolean
}

export interface CheckStep {
  name: string
  ok: boolean
  message: string
  hint?: string
}

export interface CheckReport {
  ok: boolean
  steps: readonly CheckStep[]
}

/**
 * A ticket system, as the engine's push sees it. Every verb but `create` may be repeated without harm. Refusals and
 * failures are `HubError`s; a ticket that is not there (deleted, or no longer visible) is data: `gone`.
 */
export interface TicketDestination {
  /** Never throws for what it checks: each step says what was seen and what to do. */
  check(signal: AbortSignal): Promise<CheckReport>
  /**
   * Never repeats a request whose outcome is not known: that throws `HubError('transient')` with code `unknown_outcome`
   * and only a search settles it. After a clean refusal it tries once more without the optional fields refused.
   */
  create(request: CreateTicket, signal: AbortSignal): Promise<CreatedTicket>
  /** Oldest first within a label. Search lags behind: a ticket made just now may be missing for minutes. */
  findByHashLabel(request: FindTickets, signal: AbortSignal): Promise<FoundTicket[]>
  /** All tickets with the label `patchbay`, oldest first; `verified` is whether they have our property at all. */
  listAll(projectKey: string, signal: AbortSignal): AsyncIterable<FoundTicket>
  /** By id, at most `READ_TICKETS_MAX`; consistent, unlike search. Every id asked for is in the answer. */
  read(issueIds: readonly string[], signal: AbortSignal): Promise<Map<string, TicketSnapshot | 'gone'>>
  update(request: UpdateTicket, signal: AbortSignal): Promise<UpdateOutcome>
  addComment(request: AddComment, signal: AbortSignal): Promise<'added' | 'exists' | 'gone'>
  transition(request: TransitionTicket, signal: AbortSignal): Promise<TransitionOutcome>
  ensureRemoteLink(link: RemoteLink, signal: AbortSignal): Promise<'ensured' | 'gone'>
  linkTickets(link: TicketLink, signal: AbortSignal): Promise<'linked' | 'exists' | 'gone'>
}

/** The code of the `HubError` of a create that may or may not have made a ticket. */
export const UNKNOWN_OUTCOME = 'unknown_outcome'
