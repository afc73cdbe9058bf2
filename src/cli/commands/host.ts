import { type Command, Option } from 'commander'
import type { Host, HostReport } from '../../api/host-resources.ts'
import { singleLine } from '../../model/blocks.ts'
import { HubError } from '../../model/errors.ts'
import type { ApiClient } from '../client.ts'
import type { CliRun } from '../context.ts'
import { type Column, formatFields, formatInstant, formatTable, printJson } from '../output.ts'
import { type ListOptions, type Page, addListOptions, listQuery, noteMore } from '../paging.ts'
import { optionsOf, withSession } from '../session.ts'

/** So many hosts of one name are told apart by their ids; more are only counted. */
const NAMESAKES_SHOWN_MAX = 10

const COLUMNS: readonly Column<Host>[] = [
  { title: 'host', value: (host) => host.hostId, right: true },
  { title: 'name', value: (host) => host.dns ?? host.netbios, width: 40 },
  { title: 'ip', value: (host) => host.ip },
  { title: 'os', value: (host) => host.os, width: 40 },
  { title: 'state', value: (host) => host.state },
  { title: 'last scan', value: (host) => formatInstant(host.lastScanAt) },
  { title: 'last listed', value: (host) => formatInstant(host.lastListedAt) },
  { title: 'id', value: (host) => host.id, right: true },
]

interface HostListOptions extends ListOptions {
  integration?: string
  state?: string
  host?: string
}

export function addHostCommands(program: Command, run: CliRun): void {
  const group = program.command('host').description('hosts as Qualys lists them, through time')
  addListOptions(group.command('list').description('hosts'))
    .option('--integration <id>', 'of this integration only')
    .addOption(
      new Option('--state <state>', 'in this state').choices([
        'present',
        'stale',
        'missing',
        'removed',
        'out_of_scope',
      ]),
    )
    .option('--host <host>', 'called so: a host id, IP address or name')
    .action((_options, command: Command) => list(run, command))
  group
    .command('show <host>')
    .description('the story of a host: where it stands and why, who it took over from, what became of it')
    .option('--integration <id>', 'of this integration')
    .action((name: string, _options, command: Command) => show(run, command, name))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<HostListOptions>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const { integration, state, host } = options
    const query = { ...listQuery(options), integrationId: integration, state, host }
    const page = await client.get<Page<Host>>('/hosts', query)
    if (options.json === true) return printJson(stdout, page.data, { next: page.next })
    stdout.write(formatTable(page.data, COLUMNS, stdout.isTTY === true))
    noteMore(run, page)
  })
}

async function show(run: CliRun, command: Command, name: string): Promise<void> {
  const options = optionsOf<HostListOptions>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const { id } = await findHost(client, name, options.integration)
    const report = await client.get<HostReport>(`/hosts/${encodeURIComponent(id)}`)
    if (options.json === true) return printJson(stdout, report)
    stdout.write(formatHost(report))
  })
}

/** By host id, address or name. Of several with a name the one that is listed, if there is one. */
async function findHost(client: ApiClient, name: string, integrationId: string | undefined): Promise<Host> {
  const query = { host: name, integrationId, limit: String(NAMESAKES_SHOWN_MAX + 1) }
  const { data } = await client.get<Page<Host>>('/hosts', query)
  const byId = data.filter((host) => host.hostId === name)
  const found = byId.length > 0 ? byId : data
  const listed = found.filter((host) => host.state === 'present' || host.state === 'stale')
  const [only, second] = listed.length === 1 ? listed : found
  const called = `"${singleLine(name)}"`
  if (only === undefined)
    throw new HubError('not_found', `There is no host ${called}.`, {
      hint: 'Name it by its host id at Qualys, its IP address or its name: patchbay host list',
    })
  if (second === undefined) return only
  const ids = found
    .slice(0, NAMESAKES_SHOWN_MAX)
    .map((host) => `${host.hostId} (${host.state}, integration ${host.integrationId})`)
  throw new HubError('not_found', `There is more than one host ${called}; say which.`, {
    hint: `There are ${ids.join(', ')}${found.length > NAMESAKES_SHOWN_MAX ? ' and more' : ''}.`,
  })
}

function formatHost(host: HostReport): string {
  const open = host.findings.map(({ state, count }) => `${count.toLocaleString('en')} ${state}`)
  const fields = formatFields([
    ['host', `${host.hostId}, integration ${host.integrationId}`],
    ['name', [host.dns, host.netbios].filter(Boolean).join(', ')],
    ['address', [host.ip, host.ipv6].filter(Boolean).join(', ')],
    ['system', host.os],
    ['tracked by', host.trackingMethod],
    ['known by', knownBy(host).join(', ')],
    ['owner', host.owner],
    ['tags', host.tags.map((tag) => tag.name ?? `tag ${tag.id}`).join(', ')],
    ['state', host.state],
    ['why', host.why],
    ['last scan', formatInstant(host.lastVmScannedAt)],
    ['authenticated', formatInstant(host.lastVmAuthScannedAt)],
    ['last activity', formatInstant(host.lastActivityAt)],
    ['first listed', formatInstant(host.firstListedAt)],
    ['findings', open.length === 0 ? 'none' : open.join(', ')],
  ])
  const parts = [fields, ...host.doubts.map((doubt) => `note: ${singleLine(doubt)}\n`)]
  parts.push(
    section('Took over from', host.links.filter(({ relation }) => relation === 'forebear').map(linkLine)),
  )
  parts.push(section('Goes on as', host.links.filter(({ relation }) => relation === 'heir').map(linkLine)))
  parts.push(
    section(
      'The same machine is also listed as',
      host.twins.map((twin) => [`host ${twin.hostId}${named(twin.name)}`, `by ${evidence(twin)}`]),
    ),
  )
  parts.push(
    section(
      'History, newest first',
      host.events.map((event) => [
        formatInstant(event.at),
        `run ${event.runId}`,
        event.kind.replaceAll('_', ' '),
        event.reason,
      ]),
    ),
  )
  return parts.join('')
}

function knownBy(host: HostReport): string[] {
  const known: [what: string, value: string | null][] = [
    ['asset id', host.assetId],
    ['agent id', host.agentId],
    [host.cloudProvider ?? 'cloud', host.cloudResourceId],
    ['serial number', host.serialNumber],
    ['hardware UUID', host.hardwareUuid],
  ]
  return known.flatMap(([what, value]) => (value === null ? [] : [`${what} ${value}`]))
}

type Link = HostReport['links'][number]

function linkLine(link: Link): string[] {
  const how = link.kind === 'merged' ? 'listed beside it before' : 'came after it'
  const ended = link.endedAt === null ? '' : `, until ${formatInstant(link.endedAt)}: ${link.endReason ?? ''}`
  const since = `since ${formatInstant(link.linkedAt)}, run ${link.runId}${ended}`
  return [`host ${link.hostId}${named(link.name)}`, `by ${evidence(link)}, ${how}`, since]
}

const EVIDENCE: Readonly<Record<string, string>> = {
  agent: 'agent id',
  cloud: 'cloud instance',
  hardware: 'hardware UUID',
  serial: 'serial number',
}

function evidence({ evidenceKind, evidenceValue }: { evidenceKind: string; evidenceValue: string }): string {
  return `the same ${EVIDENCE[evidenceKind] ?? evidenceKind} ${evidenceValue}`
}

function named(name: string | null): string {
  return name === null ? '' : ` (${name})`
}

/** What Qualys says is hostile text: each line stays one line, whatever is in it. */
function section(title: string, lines: readonly (readonly string[])[]): string {
  if (lines.length === 0) return ''
  return `\n${title}\n${lines.map((parts) => `  ${parts.map(singleLine).join('  ')}\n`).join('')}`
}
