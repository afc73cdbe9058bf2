import type { Clock } from '../../../src/lib/clock.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { DAY_MS } from './time.ts'
import type { Estate } from './types.ts'

const NOON_MS = DAY_MS / 2

/**
 * A clock whose days are those of the estate: it stands at noon of the estate's day, when all scans of the day are
 * processed, and runs from there as `base` does. With it a server can live through days in minutes.
 */
export function estateClock(estate: Estate, base: Clock = systemClock): Clock {
  let day = estate.day
  let sinceMs = base.nowMs()
  return {
    nowMs: () => {
      if (estate.day !== day) {
        day = estate.day
        sinceMs = base.nowMs()
      }
      return estate.dayStartMs(day) + NOON_MS + (base.nowMs() - sinceMs)
    },
    sleep: (durationMs, signal) => base.sleep(durationMs, signal),
  }
}
