import type { Diagnosis, Ledger, RunReport } from '../api/resources.ts'
import { singleLine } from '../model/blocks.ts'
import type { Check } from './context.ts'
import { formatCount, formatFields, formatInstant } from './output.ts'
import { ledgerOf } from './progress.ts'

/** A run for a person: what was expected, what came, what is owed, what it waited for, what became of it. */
export function formatRunReport(report: RunReport): string {
  const { run } = report
  return formatFields([
    ['run', `${run.id}, ${run.mode} (${run.modeReason}), integration ${run.integrationId}`],
    ['state', run.state === 'RUNNING' ? `RUNNING, ${run.phase}` : run.state],
    ['message', run.message],
    ['time', timeOf(report)],
    ['waits', run.waitingUntil === null ? null : `until ${run.waitingUntil}: ${run.waitingReason ?? ''}`],
    ['drift', run.scopeDrift],
    ['expected', expectedOf(report)],
    ['came', cameOf(ledgerOf(report, 'qualys.detections'))],
    ['owed', owedOf(report)],
    ['batches', batchesOf(report)],
    ['became', becameOf(report)],
    ['repaired', repairedOf(report)],
    ['tickets', ticketsOf(report)],
    [
      'watermark',
      run.watermarkTo === null ? null : `${run.watermarkTo}; the next delta asks for what came after`,
    ],
  ])
}

function timeOf({ run }: RunReport): string {
  const started = formatInstant(run.startedAt)
  if (run.finishedAt === null) return `since ${started}`
  const seconds = Math.round((Date.parse(run.finishedAt) - Date.parse(run.startedAt)) / 1000)
  return `${started}, ${seconds.toLocaleString('en')} s`
}

function expectedOf({ run }: RunReport): string | null {
  if (run.expectedHosts === null) return null
  return `${formatCount(run.expectedHosts, 'host')} of ${(run.visibleHosts ?? 0).toLocaleString('en')} that the account sees`
}

function cameOf(ledger: Ledger | undefined): string | null {
  if (ledger === undefined || ledger.batches === 0) return null
  const parts = [
    [ledger.newRecords, 'new'],
    [ledger.changedRecords, 'changed'],
    [ledger.seenRecords, 'seen again'],
    [ledger.unchangedRecords, 'unchanged'],
    [ledger.olderRecords, 'older than known'],
    [ledger.quarantinedRecords, 'in quarantine'],
    [ledger.collidedRecords, 'came twice'],
    [ledger.staleRecords, 'now stale'],
  ] as const
  const shown = parts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count.toLocaleString('en')} ${what}`)
  const megabytes = (Number(ledger.bytes) / 1_000_000).toFixed(1)
  const detail = shown.length === 0 ? '' : `: ${shown.join(', ')}`
  return `${formatCount(ledger.receivedHosts, 'host')} with ${formatCount(ledger.receivedRecords, 'detection')} (${megabytes} MB)${detail}`
}

/** Hosts without a matching detection are missing from the answer, so fewer may come than were asked for. */
function owedOf({ gaps, owedHosts, quarantined, run }: RunReport): string {
  if (gaps.stillOwed === 0 && owedHosts === 0 && run.state !== 'RUNNING') {
    const settled = gaps.settled > 0 ? `; ${formatCount(gaps.settled, 'older gap')} settled` : ''
    return `nothing${settled}`
  }
  const parts = [`${formatCount(gaps.stillOwed, 'gap')} (${gaps.opened} new, ${gaps.settled} settled)`]
  if (owedHosts > 0) parts.push(`${formatCount(owedHosts, 'host')} could not be had`)
  if (quarantined > 0) parts.push(`${formatCount(quarantined, 'record')} in quarantine`)
  return parts.join(', ')
}

function batchesOf({ ledger }: RunReport): string | null {
  const parts = ledger
    .filter((one) => one.batches > 0)
    .map((one) => {
      const open = one.batchesOpen > 0 ? `, ${one.batchesOpen} open` : ''
      const owed = one.batchesOwed > 0 ? `, ${one.batchesOwed} given up` : ''
      return `${one.module} ${one.batchesDone} of ${one.batches}${open}${owed}`
    })
  return parts.length === 0 ? null : parts.join('; ')
}

function becameOf({ transitions }: RunReport): string | null {
  if (transitions.length === 0) return null
  return transitions
    .map((one) => `${one.count.toLocaleString('en')} ${one.oldState} → ${one.newState}`)
    .join(', ')
}

function repairedOf({ ledger }: RunReport): string | null {
  const repaired = ledger.reduce((sum, one) => sum + one.repairedChars, 0)
  return repaired === 0 ? null : `${formatCount(repaired, 'character')} that XML forbids`
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

export function formatDiagnosis(lines: Diagnosis['lines']): string {
  const width = Math.max(...lines.map((line) => line.name.length))
  return lines
    .map(({ name, level, message, remedy }) => {
      const line = `${level.padEnd(4)}  ${singleLine(name).padEnd(width)}  ${singleLine(message)}\n`
      return remedy === null ? line : `${line}${' '.repeat(width + 8)}→ ${singleLine(remedy)}\n`
    })
    .join('')
}

export function formatChecks(checks: readonly Check[]): string {
  return formatDiagnosis(
    checks.map(({ name, ok, message, hint }) => ({ name, level: ok ? 'ok' : 'fail', message, remedy: hint })),
  )
}
