import type pg from 'pg'
import type { Db, Tx } from '../db.ts'
import { inTransaction } from '../transaction.ts'

/*
 * `event` has a partition for each month in UTC and a default one, which catches what has no month yet. Whatever changes
 * the partitions waits for its locks for a moment only and then gives up until the next time: a merge that goes on holds
 * its locks for long, and everybody else would queue behind us.
 */

/** What became of one change: `busy` when somebody held the table, `full` when it is more than one transaction may move. */
export type PartitionOutcome = 'done' | 'nothing' | 'busy' | 'full'

const MONTHS_AHEAD = 1
const LOCK_WAIT_MS = 1_000
/** Moved out of the default partition in one transaction, during which reading events waits. */
const MOVED_EVENTS_MAX = 200_000
/** Months of the default partition that are looked at in one go. */
const STRAY_MONTHS_MAX = 120
/** What a wrong clock dates beyond these stays where it is. */
const PLAUSIBLE = ['1970-01-01Z', '9990-01-01Z']
/** Any fixed number: one process changes partitions at a time. */
const PARTITIONS_LOCK_KEY = '72824231'
const LOCK_NOT_AVAILABLE = '55P03'

/** Makes sure that the month of this instant and the next have their partitions; until then the default one takes their events. */
export async function ensureEventPartitions(pool: pg.Pool, now: Date): Promise<PartitionOutcome[]> {
  const outcomes: PartitionOutcome[] = []
  for (let ahead = 0; ahead <= MONTHS_AHEAD; ahead += 1)
    outcomes.push(await ensureMonth(pool, startOfMonth(now, ahead)))
  return outcomes
}

export interface DrainedMonth {
  month: string
  outcome: PartitionOutcome
}

/** Gives the months of which the default partition holds events a partition of their own, oldest first. */
export async function drainDefaultPartition(pool: pg.Pool): Promise<DrainedMonth[]> {
  const { rows } = await pool.query<{ month: Date }>(
    `select distinct date_trunc('month', seen_at, 'UTC') as month
       from event_default where seen_at between $1 and $2 order by 1 limit $3`,
    [...PLAUSIBLE, STRAY_MONTHS_MAX],
  )
  const drained: DrainedMonth[] = []
  for (const { month } of rows)
    drained.push({ month: nameOf(month), outcome: await ensureMonth(pool, startOfMonth(month)) })
  return drained
}

export interface EventPartition {
  name: string
  from: Date
  to: Date
}

/** The partitions of months, oldest first. */
export async function listEventPartitions(db: Db): Promise<EventPartition[]> {
  const { rows } = await db.query<EventPartition>(
    `select name, bounds[1]::timestamptz as "from", bounds[2]::timestamptz as "to"
       from (select c.relname as name,
                    regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('([^']+)'\\) TO \\('([^']+)'\\)$$) as bounds
               from pg_inherits i join pg_class c on c.oid = i.inhrelid
              where i.inhparent = 'event'::regclass) as partition
      where bounds is not null
      order by 2`,
  )
  return rows
}

/**
 * Drops a whole month of events and notes up to where they are gone. Dropping holds every reader and writer of events
 * off, so it waits for them only for a moment.
 */
export async function dropEventPartition(
  pool: pg.Pool,
  partition: EventPartition,
): Promise<PartitionOutcome> {
  return changePartitions(pool, async (tx) => {
    const known = await listEventPartitions(tx)
    if (!known.some(({ name }) => name === partition.name)) return 'nothing'
    await tx.query(`drop table "${partition.name}"`)
    await tx.query(
      `insert into event_floor (kept_from) values ($1)
       on conflict (is_only) do update set kept_from = greatest(event_floor.kept_from, excluded.kept_from)`,
      [partition.to],
    )
    return 'done'
  })
}

/** From when on events are kept; null when none has been dropped yet. */
export async function getEventFloor(db: Db): Promise<Date | null> {
  const { rows } = await db.query<{ keptFrom: Date }>('select kept_from as "keptFrom" from event_floor')
  return rows[0]?.keptFrom ?? null
}

/** The first instant of the month in UTC that lies `ahead` months after that of `instant`. */
export function startOfMonth(instant: Date, ahead = 0): Date {
  return new Date(Date.UTC(instant.getUTCFullYear(), instant.getUTCMonth() + ahead, 1))
}

function nameOf(month: Date): string {
  return `event_${month.toISOString().slice(0, 7).replace('-', '_')}`
}

async function ensureMonth(pool: pg.Pool, from: Date): Promise<PartitionOutcome> {
  const known = await pool.query(`select 1 from pg_inherits where inhrelid = to_regclass($1)`, [nameOf(from)])
  if (known.rowCount !== 0) return 'nothing'
  return changePartitions(pool, (tx) => attachMonth(tx, from))
}

/**
 * Made beside the table, filled with what the default partition holds of it, and attached: a weaker lock than making it
 * in place, so that merges into other partitions go on. Nobody sees an event twice or not at all, since it is one transaction.
 */
async function attachMonth(tx: Tx, from: Date): Promise<PartitionOutcome> {
  const name = nameOf(from)
  const to = startOfMonth(from, 1)
  const known = await tx.query(`select 1 from pg_inherits where inhrelid = to_regclass($1)`, [name])
  if (known.rowCount !== 0) return 'nothing'
  await tx.query('lock table event_default in access exclusive mode')
  const strays = await tx.query<{ count: number }>(
    `select count(*)::int as count
       from (select 1 from event_default where seen_at >= $1 and seen_at < $2 limit $3) as counted`,
    [from, to, MOVED_EVENTS_MAX + 1],
  )
  if (strays.rows[0]!.count > MOVED_EVENTS_MAX) return 'full'
  // The number of an event comes from the parent; a partition that counts for itself cannot be attached.
  await tx.query(`create table "${name}" (like event including all excluding identity)`)
  await tx.query(
    `with moved as (delete from event_default where seen_at >= $1 and seen_at < $2 returning *)
     insert into "${name}" select * from moved`,
    [from, to],
  )
  await tx.query(
    `alter table event attach partition "${name}" for values from ('${from.toISOString()}') to ('${to.toISOString()}')`,
  )
  return 'done'
}

async function changePartitions(
  pool: pg.Pool,
  change: (tx: Tx) => Promise<PartitionOutcome>,
): Promise<PartitionOutcome> {
  try {
    return await inTransaction(pool, async (tx) => {
      await tx.query(`set local lock_timeout = ${LOCK_WAIT_MS}`)
      await tx.query('select pg_advisory_xact_lock($1)', [PARTITIONS_LOCK_KEY])
      return change(tx)
    })
  } catch (error) {
    if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return 'busy'
    throw error
  }
}
