import { rm } from 'node:fs/promises'
import type pg from 'pg'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { HubError } from '../../model/errors.ts'
import { chooseAccount } from './account.ts'
import { usableBinaries } from './binaries.ts'
import { DATABASE_NAME, type EmbeddedClientConfig, clientConfigOf } from './client-config.ts'
import { type ClusterContext, ensureCluster } from './cluster.ts'
import { type DataFolder, listInitdbFolders, openDataFolder } from './data-folder.ts'
import { embeddedFailure } from './failure.ts'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import { launch, type Postmaster, waitUntilReady, withClient } from './launch.ts'
import { removeLeftovers, stopServer } from './running-server.ts'
import { reachableSocketFolder } from './socket-folder.ts'

export interface EmbeddedServerOptions {
  /** `PATCHBAY_HOME`. Made if it does not exist. */
  dataFolder: string
  log: { info(message: string): void }
  clock?: Clock
  /** Aborting gives up a start that is under way; a server that has started is ended with `stop`. */
  signal?: AbortSignal
  /** For tests only: what was committed survives a kill, but not a loss of power. */
  unsafeNoFsync?: boolean
  /** Where the PostgreSQL programs are, and where copies of them go; for tests. */
  binaries?: { source?: string; sharedFolders?: string[] }
}

export interface EmbeddedServer {
  /** Contains the password: never for a log. */
  connectionString: string
  clientConfig: EmbeddedClientConfig
  /** E.g. 18.4. */
  version: string
  /** The postmaster's. */
  pid: number
  /** Resolves when the server has ended: with an error that says how, unless it was `stop` that ended it. */
  ended: Promise<HubError | undefined>
  /** Ends it within a minute, whatever it does, and gives the data folder back. May be called again. */
  stop(): Promise<void>
}

/**
 * Starts the PostgreSQL that comes with Patchbay on a data folder, creating its database on the first start and
 * recovering what a killed Patchbay or a killed server has left.
 *
 * @throws HubError `conflict` when another process uses the folder, `config` with a sentence that says what to do when
 * the folder, the disk or the system do not allow it.
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const folder = await openDataFolder(options.dataFolder)
  const lock = takeFolder(folder)
  try {
    return await startLocked(options, folder, lock)
  } catch (error) {
    lock.release()
    // What the file system refuses becomes a sentence; anything else is the caller's abort or a bug.
    throw isSystemError(error) ? embeddedFailure('start the embedded PostgreSQL', error) : error
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

function takeFolder(folder: DataFolder): FolderLock {
  try {
    return lockFolder(folder.root)
  } catch (error) {
    throw embeddedFailure(`lock the data folder ${folder.root}`, error)
  }
}

async function startLocked(
  options: EmbeddedServerOptions,
  folder: DataFolder,
  lock: FolderLock,
): Promise<EmbeddedServer> {
  const clock = options.clock ?? systemClock
  const account = await chooseAccount(folder.cluster)
  const binaries = await usableBinaries({ account, ownFolder: folder.binaries, ...options.binaries })
  const context: ClusterContext = { folder, binaries, account, isDurable: options.unsafeNoFsync !== true }
  options.log.info(`Starting the embedded PostgreSQL ${binaries.version} in ${folder.cluster}.`)
  await cleanUp(folder, clock)
  options.signal?.throwIfAborted()
  const password = await ensureCluster(context)
  options.signal?.throwIfAborted()
  const socket = await reachableSocketFolder(folder.cluster)
  const clientConfig = clientConfigOf(socket.path, password)
  let stopping: Promise<void> | undefined
  let postmaster: Postmaster | undefined
  const end = async () => {
    try {
      await stopServer(folder.cluster, clock)
      await postmaster?.ended
    } finally {
      await socket.remove()
    }
  }
  try {
    postmaster = await launch(context)
    const ended = postmaster.ended.then((how) => (stopping ? undefined : unexpectedEnd(how)))
    await waitUntilReady({ clientConfig, postmaster, clock, signal: options.signal })
    await ensureDatabase(clientConfig)
    const stop = () => (stopping ??= end().finally(() => lock.release()))
    const { version } = binaries
    return { connectionString: toUrl(clientConfig), clientConfig, version, pid: postmaster.pid, ended, stop }
  } catch (error) {
    await end()
    throw error
  }
}

/** What a Patchbay or a server that was killed has left: processes, files, a half-made cluster. */
async function cleanUp(folder: DataFolder, clock: Clock): Promise<void> {
  await stopServer(folder.cluster, clock)
  await removeLeftovers(folder.cluster)
  for (const unfinished of await listInitdbFolders(folder)) {
    await stopServer(unfinished, clock)
    await rm(unfinished, { recursive: true, force: true })
  }
}

function unexpectedEnd(how: string): HubError {
  const failure = embeddedFailure('keep the embedded PostgreSQL running', how)
  return new HubError('transient', failure.message, failure.hint === undefined ? {} : { hint: failure.hint })
}

async function ensureDatabase(clientConfig: pg.ClientConfig): Promise<void> {
  try {
    await withClient(clientConfig, async (client) => {
      const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE_NAME])
      if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE_NAME}`)
    })
  } catch (error) {
    throw embeddedFailure('create the embedded database', error)
  }
}

function toUrl(config: EmbeddedServer['clientConfig']): string {
  const credentials = `${encodeURIComponent(config.user)}:${encodeURIComponent(config.password)}`
  return `postgresql://${credentials}@localhost:${config.port}/${config.database}?host=${encodeURIComponent(config.host)}`
}
