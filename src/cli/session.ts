import type { Command } from 'commander'
import { HubError } from '../model/errors.ts'
import { type ApiClient, SERVER_GONE, createApiClient } from './client.ts'
import type { CliConfig, CliRun, GlobalOptions } from './context.ts'

export interface Session {
  client: ApiClient
  config: CliConfig
  /** The server runs in this process and ends with the command. */
  isOwn: boolean
}

/** Another command may hold the data folder for a moment, or a server be starting. */
const FOLDER_WAIT_MS_MAX = 30_000
const FOLDER_POLL_MS = 100

/**
 * Works with the server of the data folder. If none runs, what is needed is started here, used, and stopped: a run
 * that is let go of in its middle is gone on with by the next.
 */
export async function withSession<Result>(
  run: CliRun,
  options: GlobalOptions,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const { context, signal } = run
  const config = context.loadConfig({ home: options.home, logLevel: options.logLevel })
  const deadlineMs = context.clock.nowMs() + FOLDER_WAIT_MS_MAX
  for (;;) {
    try {
      return await attempt(run, config, work)
    } catch (error) {
      const code = error instanceof HubError ? error.code : undefined
      const passes = code === 'folder_in_use' || code === SERVER_GONE
      if (!passes || context.clock.nowMs() >= deadlineMs) throw error
      await context.clock.sleep(FOLDER_POLL_MS, signal)
    }
  }
}

async function attempt<Result>(
  { context, signal }: CliRun,
  config: CliConfig,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const server = await context.findServer(config.home)
  if (server !== null) return work({ client: createApiClient(server, signal), config, isOwn: false })
  const hub = await context.startHub(config, 'command', signal)
  try {
    // A database that ends by itself, on a full disk for one, says why; the calls that break with it cannot.
    const lost = hub.ended.then((error) => (error === undefined ? forever : Promise.reject(error)))
    return await Promise.race([work({ client: createApiClient(hub, signal), config, isOwn: true }), lost])
  } finally {
    await hub.close()
  }
}

const forever = new Promise<never>(() => undefined)

/** The options of a command together with those that all commands have. */
export function optionsOf<Options>(command: Command): Options & GlobalOptions {
  return command.optsWithGlobals<Options & GlobalOptions>()
}

/** What to do next, for a person; not where a program reads. */
export function suggest(run: CliRun, options: GlobalOptions, text: string): void {
  if (options.json !== true && run.context.stderr.isTTY === true) run.context.stderr.write(`${text}\n`)
}
