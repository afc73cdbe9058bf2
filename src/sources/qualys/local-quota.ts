import type { Clock } from '../../lib/clock.ts'
import { HubError } from '../../model/errors.ts'
import type { QuotaPermit, QuotaPort } from '../../model/quota.ts'

/** A wait longer than this is the caller's. */
const WAIT_MS_MAX = 60_000

/**
 * A budget that lives in this process alone: one call at a time for each endpoint, and no call before Qualys allows
 * it. For probes of an account that is not configured yet; runs use the shared one.
 */
export function createLocalQuota(clock: Clock): QuotaPort {
  const lanes = new Map<string, Lane>()
  return {
    acquire: (endpoint, signal) => {
      const lane = lanes.get(endpoint) ?? new Lane(clock)
      lanes.set(endpoint, lane)
      return lane.acquire(signal)
    },
  }
}

class Lane {
  readonly #clock: Clock
  #tail: Promise<void> = Promise.resolve()
  #notBeforeMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async acquire(signal: AbortSignal): Promise<QuotaPermit> {
    const ahead = this.#tail
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#tail = ahead.then(() => promise)
    try {
      await untilAborted(ahead, signal)
      await this.#waitUntilAllowed(signal)
    } catch (error) {
      resolve()
      throw error
    }
    return {
      report: async ({ callsRemaining, toWaitSec }) => {
        if (callsRemaining === 0 && toWaitSec !== null) this.#blockFor(toWaitSec * 1_000)
      },
      refuse: async ({ waitMs }) => this.#blockFor(waitMs),
      release: async () => resolve(),
    }
  }

  #blockFor(waitMs: number): void {
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#clock.nowMs() + waitMs)
  }

  async #waitUntilAllowed(signal: AbortSignal): Promise<void> {
    const waitMs = this.#notBeforeMs - this.#clock.nowMs()
    if (waitMs <= 0) return
    if (waitMs > WAIT_MS_MAX) {
      const until = new Date(this.#notBeforeMs).toISOString()
      throw new HubError('rate_limit', `The subscription has used up its calls to this API until ${until}.`, {
        code: 'not_before',
        retryAfterMs: waitMs,
      })
    }
    await this.#clock.sleep(waitMs, signal)
  }
}

async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
