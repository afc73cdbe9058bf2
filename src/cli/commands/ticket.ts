import { type Command, Option } from 'commander'
import type { Ticket, TicketReport } from '../../api/resources.ts'
import type { CliRun } from '../context.ts'
import { type Column, formatFields, formatInstant, formatTable, printJson } from '../output.ts'
import { type ListOptions, type Page, addListOptions, listQuery, noteMore } from '../paging.ts'
import { optionsOf, withSession } from '../session.ts'

const STATES = ['planned', 'creating', 'unknown', 'open', 'closed', 'review']

const COLUMNS: readonly Column<Ticket>[] = [
  { title: 'ticket', value: (ticket) => ticket.id, right: true },
  { title: 'issue', value: (ticket) => ticket.issueKey },
  { title: 'state', value: (ticket) => ticket.state },
  { title: 'summary', value: (ticket) => ticket.summary, width: 80 },
  { title: 'pushed', value: (ticket) => formatInstant(ticket.pushedAt) },
]

const CHANGE_COLUMNS: readonly Column<TicketReport['changes'][number]>[] = [
  { title: 'change', value: (change) => change.op },
  { title: 'state', value: (change) => change.state },
  { title: 'decided', value: (change) => formatInstant(change.createdAt) },
  { title: 'why', value: (change) => change.reason, width: 80 },
  { title: 'error', value: (change) => change.error, width: 60 },
]

export function addTicketCommands(program: Command, run: CliRun): void {
  const group = program.command('ticket').description('tickets that Patchbay keeps up to date')
  addListOptions(group.command('list').description('tickets, oldest first'))
    .option('--rule <id>', 'of this rule only')
    .addOption(new Option('--state <state>', 'in this state').choices(STATES))
    .action((_options, command: Command) => list(run, command))
  group
    .command('show <id>')
    .description('a ticket with every change that was decided about it, and why')
    .action((id: string, _options, command: Command) => show(run, command, id))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<ListOptions & { rule?: string; state?: string }>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const query = { ...listQuery(options), ruleId: options.rule, state: options.state }
    const page = await client.get<Page<Ticket>>('/tickets', query)
    if (options.json === true) return printJson(stdout, page.data, { next: page.next })
    stdout.write(formatTable(page.data, COLUMNS, stdout.isTTY === true))
    noteMore(run, page)
  })
}

async function show(run: CliRun, command: Command, id: string): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const ticket = await client.get<TicketReport>(`/tickets/${encodeURIComponent(id)}`)
    if (options.json === true) return printJson(stdout, ticket)
    stdout.write(
      formatFields([
        ['ticket', ticket.id],
        ['issue', ticket.issueKey],
        ['URL', ticket.url],
        ['state', ticket.state],
        ['summary', ticket.summary],
        ['group', ticket.groupKey],
        ['label', ticket.hashLabel],
        ['continues ticket', ticket.previousTicketId],
        ['waits for a person', ticket.reviewReason],
        ['pushed', formatInstant(ticket.pushedAt)],
        ['closed', formatInstant(ticket.closedAt)],
      ]),
    )
    stdout.write(`\n${formatTable(ticket.changes, CHANGE_COLUMNS, stdout.isTTY === true)}`)
  })
}
