import { type Command, Option } from 'commander'
import type { Finding, FindingReport } from '../../api/resources.ts'
import { FINDING_STATES } from '../../model/finding.ts'
import type { CliRun } from '../context.ts'
import {
  type Column,
  formatCount,
  formatDuration,
  formatFields,
  formatInstant,
  formatTable,
  formatText,
  printJson,
} from '../output.ts'
import { type ListOptions, type Page, addListOptions, listQuery, noteMore } from '../paging.ts'
import { optionsOf, withSession } from '../session.ts'

const COLUMNS: readonly Column<Finding>[] = [
  { title: 'finding', value: (finding) => finding.id },
  { title: 'sev', value: (finding) => finding.severity, right: true },
  { title: 'qid', value: (finding) => finding.qid, right: true },
  { title: 'title', value: (finding) => finding.title, width: 60 },
  { title: 'host', value: (finding) => finding.hostName ?? finding.ip ?? finding.hostId, width: 32 },
  { title: 'port', value: (finding) => portOf(finding) },
  { title: 'state', value: (finding) => finding.state },
  { title: 'first found', value: (finding) => formatInstant(finding.firstFoundAt) },
]

interface FindingListOptions extends ListOptions {
  integration?: string
  state?: string
  severity?: string
  qid?: string
  host?: string
}

export function addFindingCommands(program: Command, run: CliRun): void {
  const group = program.command('finding').description('one problem in one place')
  addListOptions(group.command('list').description('findings'))
    .option('--integration <id>', 'of this integration only')
    .addOption(new Option('--state <state>', 'in this state').choices([...FINDING_STATES]))
    .option('--severity <1-5>', 'of this severity or worse')
    .option('--qid <qid>', 'of this QID')
    .option('--host <host>', 'on this host: its id, IP address or name')
    .action((_options, command: Command) => list(run, command))
  group
    .command('show <id>')
    .description('a finding with its episodes, its history, its evidence and its tickets')
    .action((id: string, _options, command: Command) => show(run, command, id))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<FindingListOptions>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout, stderr } = run.context
    const { integration, state, severity, qid, host } = options
    const query = { ...listQuery(options), integrationId: integration, state, severity, qid, host }
    const page = await client.get<Page<Finding> & { total: { count: number; isExact: boolean } }>(
      '/findings',
      query,
    )
    const { total } = page
    if (options.json === true) return printJson(stdout, page.data, { next: page.next, total })
    stdout.write(formatTable(page.data, COLUMNS, stdout.isTTY === true))
    const all = `${total.count.toLocaleString('en')}${total.isExact ? '' : '+'}`
    if (stdout.isTTY === true) stderr.write(`${page.data.length} of ${all} findings.\n`)
    noteMore(run, page)
  })
}

async function show(run: CliRun, command: Command, id: string): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const finding = await client.get<FindingReport>(`/findings/${encodeURIComponent(id)}`)
    if (options.json === true) return printJson(stdout, finding)
    stdout.write(formatFinding(finding))
  })
}

function formatFinding(finding: FindingReport): string {
  const fields = formatFields([
    ['finding', finding.id],
    ['QID', `${finding.qid}${finding.title === null ? '' : `  ${finding.title}`}`],
    ['severity', `${finding.severity ?? 'unknown'}, ${finding.type ?? 'unknown type'}`],
    ['host', [finding.hostName, finding.ip, `host id ${finding.hostId}`].filter(Boolean).join(', ')],
    ['port', portOf(finding)],
    ['state', finding.state],
    ['Qualys says', finding.sourceStatus],
    ['first found', formatInstant(finding.firstFoundAt)],
    [
      'Qualys found',
      finding.sourceFirstFoundAt === finding.firstFoundAt ? null : formatInstant(finding.sourceFirstFoundAt),
    ],
    ['opened', formatInstant(finding.openedAt)],
    ['fixed', formatInstant(finding.fixedAt)],
    ['last found', formatInstant(finding.lastFoundAt)],
    ['last test', lastTestOf(finding)],
    ['reopened', finding.timesReopened],
    ['missing since', formatInstant(finding.missingSince)],
    ['runs', `first ${finding.firstRunId}, changed ${finding.changedRunId}, last ${finding.lastRunId}`],
    [
      'tickets',
      finding.tickets.map((ticket) => ticket.issueKey ?? `${ticket.id} (${ticket.state})`).join(', '),
    ],
  ])
  const history = finding.events.map(
    (event) => `  ${formatInstant(event.seenAt)}  ${event.oldState} → ${event.newState}  ${event.reason}\n`,
  )
  const parts = [fields, formatEpisodes(finding)]
  if (history.length > 0) parts.push(`\nHistory, newest first\n${history.join('')}`)
  if (finding.evidence !== null)
    parts.push(`\nResults${replacedIn(finding.evidence)}\n${formatText(finding.evidence)}\n`)
  return parts.join('')
}

/** A scan without a login cannot test everything again: what it leaves as it was is not confirmed by it. */
function lastTestOf({ lastTestAt, notTestedSince }: FindingReport): string {
  const since = notTestedSince === null ? '' : ', not tested since, though its host was scanned'
  return `${formatInstant(lastTestAt)}${since}`
}

function formatEpisodes(finding: FindingReport): string {
  const { episodes, unseenEpisodes, omittedEpisodes, flapping } = finding
  const lines = episodes.map((episode) => {
    const { number, startAt, durationSeconds, isClamped } = episode
    const duration = isClamped ? 'ended before it began' : formatDuration(durationSeconds)
    return `  ${number}  ${formatInstant(startAt) || 'not known'} → ${endOf(episode, finding)}${duration && `  ${duration}`}\n`
  })
  const notes = [
    omittedEpisodes > 0 ? `${formatCount(omittedEpisodes, 'older episode')} not shown.` : '',
    unseenEpisodes > 0
      ? `Qualys counts ${formatCount(unseenEpisodes, 'more episode')} that Patchbay never saw.`
      : '',
    flapping > 0 ? `It flaps: it came back ${flapping} times within 30 days.` : '',
  ]
  const shown = notes.filter((note) => note !== '').map((note) => `  ${note}\n`)
  return `\nEpisodes, oldest first\n${lines.join('')}${shown.join('')}`
}

function endOf(episode: FindingReport['episodes'][number], finding: FindingReport): string {
  const { end, fixedAt, endRunId } = episode
  if (end === null) return finding.state === 'open' ? 'open' : `not fixed, ${finding.state}`
  const when = formatInstant(fixedAt) || 'not known when'
  const who =
    end === 'fixed_unseen'
      ? 'Qualys fixed it and found it again between two pulls'
      : 'Qualys reported it fixed'
  return `${when}  ${who}${endRunId === null ? '' : `, run ${endRunId}`}`
}

/** What could not be read stands as U+FFFD; a person should not take it for what the machine said. */
function replacedIn(evidence: string): string {
  const count = evidence.split('\ufffd').length - 1
  if (count === 0) return ''
  return ` (${formatCount(count, 'character')} that cannot be shown ${count === 1 ? 'stands' : 'stand'} as \ufffd)`
}

function portOf({ port, protocol, ssl }: Finding): string | null {
  if (port === null) return protocol
  return `${port}${protocol === null ? '' : `/${protocol}`}${ssl === true ? ' ssl' : ''}`
}
