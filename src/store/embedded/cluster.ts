import { open, readFile, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../../model/errors.ts'
import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { runCommand } from './command.ts'
import {
  createPassword,
  type DataFolder,
  exists,
  makeInitdbFolder,
  readPassword,
  syncFolder,
  writeDurably,
} from './data-folder.ts'
import { embeddedFailure } from './failure.ts'

export const DATABASE_USER = 'patchbay'
export const SOCKET_PORT = 5432

const INITDB_TIMEOUT_MS = 300_000
const SINGLE_USER_TIMEOUT_MS = 300_000
/** Docker gives a container 64 MB; PostgreSQL's parallel queries want more. */
const SHARED_MEMORY_BYTES_MIN = 512 * 1024 * 1024

/**
 * How PostgreSQL is told where its cluster is. On Linux it is started *in* the cluster and finds it as its working
 * folder: the data folder is 0700 and may lie under /root, so the user that PostgreSQL runs as when we are root could
 * not reach it by its path, and need not.
 */
function dataDirectory(cluster: string): string {
  return process.platform === 'linux' ? '/proc/self/cwd' : cluster
}

export interface ClusterContext {
  folder: DataFolder
  binaries: Binaries
  account: Account | undefined
  /** False for tests only: what was committed survives a kill as ever, but not a loss of power. */
  isDurable: boolean
}

/** Makes the cluster on the first start, and returns the password that opens it. */
export async function ensureCluster(context: ClusterContext): Promise<string> {
  const { folder } = context
  const password = await readPassword(folder)
  if (!(await exists(folder.cluster)))
    return createCluster(context, password ?? (await createPassword(folder)))
  await checkMajorVersion(context)
  if (password !== undefined) return password
  const renewed = await createPassword(folder)
  await setPassword(context, renewed)
  return renewed
}

/** `initdb` works in a folder of its own, so that a cluster by its final name is always a whole one. */
async function createCluster(context: ClusterContext, password: string): Promise<string> {
  const { folder, account } = context
  const passwordFile = join(folder.root, 'initdb.password')
  const unfinished = await makeInitdbFolder(folder, account)
  await rm(passwordFile, { force: true })
  await writeDurably(passwordFile, `${password}\n`)
  const handle = await open(passwordFile, 'r')
  try {
    // The handle, unlike the path, is open to the other user as well; the name is not needed any more.
    if (account) await handle.chown(account.uid, account.gid)
    await rm(passwordFile)
    const result = await runCommand({
      file: context.binaries.initdb,
      args: initdbArguments(unfinished, context.isDurable),
      cwd: unfinished,
      account,
      timeoutMs: INITDB_TIMEOUT_MS,
      extraFd: handle.fd,
    })
    if (!result.ok) throw embeddedFailure(`create the database in ${folder.root}`, result.output)
    await rename(unfinished, folder.cluster)
    await syncFolder(folder.root)
    return password
  } catch (error) {
    throw embeddedFailure(`create the database in ${folder.root}`, error)
  } finally {
    await handle.close()
    await rm(unfinished, { recursive: true, force: true })
  }
}

function initdbArguments(folder: string, isDurable: boolean): string[] {
  return [
    `--pgdata=${dataDirectory(folder)}`,
    `--username=${DATABASE_USER}`,
    `--pwfile=${process.platform === 'linux' ? '/proc/self/fd/3' : '/dev/fd/3'}`,
    '--auth-local=scram-sha-256',
    '--auth-host=reject',
    '--encoding=UTF8',
    // Sorts by code point, knows Unicode's letters, and is the same on every system, now and after an update.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    ...(isDurable ? [] : ['--no-sync']),
  ]
}

async function checkMajorVersion({ folder, binaries }: ClusterContext): Promise<void> {
  const made = (await readFile(join(folder.cluster, 'PG_VERSION'), 'utf8').catch(() => '')).trim()
  if (made === '') {
    throw new HubError('config', `${folder.cluster} holds no PostgreSQL database, or cannot be read.`, {
      hint: 'Move it away to start with an empty database, or let the user that runs Patchbay own it.',
    })
  }
  const major = binaries.version.split('.')[0]
  if (made === major) return
  throw new HubError(
    'config',
    `${folder.cluster} was made by PostgreSQL ${made}; this Patchbay brings ${major}.`,
    {
      hint: `Take a backup with the Patchbay that made it (patchbay backup), move the folder ${folder.cluster} away, and load it with this one (patchbay restore).`,
    },
  )
}

/** In single-user mode, which needs no password: whoever owns the files owns the database. */
async function setPassword(context: ClusterContext, password: string): Promise<void> {
  const result = await runCommand({
    file: context.binaries.postgres,
    args: ['--single', '-D', dataDirectory(context.folder.cluster), 'postgres'],
    cwd: context.folder.cluster,
    account: context.account,
    timeoutMs: SINGLE_USER_TIMEOUT_MS,
    input: `ALTER ROLE ${DATABASE_USER} PASSWORD '${password}'\n`,
  })
  if (!result.ok) throw embeddedFailure('set a new password for the database', result.output)
}

/**
 * Given anew at every start, so that they always are those of the program that runs: a share of a machine with two
 * cores and 4 GiB or more, a Unix socket in the cluster's own folder (0700) and no network at all.
 */
export async function serverArguments({ folder, isDurable }: ClusterContext): Promise<string[]> {
  const settings: Record<string, string> = {
    cluster_name: 'patchbay',
    listen_addresses: '',
    port: String(SOCKET_PORT),
    // Relative to the cluster: a path of any length fits into the 107 bytes of a socket's address.
    unix_socket_directories: '.',
    unix_socket_permissions: '0700',
    dynamic_shared_memory_type: (await hasSharedMemory()) ? 'posix' : 'mmap',
    max_connections: '60',
    shared_buffers: '256MB',
    effective_cache_size: '1GB',
    work_mem: '16MB',
    maintenance_work_mem: '128MB',
    wal_level: 'minimal',
    max_wal_senders: '0',
    wal_compression: 'on',
    max_wal_size: '2GB',
    checkpoint_timeout: '15min',
    random_page_cost: '1.1',
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'warning',
    ...(isDurable ? {} : { fsync: 'off', full_page_writes: 'off' }),
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return ['-D', dataDirectory(folder.cluster), ...flags]
}

async function hasSharedMemory(): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const found = await statfs('/dev/shm').catch(() => undefined)
  return found !== undefined && found.blocks * found.bsize >= SHARED_MEMORY_BYTES_MIN
}
