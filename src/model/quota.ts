/**
 * The shared budget of one subscription, as a port: a vendor client takes a permit before each call and reports what
 * the far side said about its limits. It is kept in the database, so that a restart or a second process does not hammer.
 */
export interface QuotaPort {
  /**
   * Resolves with a permit once a slot is free and the budget of `endpoint` allows a call. A wait longer than the
   * implementation's limit throws `HubError('rate_limit')` with `retryAfterMs`, so that nothing is held meanwhile.
   */
  acquire(endpoint: string, signal: AbortSignal): Promise<QuotaPermit>
}

export interface QuotaPermit {
  /** What the answer's headers said; call it as soon as they are there. */
  report(limits: ReportedLimits): Promise<void>
  /** The far side refused: nobody may call this endpoint again before then. */
  refuse(refusal: { kind: 'rate_limit' | 'concurrency'; waitMs: number }): Promise<void>
  /** Gives the slot back; idempotent, called exactly when the body has been read or given up. */
  release(): Promise<void>
}

export interface ReportedLimits {
  /** X-RateLimit-Limit, -Window-Sec, -Remaining, -ToWait-Sec; null where a header is missing. */
  callsMax: number | null
  windowSec: number | null
  callsRemaining: number | null
  toWaitSec: number | null
  /** X-Concurrency-Limit-Limit; null when missing. The running count is not reported: it is not reliable. */
  concurrencyMax: number | null
}
