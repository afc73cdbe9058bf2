import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { readFixTimes } from '../../engine/history/fix-times.ts'
import { TREND_DAYS_MAX, type TrendRow as Row, readTrend } from '../../engine/history/trend.ts'
import { TREND_GROUPINGS } from '../../model/report.ts'
import type { FixTimeRow as FixRow } from '../../store/queries/episodes.ts'
import type { ApiDeps } from '../deps.ts'
import { Id } from '../paging.ts'
import { type FixTimeRow, FixTimes, Trend, type TrendRow } from '../report-resources.ts'
import { PROBLEMS, json, newRoutes } from './shared.ts'

const Period = z.object({
  days: z.coerce
    .number()
    .int()
    .min(1)
    .max(TREND_DAYS_MAX)
    .default(90)
    .openapi({ description: 'The last days, up to today.' }),
  zone: z
    .string()
    .max(60)
    .default('UTC')
    .openapi({ description: 'Days end at midnight in this time zone, e.g. Europe/Berlin.' }),
  integrationId: Id.optional(),
})

const trendRoute = createRoute({
  method: 'get',
  path: '/reports/trend',
  operationId: 'getTrend',
  summary: 'How many findings were in which state at the end of each day, and what changed on it',
  request: { query: Period.extend({ by: z.enum(TREND_GROUPINGS).default('state') }) },
  responses: { 200: json(Trend, 'A row for every day and group, oldest first.'), ...PROBLEMS },
})

const fixTimesRoute = createRoute({
  method: 'get',
  path: '/reports/mttr',
  operationId: 'getFixTimes',
  summary: 'How long findings were open until the source reported them fixed, episode by episode',
  request: { query: Period },
  responses: { 200: json(FixTimes, 'By month and severity, with the sums.'), ...PROBLEMS },
})

export function reportRoutes({ pool, clock }: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(trendRoute, async (context) => {
    const query = context.req.valid('query')
    const now = new Date(clock.nowMs())
    const rows = await readTrend(pool, { ...query, now })
    const { zone, by } = query
    return context.json({ zone, by, asOf: now.toISOString(), data: rows.map(toTrendRow) }, 200)
  })
  app.openapi(fixTimesRoute, async (context) => {
    const query = context.req.valid('query')
    const times = await readFixTimes(pool, { ...query, now: new Date(clock.nowMs()) })
    return context.json(
      {
        zone: query.zone,
        from: times.from.toISOString(),
        to: times.to.toISOString(),
        data: times.rows.map(toFixTimeRow),
        leftOut: times.leftOut,
      },
      200,
    )
  })
  return app
}

function toTrendRow(row: Row): TrendRow {
  const { day, isClosed, group, counts, fixed, reopened, left, back } = row
  return { day, isClosed, group, counts, new: row.new, fixed, reopened, left, back }
}

function toFixTimeRow(row: FixRow): FixTimeRow {
  return {
    month: row.month,
    severity: row.severity,
    all: {
      episodes: row.episodes,
      medianSeconds: row.medianSeconds,
      meanSeconds: row.meanSeconds,
      p90Seconds: row.p90Seconds,
    },
    first: {
      episodes: row.firstEpisodes,
      medianSeconds: row.firstMedianSeconds,
      meanSeconds: row.firstMeanSeconds,
      p90Seconds: row.firstP90Seconds,
    },
    clamped: row.clamped,
  }
}
