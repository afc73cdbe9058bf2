import { createHash } from 'node:crypto'

/** A drift of the visible hosts up to this share is everyday life. */
const VISIBLE_HOSTS_DRIFT_MAX = 0.05
/** In small estates a few hosts are many percent. */
const VISIBLE_HOSTS_DRIFT_MIN_HOSTS = 10

/** A short fingerprint of what an account can see, made of named parts. */
export function scopeFingerprint(scope: Readonly<Record<string, string>>): string {
  const parts = Object.entries(scope)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16)
}

/**
 * Says in what the scope differs from the last good run's, or null. While it drifts, nothing that is missing is counted
 * as gone: the account may simply see less.
 */
export function describeDrift(
  last: { scope: Readonly<Record<string, string>>; visibleHosts: number | null } | null,
  now: { scope: Readonly<Record<string, string>>; visibleHosts: number },
): string | null {
  if (last === null) return null
  const changed = [...new Set([...Object.keys(last.scope), ...Object.keys(now.scope)])].filter(
    (name) => last.scope[name] !== now.scope[name],
  )
  if (changed.length > 0) return `changed: ${changed.toSorted().join(', ')}`
  if (last.visibleHosts === null) return null
  const difference = Math.abs(now.visibleHosts - last.visibleHosts)
  if (difference <= VISIBLE_HOSTS_DRIFT_MIN_HOSTS) return null
  if (difference / Math.max(1, last.visibleHosts) <= VISIBLE_HOSTS_DRIFT_MAX) return null
  return `visible hosts: ${last.visibleHosts} before, ${now.visibleHosts} now`
}
