import pg from 'pg'
import type { Db } from '../db.ts'
import { KEPT_TABLES } from './tables.ts'

/** A table as it is copied: without generated columns. */
export interface TableShape {
  name: string
  columns: string[]
  /** As the planner guesses; for showing progress only. */
  rowsEstimated: number
}

/** A partition by time that was made while the hub ran, and not by a migration. */
export interface PartitionShape {
  table: string
  name: string
  from: Date
  to: Date
}

/** A bound as PostgreSQL writes it when the time zone is UTC. */
const RANGE = /^FOR VALUES FROM \('([^']+)\+00'\) TO \('([^']+)\+00'\)$/

/** The tables that a backup holds, as far as this database has them, in their order. */
export async function listTables(db: Db): Promise<TableShape[]> {
  const { rows } = await db.query<TableShape>(
    `select c.relname as name,
            array_agg(a.attname::text order by a.attnum) as columns,
            (select coalesce(sum(greatest(p.reltuples, 0)), 0)::float8
               from pg_partition_tree(c.oid) t join pg_class p on p.oid = t.relid
              where t.isleaf) + case when c.relkind = 'r' then greatest(c.reltuples, 0)::float8 else 0 end
              as "rowsEstimated"
       from pg_class c
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any($1)
      group by c.oid`,
    [KEPT_TABLES],
  )
  return rows.toSorted((a, b) => KEPT_TABLES.indexOf(a.name) - KEPT_TABLES.indexOf(b.name))
}

/** Partitions of our tables by ranges of time; others, and the default ones, come with the migrations. */
export async function listTimePartitions(db: Db): Promise<PartitionShape[]> {
  const { rows } = await db.query<{ table: string; name: string; bound: string }>(
    `select p.relname as table, c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
       from pg_inherits i
       join pg_class c on c.oid = i.inhrelid and c.relispartition
       join pg_class p on p.oid = i.inhparent
      where p.relnamespace = 'public'::regnamespace and p.relname = any($1)
      order by p.relname, c.relname`,
    [KEPT_TABLES],
  )
  return rows.flatMap(({ table, name, bound }) => {
    const [, from, to] = RANGE.exec(bound) ?? []
    if (from === undefined || to === undefined) return []
    return [{ table, name, from: utc(from), to: utc(to) }]
  })
}

function utc(text: string): Date {
  return new Date(`${text.replace(' ', 'T')}Z`)
}

export interface SequenceValue {
  name: string
  /** The last one that was handed out; null before the first. */
  value: string | null
}

export async function listSequences(db: Db): Promise<SequenceValue[]> {
  const { rows } = await db.query<SequenceValue>(
    `select sequencename as name, last_value as value from pg_sequences
      where schemaname = 'public' order by sequencename`,
  )
  return rows
}

/** Names of what lies in the database already, ours or not; a few are enough to say so. */
export async function listObjects(db: Db, limit: number): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `select n.nspname || '.' || c.relname as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
        and not exists (select from pg_depend d
                         where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
      order by c.relkind = 'S', name limit $1`,
    [limit],
  )
  return rows.map((row) => row.name)
}

/** So that text means the same in every database, whatever its own settings are. */
export async function settleTextFormat(db: Db): Promise<void> {
  await db.query(`set local search_path = public`)
  await db.query(`set local timezone = 'UTC'`)
  await db.query(`set local datestyle = 'ISO, YMD'`)
  await db.query(`set local intervalstyle = 'postgres'`)
  await db.query(`set local bytea_output = 'hex'`)
  await db.query(`set local extra_float_digits = 1`)
  // What takes long here takes long by its size.
  await db.query(`set local statement_timeout = 0`)
  await db.query(`set local idle_in_transaction_session_timeout = 0`)
}

export function listOf(names: readonly string[]): string {
  return names.map((name) => pg.escapeIdentifier(name)).join(', ')
}
