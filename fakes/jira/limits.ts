import type { Clock } from '../../src/lib/clock.ts'
import type { Reply } from './reply.ts'
import type { Route } from './routes.ts'
import type { RateLimits } from './types.ts'

export type RateLimitReason =
  | 'jira-quota-global-based'
  | 'jira-quota-tenant-based'
  | 'jira-burst-based'
  | 'jira-per-issue-on-write'

export function rateLimited(clock: Clock, reason: RateLimitReason, retryAfterSec: number): Reply {
  return {
    status: 429,
    body: { errorMessages: ['Rate limit exceeded.'], errors: {} },
    headers: {
      'retry-after': String(retryAfterSec),
      'ratelimit-reason': reason,
      'x-ratelimit-limit': '100',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': new Date(clock.nowMs() + retryAfterSec * 1_000).toISOString(),
    },
  }
}

/** Sliding windows on the injected clock: bursts per endpoint, writes per issue. */
export class Limiter {
  readonly #clock: Clock
  readonly #limits: RateLimits
  readonly #hits = new Map<string, number[]>()

  constructor(clock: Clock, limits: RateLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  /** A 429 if this request is one too many; otherwise it is counted. */
  refuse(route: Route, issueId: string | undefined): Reply | undefined {
    const burst = ['PUT', 'DELETE'].includes(route.method)
      ? this.#limits.burstPutDelete
      : this.#limits.burstReadPost
    if (!this.#take(`burst ${route.operation}`, [{ windowMs: 1_000, hitsMax: burst }]))
      return rateLimited(this.#clock, 'jira-burst-based', 1)
    if (route.writesIssue !== true || issueId === undefined) return undefined
    const free = this.#take(`issue ${issueId}`, [
      { windowMs: 2_000, hitsMax: this.#limits.issueWritesPer2s },
      { windowMs: 30_000, hitsMax: this.#limits.issueWritesPer30s },
    ])
    return free ? undefined : rateLimited(this.#clock, 'jira-per-issue-on-write', 2)
  }

  #take(key: string, windows: readonly { windowMs: number; hitsMax: number }[]): boolean {
    const nowMs = this.#clock.nowMs()
    const longestMs = Math.max(...windows.map(({ windowMs }) => windowMs))
    const hits = (this.#hits.get(key) ?? []).filter((atMs) => atMs > nowMs - longestMs)
    const free = windows.every(
      ({ windowMs, hitsMax }) => hits.filter((atMs) => atMs > nowMs - windowMs).length < hitsMax,
    )
    if (free) hits.push(nowMs)
    this.#hits.set(key, hits)
    return free
  }
}
