import { resolve } from 'node:path'
import type pg from 'pg'
import { databaseFailure } from '../api/errors.ts'
import type { BackupOrder, BackupReport, RestoreOrder, RestoreReport } from '../cli/context.ts'
import type { Config } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { SecretsError, loadKeyRing } from '../lib/secrets.ts'
import { HubError } from '../model/errors.ts'
import { writeWhole } from '../store/backup/backup-file.ts'
import { BackupFile } from '../store/backup/backup-reader.ts'
import type { Header } from '../store/backup/format.ts'
import { restoreBackup } from '../store/backup/restore-backup.ts'
import { type BackupSummary, takeBackup } from '../store/backup/take-backup.ts'
import { connectToRunning, requireCluster } from '../store/embedded/client-config.ts'
import { openStore } from '../store/pool.ts'
import { type Database, openDatabase } from './database.ts'
import { ensureHome } from './home.ts'
import { KnownSecrets, createLog } from './log.ts'
import { USER_AGENT } from './outside.ts'

/** Another command may hold the data folder for a moment, or a server be starting or stopping. */
const FOLDER_WAIT_MS_MAX = 30_000
const FOLDER_POLL_MS = 200

type Opened = Pick<Database, 'pool' | 'description' | 'close'>

/**
 * Backs up the database of this configuration. A hub that runs on it goes on: the backup is one more client of its
 * database. If none runs on the data folder, its database is started for as long as it takes.
 */
export async function backUp(config: Config, order: BackupOrder): Promise<BackupReport> {
  const path = resolve(order.file)
  const database = await openForReading(config, order.signal)
  try {
    let summary: BackupSummary | undefined
    const takenAt = new Date(systemClock.nowMs())
    const chunks = async function* () {
      summary = yield* takeBackup(database.pool, {
        takenAt,
        program: USER_AGENT,
        onProgress: (progress) => order.onProgress(progress),
      })
    }
    const bytes = await writeWhole(path, chunks(), { mayReplace: order.mayReplace, signal: order.signal })
    if (summary === undefined) throw new Error('A backup has ended without its end.')
    const { header, tables } = summary
    return {
      file: path,
      bytes,
      ...describe(header, tables),
      database: database.description,
      keyFile: config.keyFile,
      keyIds: header.keyIds,
    }
  } catch (error) {
    throw sayDatabaseFailure(error, 'Run the backup again; nothing was written.')
  } finally {
    await database.close()
  }
}

/** Loads a backup into the empty database of this configuration, which no hub may use meanwhile. */
export async function restore(config: Config, order: RestoreOrder): Promise<RestoreReport> {
  const file = await BackupFile.open(resolve(order.file))
  try {
    const { header } = file
    // Before the rows, which take long: whoever wants the secrets can stop here and fetch the key.
    const missing = order.withoutSecrets ? [] : await missingKeys(config.keyFile, header.keyIds)
    order.onMissingKeys(missing, config.keyFile)
    const database = await openForWriting(config, order.signal)
    try {
      const { tables, migrated } = await restoreBackup(database.pool, file, {
        now: new Date(systemClock.nowMs()),
        withoutSecrets: order.withoutSecrets,
        signal: order.signal,
        onProgress: (progress) => order.onProgress(progress),
      })
      return {
        file: file.path,
        ...describe(header, tables),
        migrated,
        database: database.description,
        keyFile: config.keyFile,
        keyIds: order.withoutSecrets ? [] : header.keyIds,
        missingKeyIds: missing,
      }
    } finally {
      await database.close()
    }
  } catch (error) {
    throw sayDatabaseFailure(error, 'Nothing was restored; correct the cause and restore again.')
  } finally {
    await file.close()
  }
}

function describe(header: Header, tables: BackupSummary['tables']) {
  const last = header.migrations.at(-1)
  return {
    takenAt: header.takenAt,
    schema: `${String(last?.number ?? 0).padStart(6, '0')}_${last?.name ?? ''}`,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    tables: tables.map(({ name, rows }) => ({ name, rows })),
  }
}

async function openForReading(config: Config, signal: AbortSignal): Promise<Opened> {
  const { databaseUrl, home } = config
  if (databaseUrl !== undefined) return openUrl(databaseUrl)
  await requireCluster(home)
  await ensureHome(home)
  const deadlineMs = systemClock.nowMs() + FOLDER_WAIT_MS_MAX
  for (;;) {
    const opened = await openOwn(config, signal).catch((error: unknown) => {
      if (error instanceof HubError && error.code === 'folder_in_use') return error
      throw error
    })
    if (!(opened instanceof HubError)) return opened
    const running = await openRunning(home).catch((error: unknown) => {
      // It is just starting or stopping; or it is somebody who uses another database.
      if (error instanceof HubError && systemClock.nowMs() < deadlineMs) return null
      throw error instanceof HubError ? notItsDatabase(home, error) : error
    })
    if (running !== null) return running
    await systemClock.sleep(FOLDER_POLL_MS, signal)
  }
}

async function openForWriting(config: Config, signal: AbortSignal): Promise<Opened> {
  if (config.databaseUrl !== undefined) return openUrl(config.databaseUrl)
  await ensureHome(config.home)
  return openOwn(config, signal)
}

function openOwn({ home, logLevel = 'warn' }: Config, signal: AbortSignal): Promise<Database> {
  const log = createLog({ level: logLevel, destination: process.stderr, secrets: new KnownSecrets() })
  return openDatabase({ home, takesFolder: true, clock: systemClock, log, signal })
}

async function openUrl(databaseUrl: string): Promise<Opened> {
  const pool = await openStore({ databaseUrl, connectionsMax: 1 })
  return { pool, description: await describeServer(pool, 'PostgreSQL'), close: () => pool.end() }
}

async function openRunning(home: string): Promise<Opened> {
  const { clientConfig, socket } = await connectToRunning(home)
  try {
    const pool = await openStore({ embedded: { clientConfig }, connectionsMax: 1 })
    const close = async () => {
      await pool.end()
      await socket.remove()
    }
    return { pool, description: await describeServer(pool, 'embedded PostgreSQL'), close }
  } catch (error) {
    await socket.remove()
    throw error
  }
}

async function describeServer(pool: pg.Pool, name: string): Promise<string> {
  const { rows } = await pool.query<{ version: string }>(
    `select current_setting('server_version') as version`,
  )
  return `${name} ${rows[0]?.version ?? ''}`
}

function notItsDatabase(home: string, cause: HubError): HubError {
  return new HubError(
    'conflict',
    `A Patchbay process uses the data folder ${home}, but not the database in it.`,
    {
      cause,
      code: 'folder_in_use',
      hint: 'If that server uses DATABASE_URL, set it here as well; else try again when it has started.',
    },
  )
}

async function missingKeys(keyFile: string, wanted: readonly string[]): Promise<string[]> {
  if (wanted.length === 0) return []
  const ring = await loadKeyRing(keyFile).catch((error: unknown) => {
    if (!(error instanceof SecretsError)) throw error
    if (error.code === 'key_file_missing') return null
    throw new HubError('config', error.message, { code: error.code, cause: error })
  })
  return wanted.filter((id) => ring?.keys.some((key) => key.id === id) !== true)
}

function sayDatabaseFailure(error: unknown, hint: string): unknown {
  const failure = databaseFailure(error)
  if (failure === null) return error
  return new HubError(failure.kind, failure.message, {
    cause: error,
    hint: failure.code === 'disk_full' ? `Make room on it. ${hint}` : hint,
    ...(failure.code !== undefined && { code: failure.code }),
  })
}
