import type { Command } from 'commander'
import type { MigrationState } from '../../api/resources.ts'
import { HubError } from '../../model/errors.ts'
import { createApiClient } from '../client.ts'
import type { CliHub, CliRun, Migrations } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { formatFields, printJson } from '../output.ts'
import { optionsOf } from '../session.ts'

interface ServeOptions {
  host?: string
  port?: string
}

export function addServerCommands(program: Command, run: CliRun): void {
  program
    .command('serve')
    .description('start the database (unless DATABASE_URL names one), the API and a worker')
    .option('--host <address>', 'a loopback address (PATCHBAY_HOST, default 127.0.0.1)')
    .option('--port <port>', 'the port (PATCHBAY_PORT, default 8088)')
    .action((_options, command: Command) => serve(run, command))
  program
    .command('work')
    .description('start a further worker on the database that DATABASE_URL names')
    .action((_options, command: Command) => work(run, command))
  program
    .command('migrate')
    .description('bring the database to the state that this program needs; serve does so as well')
    .option('--status', 'only say what would be done')
    .action((_options, command: Command) => migrate(run, command))
}

async function serve(run: CliRun, command: Command): Promise<void> {
  const { context, signal } = run
  const options = optionsOf<ServeOptions>(command)
  const { home, host, port, logLevel } = options
  const config = context.loadConfig({ home, host, port, logLevel: logLevel ?? undefined })
  const hub = await context.startHub(config, 'server', signal)
  if (options.json === true)
    printJson(context.stdout, { url: hub.url, database: hub.database, home: config.home })
  else context.stderr.write(`Patchbay is ready at ${hub.url} (${hub.database}, data in ${config.home}).\n`)
  await untilTheEnd(run, hub)
}

async function work(run: CliRun, command: Command): Promise<void> {
  const { context, signal } = run
  const { home, logLevel } = optionsOf(command)
  const hub = await context.startHub(context.loadConfig({ home, logLevel }), 'worker', signal)
  context.stderr.write(`The worker takes jobs from ${hub.database}.\n`)
  await untilTheEnd(run, hub)
}

/** To be asked to stop is how a server ends well; a database that ends by itself is not. */
async function untilTheEnd(run: CliRun, hub: CliHub): Promise<void> {
  const asked = new Promise<undefined>((resolve) => {
    run.signal.addEventListener('abort', () => resolve(undefined), { once: true })
    if (run.signal.aborted) resolve(undefined)
  })
  const failure = await Promise.race([asked, hub.ended])
  await hub.close()
  if (failure !== undefined) throw failure
  run.exitCode = EXIT.ok
}

async function migrate(run: CliRun, command: Command): Promise<void> {
  const { context } = run
  const { home, logLevel, json, status } = optionsOf<{ status?: boolean }>(command)
  const config = context.loadConfig({ home, logLevel })
  const server = await context.findServer(config.home)
  if (server !== null && status !== true)
    throw new HubError(
      'conflict',
      'A server runs on this data folder; it has migrated the database itself.',
      {
        hint: 'Stop it first, or only ask with --status.',
      },
    )
  const migrations =
    server === null
      ? await context.migrate(config, { isDryRun: status === true })
      : await askServer(server, run.signal)
  if (json === true) return printJson(context.stdout, migrations)
  context.stdout.write(
    formatFields([
      ['database', migrations.database],
      [status === true ? 'applied before' : 'applied now', migrations.applied.join(', ') || 'nothing'],
      ['pending', migrations.pending.join(', ') || 'nothing'],
      ['of a newer Patchbay', migrations.newer.join(', ')],
    ]),
  )
}

/** The server holds the data folder, and with it the database. */
async function askServer(server: { url: string; token: string }, signal: AbortSignal): Promise<Migrations> {
  const state = await createApiClient(server, signal).get<MigrationState>('/migrations')
  return { database: `that of the server at ${server.url}`, ...state }
}
