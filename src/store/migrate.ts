import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { HubError } from '../model/errors.ts'
import { isConnectionLost } from './connection-failure.ts'
import type { Db, Tx } from './db.ts'
import { inTransaction } from './transaction.ts'

const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url))
const FILE_NAME = /^(\d{6})_([a-z0-9_]+)\.sql$/
const BREAKING_MARK = '--! breaking'
/** Any fixed number will do; this one is "patchbay" on a telephone's keys. */
const LOCK_KEY = '72824229'
/** Another starter may be busy with a long migration. */
const LOCK_TIMEOUT_MS = 30 * 60_000

export interface MigrateOptions {
  /** Where the numbered files lie; for tests. */
  folder?: string
}

export interface MigrationStatus {
  /** Names such as `000001_foundation`, in order. */
  applied: string[]
  pending: string[]
  /** In the database, and unknown to this program, which can live with them: a newer Patchbay has made them. */
  newer: string[]
}

interface Migration {
  number: number
  name: string
  sql: string
  checksum: string
  isBreaking: boolean
}

interface AppliedMigration {
  number: number
  name: string
  checksum: string
  is_breaking: boolean
}

/**
 * Brings the database to the state of this program's numbered SQL files, forward only, each file in a transaction of
 * its own under one lock, so that any number of starters may call it at once. Returns the names of those it applied.
 *
 * @throws HubError `config` when an applied file has changed or is missing, when a new file has too low a number, and
 * when the database has been migrated by a newer program in a way marked `--! breaking`.
 */
export async function migrate(pool: pg.Pool, options: MigrateOptions = {}): Promise<string[]> {
  const migrations = await readMigrations(options.folder ?? FOLDER)
  const done: string[] = []
  // Each round applies one file or none; the list is read anew under the lock, since another starter may be at it.
  while (done.length <= migrations.length) {
    const applied = await inTransaction(pool, (tx) => applyLocked(tx, migrations))
    if (applied === undefined) break
    done.push(applied)
  }
  return done
}

/** The same checks and errors as `migrate`, without a change to the database. */
export async function migrationStatus(db: Db, options: MigrateOptions = {}): Promise<MigrationStatus> {
  const migrations = await readMigrations(options.folder ?? FOLDER)
  const { rows } = await db.query<{ exists: boolean }>(
    `SELECT to_regclass('migration') IS NOT NULL AS exists`,
  )
  return compare(migrations, rows[0]?.exists === true ? await listApplied(db) : [])
}

/** A migration as a database or a backup names it. */
export type MigrationMark = Pick<Migration, 'number' | 'name' | 'checksum'>

/**
 * As `migrate`, all in the transaction of the caller, who has called `lockMigrations`: as far as the last of `upTo`,
 * which this program has to know by their contents, or to the end.
 *
 * @throws HubError `config` when this program lacks one of them, or has another one in its place.
 */
export async function migrateWithin(
  tx: Tx,
  options: MigrateOptions & { upTo?: readonly MigrationMark[] } = {},
): Promise<string[]> {
  const all = await readMigrations(options.folder ?? FOLDER)
  const migrations = options.upTo === undefined ? all : selectSame(all, options.upTo)
  const done: string[] = []
  while (done.length <= migrations.length) {
    const applied = await applyNext(tx, migrations)
    if (applied === undefined) break
    done.push(applied)
  }
  return done
}

function selectSame(all: Migration[], wanted: readonly MigrationMark[]): Migration[] {
  wanted.forEach((mark, index) => {
    const own = all[index]
    if (own === undefined)
      throw new HubError('config', `The backup has the schema of a newer Patchbay (${nameOf(mark)}).`, {
        code: 'database_too_new',
        hint: 'Restore it with the Patchbay that made it, or a newer one.',
      })
    if (own.number !== mark.number || own.checksum !== mark.checksum)
      throw new HubError(
        'config',
        `The migration ${nameOf(own)} is not the one that the backup was made with.`,
        {
          code: 'migration_differs',
          hint: 'Restore it with a released Patchbay, the one that made it or a newer one.',
        },
      )
  })
  return all.slice(0, wanted.length)
}

/** One migrates at a time; held until the transaction ends. */
export async function lockMigrations(tx: Tx): Promise<void> {
  await tx.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
  await tx.query('SET LOCAL statement_timeout = 0')
  await tx.query('SELECT pg_advisory_xact_lock($1)', [LOCK_KEY])
}

async function applyLocked(tx: Tx, migrations: Migration[]): Promise<string | undefined> {
  await lockMigrations(tx)
  return applyNext(tx, migrations)
}

async function applyNext(db: Db, migrations: Migration[]): Promise<string | undefined> {
  await db.query(`CREATE TABLE IF NOT EXISTS migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    is_breaking boolean NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`)
  const { pending } = compare(migrations, await listApplied(db))
  const next = migrations.find((migration) => nameOf(migration) === pending[0])
  if (next === undefined) return undefined
  await runFile(db, next)
  await db.query('INSERT INTO migration (number, name, checksum, is_breaking) VALUES ($1, $2, $3, $4)', [
    next.number,
    next.name,
    next.checksum,
    next.isBreaking,
  ])
  return nameOf(next)
}

async function runFile(db: Db, migration: Migration): Promise<void> {
  try {
    await db.query(migration.sql)
  } catch (error) {
    // The file is not to blame, and whether it was rolled back nobody has said.
    if (isConnectionLost(error)) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new HubError(
      'config',
      `The migration ${nameOf(migration)} failed and was rolled back: ${reason}.`,
      {
        cause: error,
        hint: 'The database is as it was before this migration. Correct the cause and start again.',
      },
    )
  }
}

async function listApplied(db: Db): Promise<AppliedMigration[]> {
  const { rows } = await db.query<AppliedMigration>(
    'SELECT number, name, checksum, is_breaking FROM migration ORDER BY number',
  )
  return rows
}

function compare(migrations: Migration[], applied: AppliedMigration[]): MigrationStatus {
  const known = new Map(migrations.map((migration) => [migration.number, migration]))
  const newestKnown = migrations.at(-1)?.number ?? 0
  for (const row of applied) {
    if (row.number > newestKnown) refuseIfBreaking(row)
    else refuseIfDifferent(row, known.get(row.number))
  }
  const newestApplied = applied.at(-1)?.number ?? 0
  const appliedNumbers = new Set(applied.map((row) => row.number))
  const pending = migrations.filter((migration) => !appliedNumbers.has(migration.number))
  const late = pending.find((migration) => migration.number < newestApplied)
  if (late) {
    throw new HubError(
      'config',
      `The migration ${nameOf(late)} is new, but a later one has been applied already.`,
      {
        hint: 'Give it the next free number: migrations only go forward.',
      },
    )
  }
  return {
    applied: applied.map(nameOf),
    pending: pending.map(nameOf),
    newer: applied.filter((row) => row.number > newestKnown).map(nameOf),
  }
}

function refuseIfBreaking(row: AppliedMigration): void {
  if (!row.is_breaking) return
  throw new HubError(
    'config',
    `The database was migrated by a newer Patchbay (${nameOf(row)}), too new for this one.`,
    {
      code: 'database_too_new',
      hint: 'Start the newer version of Patchbay; going back needs a backup from before the update.',
    },
  )
}

function refuseIfDifferent(row: AppliedMigration, file: Migration | undefined): void {
  if (file?.checksum === row.checksum) return
  const what = file === undefined ? 'is missing in this program' : 'was changed after it had been applied'
  throw new HubError('config', `The migration ${nameOf(row)} ${what}.`, {
    hint: 'Restore the file as it was released, and put changes into a new migration.',
  })
}

function nameOf(migration: { number: number; name: string }): string {
  return `${String(migration.number).padStart(6, '0')}_${migration.name}`
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort()
  const migrations = await Promise.all(files.map((file) => readMigration(folder, file)))
  migrations.forEach((migration, index) => {
    if (migrations[index - 1]?.number !== migration.number) return
    throw new HubError('config', `Two migrations have the number ${migration.number}.`, {
      hint: 'Renumber the new one.',
    })
  })
  return migrations
}

async function readMigration(folder: string, file: string): Promise<Migration> {
  const [, number, name] = FILE_NAME.exec(file) ?? []
  if (number === undefined || name === undefined) {
    throw new HubError('config', `The migration file ${file} is not named like 000001_what_it_does.sql.`, {
      hint: 'Rename it.',
    })
  }
  // Line ends depend on the settings of git, and are no change of the file.
  const sql = (await readFile(join(folder, file), 'utf8')).replaceAll('\r\n', '\n')
  return {
    number: Number(number),
    name,
    sql,
    checksum: createHash('sha256').update(sql).digest('hex'),
    isBreaking: sql.split('\n', 1)[0]?.trim() === BREAKING_MARK,
  }
}
