import { randomUUID } from 'node:crypto'
import { isHubError } from '../model/errors.ts'
import { type FoundTicket, UNKNOWN_OUTCOME } from '../model/ticket-destination.ts'
import { holdsOp } from '../store/queries/outbox.ts'
import { getRestoredAt } from '../store/queries/restoration.ts'
import { changeTicket } from '../store/queries/tickets.ts'
import { inTransaction } from '../store/transaction.ts'
import type { Sending, Sent } from './push-types.ts'
import { dedupeKey } from './tickets/plan.ts'

/** How long a search may lag behind: only after this much silence is a ticket that nobody finds made again. */
const SETTLE_MS = 5 * 60_000
const SEARCH_AGAIN_MS = 15_000

/**
 * Makes a ticket exactly once, although the far side knows no idempotency key: the row and the attempt are committed
 * before the request; a request whose end nobody saw is `unknown` until a search by its label settles it, with the
 * property as the proof; found means adopted, and only after the search has had time to see everything is it made anew.
 */
export async function createTicket(sending: Sending): Promise<Sent> {
  const { ticket, deps } = sending
  if (ticket.issueId !== null) return { outcome: 'done', count: 'adopted', ticket: { state: 'open' } }
  const unknownSince = await unknownSinceOf(sending)
  if (unknownSince === null) return attempt(sending)

  const found = await find(sending)
  if (found !== null) return adopt(found)
  const unknownSinceMs = unknownSince.getTime()
  if (deps.clock.nowMs() - unknownSinceMs >= SETTLE_MS) return attempt(sending)
  return {
    outcome: 'later',
    notBefore: new Date(Math.min(deps.clock.nowMs() + SEARCH_AGAIN_MS, unknownSinceMs + SETTLE_MS)),
    reason: 'It is not known whether the ticket was made; the search is given time to find it.',
    ticket: { state: 'unknown', unknownSince },
  }
}

/**
 * Since when the ticket may be there without our knowing; null when it cannot be. A database that was restored from a
 * backup knows nothing of what was made between the two, so there every new ticket is searched for.
 */
async function unknownSinceOf({ deps, ticket }: Sending): Promise<Date | null> {
  if (ticket.state === 'unknown' || ticket.state === 'creating')
    return ticket.unknownSince ?? new Date(deps.clock.nowMs())
  return getRestoredAt(deps.pool)
}

async function attempt({ deps, item, ticket, signal }: Sending): Promise<Sent> {
  if (item.op !== 'create') throw new Error('Only a create makes a ticket.')
  const attemptId = randomUUID()
  const isOurs = await inTransaction(deps.pool, async (tx) => {
    if (!(await holdsOp(tx, item.id, deps.worker))) return false
    await changeTicket(tx, ticket.id, { state: 'creating', attemptId, unknownSince: null })
    return true
  })
  if (!isOurs) return { outcome: 'lost' }
  try {
    const created = await deps.destination.create(
      {
        target: { projectKey: deps.target.projectKey, issueType: deps.target.issueType },
        hashLabel: ticket.hashLabel,
        key: dedupeKey(ticket.ruleId, ticket.originalKey, ticket.generation),
        attemptId,
        content: { summary: item.payload.summary, description: item.payload.blocks },
      },
      signal,
    )
    if (created.leftOut.length > 0)
      deps.log.warn(
        { ticket: created.ref.issueKey, leftOut: created.leftOut },
        'Fields were refused and left out.',
      )
    return {
      outcome: 'done',
      count: 'created',
      ticket: { state: 'open', unknownSince: null, ...created.ref, written: { ...created.written } },
    }
  } catch (error) {
    // A clean refusal made nothing: the next attempt needs no search.
    const isClean = isHubError(error) && error.code !== UNKNOWN_OUTCOME && !signal.aborted
    if (isClean) await changeTicket(deps.pool, ticket.id, { state: 'planned' })
    throw error
  }
}

/** The oldest ticket with our label whose property names our key; a copy that a person made is not ours. */
async function find({ deps, ticket, signal }: Sending): Promise<FoundTicket | null> {
  const key = dedupeKey(ticket.ruleId, ticket.originalKey, ticket.generation)
  const found = await deps.destination.findByHashLabel(
    { projectKey: deps.target.projectKey, keysByHashLabel: new Map([[ticket.hashLabel, key]]) },
    signal,
  )
  return found.find((candidate) => candidate.verified) ?? null
}

function adopt(found: FoundTicket): Sent {
  return {
    outcome: 'done',
    count: 'adopted',
    ticket: { state: 'open', unknownSince: null, ...found.ref, written: { summary: found.summary } },
  }
}
