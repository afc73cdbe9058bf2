import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { type HostRow, listHosts } from '../../store/queries/hosts.ts'
import type { ApiDeps } from '../deps.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Host } from '../resources.ts'
import { PROBLEMS, json, newRoutes, toInstant } from './shared.ts'

const listRoute = createRoute({
  method: 'get',
  path: '/hosts',
  operationId: 'listHosts',
  summary: 'Hosts, by id',
  request: { query: PageQuery.extend({ integrationId: Id.optional() }) },
  responses: { 200: json(pageOf(Host), 'A page of hosts.'), ...PROBLEMS },
})

export function hostRoutes({ pool }: ApiDeps): OpenAPIHono {
  return newRoutes().openapi(listRoute, async (context) => {
    const { limit, after, integrationId } = context.req.valid('query')
    const rows = await listHosts(pool, { integrationId, afterId: after, limit: limit + 1 })
    return context.json(toPage(rows, limit, { item: toHost, cursor: (row) => row.placeId }), 200)
  })
}

function toHost(row: HostRow): Host {
  const { placeId, integrationId, hostId, ip, dns, netbios, os, agentId } = row
  return {
    id: placeId,
    integrationId,
    hostId,
    ip,
    dns,
    netbios,
    os,
    agentId,
    lastListedAt: row.lastListedAt.toISOString(),
    removedAt: toInstant(row.removedAt),
    outOfScopeAt: toInstant(row.outOfScopeAt),
  }
}
