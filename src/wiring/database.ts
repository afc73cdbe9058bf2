import type pg from 'pg'
import type { Clock } from '../lib/clock.ts'
import type { HubError } from '../model/errors.ts'
import { openDataFolder } from '../store/embedded/data-folder.ts'
import { sayConnectionLost } from '../store/connection-failure.ts'
import { embeddedFailure } from '../store/embedded/failure.ts'
import { type FolderLock, lockFolder } from '../store/embedded/folder-lock.ts'
import { startEmbeddedServer } from '../store/embedded/server.ts'
import { openStore } from '../store/pool.ts'

export interface Database {
  pool: pg.Pool
  /** E.g. "embedded PostgreSQL 18.4". */
  description: string
  /** Does a step of a start; a database that fails meanwhile is told of as one that fails when it is opened. */
  during<T>(step: () => Promise<T>): Promise<T>
  /** Resolves with how it ended when it ended by itself. */
  ended: Promise<HubError | undefined>
  close(): Promise<void>
}

export interface DatabaseOptions {
  home: string
  databaseUrl?: string | undefined
  /** False for processes that share the database and keep nothing in the folder. */
  takesFolder: boolean
  clock: Clock
  log: { info(details: object, message: string): void; warn(details: object, message: string): void }
  signal?: AbortSignal | undefined
  unsafeNoFsync?: boolean | undefined
}

/** Jobs, lanes of batches, the API and the listening connection of the queue, all at the same time. */
const CONNECTIONS_MAX = 24

/**
 * The database that the configuration names, or the embedded one. Takes the data folder for this process alone.
 * @throws HubError `conflict` when another process has the folder.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { log } = options
  const state = { isClosing: false }
  const warn = (message: string) => {
    // The pool lets go of connections before they are closed, so the server's end breaks some.
    if (!state.isClosing) log.warn({}, message)
  }
  const poolOptions = { connectionsMax: CONNECTIONS_MAX, log: { warn } }
  const database = await open(options, poolOptions)
  const close = () => {
    state.isClosing = true
    return database.close()
  }
  return { ...database, close }
}

type PoolSettings = Omit<Parameters<typeof openStore>[0], 'databaseUrl' | 'embedded'>

async function open(options: DatabaseOptions, poolOptions: PoolSettings): Promise<Database> {
  const { databaseUrl } = options
  if (databaseUrl === undefined) return openEmbedded(options, poolOptions)
  const lock = options.takesFolder ? takeFolder((await openDataFolder(options.home)).root) : null
  const during = duringOn({ connectionString: databaseUrl })
  let pool: pg.Pool | undefined
  try {
    const opened = (pool = await openStore({ databaseUrl, ...poolOptions }))
    const version = await during(() => readVersion(opened))
    return {
      pool: opened,
      description: `PostgreSQL ${version}`,
      during,
      ended: new Promise(() => undefined),
      close: async () => {
        await opened.end()
        lock?.release()
      },
    }
  } catch (error) {
    await pool?.end()
    lock?.release()
    throw error
  }
}

async function readVersion(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ version: string }>(
    `select current_setting('server_version') as version`,
  )
  return rows[0]!.version
}

function duringOn(config: pg.ClientConfig): Database['during'] {
  return async (step) => {
    try {
      return await step()
    } catch (error) {
      throw sayConnectionLost(error, config)
    }
  }
}

function takeFolder(folder: string): FolderLock {
  try {
    return lockFolder(folder)
  } catch (error) {
    throw embeddedFailure(`lock the data folder ${folder}`, error)
  }
}

async function openEmbedded(options: DatabaseOptions, poolOptions: PoolSettings): Promise<Database> {
  const { home, clock, log, signal, unsafeNoFsync } = options
  const server = await startEmbeddedServer({
    dataFolder: home,
    clock,
    log: { info: (message) => log.info({}, message) },
    ...(signal !== undefined && { signal }),
    ...(unsafeNoFsync !== undefined && { unsafeNoFsync }),
  })
  try {
    const pool = await openStore({ embedded: server, ...poolOptions })
    return {
      pool,
      description: `embedded PostgreSQL ${server.version}`,
      during: duringOn(server.clientConfig),
      ended: server.ended,
      close: async () => {
        try {
          await pool.end()
        } finally {
          await server.stop()
        }
      },
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}
