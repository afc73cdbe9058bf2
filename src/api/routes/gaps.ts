import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type GapRow, listGaps } from '../../store/queries/gaps.ts'
import type { ApiDeps } from '../deps.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Gap } from '../resources.ts'
import { PROBLEMS, json, newRoutes, toInstant } from './shared.ts'

const listRoute = createRoute({
  method: 'get',
  path: '/gaps',
  operationId: 'listGaps',
  summary: 'What was expected and is still owed, oldest first',
  request: {
    query: PageQuery.extend({
      integrationId: Id.optional(),
      settled: z
        .enum(['true', 'false'])
        .default('false')
        .openapi({ description: 'With those settled since.' }),
    }),
  },
  responses: { 200: json(pageOf(Gap), 'A page of gaps.'), ...PROBLEMS },
})

export function gapRoutes({ pool }: ApiDeps): OpenAPIHono {
  return newRoutes().openapi(listRoute, async (context) => {
    const { limit, after, integrationId, settled } = context.req.valid('query')
    const filter = { integrationId, withSettled: settled === 'true', afterId: after }
    const rows = await listGaps(pool, { ...filter, limit: limit + 1 })
    return context.json(toPage(rows, limit, { item: toGap, cursor: (row) => row.id }), 200)
  })
}

function toGap(row: GapRow): Gap {
  const { id, integrationId, kind, key, reason, tries, firstRunId, lastRunId } = row
  return {
    id,
    integrationId,
    kind,
    key,
    reason,
    tries,
    firstRunId,
    lastRunId,
    since: row.since.toISOString(),
    nextTryAt: toInstant(row.nextTryAt),
    settledAt: toInstant(row.settledAt),
  }
}
