import { type FakeJira, startFakeJira } from '../../fakes/jira/fake-jira.ts'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import type { Estate, EstateOptions } from '../../fakes/qualys/estate/types.ts'
import type { LimitOptions } from '../../fakes/qualys/limits.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'

const DAY_0_MS = Date.UTC(2026, 9, 1)
const NOON_MS = 12 * 60 * 60_000
/** The index of the real Jira lags; this much, a ticket whose making was cut off is not found at once. */
const SEARCH_LAG_MS = 20_000
const UNLIMITED = 1_000_000
const MANY_CALLS: LimitOptions = { rate: 10_000 }

/** Everything outside of the hub. It outlives every kill, and remembers what was done to it. */
export interface World {
  estate: Estate
  qualys: FakeQualys
  jira: FakeJira
  /** What the clocks of all hubs show. */
  nowMs(): number
  /** Noon of this day: all scans are processed. */
  startDay(day: number): void
  /** The hubs' clock, not that of Qualys: when it is asked does not change what it says. */
  jump(durationMs: number): void
  close(): Promise<void>
}

/** `limits`: those of Qualys; the Standard ones where they are left out. A busy estate: within days much is found, fixed, reopened and purged. */
export async function startWorld(options: EstateOptions, limits: LimitOptions = MANY_CALLS): Promise<World> {
  const estate = createEstate({
    day0Ms: DAY_0_MS,
    hosts: 160,
    detectionsPerHost: 5,
    resultBytes: 120,
    scanShare: 0.7,
    newShare: 0.06,
    fixShare: 0.1,
    reopenShare: 0.3,
    purgeShare: 0.01,
    mergeShare: 0.005,
    retagShare: 0.02,
    hostGrowth: 0.01,
    campaigns: [
      { family: 'windows', patchIndex: 0, fixDays: [1, 2], reopenDay: 3, reopenShare: 0.3 },
      { family: 'rhel', patchIndex: 2, fixDays: [1] },
    ],
    ...options,
  })
  const noonMs = () => estate.dayStartMs(estate.day) + NOON_MS
  let nowMs = noonMs()
  const clockOf = (now: () => number): Clock => ({ ...systemClock, nowMs: now })
  const qualys = await startFakeQualys({ estate, clock: clockOf(noonMs), limits })
  const jira = await startFakeJira({
    clock: clockOf(() => nowMs),
    searchLagMs: SEARCH_LAG_MS,
    // The clock stands still, so that a second never ends.
    limits: {
      burstReadPost: UNLIMITED,
      burstPutDelete: UNLIMITED,
      issueWritesPer2s: UNLIMITED,
      issueWritesPer30s: UNLIMITED,
    },
  })
  return {
    estate,
    qualys,
    jira,
    nowMs: () => nowMs,
    startDay: (day) => {
      estate.setDay(day)
      nowMs = noonMs()
    },
    jump: (durationMs) => {
      nowMs += durationMs
    },
    close: async () => {
      await Promise.all([qualys.close(), jira.close()])
    },
  }
}
