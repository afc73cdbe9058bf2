const DAY_MS = 24 * 60 * 60_000
/** More records than this share that come twice by all that identifies one speak of a broken identity, not of chance. */
const COLLIDED_SHARE_MAX = 0.001
/** So much of what was asked for may go stale in everyday life, and in a small estate so many. */
const STALE_SHARE_MAX = 0.1
const STALE_RECORDS_MIN = 10
/** When even the newest scan is older than this, nothing scans any more. */
const NEWEST_SCAN_MS_MAX = 7 * DAY_MS
/** What a host said of itself before this is old. */
export const OLD_SCAN_MS = 30 * DAY_MS
const OLD_SCAN_SHARE_MAX = 0.5

export interface RunFacts {
  receivedRecords: number
  collidedRecords: number
  staleRecords: number
  /** QIDs of open findings that the knowledge base was asked for in vain. */
  unknownQids: number
  /** Listed hosts that have ever been scanned for vulnerabilities. */
  scannedHosts: number
  /** Those of them whose last scan is older than `OLD_SCAN_MS`. */
  oldScanHosts: number
  newestScanMs: number | null
  nowMs: number
}

/** What a person should look at although nothing is owed: each is a sentence with what it may mean. */
export function warningsOf(facts: RunFacts): string[] {
  return [
    warnOfCollisions(facts),
    warnOfStale(facts),
    warnOfUnknownQids(facts),
    warnOfOldScans(facts),
  ].filter((warning) => warning !== null)
}

function warnOfCollisions({ collidedRecords, receivedRecords }: RunFacts): string | null {
  const came = collidedRecords + receivedRecords
  if (collidedRecords <= came * COLLIDED_SHARE_MAX) return null
  return `${collidedRecords} of ${came} detections came twice by all that identifies one, and the better of each was kept: what is one finding here may be several in Qualys. See what the run put aside.`
}

function warnOfStale({ staleRecords, receivedRecords }: RunFacts): string | null {
  const expected = staleRecords + receivedRecords
  if (staleRecords < STALE_RECORDS_MIN || staleRecords <= expected * STALE_SHARE_MAX) return null
  const percent = Math.round((staleRecords / expected) * 100)
  return `${percent} % of what was asked for went stale at once, which is not everyday life: check what the Qualys user may still see, and its VM module.`
}

/** Retired, custom or not licensed: nothing that would come by asking, and so nothing that is owed. */
function warnOfUnknownQids({ unknownQids }: RunFacts): string | null {
  if (unknownQids === 0) return null
  const qids = unknownQids === 1 ? '1 QID' : `${unknownQids} QIDs`
  return `The knowledge base does not know ${qids} of open findings; see: patchbay vuln list --missing.`
}

function warnOfOldScans({ newestScanMs, nowMs, oldScanHosts, scannedHosts }: RunFacts): string | null {
  if (newestScanMs !== null && nowMs - newestScanMs > NEWEST_SCAN_MS_MAX) {
    const day = new Date(newestScanMs).toISOString().slice(0, 10)
    return `No host was scanned for vulnerabilities since ${day}, so nothing new can come: check schedules, agents and the VM licence in Qualys.`
  }
  if (oldScanHosts <= scannedHosts * OLD_SCAN_SHARE_MAX) return null
  return `${oldScanHosts} of ${scannedHosts} hosts were last scanned for vulnerabilities over 30 days ago: what is known of them is that old.`
}
