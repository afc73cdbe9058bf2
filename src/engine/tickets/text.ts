import {
  type Block,
  type Inline,
  cutBlocks,
  cutText,
  expand,
  heading,
  link,
  list,
  paragraph,
  safeHref,
  singleLine,
  strong,
  table,
  text,
} from '../../model/blocks.ts'
import { TICKET_HOSTS_SHOWN_MAX } from '../../model/rule.ts'
import type {
  GroupFacts,
  GroupHost,
  GroupVulnerability,
  SeverityChange,
} from '../../store/queries/ticket-groups.ts'
import { htmlToBlocks } from './kb-html.ts'

export interface TicketTextInput {
  groupKey: string
  hosts: readonly GroupHost[]
  hostCounts: { open: number; fixed: number; unproven: number }
  vulnerabilities: readonly GroupVulnerability[]
}

export interface TicketText {
  summary: string
  blocks: readonly Block[]
}

const SUMMARY_CHARS_MAX = 240
const REFERENCES_IN_SUMMARY_MAX = 3
const SOLUTION_CHARS_MAX = 4_000
const SOLUTIONS_SHOWN_MAX = 10
const CVES_SHOWN_MAX = 20
const SEVERITY_CHANGES_TOLD_MAX = 5

/** What a ticket of one group says, from the facts alone: the same facts give the same text. */
export function ticketText(input: TicketTextInput): TicketText {
  return {
    summary: summaryOf(input),
    blocks: [
      paragraph(standOf(input)),
      heading(3, 'Hosts'),
      hostTable(input.hosts.slice(0, TICKET_HOSTS_SHOWN_MAX)),
      ...moreHosts(input),
      heading(3, 'Vulnerabilities'),
      vulnerabilityTable(input.vulnerabilities),
      heading(3, 'What to do'),
      ...solutions(input.vulnerabilities),
      ...references(input.vulnerabilities),
    ],
  }
}

/** In sentences what has changed since the ticket was told last, or null: hosts first, then the knowledge base. */
export function changeText(facts: GroupFacts): string | null {
  const hosts = [
    count(facts.fixedHosts, 'fixed'),
    count(facts.joinedHosts, 'new'),
    count(facts.reopenedHosts, 'open again'),
    count(facts.unprovenHosts, 'no longer reported, which is no proof of a fix'),
  ].filter((part) => part !== null)
  const sentences = [...(hosts.length > 0 ? [`${hosts.join(', ')}.`] : []), ...knowledgeSentences(facts)]
  return sentences.length === 0 ? null : sentences.join(' ')
}

function knowledgeSentences(facts: GroupFacts): string[] {
  const { severityChanges, toldGroupKey, groupKey, open, openInRule } = facts
  const sentences = severityChanges.slice(0, SEVERITY_CHANGES_TOLD_MAX).map(severitySentence)
  const more = severityChanges.length - SEVERITY_CHANGES_TOLD_MAX
  if (more > 0) sentences.push(`The severity of ${more} more QIDs has changed.`)
  if (toldGroupKey !== null && toldGroupKey !== groupKey)
    sentences.push(
      `The patch is ${patchName(groupKey)} now; it was ${patchName(toldGroupKey)} before the knowledge base changed.`,
    )
  // Said when it happens: a severity that crosses the rule's bound is no fix.
  if (severityChanges.length > 0 && open > 0 && openInRule === 0)
    sentences.push(
      'Nothing of it is what its rule is about any more; it stays open until everything is fixed or a person closes it.',
    )
  return sentences
}

function severitySentence({ qid, from, to, at, isCustomized }: SeverityChange): string {
  const who = isCustomized ? 'the knowledge base (edited by a user)' : 'the knowledge base'
  const when = at === null ? '' : ` of ${at.slice(0, 10)}`
  return `QID ${qid}: severity ${from} → ${to} by ${who}${when}.`
}

export function hostsWord(hosts: number): string {
  return hosts === 1 ? '1 host' : `${hosts.toLocaleString('en')} hosts`
}

function count(hosts: number, what: string): string | null {
  return hosts === 0 ? null : `${hostsWord(hosts)} ${what}`
}

function summaryOf({ groupKey, hostCounts, vulnerabilities }: TicketTextInput): string {
  const first = vulnerabilities[0]
  const more = vulnerabilities.length > 1 ? ` and ${vulnerabilities.length - 1} more` : ''
  const title = singleLine(first?.title ?? `QID ${first?.qid ?? 'unknown'}`)
  const hosts = hostsWord(hostCounts.open + hostCounts.unproven + hostCounts.fixed)
  const end = `${more} (${hosts})`
  return `${cutText(`[Qualys] ${patchName(groupKey)}: ${title}`, SUMMARY_CHARS_MAX - end.length)}${end}`
}

/** A patch by its references, or by the QID where the vendor names none. */
export function patchName(groupKey: string): string {
  if (groupKey.startsWith('qid:')) return `QID ${groupKey.slice('qid:'.length)}`
  const names = groupKey.slice('ref:'.length).split('|')
  const shown = names.slice(0, REFERENCES_IN_SUMMARY_MAX).join(', ')
  return singleLine(names.length > REFERENCES_IN_SUMMARY_MAX ? `${shown}, …` : shown)
}

function standOf({ hostCounts, vulnerabilities }: TicketTextInput): Inline[] {
  const total = hostCounts.open + hostCounts.fixed + hostCounts.unproven
  const severity = Math.max(0, ...vulnerabilities.map((one) => one.severity ?? 0))
  const parts = [
    strong(`${hostCounts.open} of ${hostsWord(total)} still open`),
    text(hostCounts.fixed > 0 ? `, ${hostCounts.fixed} fixed` : ''),
    text(hostCounts.unproven > 0 ? `, ${hostCounts.unproven} without proof of a fix` : ''),
    text(severity > 0 ? `. Highest severity ${severity} of 5.` : '.'),
  ]
  return parts.filter((part) => part.text !== '')
}

function hostTable(hosts: readonly GroupHost[]): Block {
  return table(
    ['Host', 'IP address', 'Operating system', 'QIDs', 'First found', 'State'],
    hosts.map((host) => [
      shown(host.dns ?? host.netbios ?? `host ${host.hostId}`),
      shown(host.ip),
      shown(host.os),
      shown(host.qids.join(', ')),
      shown(dateOf(host.firstFoundAt)),
      shown(stateOf(host)),
    ]),
  )
}

function moreHosts({ hosts, hostCounts }: TicketTextInput): Block[] {
  const total = hostCounts.open + hostCounts.fixed + hostCounts.unproven
  const hidden = total - Math.min(hosts.length, TICKET_HOSTS_SHOWN_MAX)
  return hidden > 0 ? [paragraph(`… and ${hidden.toLocaleString('en')} more, not listed here.`)] : []
}

function stateOf(host: GroupHost): string {
  if (host.state === 'fixed') return `fixed ${dateOf(host.fixedAt) ?? ''}`.trim()
  if (host.state === 'open') return 'open'
  return host.unprovenAs.map((state) => state.replaceAll('_', ' ')).join(', ')
}

function vulnerabilityTable(vulnerabilities: readonly GroupVulnerability[]): Block {
  return table(
    ['QID', 'Title', 'Severity', 'CVSS', 'CVEs'],
    vulnerabilities.map((one) => [
      shown(one.qid),
      shown(one.title),
      shown(one.severity?.toString()),
      shown((one.cvssV3?.base ?? one.cvssV2?.base)?.toString()),
      cveLinks(one.cves),
    ]),
  )
}

function cveLinks(cves: readonly string[]): Inline[] {
  if (cves.length === 0) return [text('–')]
  const links = cves.slice(0, CVES_SHOWN_MAX).flatMap((cve, index): Inline[] => {
    const name = singleLine(cve)
    const shownAs = /^CVE-\d{4}-\d{4,19}$/.test(name)
      ? link(name, `https://nvd.nist.gov/vuln/detail/${name}`)
      : text(name)
    return index === 0 ? [shownAs] : [text(', '), shownAs]
  })
  return cves.length > CVES_SHOWN_MAX ? [...links, text(`, … (${cves.length})`)] : links
}

/** Equal solutions are told once. A single one stands open; several fold away under their QID. */
function solutions(vulnerabilities: readonly GroupVulnerability[]): Block[] {
  const told = new Map<string, { titles: string[]; blocks: readonly Block[] }>()
  for (const one of vulnerabilities) {
    const html = one.solutionHtml?.trim() ?? ''
    const known = told.get(html)
    const title = `QID ${one.qid}`
    if (known) known.titles.push(title)
    else if (html !== '')
      told.set(html, { titles: [title], blocks: cutBlocks(htmlToBlocks(html), SOLUTION_CHARS_MAX).blocks })
  }
  const different = [...told.values()].filter(({ blocks }) => blocks.length > 0)
  if (different.length === 0) return [paragraph('The knowledge base gives no solution.')]
  if (different.length === 1) return [...different[0]!.blocks]
  return different
    .slice(0, SOLUTIONS_SHOWN_MAX)
    .map(({ titles, blocks }) => expand(singleLine(titles.join(', ')), blocks))
}

function references(vulnerabilities: readonly GroupVulnerability[]): Block[] {
  const byName = new Map<string, string | null>()
  for (const one of vulnerabilities)
    for (const { reference, url } of one.references) if (!byName.has(reference)) byName.set(reference, url)
  if (byName.size === 0) return []
  const items = [...byName].slice(0, CVES_SHOWN_MAX).map(([name, url]): Inline => {
    const href = safeHref(url ?? '')
    return href === undefined ? text(singleLine(name)) : link(singleLine(name), href)
  })
  return [heading(3, 'Vendor references'), list(items)]
}

/** A dash where nothing is known: a blank cell looks like a mistake. */
function shown(value: string | null | undefined): string {
  const line = singleLine(value ?? '')
  return line === '' ? '–' : line
}

function dateOf(value: Date | null): string | null {
  return value === null ? null : value.toISOString().slice(0, 10)
}
