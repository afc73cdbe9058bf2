import type { HubClient } from './hub-client.ts'

/** What the API says, as far as the demo tells it. */
interface RunReport {
  run: { state: string; mode: string; message: string | null; visibleHosts: number; expectedHosts: number }
  ledger: Ledger[]
  transitions: { oldState: string; newState: string; count: number }[]
}

interface Ledger {
  module: string
  receivedHosts: number
  receivedRecords: number
  newRecords: number
  seenRecords: number
  unchangedRecords: number
}

interface Ticket {
  id: string
  issueKey: string | null
  summary: string
}

export interface Change {
  ticket: Ticket
  op: string
  reason: string
}

const CHANGES_SHOWN_MAX = 6

/** Tells of one day: what the run found, and what became of which tickets. */
export async function tellDay(
  hub: HubClient,
  day: { number: number; date: string; runId: string; seconds: number; changes: readonly Change[] },
): Promise<string> {
  const report = await hub.get<RunReport>(`/runs/${day.runId}`)
  const { run } = report
  const lines = [
    '',
    `Day ${day.number} · ${day.date} · ${run.mode} run · ${run.state} in ${day.seconds.toFixed(1)} s`,
    `  Hosts     ${number(run.visibleHosts)} visible, ${number(run.expectedHosts)} asked for`,
    `  Findings  ${findings(report)}`,
    `  Tickets   ${tickets(day.changes)}`,
    ...day.changes.filter(isWorthALine).slice(0, CHANGES_SHOWN_MAX).map(changeLine),
  ]
  const hidden = day.changes.filter(isWorthALine).length - CHANGES_SHOWN_MAX
  if (hidden > 0) lines.push(`            … and ${hidden} more`)
  return lines.join('\n')
}

/** Every change of a ticket that was decided since an instant, closed and reopened ones first. */
export async function changesSince(hub: HubClient, sinceMs: number): Promise<Change[]> {
  const changes: Change[] = []
  for (const ticket of await hub.all<Ticket>('/tickets')) {
    const report = await hub.get<{ changes: { op: string; reason: string; createdAt: string }[] }>(
      `/tickets/${ticket.id}`,
    )
    for (const { op, reason, createdAt } of report.changes)
      if (Date.parse(createdAt) >= sinceMs) changes.push({ ticket, op, reason })
  }
  return changes.toSorted((a, b) => RANK.indexOf(a.op) - RANK.indexOf(b.op))
}

const RANK = ['reopen', 'close', 'create', 'comment', 'update', 'link']

const DONE: Readonly<Record<string, string>> = {
  create: 'created',
  update: 'updated',
  comment: 'commented',
  close: 'closed',
  reopen: 'reopened',
  link: 'linked',
}

function findings({ ledger, transitions }: RunReport): string {
  const detections = ledger.find((one) => one.module === 'qualys.detections')
  const became = (from: string | null, to: string) =>
    transitions
      .filter((one) => one.newState === to && (from === null || one.oldState === from))
      .reduce((sum, one) => sum + one.count, 0)
  return [
    `${number(detections?.receivedRecords ?? 0)} received`,
    `${number(detections?.newRecords ?? 0)} new`,
    `${number(became(null, 'fixed'))} fixed`,
    `${number(became('fixed', 'open'))} open again`,
    `${number(became(null, 'stale') + became(null, 'host_removed'))} no longer reported`,
    `${number((detections?.seenRecords ?? 0) + (detections?.unchangedRecords ?? 0))} as before`,
  ].join(', ')
}

function tickets(changes: readonly Change[]): string {
  const parts = ['create', 'update', 'close', 'reopen'].map((op) => {
    const count = changes.filter((change) => change.op === op).length
    return `${number(count)} ${DONE[op]}`
  })
  return parts.join(', ')
}

/** The text of a ticket changes whenever its hosts do; that is counted, not told. */
function isWorthALine(change: Change): boolean {
  return change.op !== 'update'
}

function changeLine({ ticket, op, reason }: Change): string {
  const summary = ticket.summary.replace('[Qualys] ', '')
  const told = op === 'create' ? summary : `${reason} (${summary})`
  return `            ${(DONE[op] ?? op).padEnd(9)} ${(ticket.issueKey ?? '–').padEnd(8)} ${told}`
}

function number(value: number): string {
  return value.toLocaleString('en')
}
