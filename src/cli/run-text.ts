import type { Ledger, RunReport } from '../api/run-resources.ts'
import { formatCount, formatSpan, formatFields, formatInstant } from './output.ts'
import { ledgerOf } from './progress.ts'

/** A run for a person: what was expected, what came, what is owed, what it waited for, what became of it. */
export function formatRunReport(report: RunReport): string {
  const { run } = report
  return formatFields([
    ['run', `${run.id} of integration ${run.integrationId}, ${TRIGGERS[run.trigger] ?? run.trigger}`],
    ['state', stateOf(report)],
    ['message', run.message],
    ['mode', `${run.mode}: ${run.modeReason}`],
    ['time', timeOf(report)],
    ['waits now', waitsNowOf(report)],
    ['waited', waitedOf(report)],
    ['drift', run.scopeDrift === null ? null : `${run.scopeDrift}; nobody is counted as missing by this run`],
    ['expected', expectedOf(report)],
    ['came', cameOf(report)],
    ['did not come', notComeOf(report)],
    ['owed', owedOf(report)],
    ['batches', batchesOf(report)],
    ['put aside', putAsideOf(report)],
    ['repaired', repairedOf(report)],
    ['became', becameOf(report)],
    ['calls', callsOf(report)],
    ['tickets', ticketsOf(report)],
    ['watermark', watermarkOf(report)],
  ])
}

const TRIGGERS: Readonly<Record<string, string>> = {
  manual: 'started by hand',
  schedule: 'started by the schedule',
  resume: 'begun when another was taken up again',
}

/** Names of modules and endpoints for a person; what is not known here is shown as it is. */
const NAMES: Readonly<Record<string, string>> = {
  'qualys.hosts': 'descriptions',
  'qualys.detections': 'detections',
  'fo/asset/host': 'host list',
  'fo/asset/host/vm/detection': 'detections',
  'fo/knowledge_base/vuln': 'knowledge base',
  'qps/search/am/tag': 'tags',
}

function nameOf(what: string): string {
  return NAMES[what] ?? what
}

function number(value: number): string {
  return value.toLocaleString('en')
}

function stateOf({ run }: RunReport): string {
  return run.phase === 'done' ? run.state : `${run.state}, ${run.phase}`
}

function timeOf({ run }: RunReport): string {
  const started = formatInstant(run.startedAt)
  if (run.finishedAt === null) return `since ${started}`
  return `${started}, ${formatSpan(Date.parse(run.finishedAt) - Date.parse(run.startedAt))}`
}

function waitsNowOf({ run }: RunReport): string | null {
  if (run.waitingUntil === null) return run.waitingReason
  return `until ${formatInstant(run.waitingUntil)}: ${run.waitingReason ?? ''}`
}

/** Shorter waits, such as for a call of our own to end, are no news. */
const WAIT_SHOWN_MS_MIN = 1_000

/** The longest first. */
function waitedOf({ waits }: RunReport): string[] {
  return waits
    .filter((wait) => wait.waitedMs >= WAIT_SHOWN_MS_MIN)
    .map((wait) => {
      const often = wait.waits === 1 ? '' : `, ${number(wait.waits)} times,`
      const until = formatInstant(wait.untilAt)
      return `${formatSpan(wait.waitedMs)}${often} for ${nameOf(wait.what)}, last until ${until}: ${wait.reason}`
    })
}

function expectedOf({ run }: RunReport): string | null {
  if (run.expectedHosts === null) return null
  const visible = number(run.visibleHosts ?? 0)
  return `${formatCount(run.expectedHosts, 'host')} of ${visible} that the account sees: descriptions and detections`
}

function cameOf(report: RunReport): string[] {
  const ledger = ledgerOf(report, 'qualys.detections')
  const hosts = ledgerOf(report, 'qualys.hosts')
  const lines: string[] = []
  if (ledger !== undefined && ledger.batches > 0) lines.push(detectionsOf(ledger))
  if (hosts !== undefined && hosts.batches > 0)
    lines.push(formatCount(hosts.receivedHosts, 'description of a host', 'descriptions of hosts'))
  const unexpected = report.ledger.reduce((sum, one) => sum + one.unexpectedHosts, 0)
  if (unexpected > 0)
    lines.push(`${formatCount(unexpected, 'host')} that nobody had asked for, and not taken`)
  return lines
}

function detectionsOf(ledger: Ledger): string {
  const parts = [
    [ledger.newRecords, 'new'],
    [ledger.changedRecords, 'changed'],
    [ledger.seenRecords, 'seen again'],
    [ledger.unchangedRecords, 'unchanged'],
    [ledger.olderRecords, 'older than known'],
    [ledger.quarantinedRecords, 'put aside'],
    [ledger.collidedRecords, 'came twice'],
  ] as const
  const shown = parts.filter(([count]) => count > 0).map(([count, what]) => `${number(count)} ${what}`)
  const megabytes = (Number(ledger.bytes) / 1_000_000).toFixed(1)
  const detail = shown.length === 0 ? '' : `: ${shown.join(', ')}`
  return `${formatCount(ledger.receivedHosts, 'host')} with ${formatCount(ledger.receivedRecords, 'detection')} (${megabytes} MB)${detail}`
}

function notComeOf(report: RunReport): string[] {
  const ledger = ledgerOf(report, 'qualys.detections')
  if (ledger === undefined) return []
  const lines: string[] = []
  if (ledger.emptyHosts > 0)
    lines.push(`${formatCount(ledger.emptyHosts, 'host')} without detections: Qualys leaves them out`)
  if (ledger.askedAgainHosts > 0)
    lines.push(
      `${formatCount(ledger.askedAgainHosts, 'host')} asked for a second time, because something known of them had not come`,
    )
  if (ledger.staleRecords > 0)
    lines.push(
      `${formatCount(ledger.staleRecords, 'open finding')} left out both times, and stale now: not seen, not fixed`,
    )
  if (report.owedHosts > 0) lines.push(`${formatCount(report.owedHosts, 'host')} that could not be had`)
  return lines
}

function owedOf({ gaps, owed, run }: RunReport): string[] {
  if (gaps.stillOwed === 0 && run.state !== 'RUNNING')
    return [gaps.settled > 0 ? `nothing; ${formatCount(gaps.settled, 'older gap')} settled` : 'nothing']
  const counts = `${formatCount(gaps.stillOwed, 'gap')} (${gaps.opened} new, ${gaps.settled} settled)`
  const shown = owed.reduce((sum, group) => sum + group.count, 0)
  const rest = gaps.stillOwed - shown
  return [
    counts,
    ...owed.map(gapLine),
    ...(rest > 0 ? [`… and ${number(rest)} more: patchbay gap list`] : []),
  ]
}

const KINDS: Readonly<Record<string, string>> = { host: 'host', qid: 'QID', record: 'record' }

function gapLine(group: RunReport['owed'][number]): string {
  const kind = KINDS[group.kind] ?? group.kind
  const more = group.count > group.examples.length ? ', …' : ''
  const tries = group.triesMax === 1 ? 'asked for once' : `asked for by ${group.triesMax} runs`
  return [
    `${formatCount(group.count, kind)} (${group.examples.join('; ')}${more}): ${group.reason}`,
    `Owed since ${formatInstant(group.since)}, ${tries}, ${afterwardsOf(group)}.`,
  ].join(' ')
}

function afterwardsOf({ count, settledSince, nextTryAt }: RunReport['owed'][number]): string {
  if (settledSince === count) return 'settled since'
  const next =
    nextTryAt === null ? 'next try with the next run' : `next try with the run of ${formatInstant(nextTryAt)}`
  return settledSince > 0 ? `${number(settledSince)} settled since, ${next}` : next
}

function batchesOf({ ledger, troubles }: RunReport): string[] {
  const parts = ledger
    .filter((one) => one.batches > 0)
    .map((one) => {
      const open = one.batchesOpen > 0 ? `, ${one.batchesOpen} open` : ''
      const owed = one.batchesOwed > 0 ? `, ${one.batchesOwed} given up` : ''
      const split = one.batchesSplit > 0 ? `, ${one.batchesSplit} split` : ''
      return `${nameOf(one.module)} ${one.batchesDone} of ${one.batches}${open}${owed}${split}`
    })
  return parts.length === 0 ? [] : [parts.join('; '), ...troubles.map(troubleLine)]
}

const TROUBLES = {
  parked: 'parked',
  retried: 'came after another try',
  split: 'split into smaller ones',
  owed: 'given up',
} as const

function troubleLine(trouble: RunReport['troubles'][number]): string {
  const { batches, hosts, triesMax, what, module, reason, nextAt } = trouble
  const next = nextAt === null ? '' : `, next try ${formatInstant(nextAt)}`
  const many = `${formatCount(batches, 'batch', 'batches')} of ${nameOf(module)} (${formatCount(hosts, 'host')})`
  return `${many} ${TROUBLES[what]} (${formatCount(triesMax, 'try', 'tries')}${next}): ${reason}`
}

function putAsideOf({ quarantined, quarantine }: RunReport): string[] {
  if (quarantined === 0) return []
  const shown = quarantine.reduce((sum, group) => sum + group.count, 0)
  return [
    `${formatCount(quarantined, 'record')} that came and could not be taken as they were`,
    ...quarantine.map(({ reason, count, hostId, qid }) => {
      const place = [hostId === null ? '' : `host ${hostId}`, qid === null ? '' : `QID ${qid}`]
      const example = place.filter((part) => part !== '').join(', ')
      return `${number(count)} ×${example === '' ? '' : ` (such as ${example})`} ${reason}`
    }),
    ...(quarantined > shown ? [`… and ${number(quarantined - shown)} more`] : []),
  ]
}

function repairedOf({ ledger }: RunReport): string | null {
  const repaired = ledger.reduce((sum, one) => sum + one.repairedChars, 0)
  return repaired === 0 ? null : `${formatCount(repaired, 'character')} that XML forbids`
}

function becameOf({ transitions }: RunReport): string | null {
  if (transitions.length === 0) return null
  return transitions.map((one) => `${number(one.count)} ${one.oldState} → ${one.newState}`).join(', ')
}

function callsOf({ calls }: RunReport): string[] {
  return calls.map((one) => {
    const { callsMax, windowSec, callsRemaining } = one
    if (callsMax === null || windowSec === null) return `${nameOf(one.endpoint)} ${number(one.calls)}`
    const share = ((one.calls / callsMax) * 100).toFixed(one.calls < callsMax / 10 ? 1 : 0)
    const left = callsRemaining === null ? '' : `, ${number(callsRemaining)} left when Qualys told last`
    const budget = `${number(callsMax)} that Qualys allows in ${formatSpan(windowSec * 1000)}`
    return `${nameOf(one.endpoint)} ${number(one.calls)}, ${share} % of the ${budget}${left}`
  })
}

function watermarkOf({ run }: RunReport): string | null {
  const from = run.watermarkFrom === null ? '' : `${formatInstant(run.watermarkFrom)} → `
  if (run.watermarkTo !== null)
    return `${from}${formatInstant(run.watermarkTo)}; the next delta asks for what came after`
  if (run.state === 'RUNNING' || run.state === 'CANCELLED') return null
  return 'did not move: the next run asks for the same again'
}

function ticketsOf({ tickets }: RunReport): string | null {
  if (tickets.length === 0) return null
  return tickets
    .map((one) => {
      const state = one.state === 'done' ? '' : ` ${one.state}`
      const until = one.state === 'waiting' && one.nextAt !== null ? ` until ${one.nextAt}` : ''
      const why = one.state !== 'done' && one.error !== null ? ` (${one.error})` : ''
      return `${one.count} ${one.op}${state}${until}${why}`
    })
    .join(', ')
}
