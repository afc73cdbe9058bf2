import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { test as base } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { stopServer } from '../../src/store/embedded/running-server.ts'
import {
  type EmbeddedServer,
  type EmbeddedServerOptions,
  startEmbeddedServer,
} from '../../src/store/embedded/server.ts'

export const isRoot = process.getuid?.() === 0

const quietLog = { info: () => {} }

/** Another Patchbay: a process that starts a server, says so, and lives until it is killed or told to stop. */
export interface Starter {
  process: ChildProcess
  /** Its lines: `started PID`, `stopped`, or `failed KIND SENTENCE | HINT`. */
  next(): Promise<string>
  kill(signal: NodeJS.Signals): Promise<void>
}

interface Embedded {
  /** Removed after the test, with every server in it. */
  folder: string
  start(dataFolder: string, options?: Partial<EmbeddedServerOptions>): Promise<EmbeddedServer>
  starter(dataFolder: string, options?: StarterOptions): Starter
}

interface StarterOptions {
  /** If we are root, run as `nobody`. */
  asNormalUser?: boolean
  stopAtOnce?: boolean
}

export const test = base.extend<Embedded>({
  // oxlint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'patchbay-embedded-'))
    await use(folder)
    await rm(folder, { recursive: true, force: true })
  },
  start: async ({ folder: _removedLast }, use) => {
    const servers: EmbeddedServer[] = []
    await use(async (dataFolder, options = {}) => {
      const server = await startEmbeddedServer({ dataFolder, log: quietLog, unsafeNoFsync: true, ...options })
      servers.push(server)
      return server
    })
    for (const server of servers) await server.stop()
  },
  starter: async ({ folder: _removedLast }, use) => {
    const starters: { starter: Starter; dataFolder: string }[] = []
    await use((dataFolder, options = {}) => {
      const starter = spawnStarter(dataFolder, options)
      starters.push({ starter, dataFolder })
      return starter
    })
    for (const { starter, dataFolder } of starters) {
      await starter.kill('SIGKILL')
      await stopServer(join(dataFolder, 'postgres'), systemClock)
    }
  },
})

/** The program is given as text, so that a user who cannot write anywhere can run it as well. */
const PROGRAM = `
const [module, dataFolder, stopAtOnce] = process.argv.slice(1)
const { startEmbeddedServer } = await import(module)
try {
  const log = { info() {} }
  const server = await startEmbeddedServer({ dataFolder, log, unsafeNoFsync: true })
  console.log('started ' + server.pid)
  if (!stopAtOnce) await new Promise((resolve) => process.stdin.once('data', resolve))
  await server.stop()
  console.log('stopped')
} catch (error) {
  console.log('failed ' + error.kind + ' ' + error.message + ' | ' + error.hint)
}
process.exit()
`

function spawnStarter(dataFolder: string, options: StarterOptions): Starter {
  const module = new URL('../../src/store/embedded/server.ts', import.meta.url).href
  const args = [
    '--input-type=module',
    '-e',
    PROGRAM,
    module,
    dataFolder,
    ...(options.stopAtOnce ? ['yes'] : []),
  ]
  const child = spawn(process.execPath, args, {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(options.asNormalUser && isRoot && nobody()),
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    process: child,
    next: async () => {
      const line = await lines.next()
      return line.done ? 'ended' : line.value
    },
    kill: async (signal) => {
      child.kill(signal)
      await ended
    },
  }
}

export function nobody(): { uid: number; gid: number } {
  return {
    uid: Number(execFileSync('id', ['-u', 'nobody'])),
    gid: Number(execFileSync('id', ['-g', 'nobody'])),
  }
}

/** Whether we are a normal user, or `nobody` can play one: run this very program from this very checkout. */
export function canRunAsNormalUser(): boolean {
  if (!isRoot) return true
  try {
    const module = new URL('../../src/store/embedded/server.ts', import.meta.url).href
    const args = ['--input-type=module', '-e', `await import(${JSON.stringify(module)})`]
    execFileSync(process.execPath, args, { ...nobody(), cwd: '/', stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Whether a small file system can be mounted here, to fill it up. */
export async function canMount(): Promise<boolean> {
  if (!isRoot) return false
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-mount-'))
  try {
    runProgram('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder)
    runProgram('umount', folder)
    return true
  } catch {
    return false
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export function runProgram(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: 'ignore' })
}

/** Lets every user enter a test's folder, which is the tester's own at first. */
export async function openToAll(folder: string): Promise<string> {
  await chmod(folder, 0o755)
  return folder
}

export async function query(server: { clientConfig: pg.ClientConfig }, sql: string): Promise<unknown[]> {
  const client = new pg.Client(server.clientConfig)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

export function isAlive(pid: number): boolean {
  if (!existsSync('/proc/self')) {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  // A process that has ended and whose parent has not looked yet is dead all the same.
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Polls, since nothing tells when another program has done something; the test's time-out is the limit. */
export async function until<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    await delay(5)
  }
}
