import type { Db, Tx } from '../db.ts'
import type { TicketState } from './ticket-groups.ts'

export interface TicketRow {
  id: string
  ruleId: string
  groupKey: string
  originalKey: string
  generation: number
  hashLabel: string
  state: TicketState
  attemptId: string | null
  unknownSince: Date | null
  issueId: string | null
  issueKey: string | null
  url: string | null
  summary: string
  inputsHash: string
  written: Record<string, string | null>
  reviewReason: string | null
  previousTicketId: string | null
  createdAt: Date
  pushedAt: Date | null
  closedAt: Date | null
}

const COLUMNS = `id, rule_id as "ruleId", group_key as "groupKey", original_key as "originalKey", generation,
  hash_label as "hashLabel", state, attempt_id as "attemptId", unknown_since as "unknownSince", issue_id as "issueId",
  issue_key as "issueKey", url, summary, inputs_hash as "inputsHash", written, review_reason as "reviewReason",
  previous_ticket_id as "previousTicketId", created_at as "createdAt", pushed_at as "pushedAt", closed_at as "closedAt"`

/** The generation that the next ticket made for this group would have. */
export async function nextGeneration(db: Db, ruleId: string, groupKey: string): Promise<number> {
  const result = await db.query<{ next: number }>(
    'select coalesce(max(generation), 0) + 1 as next from ticket where rule_id = $1 and (original_key = $2 or group_key = $2)',
    [ruleId, groupKey],
  )
  return result.rows[0]!.next
}

export async function insertTicket(
  tx: Tx,
  input: {
    ruleId: string
    groupKey: string
    generation: number
    hashLabel: string
    summary: string
    inputsHash: string
    previousTicketId: string | null
    createdAt: Date
  },
): Promise<string> {
  const result = await tx.query<{ id: string }>(
    `insert into ticket (rule_id, group_key, original_key, told_group_key, generation, hash_label, state, summary,
                         inputs_hash, previous_ticket_id, created_at)
     values ($1, $2, $2, $2, $3, $4, 'planned', $5, $6, $7, $8) returning id`,
    [
      input.ruleId,
      input.groupKey,
      input.generation,
      input.hashLabel,
      input.summary,
      input.inputsHash,
      input.previousTicketId,
      input.createdAt,
    ],
  )
  return result.rows[0]!.id
}

export async function getTicket(db: Db, id: string): Promise<TicketRow | null> {
  const result = await db.query<TicketRow>(`select ${COLUMNS} from ticket where id = $1`, [id])
  return result.rows[0] ?? null
}

export async function listTickets(
  db: Db,
  input: {
    ruleId?: string | undefined
    state?: string | undefined
    afterId?: string | undefined
    limit: number
  },
): Promise<TicketRow[]> {
  const result = await db.query<TicketRow>(
    `select ${COLUMNS} from ticket
      where ($1::bigint is null or rule_id = $1) and ($2::text is null or state = $2) and id > $3
      order by id limit $4`,
    [input.ruleId ?? null, input.state ?? null, input.afterId ?? '0', input.limit],
  )
  return result.rows
}

/** Tickets that this rule has made since an instant: what the daily cap counts. */
export async function countCreatedSince(db: Db, ruleId: string, since: Date): Promise<number> {
  const result = await db.query<{ count: number }>(
    'select count(*)::int as count from ticket where rule_id = $1 and created_at >= $2',
    [ruleId, since],
  )
  return result.rows[0]!.count
}

export interface TicketChange {
  state?: TicketState
  attemptId?: string
  unknownSince?: Date | null
  issueId?: string
  issueKey?: string
  url?: string
  summary?: string
  inputsHash?: string
  toldGroupKey?: string
  written?: Record<string, string | null>
  reviewReason?: string | null
  pushedAt?: Date
  closedAt?: Date | null
}

const CHANGE_COLUMNS: Record<keyof TicketChange, string> = {
  state: 'state',
  attemptId: 'attempt_id',
  unknownSince: 'unknown_since',
  issueId: 'issue_id',
  issueKey: 'issue_key',
  url: 'url',
  summary: 'summary',
  inputsHash: 'inputs_hash',
  toldGroupKey: 'told_group_key',
  written: 'written',
  reviewReason: 'review_reason',
  pushedAt: 'pushed_at',
  closedAt: 'closed_at',
}

export async function changeTicket(db: Db, id: string, change: TicketChange): Promise<void> {
  const names = Object.keys(change) as (keyof TicketChange)[]
  if (names.length === 0) return
  const assignments = names.map((name, index) => `${CHANGE_COLUMNS[name]} = $${index + 2}`)
  await db.query(`update ticket set ${assignments.join(', ')} where id = $1`, [
    id,
    ...names.map((name) => change[name]),
  ])
}
