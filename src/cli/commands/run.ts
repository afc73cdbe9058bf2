import type { Command } from 'commander'
import type { Run } from '../../api/resources.ts'
import type { Batch, RunReport } from '../../api/run-resources.ts'
import type { CliRun } from '../context.ts'
import { type Column, formatInstant, formatTable, printJson } from '../output.ts'
import { type ListOptions, addListOptions, listQuery, noteMore, type Page } from '../paging.ts'
import { formatRunReport } from '../run-text.ts'
import { optionsOf, withSession } from '../session.ts'
import { exitCodeOfRun, follow } from './sync.ts'

const BATCHES_SHOWN_MAX = 1_000

const COLUMNS: readonly Column<Run>[] = [
  { title: 'run', value: (run) => run.id, right: true },
  { title: 'integration', value: (run) => run.integrationId, right: true },
  { title: 'state', value: (run) => (run.state === 'RUNNING' ? `RUNNING ${run.phase}` : run.state) },
  { title: 'mode', value: (run) => run.mode },
  { title: 'trigger', value: (run) => run.trigger },
  { title: 'started', value: (run) => formatInstant(run.startedAt) },
  { title: 'hosts', value: (run) => run.expectedHosts, right: true },
  { title: 'message', value: (run) => run.message, width: 70 },
]

const BATCH_COLUMNS: readonly Column<Batch>[] = [
  { title: 'batch', value: (batch) => batch.id, right: true },
  { title: 'module', value: (batch) => batch.module },
  { title: 'state', value: (batch) => batch.state },
  { title: 'hosts', value: (batch) => batch.hosts, right: true },
  { title: 'came', value: (batch) => batch.receivedHosts, right: true },
  { title: 'records', value: (batch) => batch.receivedRecords, right: true },
  { title: 'tries', value: (batch) => batch.attempt, right: true },
  { title: 'error', value: (batch) => batch.error, width: 60 },
]

export function addRunCommands(program: Command, run: CliRun): void {
  const group = program.command('run').description('what was pulled, and what was not')
  addListOptions(group.command('list').description('runs, newest first'))
    .option('--integration <id>', 'of this integration only')
    .action((_options, command: Command) => list(run, command))
  group
    .command('show <id>')
    .description('a run with its ledger: what was expected, what came, what is owed, what it waited for')
    .option('--batches', 'with every batch')
    .action((id: string, _options, command: Command) => show(run, command, id))
  group
    .command('watch <id>')
    .description('follow a run until its end')
    .action((id: string, _options, command: Command) => watchRun(run, command, id))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<ListOptions & { integration?: string }>(command)
  await withSession(run, options, async ({ client }) => {
    const query = { ...listQuery(options), integrationId: options.integration }
    const page = await client.get<Page<Run>>('/runs', query)
    if (options.json === true) return printJson(run.context.stdout, page.data, { next: page.next })
    run.context.stdout.write(formatTable(page.data, COLUMNS, run.context.stdout.isTTY === true))
    noteMore(run, page)
  })
}

async function show(run: CliRun, command: Command, id: string): Promise<void> {
  const options = optionsOf<{ batches?: boolean }>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const report = await client.get<RunReport>(`/runs/${encodeURIComponent(id)}`)
    const path = `/runs/${encodeURIComponent(id)}/batches`
    const batches =
      options.batches === true ? await client.get<Page<Batch>>(path, { limit: BATCHES_SHOWN_MAX }) : null
    if (options.json === true)
      return printJson(stdout, { ...report, ...(batches !== null && { batches: batches.data }) })
    stdout.write(formatRunReport(report))
    if (batches === null) return
    stdout.write(`\n${formatTable(batches.data, BATCH_COLUMNS, stdout.isTTY === true)}`)
    noteMore(run, batches)
  })
}

async function watchRun(run: CliRun, command: Command, id: string): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async (session) => {
    const { client } = session
    const path = `/runs/${encodeURIComponent(id)}`
    const { run: begun } = await client.get<RunReport>(path)
    const end = await follow(run, session, begun)
    const report = await client.get<RunReport>(path)
    if (options.json === true) printJson(run.context.stdout, report)
    else run.context.stdout.write(formatRunReport(report))
    run.exitCode = exitCodeOfRun(end)
  })
}
