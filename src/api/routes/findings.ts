import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type ToldHistory, tellEpisodes } from '../../engine/history/episodes.ts'
import { FINDING_STATES, type FindingState } from '../../model/finding.ts'
import { listKeptEpisodes } from '../../store/queries/episodes.ts'
import {
  COUNT_EXACT_MAX,
  type EventRow,
  type FindingDetail,
  type FindingRow,
  countFindings,
  getFinding,
  listEventsOf,
  listFindings,
  listTicketsOf,
} from '../../store/queries/finding-list.ts'
import type { ApiDeps } from '../deps.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Finding, FindingReport } from '../resources.ts'
import { PROBLEMS, json, newRoutes, notFound, toInstant } from './shared.ts'

const EVENTS_SHOWN_MAX = 200
const EPISODES_SHOWN_MAX = 100

/** A finding is found by its place and its number in one step, so both are its id. */
const FindingId = z
  .string()
  .regex(/^[1-9]\d{0,17}-\d{1,18}$/, 'is not the id of a finding')
  .openapi({ example: '12-340001' })

const listRoute = createRoute({
  method: 'get',
  path: '/findings',
  operationId: 'listFindings',
  summary: 'Findings, by place',
  request: {
    query: PageQuery.extend({
      after: FindingId.optional(),
      integrationId: Id.optional(),
      state: z.enum(FINDING_STATES).optional(),
      severity: z.coerce
        .number()
        .int()
        .min(1)
        .max(5)
        .optional()
        .openapi({ description: 'This severity or worse.' }),
      qid: z
        .string()
        .regex(/^\d{1,18}$/, 'is not a QID')
        .optional(),
      host: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .openapi({ description: 'A host id, an IP address or a name.' }),
    }),
  },
  responses: {
    200: json(
      pageOf(Finding).extend({ total: z.object({ count: z.number(), isExact: z.boolean() }) }),
      'A page of findings, and how many there are in all.',
    ),
    ...PROBLEMS,
  },
})

const getRoute = createRoute({
  method: 'get',
  path: '/findings/{id}',
  operationId: 'getFinding',
  summary: 'A finding with its history, its evidence and its tickets',
  request: { params: z.object({ id: FindingId }) },
  responses: { 200: json(FindingReport, 'The finding.'), ...PROBLEMS },
})

export function findingRoutes({ pool, clock }: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(listRoute, async (context) => {
    const { limit, after, severity, ...rest } = context.req.valid('query')
    const filter = { ...rest, severityMin: severity }
    const rows = await listFindings(pool, filter, {
      after: after === undefined ? null : toKey(after),
      limit: limit + 1,
    })
    const count = await countFindings(pool, filter)
    const total = { count: Math.min(count, COUNT_EXACT_MAX), isExact: count <= COUNT_EXACT_MAX }
    return context.json({ ...toPage(rows, limit, { item: toFinding, cursor: toId }), total }, 200)
  })
  app.openapi(getRoute, async (context) => {
    const { id } = context.req.valid('param')
    const key = toKey(id)
    const row = await getFinding(pool, key)
    if (row === null) throw notFound(`finding ${id}`)
    const events = await listEventsOf(pool, key, EVENTS_SHOWN_MAX)
    const tickets = await listTicketsOf(pool, key)
    const kept = await listKeptEpisodes(pool, key, EPISODES_SHOWN_MAX)
    const life = { ...row, state: row.state as FindingState }
    const history = toHistory(tellEpisodes(life, kept, clock.nowMs()), events)
    return context.json({ ...toDetail(row), ...history, events: events.map(toEvent), tickets }, 200)
  })
  return app
}

function toKey(id: string): { placeId: string; id: string } {
  const [placeId = '0', number = '0'] = id.split('-')
  return { placeId, id: number }
}

function toId(row: FindingRow): string {
  return `${row.placeId}-${row.id}`
}

function toFinding(row: FindingRow): Finding {
  const { integrationId, kind, qid, title, type, severity, qds, sourceStatus } = row
  return {
    id: toId(row),
    integrationId,
    kind,
    qid,
    title,
    type,
    severity,
    qds,
    sourceStatus,
    state: row.state as Finding['state'],
    hostId: row.hostId,
    hostName: row.hostName,
    ip: row.ip,
    port: row.port,
    protocol: row.protocol,
    ssl: row.ssl,
    instance: row.instance,
    firstFoundAt: toInstant(row.firstFoundAt),
    openedAt: toInstant(row.openedAt),
    fixedAt: toInstant(row.fixedAt),
    timesReopened: row.timesReopened,
    lastFoundAt: toInstant(row.lastFoundAt),
  }
}

type ReportedHistory = Pick<FindingReport, 'episodes' | 'unseenEpisodes' | 'omittedEpisodes' | 'flapping'>

/** Which run saw the end of an episode is told by its event, as long as that is kept. */
function toHistory(told: ToldHistory, events: readonly EventRow[]): ReportedHistory {
  const episodes = told.episodes.map(({ startAt, openedAt, fixedAt, durationMs, ...rest }) => {
    const isEnd = ({ newState, happenedAt }: EventRow) =>
      newState === 'fixed' && happenedAt?.getTime() === fixedAt?.getTime()
    const event = rest.end === null || fixedAt === null ? undefined : events.find(isEnd)
    return {
      ...rest,
      startAt: toInstant(startAt),
      openedAt: toInstant(openedAt),
      fixedAt: toInstant(fixedAt),
      durationSeconds: durationMs === null ? null : Math.round(durationMs / 1000),
      endRunId: event?.runId ?? null,
      endSeenAt: toInstant(event?.seenAt ?? null),
    }
  })
  const { unseenEpisodes, omittedEpisodes, flapping } = told
  return { episodes, unseenEpisodes, omittedEpisodes, flapping }
}

function toDetail(row: FindingDetail): Omit<FindingReport, 'events' | 'tickets' | keyof ReportedHistory> {
  const { sourceKey, ignored, disabled, service, timesFound, firstRunId, changedRunId, lastRunId, evidence } =
    row
  return {
    ...toFinding(row),
    sourceKey,
    ignored,
    disabled,
    service,
    timesFound,
    firstRunId,
    changedRunId,
    lastRunId,
    evidence,
    sourceFirstFoundAt: toInstant(row.sourceFirstFoundAt),
    missingSince: toInstant(row.missingSince),
    lastTestAt: toInstant(row.lastTestAt),
    notTestedSince: toInstant(row.notTestedSince),
    lastProcessedAt: toInstant(row.lastProcessedAt),
  }
}

function toEvent(row: Awaited<ReturnType<typeof listEventsOf>>[number]): FindingReport['events'][number] {
  const { runId, oldState, newState, oldSourceStatus, newSourceStatus, reason } = row
  return {
    runId,
    oldState,
    newState,
    oldSourceStatus,
    newSourceStatus,
    reason,
    seenAt: row.seenAt.toISOString(),
    happenedAt: toInstant(row.happenedAt),
  }
}
