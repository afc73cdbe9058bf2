import { type HostDetail, STALE_AFTER_DAYS } from '../store/queries/host-list.ts'

const DAY_MS = 24 * 60 * 60_000

/** Why a host stands as it does, with what shows it. */
export function whyOf(host: HostDetail, now: Date): string {
  const listed = `${day(host.lastListedAt)} in run ${host.lastListedRunId ?? 'unknown'}`
  switch (host.state) {
    case 'present':
      return `On the complete list of ${listed}.`
    case 'stale':
      return `On the complete list of ${listed}, but ${notScanned(host, now)}`
    case 'missing':
      return `Last listed on ${listed}, missing from ${host.listsMissing} complete list since. One more and it has left; until then its findings are as they were.`
    case 'removed':
      return `Last listed on ${listed}; missing from two complete lists in a row, it counts as removed since ${day(host.removedAt)}: purged at Qualys, or no longer shown to this account. Its findings are no fix.`
    case 'out_of_scope':
      return `Last listed on ${listed}, when this account could see something else; out of scope since ${day(host.outOfScopeAt)}. Its findings are no fix, and are as they were when it is listed again.`
  }
}

function notScanned(host: HostDetail, now: Date): string {
  const since = host.lastScanAt
  const scan =
    since === null
      ? 'it was never scanned for vulnerabilities'
      : `it was not scanned for vulnerabilities since ${day(since)} (${Math.floor((now.getTime() - since.getTime()) / DAY_MS)} days)`
  return `${scan}. ${causeOf(host, now)}`
}

/** What may be behind it, from what else is known of its agent. */
function causeOf({ trackingMethod, lastActivityAt, agentStatus }: HostDetail, now: Date): string {
  if (trackingMethod !== 'AGENT') return 'No scan has reached it: it is off, or no longer in the scan.'
  const said = agentStatus === null ? '' : ` (${agentStatus})`
  if (lastActivityAt === null) return `When its agent reported last is not known${said}.`
  const isActive = now.getTime() - lastActivityAt.getTime() < STALE_AFTER_DAYS * DAY_MS
  return isActive
    ? `Its agent reports${said}, last on ${day(lastActivityAt)}: its VM module is switched off, or the licence has run out.`
    : `Its agent has not reported since ${day(lastActivityAt)}${said}: it is off, or the agent was removed.`
}

/** What makes the findings of a host less than certain. */
export function doubtsOf(host: HostDetail): string[] {
  const doubts: string[] = []
  if (host.notTested > 0) {
    const one = host.notTested === 1 ? '1 open finding was' : `${host.notTested} open findings were`
    doubts.push(
      `${one} not tested by the last scan of ${day(host.lastVmScannedAt)}, the oldest not since ${day(host.notTestedSince)}; ${authentication(host)}.`,
    )
  }
  if (host.identitySince !== null)
    doubts.push(
      `Another machine has had its IP address since ${day(host.identitySince)}; what was found before and not since is of the machine before.`,
    )
  return doubts
}

function authentication({ lastVmAuthScannedAt, lastVmScannedAt }: HostDetail): string {
  if (lastVmAuthScannedAt === null) return 'it was never scanned with authentication'
  const isBehind =
    lastVmScannedAt !== null && lastVmScannedAt.getTime() - lastVmAuthScannedAt.getTime() > DAY_MS
  return isBehind
    ? `it was not scanned with authentication since ${day(lastVmAuthScannedAt)}`
    : 'that scan did not cover them'
}

function day(at: Date | null): string {
  return at === null ? 'an unknown day' : at.toISOString().slice(0, 10)
}
