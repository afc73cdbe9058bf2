import type pg from 'pg'
import type { Db } from './db.ts'
import { inTransaction } from './transaction.ts'

const HEADER = `-- Generated from the catalogue of a migrated database. Do not edit: change a migration instead.`

/**
 * The database's structure as text, the same for the same structure whatever the order in which it came about: tables,
 * columns, constraints, indexes, partitions, storage parameters, sequences, views, types, functions, triggers. Without
 * data, owners, grants, and without graphile-worker's own schema. It is for reading and comparing, not for loading;
 * expressions are written as the server writes them, so compare dumps of the same major version only.
 */
export function dumpSchema(pool: pg.Pool): Promise<string> {
  return inTransaction(pool, async (db) => {
    await db.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    // Names in this schema are then written without it, whatever the connection's settings are.
    await db.query('SET LOCAL search_path = public')
    const parts: string[] = [HEADER]
    for (const list of [listTypes, listFunctions, listSequences, listTables, listViews])
      parts.push(...(await list(db)))
    return `${parts.join('\n\n')}\n`
  })
}

/** A predicate on a schema's oid: ours are all but the system's and graphile-worker's. */
function isOurs(column: string): string {
  return `${column} IN (SELECT oid FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'graphile_worker'))`
}

/** Extensions bring objects of their own, which are theirs. */
function isNotOfExtension(catalogue: string, column: string): string {
  return `NOT EXISTS (SELECT FROM pg_depend WHERE classid = '${catalogue}'::regclass AND objid = ${column} AND deptype = 'e')`
}

async function listTypes(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ text: string }>(`SELECT text FROM (
    SELECT format('create type %s as enum (%s);', t.oid::regtype,
                  (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                     FROM pg_enum WHERE enumtypid = t.oid)) AS text
      FROM pg_type t
     WHERE t.typtype = 'e' AND ${isOurs('t.typnamespace')} AND ${isNotOfExtension('pg_type', 't.oid')}
    UNION ALL
    SELECT format('create domain %s as %s%s%s%s;', t.oid::regtype, format_type(t.typbasetype, t.typtypmod),
                  ' default ' || t.typdefault, CASE WHEN t.typnotnull THEN ' not null' END,
                  (SELECT string_agg(' ' || pg_get_constraintdef(c.oid, true), '' ORDER BY c.conname)
                     FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c'))
      FROM pg_type t
     WHERE t.typtype = 'd' AND ${isOurs('t.typnamespace')} AND ${isNotOfExtension('pg_type', 't.oid')}
    ) AS t ORDER BY text COLLATE "C"`)
  return rows.map((row) => row.text)
}

async function listFunctions(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ text: string }>(`
    SELECT rtrim(pg_get_functiondef(p.oid), E'\\n') || ';' AS text
      FROM pg_proc p
     WHERE p.prokind IN ('f', 'p') AND ${isOurs('p.pronamespace')} AND ${isNotOfExtension('pg_proc', 'p.oid')}
     ORDER BY p.oid::regprocedure::text COLLATE "C"`)
  return rows.map((row) => row.text)
}

/** An identity column's sequence is part of its column, so only the others are listed. */
async function listSequences(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ text: string }>(`
    SELECT format('create sequence %s as %s increment %s minvalue %s maxvalue %s start %s cache %s%s;',
                  s.seqrelid::regclass, s.seqtypid::regtype, s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache,
                  CASE WHEN s.seqcycle THEN ' cycle' END) AS text
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
     WHERE ${isOurs('c.relnamespace')} AND ${isNotOfExtension('pg_class', 'c.oid')}
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.deptype = 'i')
     ORDER BY s.seqrelid::regclass::text COLLATE "C"`)
  return rows.map((row) => row.text)
}

interface TableRow {
  name: string
  is_unlogged: boolean
  partition_by: string | null
  partition_of: string | null
  bound: string | null
  options: string[] | null
  columns: string[] | null
  constraints: string[] | null
  indexes: string[] | null
  triggers: string[] | null
  comments: string[] | null
}

async function listTables(db: Db): Promise<string[]> {
  const { rows } = await db.query<TableRow>(`
    SELECT c.oid::regclass::text AS name,
           c.relpersistence = 'u' AS is_unlogged,
           pg_get_partkeydef(c.oid) AS partition_by,
           (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid AND c.relispartition) AS partition_of,
           pg_get_expr(c.relpartbound, c.oid) AS bound,
           (SELECT array_agg(option ORDER BY option) FROM unnest(c.reloptions) AS option) AS options,
           (${COLUMNS}) AS columns, (${CONSTRAINTS}) AS constraints, (${INDEXES}) AS indexes,
           (${TRIGGERS}) AS triggers, (${COMMENTS}) AS comments
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND ${isOurs('c.relnamespace')} AND ${isNotOfExtension('pg_class', 'c.oid')}
     ORDER BY coalesce((SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid AND c.relispartition),
                       c.oid::regclass::text) COLLATE "C",
              c.relispartition, c.oid::regclass::text COLLATE "C"`)
  return rows.map(tableText)
}

const COLUMNS = `
  SELECT array_agg(concat(
           quote_ident(a.attname), ' ', format_type(a.atttypid, a.atttypmod),
           CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' collate ' || a.attcollation::regcollation END,
           CASE WHEN a.attstorage <> t.typstorage THEN ' storage ' || a.attstorage::text END,
           CASE WHEN a.attcompression <> '' THEN ' compression ' || a.attcompression::text END,
           CASE a.attidentity WHEN 'a' THEN ' generated always as identity'
                              WHEN 'd' THEN ' generated by default as identity' END,
           CASE WHEN a.attgenerated <> '' THEN ' generated always as (' || pg_get_expr(d.adbin, d.adrelid, true) || ')'
                     || CASE a.attgenerated WHEN 's' THEN ' stored' ELSE ' virtual' END
                ELSE ' default ' || pg_get_expr(d.adbin, d.adrelid, true) END,
           CASE WHEN a.attnotnull THEN ' not null' END) ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`

/** Not those that a partition has from its parent; and since PostgreSQL 18 "not null" is one, which the column says. */
const CONSTRAINTS = `
  SELECT array_agg(format('constraint %I %s', n.conname, pg_get_constraintdef(n.oid, true))
                   ORDER BY position(n.contype::text IN 'pufcx'), n.conname COLLATE "C")
    FROM pg_constraint n
   WHERE n.conrelid = c.oid AND n.contype IN ('p', 'u', 'f', 'c', 'x') AND n.conparentid = 0
     AND (n.conislocal OR NOT c.relispartition)`

const INDEXES = `
  SELECT array_agg(replace(pg_get_indexdef(i.indexrelid, 0, true), ' ON ONLY ', ' ON ') ORDER BY x.relname COLLATE "C")
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
   WHERE i.indrelid = c.oid AND NOT x.relispartition
     AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conindid = i.indexrelid AND n.contype IN ('p', 'u', 'x'))`

const TRIGGERS = `
  SELECT array_agg(pg_get_triggerdef(g.oid, true) ORDER BY g.tgname COLLATE "C")
    FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgparentid = 0`

const COMMENTS = `
  SELECT array_agg(format('comment on %s is %L',
           CASE WHEN m.objsubid = 0 THEN 'table ' || c.oid::regclass
                ELSE 'column ' || c.oid::regclass || '.' || quote_ident(a.attname) END,
           m.description) ORDER BY m.objsubid)
    FROM pg_description m LEFT JOIN pg_attribute a ON a.attrelid = m.objoid AND a.attnum = m.objsubid AND m.objsubid > 0
   WHERE m.classoid = 'pg_class'::regclass AND m.objoid = c.oid`

function tableText(table: TableRow): string {
  const create = `create ${table.is_unlogged ? 'unlogged ' : ''}table ${table.name}`
  // A partition's columns are its parent's.
  const body = [...(table.partition_of === null ? (table.columns ?? []) : []), ...(table.constraints ?? [])]
  const lines = body.length === 0 ? '' : ` (\n${body.map((line) => `  ${line}`).join(',\n')}\n)`
  const head = [
    table.partition_of === null
      ? `${create}${lines}`
      : `${create} partition of ${table.partition_of}${lines}`,
    ...(table.bound === null ? [] : [table.bound]),
    ...(table.partition_by === null ? [] : [`partition by ${table.partition_by}`]),
    ...(table.options === null ? [] : [`with (${table.options.join(', ')})`]),
  ].join(' ')
  return [head, ...(table.indexes ?? []), ...(table.triggers ?? []), ...(table.comments ?? [])]
    .map((statement) => `${statement};`)
    .join('\n')
}

async function listViews(db: Db): Promise<string[]> {
  const { rows } = await db.query<{ text: string; indexes: string[] | null }>(`
    SELECT format('create %sview %s as%s%s', CASE WHEN c.relkind = 'm' THEN 'materialized ' END, c.oid::regclass, E'\\n',
                  pg_get_viewdef(c.oid, true)) AS text,
           (${INDEXES}) AS indexes
      FROM pg_class c
     WHERE c.relkind IN ('v', 'm') AND ${isOurs('c.relnamespace')} AND ${isNotOfExtension('pg_class', 'c.oid')}
     ORDER BY c.oid::regclass::text COLLATE "C"`)
  return rows.map((row) => [row.text, ...(row.indexes ?? []).map((index) => `${index};`)].join('\n'))
}
