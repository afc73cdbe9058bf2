import { HubError } from '../model/errors.ts'
import type { EngineDeps } from './deps.ts'

const TRIES_MAX = 6
const FIRST_DELAY_MS = 5_000
const DELAY_MS_MAX = 5 * 60_000
/** A far side that is always busy is given up after this many waits. */
const WAITS_MAX = 50

/** What is waited for before another try. */
export interface PatientWait {
  what: string
  sinceMs: number
  untilMs: number
  reason: string
  /** Something failed; not a limit that the far side keeps. */
  isTrouble: boolean
}

/**
 * Does something that is asked for as a whole, such as the list of ids: waits as long as it is told to, tries again
 * what may pass by itself, and throws everything else.
 */
export async function withPatience<T>(
  deps: EngineDeps,
  options: { what: string; signal: AbortSignal; onWait: (wait: PatientWait) => Promise<void> },
  attempt: () => Promise<T>,
): Promise<T> {
  let failures = 0
  for (let waits = 0; ; waits += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (options.signal.aborted || !(error instanceof HubError)) throw error
      const isWait = error.kind === 'rate_limit' || error.kind === 'concurrency'
      if (!isWait && error.kind !== 'transient' && error.kind !== 'contract') throw error
      if (!isWait) failures += 1
      if (failures >= TRIES_MAX || waits >= WAITS_MAX)
        throw new HubError(
          error.kind,
          `${options.what} failed ${failures} times, at last so: ${error.message}`,
          {
            cause: error,
            ...(error.code !== undefined && { code: error.code }),
            ...(error.hint !== undefined && { hint: error.hint }),
          },
        )
      const delayMs =
        error.retryAfterMs ?? Math.min(FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1), DELAY_MS_MAX)
      deps.log.warn({ error: error.message, delayMs }, `${options.what} is tried again.`)
      const sinceMs = deps.clock.nowMs()
      const told = { what: options.what, reason: error.message, isTrouble: !isWait }
      await options.onWait({ ...told, sinceMs, untilMs: sinceMs + delayMs })
      await deps.clock.sleep(delayMs, options.signal)
    }
  }
}
