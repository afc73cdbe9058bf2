import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { CliConfig, CliContext, CliHub, Migrations } from '../cli/context.ts'
import { EXIT } from '../cli/exit-codes.ts'
import { type Config, loadConfig } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import type { HubOptions } from '../main.ts'
import { HubError } from '../model/errors.ts'
import { diagnoseQualys } from '../sources/qualys/probe.ts'
import { migrate, migrationStatus } from '../store/migrate.ts'
import { openDatabase } from './database.ts'
import { ensureHome, findServer } from './home.ts'
import { KnownSecrets, createLog } from './log.ts'
import { USER_AGENT } from './outside.ts'
import { backUp, restore } from './rescue.ts'

const DEMO = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))
const FILE_BYTES_MAX = 64 * 1024

/** The command line on this process, and what its exit code is in the end. */
export interface ProcessContext extends CliContext {
  exitCodeFor(code: number): number
}

/** The command line on this process: its streams, its signals, its configuration. */
export function cliContext(startHub: (options: HubOptions) => Promise<CliHub>): ProcessContext {
  const leaving = new Leaving()
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: leaving.stderr,
    exitCodeFor: (code) => leaving.exitCodeFor(code),
    clock: systemClock,
    loadConfig: (flags) => loadConfig(flags),
    findServer,
    startHub: (config, role, signal) =>
      startHub({ ...toOptions(config), role, signal, ...portOf(config, role) }),
    migrate: (config, options) => migrateDatabase(asConfig(config), options),
    backUp: (config, order) => backUp(asConfig(config), order),
    restore: (config, order) => restore(asConfig(config), order),
    diagnoseQualys: async (config, access, signal) => {
      const { allowedCidrs, caPem, proxyUrl } = asConfig(config)
      return diagnoseQualys({
        access: { ...access, allowedCidrs: access.privatePlatform ? allowedCidrs : [] },
        clock: systemClock,
        userAgent: USER_AGENT,
        signal,
        ...(caPem !== undefined && { caPem }),
        ...(proxyUrl !== undefined && { proxyUrl }),
      })
    },
    readFile: readSmallFile,
    runDemo,
    onSignal: (handler) => leaving.listen(handler),
    exitNow: (code) => process.exit(code),
  }
}

type SignalHandler = Parameters<CliContext['onSignal']>[0]

/**
 * What makes a command end before its time: signals, a terminal that is closed (SIGHUP), output that nobody takes any
 * more. Each of them lets the hub close, since the database would outlive a process that just ends.
 */
class Leaving {
  #handler: SignalHandler | undefined
  #isAsked = false
  #isSilent = false
  #outputFailure: string | undefined

  constructor() {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => this.#loseOutput(error))
    // With the terminal gone there is nobody left to tell.
    process.stderr.on('error', () => undefined)
  }

  /** Says nothing of an interruption that nobody asked for. */
  get stderr(): CliContext['stderr'] {
    const { isTTY, columns } = process.stderr
    const write = (text: string) => this.#isSilent || process.stderr.write(text)
    return { write, isTTY, columns }
  }

  listen(handler: SignalHandler): void {
    this.#handler = handler
    const ask = (signal: 'SIGINT' | 'SIGTERM') => {
      this.#isAsked = true
      handler(signal)
    }
    process.on('SIGINT', ask)
    process.on('SIGTERM', ask)
    process.on('SIGHUP', () => ask('SIGTERM'))
  }

  /** Whoever had enough of our output, as `head` has, got what it wanted. */
  exitCodeFor(code: number): number {
    if (this.#outputFailure === undefined) return code
    if (this.#outputFailure !== 'EPIPE') return EXIT.config
    return code === EXIT.interrupted ? EXIT.ok : code
  }

  #loseOutput(error: NodeJS.ErrnoException): void {
    if (this.#outputFailure !== undefined) return
    this.#outputFailure = error.code ?? error.message
    if (this.#outputFailure !== 'EPIPE')
      process.stderr.write(`Error: The output cannot be written (${this.#outputFailure}).\n`)
    // A second call would mean that somebody wants to leave at once.
    if (this.#isAsked || this.#handler === undefined) return
    this.#isAsked = true
    this.#isSilent = true
    this.#handler('SIGTERM')
    this.#isSilent = false
  }
}

/** The command line hands back what it was given by `loadConfig`. */
function asConfig(config: CliConfig): Config {
  return config as Config
}

function toOptions(given: CliConfig): HubOptions {
  const config = asConfig(given)
  const { home, databaseUrl, keyFile, host, allowedHosts, allowedCidrs, caPem, proxyUrl } = config
  const { batchesMax, eventMonthsKept } = config
  const paths = { home, databaseUrl, keyFile }
  return { ...paths, host, allowedHosts, allowedCidrs, caPem, proxyUrl, batchesMax, eventMonthsKept }
}

/** Commands take any free port, and are quiet unless asked. */
function portOf(
  given: CliConfig,
  role: NonNullable<HubOptions['role']>,
): Pick<HubOptions, 'port' | 'logLevel'> {
  const { port, logLevel } = asConfig(given)
  return role === 'command'
    ? { port: 0, logLevel: logLevel ?? 'warn' }
    : { port, logLevel: logLevel ?? 'info' }
}

async function migrateDatabase(config: Config, options: { isDryRun: boolean }): Promise<Migrations> {
  const { home, databaseUrl, logLevel = 'warn' } = config
  const log = createLog({ level: logLevel, destination: process.stderr, secrets: new KnownSecrets() })
  if (databaseUrl === undefined) await ensureHome(home)
  const takesFolder = databaseUrl === undefined
  const database = await openDatabase({ home, databaseUrl, takesFolder, clock: systemClock, log })
  try {
    return await database.during(async () => {
      const applied = options.isDryRun ? null : await migrate(database.pool)
      const status = await migrationStatus(database.pool)
      const { pending, newer } = status
      return { database: database.description, applied: applied ?? status.applied, pending, newer }
    })
  } finally {
    await database.close()
  }
}

async function readSmallFile(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).slice(0, FILE_BYTES_MAX)
  } catch (cause) {
    throw new HubError('config', `The file ${path} cannot be read.`, { cause, hint: 'Correct the path.' })
  }
}

/** A program of its own, since the demo brings fakes along that this one must not know. */
function runDemo(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [DEMO, ...args], { stdio: 'inherit' })
    const pass = () => void child.kill('SIGTERM')
    // A terminal sends Ctrl-C to the child as well; an end asked for by another program has to be passed on.
    process.on('SIGTERM', pass)
    process.on('SIGHUP', pass)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      process.off('SIGTERM', pass)
      process.off('SIGHUP', pass)
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}
