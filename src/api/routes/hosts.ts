import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { doubtsOf, whyOf } from '../../engine/host-standing.ts'
import { type HostEventRow, listHostEvents } from '../../store/queries/host-events.ts'
import {
  HOST_STATES,
  type HostDetail,
  type HostLinkRow,
  type HostRow,
  type TwinRow,
  getHost,
  listHostLinks,
  listHosts,
  listTwins,
} from '../../store/queries/host-list.ts'
import type { ApiDeps } from '../deps.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Host, HostReport } from '../host-resources.ts'
import { PROBLEMS, json, newRoutes, notFound, toInstant } from './shared.ts'

const EVENTS_SHOWN_MAX = 200
const LINKS_SHOWN_MAX = 100
const TWINS_SHOWN_MAX = 100

const listRoute = createRoute({
  method: 'get',
  path: '/hosts',
  operationId: 'listHosts',
  summary: 'Hosts, by id',
  request: {
    query: PageQuery.extend({
      integrationId: Id.optional(),
      state: z.enum(HOST_STATES).optional(),
      host: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .openapi({ description: 'A host id of Qualys, an IP address or a name.' }),
    }),
  },
  responses: { 200: json(pageOf(Host), 'A page of hosts.'), ...PROBLEMS },
})

const getRoute = createRoute({
  method: 'get',
  path: '/hosts/{id}',
  operationId: 'getHost',
  summary: 'A host with its story: where it stands and why, who it took over from, and what became of it',
  request: { params: z.object({ id: Id }) },
  responses: { 200: json(HostReport, 'The host.'), ...PROBLEMS },
})

export function hostRoutes({ pool, clock }: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(listRoute, async (context) => {
    const { limit, after, ...filter } = context.req.valid('query')
    const now = new Date(clock.nowMs())
    const rows = await listHosts(pool, filter, { now, afterId: after ?? '0', limit: limit + 1 })
    return context.json(toPage(rows, limit, { item: toHost, cursor: (row) => row.placeId }), 200)
  })
  app.openapi(getRoute, async (context) => {
    const { id: placeId } = context.req.valid('param')
    const now = new Date(clock.nowMs())
    const row = await getHost(pool, { placeId, now })
    if (row === null) throw notFound(`host with the id ${placeId}`)
    const links = await listHostLinks(pool, placeId, LINKS_SHOWN_MAX)
    const twins = await listTwins(pool, placeId, TWINS_SHOWN_MAX)
    const events = await listHostEvents(pool, placeId, EVENTS_SHOWN_MAX)
    const report: HostReport = {
      ...toDetail(row, now),
      links: links.map(toLink),
      twins: twins.map(toTwin),
      events: events.map(toEvent),
    }
    return context.json(report, 200)
  })
  return app
}

function toHost(row: HostRow): Host {
  const { placeId, integrationId, hostId, ip, dns, netbios, os, agentId, trackingMethod, state } = row
  return {
    id: placeId,
    integrationId,
    hostId,
    ip,
    dns,
    netbios,
    os,
    agentId,
    trackingMethod,
    state,
    lastScanAt: toInstant(row.lastScanAt),
    lastListedAt: row.lastListedAt.toISOString(),
    removedAt: toInstant(row.removedAt),
    outOfScopeAt: toInstant(row.outOfScopeAt),
  }
}

function toDetail(row: HostDetail, now: Date): Omit<HostReport, 'links' | 'twins' | 'events'> {
  return {
    ...toHost(row),
    why: whyOf(row, now),
    doubts: doubtsOf(row),
    assetId: row.assetId,
    ipv6: row.ipv6,
    networkId: row.networkId,
    cloudProvider: row.cloudProvider,
    cloudResourceId: row.cloudResourceId,
    serialNumber: row.serialNumber,
    hardwareUuid: row.hardwareUuid,
    agentStatus: row.agentStatus,
    owner: row.owner,
    lastListedRunId: row.lastListedRunId,
    lastListedScope: row.lastListedScope,
    tags: row.tags,
    findings: row.findings as HostReport['findings'],
    firstFoundAt: toInstant(row.firstFoundAt),
    firstListedAt: row.firstListedAt.toISOString(),
    identitySince: toInstant(row.identitySince),
    lastActivityAt: toInstant(row.lastActivityAt),
    lastVmScannedAt: toInstant(row.lastVmScannedAt),
    lastVmAuthScannedAt: toInstant(row.lastVmAuthScannedAt),
  }
}

function toLink({ placeId, linkedAt, endedAt, ...link }: HostLinkRow): HostReport['links'][number] {
  return { ...link, id: placeId, linkedAt: linkedAt.toISOString(), endedAt: toInstant(endedAt) }
}

function toTwin({ placeId, ...twin }: TwinRow): HostReport['twins'][number] {
  return { ...twin, id: placeId }
}

function toEvent({ at, runId, kind, reason, ...other }: HostEventRow): HostReport['events'][number] {
  const { otherPlaceId, otherHostId } = other
  return { at: at.toISOString(), runId, kind, reason, otherId: otherPlaceId, otherHostId }
}
