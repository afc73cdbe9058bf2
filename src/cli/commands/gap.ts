import type { Command } from 'commander'
import type { Gap } from '../../api/resources.ts'
import type { CliRun } from '../context.ts'
import { type Column, formatInstant, formatTable, printJson } from '../output.ts'
import { type ListOptions, type Page, addListOptions, listQuery, noteMore } from '../paging.ts'
import { optionsOf, withSession } from '../session.ts'

const COLUMNS: readonly Column<Gap>[] = [
  { title: 'gap', value: (gap) => gap.id, right: true },
  { title: 'what', value: (gap) => gap.kind },
  { title: 'which', value: (gap) => gap.key, width: 40 },
  { title: 'since', value: (gap) => formatInstant(gap.since) },
  { title: 'tries', value: (gap) => gap.tries, right: true },
  { title: 'run', value: (gap) => gap.lastRunId, right: true },
  { title: 'next try', value: (gap) => (gap.settledAt === null ? formatInstant(gap.nextTryAt) : '') },
  { title: 'settled', value: (gap) => formatInstant(gap.settledAt) },
  { title: 'why', value: (gap) => gap.reason, width: 90 },
]

export function addGapCommands(program: Command, run: CliRun): void {
  const group = program.command('gap').description('what was expected and is still owed')
  addListOptions(group.command('list').description('gaps, oldest first; every run asks for them again'))
    .option('--integration <id>', 'of this integration only')
    .option('--settled', 'with those that have been settled since')
    .action((_options, command: Command) => list(run, command))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<ListOptions & { integration?: string; settled?: boolean }>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const query = {
      ...listQuery(options),
      integrationId: options.integration,
      settled: options.settled === true,
    }
    const page = await client.get<Page<Gap>>('/gaps', query)
    if (options.json === true) return printJson(stdout, page.data, { next: page.next })
    stdout.write(formatTable(page.data, COLUMNS, stdout.isTTY === true))
    noteMore(run, page)
  })
}
