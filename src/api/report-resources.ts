import { z } from '@hono/zod-openapi'
import { FINDING_STATES } from '../model/finding.ts'

/* Reports over many findings. Days are YYYY-MM-DD in the zone that was asked for. */

const StateCounts = z.object({
  open: z.number(),
  fixed: z.number(),
  suppressed: z.number(),
  accepted: z.number(),
  stale: z.number(),
  out_of_scope: z.number(),
  host_removed: z.number(),
})

export const TrendRow = z
  .object({
    day: z.string().openapi({ example: '2026-10-01' }),
    /** True: written down when the day was over. False: worked out now. */
    isClosed: z.boolean(),
    /** Empty unless something but states is told apart. */
    group: z.string(),
    /** At the end of the day, as it was known then; today as of now. */
    counts: StateCounts,
    /** Seen for the first time on the day, and open. */
    new: z.number(),
    /** Reported fixed by the source; nothing else counts as fixed. */
    fixed: z.number(),
    reopened: z.number(),
    /** From open to what is neither open nor fixed, and back. */
    left: z.number(),
    back: z.number(),
  })
  .openapi('TrendRow')
export type TrendRow = z.infer<typeof TrendRow>

export const Trend = z
  .object({ zone: z.string(), by: z.string(), asOf: z.string(), data: z.array(TrendRow) })
  .openapi('Trend')
export type Trend = z.infer<typeof Trend>

const seconds = z.number().nullable()

const FixTimeFigures = z.object({
  episodes: z.number(),
  medianSeconds: seconds,
  meanSeconds: seconds,
  p90Seconds: seconds,
})

export const FixTimeRow = z
  .object({
    /** YYYY-MM by the date of the fix; null for the whole period. */
    month: z.string().nullable(),
    /** Null for all, 0 where it is not known. */
    severity: z.number().nullable(),
    /** Every episode. */
    all: FixTimeFigures,
    /** First episodes alone: without what was reopened. */
    first: FixTimeFigures,
    /** Episodes that the source lets end before they begin; they count with 0 seconds. */
    clamped: z.number(),
  })
  .openapi('FixTimeRow')
export type FixTimeRow = z.infer<typeof FixTimeRow>

export const FixTimes = z
  .object({
    zone: z.string(),
    from: z.string(),
    to: z.string(),
    data: z.array(FixTimeRow),
    /** What ended in the period, or was said to, and is in no figure. */
    leftOut: z.object({
      withoutStart: z.number(),
      withoutEnd: z.number(),
      inFuture: z.number(),
      /** Open findings that went out of sight: nothing shows that they were fixed. */
      states: z.partialRecord(z.enum(FINDING_STATES), z.number()),
    }),
  })
  .openapi('FixTimes')
export type FixTimes = z.infer<typeof FixTimes>
