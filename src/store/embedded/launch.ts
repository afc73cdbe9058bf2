import { spawn } from 'node:child_process'
import { open, readFile, rename, stat } from 'node:fs/promises'
import pg from 'pg'
import type { Clock } from '../../lib/clock.ts'
import { type ClusterContext, serverArguments } from './cluster.ts'
import { CHILD_ENVIRONMENT } from './command.ts'
import { embeddedFailure } from './failure.ts'

const POLL_MS = 25
const CONNECT_TIMEOUT_MS = 10_000
const START_MS_MAX = 60_000
/** After a crash the log is replayed before anybody is let in; with 2 GB of it that takes minutes on a slow disk. */
const RECOVERY_MS_MAX = 30 * 60_000
const LOG_BYTES_MAX = 16 * 1024 * 1024
const LOG_TAIL_BYTES_MAX = 16 * 1024
const STARTING_UP = '57P03'

export interface Postmaster {
  pid: number
  /** Resolves when it has ended, however, with what its exit code and its last log lines say. */
  ended: Promise<string>
}

/**
 * The postmaster is a process group of its own, since Ctrl-C in a terminal must reach the hub alone, which ends it when
 * its own work is done; and it writes to a file, not to a pipe, which would break if we were killed.
 */
export async function launch(context: ClusterContext): Promise<Postmaster> {
  const { account, binaries, folder } = context
  const args = await serverArguments(context)
  await rotateLog(folder.logFile)
  const log = await open(folder.logFile, 'a', 0o600)
  try {
    const logStart = (await log.stat()).size
    const child = spawn(binaries.postgres, args, {
      cwd: folder.cluster,
      env: CHILD_ENVIRONMENT,
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
      ...(account && { uid: account.uid, gid: account.gid }),
    })
    const exited = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message))
      child.on('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `ended with code ${code}`))
    })
    const ended = exited.then(async (how) =>
      [how, ...(await complaints(folder.logFile, logStart))].join('\n'),
    )
    if (child.pid === undefined) throw embeddedFailure('start the embedded PostgreSQL', await exited)
    return { pid: child.pid, ended }
  } finally {
    await log.close()
  }
}

async function rotateLog(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found !== undefined && found.size > LOG_BYTES_MAX) await rename(path, `${path}.1`)
}

/** The end of the log since `offset`, reduced to what made the server end. */
async function complaints(path: string, offset: number): Promise<string[]> {
  const log = await readFile(path).catch(() => Buffer.alloc(0))
  const tail = log.subarray(Math.max(offset, log.length - LOG_TAIL_BYTES_MAX)).toString('utf8')
  return (
    tail
      .split('\n')
      .filter((line) => /(FATAL|PANIC|postgres): |LOG: {2}(invalid|unrecognized)/.test(line))
      // Only our own asking whether it is up yet.
      .filter((line) => !/the database system is (starting up|not yet accepting connections)/.test(line))
  )
}

interface Waiting {
  clientConfig: pg.ClientConfig
  postmaster: Postmaster
  clock: Clock
  signal: AbortSignal | undefined
}

export async function waitUntilReady({ clientConfig, postmaster, clock, signal }: Waiting): Promise<void> {
  let howItEnded: string | undefined
  void postmaster.ended.then((how) => (howItEnded = how))
  const startMs = clock.nowMs()
  let limitMs = START_MS_MAX
  let lastError: unknown
  while (clock.nowMs() - startMs < limitMs) {
    signal?.throwIfAborted()
    if (howItEnded !== undefined) throw embeddedFailure('start the embedded PostgreSQL', howItEnded)
    lastError = await whyNotReady(clientConfig)
    if (lastError === undefined) return
    if (lastError instanceof pg.DatabaseError) {
      // Any other answer is final: more waiting changes nothing.
      if (lastError.code !== STARTING_UP) throw embeddedFailure('open the embedded database', lastError)
      limitMs = RECOVERY_MS_MAX
    }
    await clock.sleep(POLL_MS, signal)
  }
  throw embeddedFailure(`reach the embedded PostgreSQL within ${limitMs / 1000} s`, lastError)
}

async function whyNotReady(clientConfig: pg.ClientConfig): Promise<unknown> {
  try {
    await withClient(clientConfig, () => Promise.resolve())
    return undefined
  } catch (error) {
    return error
  }
}

/** On the database that always exists. */
export async function withClient<T>(
  config: pg.ClientConfig,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    ...config,
    database: 'postgres',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  })
  // A connection that breaks while it is being closed is no news.
  client.on('error', () => {})
  try {
    await client.connect()
    return await use(client)
  } finally {
    await client.end()
  }
}
