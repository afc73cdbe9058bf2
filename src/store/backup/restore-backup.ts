import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { HubError } from '../../model/errors.ts'
import type { Db, Tx } from '../db.ts'
import { lockMigrations, migrateWithin } from '../migrate.ts'
import { settleRestored } from '../queries/restoration.ts'
import { inTransaction } from '../transaction.ts'
import { type BackupFile, type BackupItem, damaged } from './backup-reader.ts'
import { listObjects, listOf, listSequences, listTables, settleTextFormat } from './catalogue.ts'
import { type Header, type TableEnd, decompress, sha256 } from './format.ts'

const OBJECTS_NAMED_MAX = 5

export interface RestoreOptions {
  now: Date
  /** The sealed secrets stay away; whoever has lost the key file enters them again. */
  withoutSecrets: boolean
  /** Aborting gives it up; the database stays empty. */
  signal?: AbortSignal
  onProgress?: (progress: RestoreProgress) => void
}

export interface RestoreProgress {
  step: 'check' | 'load' | 'finish'
  /** Of the file, in this step. */
  bytes: number
  bytesInAll: number
}

export interface RestoreSummary {
  tables: TableEnd[]
  /** Migrations of this program that the backup did not have yet. */
  migrated: string[]
}

/**
 * Loads a backup into an empty database: the schema that it was taken with, its rows, then the later migrations, all in
 * one transaction. The file is read twice, at first to see that it is whole. Whatever goes wrong, the database stays
 * empty.
 */
export async function restoreBackup(
  pool: pg.Pool,
  file: BackupFile,
  options: RestoreOptions,
): Promise<RestoreSummary> {
  const report = (step: RestoreProgress['step']) => {
    let bytes = 0
    return (more: number) => {
      options.signal?.throwIfAborted()
      options.onProgress?.({ step, bytes: (bytes += more), bytesInAll: file.bytes })
    }
  }
  await requireEmpty(pool)
  const looked = file.items(report('check'))
  while ((await looked.next()).done !== true);
  const summary = await inTransaction(pool, async (tx) => {
    await settleTextFormat(tx)
    // A hub that starts on this database meanwhile waits for its turn to migrate it.
    await lockMigrations(tx)
    await requireEmpty(tx)
    await migrateWithin(tx, { upTo: file.header.migrations })
    await makePartitions(tx, file)
    await requireSameTables(tx, file)
    const tables = await loadTables(tx, file, report('load'))
    await setSequences(tx, file)
    options.onProgress?.({ step: 'finish', bytes: 0, bytesInAll: file.bytes })
    const migrated = await migrateWithin(tx)
    await settleRestored(tx, {
      takenAt: new Date(file.header.takenAt),
      restoredAt: options.now,
      withoutSecrets: options.withoutSecrets,
    })
    return { tables, migrated }
  })
  // Without statistics the first plans would be those for empty tables.
  await pool.query('analyze')
  return summary
}

async function requireEmpty(db: Db): Promise<void> {
  const found = await listObjects(db, OBJECTS_NAMED_MAX)
  if (found.length === 0) return
  throw new HubError('conflict', `The database is not empty: it holds ${found.join(', ')}.`, {
    code: 'database_not_empty',
    hint: 'A backup is restored into an empty database only. Name another one with PATCHBAY_HOME (a folder that is not there yet) or DATABASE_URL.',
  })
}

/** Tables and columns of the file are only ever compared with ours; no name of it gets into a statement before. */
async function requireSameTables(tx: Tx, file: BackupFile): Promise<void> {
  const known = await listTables(tx)
  const given = file.header.tables
  const isSame =
    given.length === known.length &&
    given.every((table, index) => {
      const { name, columns = [] } = known[index] ?? {}
      return table.name === name && hasSameNames(table.columns, columns)
    })
  if (!isSame) throw damaged(file.path, 'its tables are not those of the schema that it names')
}

function hasSameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join() === b.toSorted().join()
}

/** Months of events, as the hub had made them while it ran; those that come with the migrations are there. */
async function makePartitions(tx: Tx, file: BackupFile): Promise<void> {
  const { tables, partitions } = file.header
  const known = new Set((await listTables(tx)).map((table) => table.name))
  for (const { table, name, from, to } of partitions) {
    const isOurs = known.has(table) && tables.some((one) => one.name === table)
    if (!isOurs || !name.startsWith(`${table}_`))
      throw damaged(file.path, 'its partitions are not those of our tables')
    const bounds = [from, to].map((bound) => pg.escapeLiteral(new Date(bound).toISOString()))
    await tx
      .query(
        `create table if not exists ${listOf([name])} partition of ${listOf([table])}
           for values from (${bounds[0]}) to (${bounds[1]})`,
      )
      .catch((cause: unknown) => {
        throw refusedByDatabase(file, { what: `the partition ${name}`, cause })
      })
  }
}

async function loadTables(tx: Tx, file: BackupFile, onBytes: (bytes: number) => void): Promise<TableEnd[]> {
  const items = file.items(onBytes)
  const ends: TableEnd[] = []
  for (const table of file.header.tables) ends.push(await loadTable(tx, file, { table, items }))
  // The end of the file has its hash, over what has just been loaded.
  while ((await items.next()).done !== true);
  return ends
}

async function loadTable(
  tx: Tx,
  file: BackupFile,
  { table, items }: { table: Header['tables'][number]; items: AsyncGenerator<BackupItem> },
): Promise<TableEnd> {
  const hash = sha256()
  let bytes = 0
  let end: TableEnd | undefined
  const copy = tx.query(copyFrom(`copy ${listOf([table.name])} (${listOf(table.columns)}) from stdin`))
  const text = async function* () {
    for (;;) {
      const { value: item } = (await items.next()) as { value?: BackupItem }
      if (item?.kind !== 'data') {
        end = item?.kind === 'tableEnd' ? item.end : undefined
        return
      }
      const chunk = await decompress(item.payload).catch(() => {
        throw damaged(file.path, `rows of the table ${table.name} cannot be unpacked`)
      })
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  await pipeline(text, copy).catch((cause: unknown) => {
    throw cause instanceof HubError
      ? cause
      : refusedByDatabase(file, { what: `rows of the table ${table.name}`, cause })
  })
  const isSame = end?.bytes === bytes && end.sha256 === hash.digest('hex') && end.rows === copy.rowCount
  if (end === undefined || !isSame)
    throw damaged(file.path, `the rows of the table ${table.name} are not those that were written`)
  return end
}

async function setSequences(tx: Tx, file: BackupFile): Promise<void> {
  const known = new Set((await listSequences(tx)).map((sequence) => sequence.name))
  for (const { name, value } of file.header.sequences) {
    if (!known.has(name)) throw damaged(file.path, 'its sequences are not those of the schema that it names')
    if (value === null) continue
    await tx
      .query('select setval($1::regclass, $2)', [listOf(['public', name]).replace(', ', '.'), value])
      .catch((cause: unknown) => {
        throw refusedByDatabase(file, { what: `the sequence ${name}`, cause })
      })
  }
}

/** Class 22 and 23 of SQLSTATE: the data is at fault. Whatever else the database says is no news about the file. */
function refusedByDatabase(file: BackupFile, { what, cause }: { what: string; cause: unknown }): unknown {
  const code = cause instanceof pg.DatabaseError ? (cause.code ?? '') : ''
  if (!/^(22|23|42)/.test(code)) return cause
  return damaged(file.path, `the database does not take ${what} (${code})`)
}
