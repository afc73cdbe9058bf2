import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { HubError } from '../../model/errors.ts'
import type { Db } from '../db.ts'
import { migrationStatus } from '../migrate.ts'
import { readKeyIds } from '../queries/key-ring.ts'
import {
  type TableShape,
  listOf,
  listSequences,
  listTables,
  listTimePartitions,
  settleTextFormat,
} from './catalogue.ts'
import {
  CHUNK_BYTES_MAX,
  FORMAT,
  FORMAT_VERSION,
  FRAME,
  type Header,
  type TableEnd,
  compress,
  frameOf,
  jsonFrame,
  sha256,
} from './format.ts'

/** Chunks that are being compressed at the same time. */
const CHUNKS_IN_FLIGHT_MAX = 3
const LOCK_TIMEOUT_MS = 60_000

export interface BackupOptions {
  takenAt: Date
  /** The version of this program. */
  program: string
  onProgress?: (progress: BackupProgress) => void
}

export interface BackupProgress {
  table: string
  /** Of how many, counted from 1. */
  tableNumber: number
  tables: number
  /** Of text, in all. */
  bytes: number
}

export interface BackupSummary {
  header: Header
  tables: TableEnd[]
}

/**
 * The backup of a database as a stream of bytes, out of one snapshot. Nothing is locked but the structure of the tables,
 * so hubs go on working on it. Whoever takes the bytes slowly makes the server send them slowly; memory is constant.
 */
export async function* takeBackup(
  pool: pg.Pool,
  options: BackupOptions,
): AsyncGenerator<Buffer, BackupSummary> {
  const client = await pool.connect()
  // A connection left in the middle of a COPY is of no use to anybody.
  let isWhole = false
  try {
    await begin(client)
    const header = await readHeader(client, options)
    const hash = sha256()
    const hashed = (bytes: Buffer) => {
      hash.update(bytes)
      return bytes
    }
    yield hashed(Buffer.from(`${JSON.stringify(header)}\n`))
    const tables: TableEnd[] = []
    const progress = { table: '', tableNumber: 0, tables: header.tables.length, bytes: 0 }
    const report = (bytes: number) => {
      progress.bytes += bytes
      options.onProgress?.({ ...progress })
    }
    for (const table of header.tables) {
      progress.table = table.name
      progress.tableNumber += 1
      report(0)
      const frames = copyTable(client, table, report)
      let next = await frames.next()
      for (; next.done !== true; next = await frames.next()) yield hashed(next.value)
      tables.push(next.value)
      yield hashed(jsonFrame(FRAME.tableEnd, next.value))
    }
    await client.query('commit')
    isWhole = true
    const rows = tables.reduce((sum, table) => sum + table.rows, 0)
    yield jsonFrame(FRAME.end, { tables: tables.length, rows, sha256: hash.digest('hex') })
    return { header, tables }
  } finally {
    client.release(!isWhole)
  }
}

/**
 * The locks come before the snapshot: a table or partition that somebody drops in between would be missed, since a
 * snapshot holds rows, not tables.
 */
async function begin(client: pg.PoolClient): Promise<void> {
  const found = await client.query(`select from pg_class where oid = to_regclass('public.migration')`)
  if (found.rowCount === 0) throw nothingThere()
  const { newer } = await migrationStatus(client)
  if (newer.length > 0)
    throw new HubError('config', `A newer Patchbay has migrated this database (${newer.at(-1)}).`, {
      code: 'database_too_new',
      hint: 'Take the backup with that one: this one does not know what the new tables hold.',
    })
  const tables = await listTables(client)
  await client.query('begin isolation level repeatable read, read only')
  await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
  await client.query(`lock table ${listOf(tables.map((table) => table.name))} in access share mode`)
  await settleTextFormat(client)
  // Every backup begins at the start of a table, so that rows keep their places.
  await client.query('set local synchronize_seqscans = off')
}

async function readHeader(db: Db, options: BackupOptions): Promise<Header> {
  const { takenAt, program } = options
  const version = await db.query<{ version: string }>(`select current_setting('server_version') as version`)
  const migrations = await db.query<Header['migrations'][number]>(
    'select number, name, checksum from migration order by number',
  )
  const tables = await listTables(db)
  const hasKeyRing = tables.some((table) => table.name === 'key_ring')
  const keys = hasKeyRing ? await readKeyIds(db) : null
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    takenAt: takenAt.toISOString(),
    patchbay: program,
    postgresql: version.rows[0]?.version ?? '',
    migrations: migrations.rows,
    keyIds: keys?.used ?? [],
    tables,
    partitions: (await listTimePartitions(db)).map(({ table, name, from, to }) => ({
      table,
      name,
      from: from.toISOString(),
      to: to.toISOString(),
    })),
    sequences: await listSequences(db),
  }
}

async function* copyTable(
  client: pg.PoolClient,
  table: TableShape,
  report: (bytes: number) => void,
): AsyncGenerator<Buffer, TableEnd> {
  // Text, since binary is not promised to be read by another version of PostgreSQL; a partitioned table only by a query.
  const stream = client.query(
    copyTo(`copy (select ${listOf(table.columns)} from ${listOf([table.name])}) to stdout`),
  )
  const hash = sha256()
  let bytes = 0
  const inFlight: Promise<Buffer>[] = []
  for await (const chunk of chunksOf(stream)) {
    hash.update(chunk)
    bytes += chunk.length
    report(chunk.length)
    const compressed = compress(chunk)
    // Whoever waits for it gets the error; one that is never waited for must not end the process.
    compressed.catch(() => undefined)
    inFlight.push(compressed)
    if (inFlight.length >= CHUNKS_IN_FLIGHT_MAX) yield frameOf(FRAME.data, await inFlight.shift()!)
  }
  for (const compressed of inFlight) yield frameOf(FRAME.data, await compressed)
  // The count comes after the last row; an answer to a question comes after it.
  await client.query('select 1')
  return { name: table.name, rows: stream.rowCount, bytes, sha256: hash.digest('hex') }
}

async function* chunksOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let size = 0
  for await (const part of stream) {
    let rest = part
    while (size + rest.length >= CHUNK_BYTES_MAX) {
      const room = CHUNK_BYTES_MAX - size
      yield Buffer.concat([...parts, rest.subarray(0, room)], CHUNK_BYTES_MAX)
      rest = rest.subarray(room)
      parts = []
      size = 0
    }
    if (rest.length > 0) parts.push(rest)
    size += rest.length
  }
  if (size > 0) yield Buffer.concat(parts, size)
}

function nothingThere(): HubError {
  return new HubError('not_found', 'This database holds nothing of Patchbay; there is nothing to back up.', {
    hint: 'Name the right one with PATCHBAY_HOME or DATABASE_URL.',
  })
}
