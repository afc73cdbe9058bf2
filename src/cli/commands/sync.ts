import { type Command, Option } from 'commander'
import type { Run, SyncStarted } from '../../api/resources.ts'
import type { RunProgress, RunReport } from '../../api/run-resources.ts'
import { HubError } from '../../model/errors.ts'
import type { ApiClient } from '../client.ts'
import type { CliRun } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { findIntegration, nameOf } from '../find.ts'
import { printJson } from '../output.ts'
import { ProgressLine } from '../progress.ts'
import { formatRunReport } from '../run-text.ts'
import { optionsOf, type Session, suggest, withSession } from '../session.ts'

interface SyncOptions {
  full?: boolean
  force?: boolean
  wait: boolean
  mode: 'delta' | 'full'
}

export function addSyncCommand(program: Command, run: CliRun): void {
  program
    .command('sync [integration]')
    .description('pull from Qualys now, and bring the tickets up to date')
    .option('--full', 'ask for every host, not only for what changed')
    .option('--force', 'although the last good run is less than 24 hours old')
    .addOption(new Option('--no-wait', 'only start the run; needs a running server'))
    .action((integration: string | undefined, _options, command: Command) => sync(run, command, integration))
}

async function sync(run: CliRun, command: Command, wanted: string | undefined): Promise<void> {
  const options = optionsOf<SyncOptions>(command)
  await withSession(run, options, async (session) => {
    const { client, isOwn } = session
    const integration = await findIntegration(client, wanted, { type: 'vaplugin' })
    const started = await client.post<SyncStarted>(`/integrations/${integration.id}`, {
      query: {
        action: 'sync',
        force: options.force === true,
        mode: options.full === true ? 'full' : 'delta',
      },
    })
    const begun = started.data.run
    if (begun === null)
      throw new HubError(
        'transient',
        `The sync of "${nameOf(integration)}" is asked for, but no worker has taken it yet.`,
        {
          hint: 'Start one: patchbay serve, or patchbay work. Then look at: patchbay run list',
        },
      )
    if (!options.wait && !isOwn) return announce(run, options.json === true, begun)
    const end = await follow(run, session, begun)
    const report = await client.get<RunReport>(`/runs/${begun.id}`)
    if (options.json === true) printJson(run.context.stdout, report)
    else run.context.stdout.write(formatRunReport(report))
    run.exitCode = exitCodeOfRun(end)
    suggest(run, options, nextStep(end))
  })
}

function announce(run: CliRun, isJson: boolean, begun: Run): void {
  if (isJson) return printJson(run.context.stdout, { run: begun })
  run.context.stdout.write(`Run ${begun.id} has started. Watch it: patchbay run watch ${begun.id}\n`)
}

/** Shows the progress of a run until it and its tickets are through. */
export async function follow(
  run: CliRun,
  { client, isOwn }: Pick<Session, 'client' | 'isOwn'>,
  begun: Run,
): Promise<RunProgress> {
  const line = new ProgressLine(run.context.stderr, run.context.clock)
  const onAbort = () => {
    line.clear()
    const what = isOwn
      ? 'The run is let go of; the next sync goes on with it.'
      : 'The run goes on in the server.'
    run.context.stderr.write(`${what}\n`)
  }
  run.signal.addEventListener('abort', onAbort, { once: true })
  try {
    const last = await watch(client, begun.id, (progress) => line.show(progress))
    if (last === null) throw cutOff()
    return last
  } finally {
    line.clear()
    run.signal.removeEventListener('abort', onAbort)
  }
}

async function watch(
  client: ApiClient,
  runId: string,
  show: (progress: RunProgress) => void,
): Promise<RunProgress | null> {
  for await (const { event, data } of client.events<RunProgress>(`/runs/${runId}/events`)) {
    if (event === 'end') return data
    show(data)
  }
  return null
}

function cutOff(): HubError {
  return new HubError('transient', 'The server stopped before the run had ended.', {
    hint: 'The run is gone on with when a server is there again: patchbay run list',
  })
}

export function exitCodeOfRun({ run, needsPerson, tickets }: RunProgress): number {
  switch (run.state) {
    case 'COMPLETE':
      return tickets.later > 0 ? EXIT.partial : EXIT.ok
    case 'PARTIAL':
      return EXIT.partial
    case 'FAILED':
      return needsPerson ? EXIT.config : EXIT.farSide
    case 'RUNNING':
    case 'CANCELLED':
      return EXIT.partial
  }
}

function nextStep({ run, needsPerson }: RunProgress): string {
  if (needsPerson) return 'When that is done: patchbay doctor'
  if (run.state === 'PARTIAL') return 'What is owed: patchbay gap list'
  return 'Look at what was found: patchbay finding list --state open'
}
