import type { Command } from 'commander'
import type { Vulnerability, VulnerabilityReport } from '../../api/vulnerability-resources.ts'
import { singleLine } from '../../model/blocks.ts'
import type { CliRun } from '../context.ts'
import { type Column, formatFields, formatInstant, formatTable, formatText, printJson } from '../output.ts'
import { type ListOptions, type Page, addListOptions, listQuery, noteMore } from '../paging.ts'
import { optionsOf, withSession } from '../session.ts'

const LISTED_IN_A_LINE_MAX = 20

const COLUMNS: readonly Column<Vulnerability>[] = [
  { title: 'qid', value: (one) => one.qid, right: true },
  { title: 'sev', value: (one) => one.severity, right: true },
  { title: 'title', value: (one) => one.title, width: 70 },
  { title: 'type', value: (one) => one.type, width: 24 },
  { title: 'missing since', value: (one) => formatInstant(one.missingSince) },
  { title: 'asked next', value: (one) => formatInstant(one.nextTryAt) },
]

export function addVulnCommands(program: Command, run: CliRun): void {
  const group = program.command('vuln').description('what the knowledge base says of a QID')
  addListOptions(group.command('list').description('vulnerabilities that are kept, by QID'))
    .option('--integration <id>', 'of this integration only')
    .option('--missing', 'only those that the knowledge base was asked for in vain')
    .action((_options, command: Command) => list(run, command))
  group
    .command('show <qid>')
    .description('a QID with its versions, its references, its CVEs and the number of its findings')
    .option('--integration <id>', 'as this integration knows it')
    .action((qid: string, _options, command: Command) => show(run, command, qid))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<ListOptions & { integration?: string; missing?: boolean }>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const query = {
      ...listQuery(options),
      integrationId: options.integration,
      missing: options.missing === true,
    }
    const page = await client.get<Page<Vulnerability>>('/vulnerabilities', query)
    if (options.json === true) return printJson(stdout, page.data, { next: page.next })
    stdout.write(formatTable(page.data, COLUMNS, stdout.isTTY === true))
    noteMore(run, page)
  })
}

async function show(run: CliRun, command: Command, qid: string): Promise<void> {
  const options = optionsOf<{ integration?: string }>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const path = `/vulnerabilities/${encodeURIComponent(qid)}`
    const report = await client.get<VulnerabilityReport>(path, { integrationId: options.integration })
    if (options.json === true) return printJson(stdout, report)
    stdout.write(formatVulnerability(report))
  })
}

function formatVulnerability(report: VulnerabilityReport): string {
  const fields = formatFields([
    ['QID', `${report.qid}${report.title === null ? '' : `  ${report.title}`}`],
    ['knowledge base', standOf(report)],
    ['severity', severityOf(report)],
    ['type', report.type],
    ['category', report.category],
    ['CVSS', report.cvssV3 ?? report.cvssV2],
    ['patchable', report.patchable === null ? null : report.patchable ? 'yes' : 'no'],
    ['patch', report.patchKey],
    ['published', formatInstant(report.publishedAt)],
    ['modified', formatInstant(report.lastModifiedAt)],
    ['fetched', formatInstant(report.fetchedAt)],
    ['references', inALine(report.references.map(({ reference }) => reference))],
    ['CVEs', inALine(report.cves.map(({ cve }) => cve))],
    ['findings', report.findings.map(({ state, count }) => `${count} ${state}`).join(', ') || 'none'],
  ])
  const versions = report.versions.map((version) => `  ${versionLine(version)}\n`)
  const parts = [fields]
  if (versions.length > 0) parts.push(`\nVersions, newest first\n${versions.join('')}`)
  if (report.solution !== null) parts.push(`\nSolution\n${formatText(report.solution)}\n`)
  return parts.join('')
}

function standOf({
  isKnown,
  isDisabled,
  missingSince,
  missingTries,
  nextTryAt,
}: VulnerabilityReport): string {
  const parts = [isKnown ? 'known' : 'not known: retired, custom or not licensed']
  if (isDisabled === true) parts.push('disabled')
  if (missingSince !== null)
    parts.push(
      `asked for in vain since ${formatInstant(missingSince)} (${missingTries} times), next ${formatInstant(nextTryAt)}`,
    )
  return parts.join('; ')
}

function severityOf({
  severity,
  vendorSeverity,
  customizedAt,
  customizedBy,
}: VulnerabilityReport): string | null {
  if (severity === null) return null
  if (customizedAt === null) return String(severity)
  const who = customizedBy === null ? 'a user' : customizedBy
  return `${severity}, edited by ${who} on ${customizedAt.slice(0, 10)}; Qualys says ${vendorSeverity ?? 'what is not known'}`
}

function inALine(items: readonly string[]): string {
  const shown = items.slice(0, LISTED_IN_A_LINE_MAX).join(', ')
  return items.length > LISTED_IN_A_LINE_MAX ? `${shown}, … (${items.length})` : shown
}

type Version = VulnerabilityReport['versions'][number]

function versionLine(version: Version): string {
  const { number, seenAt, changed, isCustomized } = version
  const what =
    changed.length === 0
      ? 'first seen'
      : changed.map((field) => `${FIELD_NAMES[field] ?? field} ${valueOf(version, field)}`).join('; ')
  return singleLine(
    `${number}  ${formatInstant(seenAt)}  ${what}${isCustomized ? ' (edited by a user)' : ''}`,
  )
}

const FIELD_NAMES: Readonly<Record<string, string>> = {
  patch_key: 'patch',
  vendor_references: 'references',
  cves: 'CVEs',
}

function valueOf(version: Version, field: string): string {
  const values: Readonly<Record<string, string | number | boolean | null>> = {
    severity: version.severity,
    type: version.type,
    title: version.title,
    patchable: version.patchable,
    disabled: version.isDisabled,
    patch_key: version.patchKey,
    vendor_references: inALine(version.references),
    cves: inALine(version.cves),
  }
  return `→ ${String(values[field] ?? 'nothing')}`
}
