import type { Block } from '../../model/blocks.ts'
import type { Db, Tx } from '../db.ts'

/** One change to one ticket, as it will be sent. Kept before it is sent, and afterwards as the ticket's history. */
export type OutboxOp =
  | { op: 'create'; payload: { summary: string; blocks: readonly Block[] } }
  | { op: 'update'; payload: { summary: string; blocks: readonly Block[] } }
  | { op: 'comment'; payload: { blocks: readonly Block[] } }
  | { op: 'close'; payload: { blocks: readonly Block[] } }
  | { op: 'reopen'; payload: { blocks: readonly Block[] } }
  | { op: 'link'; payload: { toTicketId: string } }

export type OutboxItem = OutboxOp & {
  id: string
  ticketId: string
  reason: string
  tries: number
}

/** A sender that does not answer for this long is taken for dead. */
export const OUTBOX_CLAIM_SECONDS = 120

export async function insertOps(
  tx: Tx,
  input: { ticketId: string; runId: string | null; now: Date; reason: string; ops: readonly OutboxOp[] },
): Promise<void> {
  for (const { op, payload } of input.ops)
    await tx.query(
      `insert into outbox (ticket_id, op, payload, reason, run_id, created_at) values ($1, $2, $3, $4, $5, $6)`,
      [input.ticketId, op, JSON.stringify(payload), input.reason, input.runId, input.now],
    )
}

/**
 * The next change that may be sent: the first open one of its ticket, so that a ticket's changes keep their order and
 * one process at a time works on it. One whose sender died is taken over; `wasSending` says so.
 */
export async function claimOp(
  db: Db,
  input: { worker: string; now: Date; targetIntegrationId: string },
): Promise<(OutboxItem & { wasSending: boolean }) | null> {
  const result = await db.query<OutboxItem & { wasSending: boolean }>(
    `with next as (
       select o.id, o.state = 'sending' as was_sending
         from outbox o
         join ticket t on t.id = o.ticket_id and t.state <> 'review'
         join ticket_rule r on r.id = t.rule_id and r.target_integration_id = $3
        where (o.state = 'waiting' and o.not_before <= $2
               or o.state = 'sending' and o.claim_expires_at < clock_timestamp())
          and not exists (select 1 from outbox b where b.ticket_id = o.ticket_id and b.id < o.id
                             and b.state in ('waiting', 'sending'))
        order by o.id
          for update of o skip locked
        limit 1)
     update outbox o
        set state = 'sending', tries = tries + 1, claimed_by = $1,
            claim_expires_at = clock_timestamp() + make_interval(secs => $4)
       from next where o.id = next.id
     returning o.id, o.ticket_id as "ticketId", o.op, o.payload, o.reason, o.tries, next.was_sending as "wasSending"`,
    [input.worker, input.now, input.targetIntegrationId, OUTBOX_CLAIM_SECONDS],
  )
  return result.rows[0] ?? null
}

/** False when somebody else has taken it meanwhile: then nothing of this attempt may be written. */
export async function holdsOp(tx: Tx, id: string, worker: string): Promise<boolean> {
  const result = await tx.query(
    `select 1 from outbox where id = $1 and claimed_by = $2 and state = 'sending' for update`,
    [id, worker],
  )
  return result.rowCount === 1
}

export async function finishOp(tx: Tx, id: string, now: Date): Promise<void> {
  await tx.query(
    `update outbox set state = 'done', error = null, claimed_by = null, claim_expires_at = null, done_at = $2 where id = $1`,
    [id, now],
  )
}

export async function postponeOp(
  tx: Tx,
  id: string,
  input: { notBefore: Date; error: string },
): Promise<void> {
  await tx.query(
    `update outbox set state = 'waiting', claimed_by = null, claim_expires_at = null, not_before = $2, error = $3
      where id = $1`,
    [id, input.notBefore, input.error],
  )
}

/** Nothing is sent to this target before then: its login, its configuration or its limits have to change first. */
export async function postponeAll(
  db: Db,
  input: { targetIntegrationId: string; notBefore: Date; error: string },
): Promise<void> {
  await db.query(
    `update outbox o set not_before = $2, error = $3
       from ticket t join ticket_rule r on r.id = t.rule_id
      where t.id = o.ticket_id and r.target_integration_id = $1 and o.state = 'waiting' and o.not_before < $2`,
    [input.targetIntegrationId, input.notBefore, input.error],
  )
}

export async function cancelOpsOf(tx: Tx, ticketId: string, error: string): Promise<void> {
  await tx.query(
    `update outbox set state = 'cancelled', error = $2, claimed_by = null, claim_expires_at = null
      where ticket_id = $1 and state in ('waiting', 'sending')`,
    [ticketId, error],
  )
}

/**
 * Takes back what was decided about the tickets of a rule and has not been sent: the facts may have changed since, and
 * are about to be judged anew. What is being sent right now, comments, and tickets that are not made yet are left.
 * Returns, by ticket, why it was to be reopened: what a ticket was about to tell counts as told.
 */
export async function takeBackWaiting(tx: Tx, ruleId: string): Promise<Map<string, string>> {
  const result = await tx.query<{ ticketId: string; reason: string }>(
    `with taken_back as (
       update outbox o
          set state = 'cancelled', error = 'It was decided anew before it was sent.'
         from ticket t
        where t.id = o.ticket_id and t.rule_id = $1 and t.issue_id is not null
          and o.state = 'waiting' and o.op in ('update', 'close', 'reopen')
          and not exists (select 1 from outbox s where s.ticket_id = o.ticket_id and s.state = 'sending')
       returning o.ticket_id, o.op, o.reason
     ), forgotten as (
       update ticket set inputs_hash = '' where id in (select ticket_id from taken_back)
     )
     select ticket_id as "ticketId", reason from taken_back where op = 'reopen'`,
    [ruleId],
  )
  return new Map(result.rows.map(({ ticketId, reason }) => [ticketId, reason]))
}

export interface OutboxSummary {
  waiting: number
  nextAt: Date | null
  lastError: string | null
}

export async function summariseOutbox(db: Db, targetIntegrationId: string): Promise<OutboxSummary> {
  const result = await db.query<OutboxSummary>(
    `select count(*)::int as waiting,
            min(case when isfinite(o.not_before) then o.not_before end) as "nextAt",
            max(o.error) as "lastError"
       from outbox o join ticket t on t.id = o.ticket_id and t.state <> 'review'
       join ticket_rule r on r.id = t.rule_id
      where r.target_integration_id = $1 and o.state in ('waiting', 'sending')`,
    [targetIntegrationId],
  )
  return result.rows[0]!
}

export interface OutboxHistory {
  id: string
  op: string
  reason: string
  state: string
  error: string | null
  createdAt: Date
  doneAt: Date | null
}

/** What was decided about a ticket, oldest first: why it was made, changed, closed. */
export async function listOpsOf(db: Db, ticketId: string, limit: number): Promise<OutboxHistory[]> {
  const result = await db.query<OutboxHistory>(
    `select id, op, reason, state, error, created_at as "createdAt", done_at as "doneAt"
       from outbox where ticket_id = $1 order by id limit $2`,
    [ticketId, limit],
  )
  return result.rows
}

/** What the ticket says, as it was sent last or is about to be: the newest text that was decided. */
export async function getLastContent(
  db: Db,
  ticketId: string,
): Promise<{ summary: string; blocks: readonly Block[] } | null> {
  const result = await db.query<{ payload: { summary: string; blocks: readonly Block[] } }>(
    `select payload from outbox where ticket_id = $1 and op in ('create', 'update') order by id desc limit 1`,
    [ticketId],
  )
  return result.rows[0]?.payload ?? null
}
