import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { runMigrations } from 'graphile-worker'
import type pg from 'pg'
import type { DestinationStream } from 'pino'
import { createApp } from './api/app.ts'
import type { ApiDeps } from './api/deps.ts'
import { runCli } from './cli/program.ts'
import type { EngineDeps } from './engine/deps.ts'
import type { JobDeps } from './jobs/job.ts'
import { startWorker } from './jobs/start-worker.ts'
import { type Clock, systemClock } from './lib/clock.ts'
import { HubError } from './model/errors.ts'
import { migrate } from './store/migrate.ts'
import { cliContext } from './wiring/cli-context.ts'
import { type Database, openDatabase } from './wiring/database.ts'
import { diagnose } from './wiring/diagnose.ts'
import { ensureHome, ensureToken, removeServerFile, writeServerFile } from './wiring/home.ts'
import { integrationTypes } from './wiring/integration-types.ts'
import { listen } from './wiring/listen.ts'
import { type HubLog, KnownSecrets, type LogLevel, createLog } from './wiring/log.ts'
import { Outside } from './wiring/outside.ts'
import { createVault, ensureKeyRing } from './wiring/vault.ts'

/**
 * What a process is: `server` has the data folder, the API and a worker that also looks at the clock; `command` is the
 * same for the time of one command, on any free port and without schedules; `worker` shares the database of others.
 */
export type HubRole = 'server' | 'command' | 'worker'

export interface HubOptions {
  /** `PATCHBAY_HOME`. */
  home: string
  role?: HubRole
  /** Without it the embedded PostgreSQL is started. */
  databaseUrl?: string | undefined
  /** Default `<home>/keys/master.key`. */
  keyFile?: string | undefined
  host?: string
  /** 0 lets the system choose. */
  port?: number
  allowedHosts?: readonly string[]
  /** Networks that are not public and may be connected to. */
  allowedCidrs?: readonly string[]
  caPem?: string | undefined
  proxyUrl?: string | undefined
  batchesMax?: number
  eventMonthsKept?: number | undefined
  clock?: Clock
  logLevel?: LogLevel
  logDestination?: DestinationStream
  /** False: nothing happens by the clock, only what is asked for. Default: as the role says. */
  withCron?: boolean
  /** Aborting gives up a start that is under way. */
  signal?: AbortSignal
  /** For tests and the demo only: what was committed survives a kill, but not a loss of power. */
  unsafeNoFsync?: boolean
}

export interface Hub {
  /** Of the API; empty for the role `worker`. */
  url: string
  token: string
  pool: pg.Pool
  log: HubLog
  engine: EngineDeps
  jobs: JobDeps
  /** E.g. "embedded PostgreSQL 18.4". */
  database: string
  /** Resolves with how the database ended when it ended by itself. */
  ended: Promise<HubError | undefined>
  /** Lets running work go, so that it is gone on with later, and stops everything. May be called again. */
  close(): Promise<void>
}

const BATCHES_MAX = 2
const EVENT_MONTHS_KEPT = 25

/** Starts a hub: database, migrations, key ring, worker and API, as the role says. */
export async function startHub(options: HubOptions): Promise<Hub> {
  const secrets = new KnownSecrets()
  const log = createLog({
    level: options.logLevel ?? 'warn',
    destination: options.logDestination ?? process.stderr,
    secrets,
  })
  const closers: (() => Promise<void>)[] = []
  let closed: Promise<void> | undefined
  const close = () => (closed ??= closeAll(closers))
  try {
    return { ...(await start(options, { log, secrets, closers })), close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Starting {
  log: HubLog
  secrets: KnownSecrets
  /** What was started; stopped in the opposite order. */
  closers: (() => Promise<void>)[]
}

async function start(options: HubOptions, starting: Starting): Promise<Omit<Hub, 'close'>> {
  const { home, role = 'server', clock = systemClock } = options
  const { log, secrets, closers } = starting
  if (role === 'worker' && options.databaseUrl === undefined) throw noSharedDatabase()
  await ensureHome(home)
  const database = await openAndMigrate(options, starting)
  const { pool } = database
  const keyFile = options.keyFile ?? `${home}/keys/master.key`
  const vault = createVault(
    await database.during(() =>
      ensureKeyRing(pool, {
        keyFile,
        mayCreate: role !== 'worker',
        isShared: options.databaseUrl !== undefined,
      }),
    ),
    secrets,
  )
  const worker = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`
  const { allowedCidrs = [], caPem, proxyUrl } = options
  const outside = new Outside({ pool, clock, vault, worker, allowedCidrs, caPem, proxyUrl })
  closers.push(() => outside.close())
  const engine: EngineDeps = {
    pool,
    clock,
    log,
    worker,
    batchesMax: options.batchesMax ?? BATCHES_MAX,
    connectSource: (integration, onWait) => outside.connectSource(integration, onWait),
  }
  const jobs: JobDeps = {
    engine,
    connectTarget: (id) => outside.connectTarget(id),
    busy: { count: 0 },
    eventMonthsKept: options.eventMonthsKept ?? EVENT_MONTHS_KEPT,
  }
  const closing = new AbortController()
  const withCron = options.withCron ?? role !== 'command'
  const running = await database.during(() => startWorker({ deps: jobs, signal: closing.signal, withCron }))
  const letGo = async () => closing.abort(new Error('Patchbay is stopping.'))
  closers.push(() => running.stop(), letGo)
  const token = role === 'worker' ? '' : await ensureToken(home)
  secrets.add(token)
  const types = integrationTypes(outside)
  const look = { pool, clock, vault, home, keyFile, integrationTypes: types, database: database.description }
  const api: ApiDeps = {
    pool,
    clock,
    log,
    token,
    instance: randomUUID(),
    allowedHosts: options.allowedHosts ?? [],
    integrationTypes: types,
    vault,
    diagnose: async (signal) => ({ lines: await diagnose({ ...look, hasWorker: true, signal }) }),
    closing: closing.signal,
  }
  const url = role === 'worker' ? '' : await openApi(options, api, closers)
  // Work is let go of first, and the API's open answers with it.
  closers.push(letGo)
  log.info({ url, database: database.description, role }, 'Patchbay has started.')
  return { url, token, pool, log, engine, jobs, database: database.description, ended: database.ended }
}

async function openAndMigrate(options: HubOptions, { log, closers }: Starting): Promise<Database> {
  const database = await openDatabase({
    home: options.home,
    databaseUrl: options.databaseUrl,
    takesFolder: options.role !== 'worker',
    // The database and its processes live in real time, whatever the hub's clock is.
    clock: systemClock,
    log,
    signal: options.signal,
    unsafeNoFsync: options.unsafeNoFsync,
  })
  closers.push(() => database.close())
  options.signal?.throwIfAborted()
  const applied = await database.during(() => migrate(database.pool))
  if (applied.length > 0) log.info({ applied }, 'The database was migrated.')
  await database.during(() => runMigrations({ pgPool: database.pool }))
  options.signal?.throwIfAborted()
  return database
}

async function openApi(
  options: HubOptions,
  deps: ApiDeps,
  closers: (() => Promise<void>)[],
): Promise<string> {
  const { home, role = 'server', host = '127.0.0.1' } = options
  const port = options.port ?? (role === 'command' ? 0 : 8088)
  const app = createApp(deps)
  const listening = await listen((request) => app.fetch(request), { host, port })
  closers.push(() => listening.close())
  const { instance } = deps
  await writeServerFile(home, {
    pid: process.pid,
    url: listening.url,
    instance,
    isCommand: role === 'command',
  })
  closers.push(() => removeServerFile(home, instance))
  return listening.url
}

/** Every step is tried, whatever the one before it came to; the first failure is thrown in the end. */
async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.toReversed()) await close().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

function noSharedDatabase(): HubError {
  return new HubError('config', 'A worker shares the database of a server, and no database is named.', {
    code: 'no_database',
    hint: 'Set DATABASE_URL to the one that the server uses. The embedded database has its worker inside patchbay serve.',
  })
}

if (import.meta.main) {
  const context = cliContext(startHub)
  process.exitCode = context.exitCodeFor(await runCli(context, process.argv.slice(2)))
}
