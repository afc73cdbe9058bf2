import { HubError } from '../model/errors.ts'
import { type TicketRef, UNKNOWN_OUTCOME } from '../model/ticket-destination.ts'
import type { Tx } from '../store/db.ts'
import { setIntegrationStatus } from '../store/queries/integrations.ts'
import {
  OUTBOX_CLAIM_SECONDS,
  type OutboxItem,
  cancelOpsOf,
  claimOp,
  finishOp,
  holdsOp,
  postponeAll,
  postponeOp,
} from '../store/queries/outbox.ts'
import { setRuleError } from '../store/queries/rules.ts'
import { type TicketChange, type TicketRow, changeTicket, getTicket } from '../store/queries/tickets.ts'
import { inTransaction } from '../store/transaction.ts'
import { createTicket } from './push-create.ts'
import type { PushCounts, PushDeps, Sending, Sent } from './push-types.ts'

/** Tickets that are worked on at the same time. */
const LANES = 4
const OPS_PER_PUSH_MAX = 100_000
const RETRY_DELAY_MS = 5_000
const RETRY_DELAY_MS_MAX = 15 * 60_000
/** A wrong configuration or login is one message and not a thousand: nothing is sent for so long. */
const PAUSE_MS = 15 * 60_000
/** So many new tickets in a row that are refused are one message and not a thousand. */
const REFUSED_CREATES_MAX = 3
/** Well before a claim runs out, so that nothing is on its way any more when somebody else takes over. */
const SEND_MS_MAX = (OUTBOX_CLAIM_SECONDS * 1000) / 2
/** A change of one ticket that is refused again and again is tried once a day. */
const REFUSED_DELAY_MS_MAX = 24 * 60 * 60_000

/** Sends what is due for one target until nothing is, keeping each ticket's order. */
export async function pushTickets(deps: PushDeps, signal: AbortSignal): Promise<PushCounts> {
  const counts: PushCounts = {
    created: 0,
    updated: 0,
    commented: 0,
    closed: 0,
    reopened: 0,
    linked: 0,
    adopted: 0,
    postponed: 0,
    reviewed: 0,
  }
  const refusals: Refusals = { creates: 0 }
  const lanes = Array.from({ length: LANES }, async (_, lane) => {
    // Claims are told apart by the lane, also within one process.
    const laneDeps = { ...deps, worker: `${deps.worker} lane ${lane + 1}` }
    for (let sent = 0; sent < OPS_PER_PUSH_MAX; sent += 1) {
      signal.throwIfAborted()
      const now = new Date(deps.clock.nowMs())
      const { integrationId } = deps.target
      const item = await claimOp(deps.pool, {
        worker: laneDeps.worker,
        now,
        targetIntegrationId: integrationId,
      })
      if (item === null) return
      counts[await pushOne(laneDeps, item, { signal, refusals })] += 1
    }
  })
  const settled = await Promise.allSettled(lanes)
  const failed = settled.find((lane) => lane.status === 'rejected')
  if (failed) throw failed.reason
  const { postponed, reviewed: _, ...done } = counts
  if (Object.values(done).some((count) => count > 0) && postponed === 0)
    await setIntegrationStatus(deps.pool, deps.target.integrationId, { status: 'OK', message: null })
  return counts
}

/** Clean refusals of new tickets in one push: a few are about those tickets, more are about the configuration. */
interface Refusals {
  creates: number
}

async function pushOne(
  deps: PushDeps,
  item: OutboxItem & { wasSending: boolean },
  push: { signal: AbortSignal; refusals: Refusals },
): Promise<keyof PushCounts> {
  const ticket = await getTicket(deps.pool, item.ticketId)
  if (ticket === null) throw new Error(`The ticket ${item.ticketId} of a change has vanished.`)
  const outOfTime = AbortSignal.timeout(SEND_MS_MAX)
  const sending: Sending = {
    deps,
    item,
    ticket,
    mayHaveBeenSent: item.wasSending || item.tries > 1,
    signal: AbortSignal.any([push.signal, outOfTime]),
  }
  let sent: Sent
  try {
    sent = await send(sending)
    if (item.op === 'create' && sent.outcome === 'done') push.refusals.creates = 0
  } catch (error) {
    if (push.signal.aborted) throw error
    sent = await afterFailure(sending, outOfTime.aborted ? tookTooLong() : error, push.refusals)
  }
  await inTransaction(deps.pool, async (tx) => {
    if (sent.outcome !== 'lost' && (await holdsOp(tx, item.id, deps.worker))) await settle(tx, sending, sent)
  })
  if (sent.outcome === 'done') return sent.count
  return sent.outcome === 'review' ? 'reviewed' : 'postponed'
}

function tookTooLong(): HubError {
  return new HubError('transient', `No answer came within ${SEND_MS_MAX / 1000} seconds.`, {
    code: UNKNOWN_OUTCOME,
  })
}

async function settle(
  tx: Tx,
  { deps, item, ticket }: Sending,
  sent: Exclude<Sent, { outcome: 'lost' }>,
): Promise<void> {
  const now = new Date(deps.clock.nowMs())
  switch (sent.outcome) {
    case 'done':
      await changeTicket(tx, ticket.id, { pushedAt: now, ...sent.ticket })
      await setRuleError(tx, ticket.ruleId, null)
      return finishOp(tx, item.id, now)
    case 'later':
      await changeTicket(tx, ticket.id, sent.ticket)
      return postponeOp(tx, item.id, { notBefore: sent.notBefore, error: sent.reason })
    case 'review':
      await changeTicket(tx, ticket.id, { state: 'review', reviewReason: sent.reason })
      return cancelOpsOf(tx, ticket.id, sent.reason)
  }
}

async function send(sending: Sending): Promise<Sent> {
  const { deps, item, ticket, signal } = sending
  const { destination } = deps
  if (item.op === 'create') return createTicket(sending)
  const ref = refOf(ticket)
  const commentKey = `outbox-${item.id}`
  switch (item.op) {
    case 'update':
      return update(sending, ref, item.payload)
    case 'comment': {
      const mayExist = sending.mayHaveBeenSent
      const outcome = await destination.addComment(
        { ref, commentKey, blocks: item.payload.blocks, mayExist },
        signal,
      )
      return outcome === 'gone' ? GONE : { outcome: 'done', count: 'commented', ticket: {} }
    }
    case 'close':
    case 'reopen': {
      const to = item.op === 'close' ? 'done' : 'open'
      const comment = { commentKey, blocks: item.payload.blocks }
      const { outcome } = await destination.transition({ ref, to, comment }, signal)
      if (outcome === 'gone') return GONE
      return item.op === 'close'
        ? {
            outcome: 'done',
            count: 'closed',
            ticket: { state: 'closed', closedAt: new Date(deps.clock.nowMs()) },
          }
        : { outcome: 'done', count: 'reopened', ticket: { state: 'open', closedAt: null } }
    }
    case 'link': {
      const to = await getTicket(deps.pool, item.payload.toTicketId)
      if (to === null || to.issueId === null) return { outcome: 'done', count: 'linked', ticket: {} }
      const outcome = await destination.linkTickets({ from: ref, to: refOf(to), type: 'Relates' }, signal)
      // Either end may be gone; the link is a courtesy, and says nothing about this ticket.
      if (outcome === 'gone') deps.log.info({ ticket: ticket.issueKey }, 'A ticket to link with is gone.')
      return { outcome: 'done', count: 'linked', ticket: {} }
    }
  }
}

async function update(
  { deps, ticket, signal }: Sending,
  ref: TicketRef,
  payload: Extract<OutboxItem, { op: 'update' }>['payload'],
): Promise<Sent> {
  const { outcome, written, drift } = await deps.destination.update(
    { ref, fields: { summary: payload.summary }, lastWritten: ticket.written, description: payload.blocks },
    signal,
  )
  if (outcome === 'gone') return GONE
  if (drift.length > 0)
    deps.log.info(
      { ticket: ticket.issueKey, drift },
      'People changed this ticket; their changes are left alone.',
    )
  return { outcome: 'done', count: 'updated', ticket: { written: { ...ticket.written, ...written } } }
}

const GONE: Sent = {
  outcome: 'review',
  reason: 'The ticket was deleted, or this account may not see it any more. It is not made again by itself.',
}

/** Waits as long as told, pauses the whole target when a person has to act, and tries the rest again, ever more slowly. */
async function afterFailure(
  { deps, item, ticket }: Sending,
  error: unknown,
  refusals: Refusals,
): Promise<Sent> {
  if (!(error instanceof HubError)) throw error
  const nowMs = deps.clock.nowMs()
  const reason = error.message
  if (error.kind === 'rate_limit' || error.kind === 'concurrency') {
    const notBefore = new Date(nowMs + (error.retryAfterMs ?? RETRY_DELAY_MS))
    await postponeAll(deps.pool, { targetIntegrationId: deps.target.integrationId, notBefore, error: reason })
    return { outcome: 'later', notBefore, reason, ticket: {} }
  }
  if (['transient', 'contract', 'conflict'].includes(error.kind)) {
    const delayMs = Math.min(RETRY_DELAY_MS * 2 ** (item.tries - 1), RETRY_DELAY_MS_MAX)
    const change: TicketChange =
      item.op === 'create' && error.code === UNKNOWN_OUTCOME
        ? { state: 'unknown', unknownSince: new Date(nowMs) }
        : {}
    return { outcome: 'later', notBefore: new Date(nowMs + delayMs), reason, ticket: change }
  }
  const message = error.hint === undefined ? reason : `${reason} ${error.hint}`
  await setRuleError(deps.pool, ticket.ruleId, message)
  if (item.op === 'create') refusals.creates += 1
  // Who may not come in, or may not make tickets, need not try with the next one. Fields that are refused for one ticket
  // say something about the others only when they are refused again and again.
  const concernsAll =
    error.kind === 'auth' ||
    (item.op === 'create' && (error.kind === 'permission' || refusals.creates >= REFUSED_CREATES_MAX))
  if (!concernsAll) {
    const delayMs = Math.min(PAUSE_MS * 2 ** (item.tries - 1), REFUSED_DELAY_MS_MAX)
    return { outcome: 'later', notBefore: new Date(nowMs + delayMs), reason: message, ticket: {} }
  }
  const notBefore = new Date(nowMs + PAUSE_MS)
  await postponeAll(deps.pool, { targetIntegrationId: deps.target.integrationId, notBefore, error: message })
  await setIntegrationStatus(deps.pool, deps.target.integrationId, { status: 'NEEDS_ATTENTION', message })
  return { outcome: 'later', notBefore, reason: message, ticket: {} }
}

function refOf(ticket: TicketRow): TicketRef {
  if (ticket.issueId === null || ticket.issueKey === null || ticket.url === null)
    throw new Error(`Ticket ${ticket.id} is changed before it was made.`)
  return { issueId: ticket.issueId, issueKey: ticket.issueKey, url: ticket.url }
}
