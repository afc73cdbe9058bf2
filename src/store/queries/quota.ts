import type { ReportedLimits } from '../../model/quota.ts'
import type { Db, Tx } from '../db.ts'

export interface QuotaKey {
  subscription: string
  endpoint: string
}

export interface QuotaRow {
  callsMax: number | null
  windowSec: number | null
  callsRemaining: number | null
  concurrencyMax: number | null
  /** Of calls, one after the other. */
  refusals: number
  /** Not more than these at the same time until then, since more was refused. */
  slotsMax: number | null
  slotsMaxUntil: Date | null
  notBefore: Date | null
  notBeforeReason: string | null
  reportedAt: Date | null
}

/** A slot lives this long without being renewed. */
export const SLOT_SECONDS = 60

/** Reads and locks the row, so that takers of one endpoint pass one after the other. */
export async function lockQuota(tx: Tx, key: QuotaKey): Promise<QuotaRow> {
  const result = await tx.query<QuotaRow>(
    `insert into quota as q (subscription, endpoint) values ($1, $2)
     on conflict (subscription, endpoint) do update set endpoint = excluded.endpoint
     returning calls_max as "callsMax", window_sec as "windowSec", calls_remaining as "callsRemaining",
               concurrency_max as "concurrencyMax", refusals, slots_max as "slotsMax",
               slots_max_until as "slotsMaxUntil", not_before as "notBefore",
               not_before_reason as "notBeforeReason", reported_at as "reportedAt"`,
    [key.subscription, key.endpoint],
  )
  return result.rows[0]!
}

export async function countSlots(tx: Tx, key: QuotaKey): Promise<number> {
  await tx.query(
    'delete from slot where subscription = $1 and endpoint = $2 and expires_at < clock_timestamp()',
    [key.subscription, key.endpoint],
  )
  const result = await tx.query<{ count: number }>(
    'select count(*)::int as count from slot where subscription = $1 and endpoint = $2',
    [key.subscription, key.endpoint],
  )
  return result.rows[0]!.count
}

/** Our own calls since `since`, and when the oldest of them was. Older ones are forgotten. */
export async function countCalls(
  tx: Tx,
  key: QuotaKey,
  since: Date,
): Promise<{ count: number; oldest: Date | null }> {
  await tx.query('delete from quota_call where subscription = $1 and endpoint = $2 and called_at <= $3', [
    key.subscription,
    key.endpoint,
    since,
  ])
  const result = await tx.query<{ count: number; oldest: Date | null }>(
    `select count(*)::int as count, min(called_at) as oldest from quota_call where subscription = $1 and endpoint = $2`,
    [key.subscription, key.endpoint],
  )
  return result.rows[0]!
}

export async function insertCall(tx: Tx, key: QuotaKey, calledAt: Date): Promise<void> {
  await tx.query('insert into quota_call (subscription, endpoint, called_at) values ($1, $2, $3)', [
    key.subscription,
    key.endpoint,
    calledAt,
  ])
}

export async function insertSlot(tx: Tx, key: QuotaKey, holder: string): Promise<string> {
  const result = await tx.query<{ id: string }>(
    `insert into slot (subscription, endpoint, holder, expires_at)
     values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) returning id`,
    [key.subscription, key.endpoint, holder, SLOT_SECONDS],
  )
  return result.rows[0]!.id
}

export async function renewSlot(db: Db, id: string): Promise<void> {
  await db.query('update slot set expires_at = clock_timestamp() + make_interval(secs => $2) where id = $1', [
    id,
    SLOT_SECONDS,
  ])
}

export async function deleteSlot(db: Db, id: string): Promise<void> {
  await db.query('delete from slot where id = $1', [id])
}

export async function reportLimits(
  db: Db,
  key: QuotaKey,
  limits: ReportedLimits,
  reportedAt: Date,
): Promise<void> {
  await db.query(
    `update quota
        set calls_max = coalesce($3, calls_max), window_sec = coalesce($4, window_sec),
            calls_remaining = coalesce($5, calls_remaining), concurrency_max = coalesce($6, concurrency_max),
            reported_at = $7
      where subscription = $1 and endpoint = $2`,
    [
      key.subscription,
      key.endpoint,
      limits.callsMax,
      limits.windowSec,
      limits.callsRemaining,
      limits.concurrencyMax,
      reportedAt,
    ],
  )
}

/** Nobody calls this endpoint before then; a later date that is known already stands. */
export async function setNotBefore(db: Db, key: QuotaKey, notBefore: Date, reason: string): Promise<void> {
  await db.query(
    `insert into quota as q (subscription, endpoint, not_before, not_before_reason) values ($1, $2, $3, $4)
     on conflict (subscription, endpoint) do update
        set not_before = excluded.not_before, not_before_reason = excluded.not_before_reason
      where q.not_before is null or q.not_before < excluded.not_before`,
    [key.subscription, key.endpoint, notBefore, reason],
  )
}

/** One more refusal in a row. `isCrowded`: that of too many calls at the same time, of which one of our slots is. */
export async function countRefusal(
  tx: Tx,
  key: QuotaKey,
  { isCrowded, crowdedUntil }: { isCrowded: boolean; crowdedUntil: Date },
): Promise<void> {
  await tx.query(
    `update quota q
        set refusals = refusals + 1,
            slots_max = case when $3 then greatest(1, taken.count - 1) else slots_max end,
            slots_max_until = case when $3 then $4 else slots_max_until end
       from (select count(*)::int as count from slot where subscription = $1 and endpoint = $2) taken
      where q.subscription = $1 and q.endpoint = $2`,
    [key.subscription, key.endpoint, isCrowded, crowdedUntil],
  )
}

export async function forgetRefusals(db: Db, key: QuotaKey): Promise<void> {
  await db.query('update quota set refusals = 0 where subscription = $1 and endpoint = $2', [
    key.subscription,
    key.endpoint,
  ])
}
