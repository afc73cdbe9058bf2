import { randomUUID } from 'node:crypto'
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import { systemClock } from '../../lib/clock.ts'
import { HubError } from '../../model/errors.ts'
import { listBatches } from '../../store/queries/batches.ts'
import { countTransitions } from '../../store/queries/events.ts'
import { getIntegration } from '../../store/queries/integrations.ts'
import {
  countGapsOfRun,
  countQuarantined,
  countTicketOpsOfRun,
  groupBatchTroubles,
  groupGapsOfRun,
  groupQuarantineOfRun,
} from '../../store/queries/run-report.ts'
import { listRunCalls, listRunWaits } from '../../store/queries/run-waits.ts'
import { type RunRow, countOwedHosts, getRun, listRuns, sumLedger } from '../../store/queries/runs.ts'
import type { ApiDeps } from '../deps.ts'
import { databaseFailure } from '../errors.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Run } from '../resources.ts'
import { Batch, type Ledger, type RunProgress, RunReport } from '../run-resources.ts'
import { readTicketProgress } from '../ticket-progress.ts'
import { PROBLEMS, json, newRoutes, notFound, toInstant } from './shared.ts'

const Params = z.object({ id: Id })
const MODULES = ['qualys.hosts', 'qualys.detections'] as const

const EVENT_INTERVAL_MS = 250
/** Proxies close what is silent; a stream that nobody ends is ended. */
const EVENTS_MAX = 7 * 24 * 60 * 60 * 4
/** After the end of a run, so many quiet looks in a row mean that its tickets are through. */
const QUIET_LOOKS = 3

const listRoute = createRoute({
  method: 'get',
  path: '/runs',
  operationId: 'listRuns',
  summary: 'Runs, newest first',
  request: { query: PageQuery.extend({ integrationId: Id.optional() }) },
  responses: { 200: json(pageOf(Run), 'A page of runs.'), ...PROBLEMS },
})

const getRoute = createRoute({
  method: 'get',
  path: '/runs/{id}',
  operationId: 'getRun',
  summary: 'A run with its ledger: what was expected, what came, what is owed',
  request: { params: Params },
  responses: { 200: json(RunReport, 'The run.'), ...PROBLEMS },
})

const batchesRoute = createRoute({
  method: 'get',
  path: '/runs/{id}/batches',
  operationId: 'listBatches',
  summary: 'The batches of a run, in order',
  request: { params: Params, query: PageQuery },
  responses: { 200: json(pageOf(Batch), 'A page of batches.'), ...PROBLEMS },
})

const eventsRoute = createRoute({
  method: 'get',
  path: '/runs/{id}/events',
  operationId: 'watchRun',
  summary:
    'Progress as server-sent events: `progress` now and then, `end` when the run and its tickets are through, `error` when it cannot be told any more',
  request: { params: Params },
  responses: { 200: { description: 'text/event-stream' }, ...PROBLEMS },
})

export function runRoutes(deps: ApiDeps): OpenAPIHono {
  const { pool } = deps
  const app = newRoutes()
  app.openapi(listRoute, async (context) => {
    const { limit, after, integrationId } = context.req.valid('query')
    const rows = await listRuns(pool, { integrationId, beforeId: after, limit: limit + 1 })
    return context.json(toPage(rows, limit, { item: toRun, cursor: (row) => row.id }), 200)
  })
  app.openapi(getRoute, async (context) => {
    const run = await requireRun(deps, context.req.valid('param').id)
    return context.json(await toReport(deps, run), 200)
  })
  app.openapi(batchesRoute, async (context) => {
    const { id } = context.req.valid('param')
    const { limit, after } = context.req.valid('query')
    await requireRun(deps, id)
    const rows = await listBatches(pool, { runId: id, afterId: after, limit: limit + 1 })
    return context.json(toPage(rows, limit, { item: toBatch, cursor: (row) => row.id }), 200)
  })
  app.openapi(eventsRoute, async (context) => {
    const run = await requireRun(deps, context.req.valid('param').id)
    return streamSSE(
      context,
      (stream) => tellFailure(deps, run.id, stream),
      // Only what is no failure of ours comes here; without this it would go past the log to standard error.
      (error) => Promise.resolve(deps.log.error({ run: run.id, error }, 'An event stream broke.')),
    )
  })
  return app
}

export function toRun(row: RunRow): Run {
  const { id, integrationId, trigger, mode, modeReason, state, phase, message, warnings, scopeDrift } = row
  return {
    id,
    integrationId,
    trigger,
    mode,
    modeReason,
    state,
    phase,
    message,
    warnings,
    scopeDrift,
    visibleHosts: row.visibleHosts,
    expectedHosts: row.expectedHosts,
    watermarkFrom: toInstant(row.watermarkFrom),
    watermarkTo: toInstant(row.watermarkTo),
    waitingUntil: toInstant(row.waitingUntil),
    waitingReason: row.waitingReason,
    startedAt: row.startedAt.toISOString(),
    finishedAt: toInstant(row.finishedAt),
  }
}

async function requireRun(deps: ApiDeps, id: string): Promise<RunRow> {
  const run = await getRun(deps.pool, id)
  if (run === null) throw notFound(`run ${id}`)
  return run
}

async function readLedger(deps: ApiDeps, runId: string): Promise<Ledger[]> {
  return Promise.all(
    MODULES.map(async (module) => {
      const { durationMsMax: _, ...sums } = await sumLedger(deps.pool, runId, module)
      return { module, ...sums }
    }),
  )
}

async function toReport(deps: ApiDeps, run: RunRow): Promise<RunReport> {
  const { pool } = deps
  const ops = await countTicketOpsOfRun(pool, run.id)
  return {
    run: toRun(run),
    ledger: await readLedger(deps, run.id),
    owedHosts: await countOwedHosts(pool, run.id),
    transitions: await countTransitions(pool, run.id),
    gaps: await countGapsOfRun(pool, run.id),
    owed: (await groupGapsOfRun(pool, run.id)).map((group) => ({
      ...group,
      since: group.since.toISOString(),
      nextTryAt: toInstant(group.nextTryAt),
    })),
    quarantined: await countQuarantined(pool, run.id),
    quarantine: await groupQuarantineOfRun(pool, run.id),
    troubles: (await groupBatchTroubles(pool, run.id)).map((group) => ({
      ...group,
      nextAt: toInstant(group.nextAt),
    })),
    waits: (await listRunWaits(pool, { runId: run.id, now: new Date(deps.clock.nowMs()) })).map((wait) => ({
      ...wait,
      firstAt: wait.firstAt.toISOString(),
      untilAt: wait.untilAt.toISOString(),
    })),
    calls: (await listRunCalls(pool, run.id)).map((row) => ({
      ...row,
      reportedAt: toInstant(row.reportedAt),
    })),
    tickets: ops.map((row) => ({ ...row, nextAt: toInstant(row.nextAt) })),
  }
}

function toBatch(row: Awaited<ReturnType<typeof listBatches>>[number]): Batch {
  const { id, module, purpose, state, hosts, attempt, failures, receivedHosts, receivedRecords } = row
  return {
    id,
    module,
    purpose,
    state,
    hosts,
    attempt,
    failures,
    receivedHosts,
    receivedRecords,
    firstHostId: row.firstHostId,
    lastHostId: row.lastHostId,
    bytes: row.bytes,
    durationMs: row.durationMs,
    notBefore: toInstant(row.notBefore),
    error: row.error,
    finishedAt: toInstant(row.finishedAt),
  }
}

/** Its head has been sent, so a failure becomes an event: `error`, with a sentence that tells nothing of our inside. */
async function tellFailure(deps: ApiDeps, runId: string, stream: SSEStreamingApi): Promise<void> {
  try {
    await watch(deps, runId, stream)
  } catch (error) {
    const requestId = randomUUID()
    deps.log.error({ requestId, run: runId, error }, 'An event stream failed.')
    const known = error instanceof HubError ? error : databaseFailure(error)
    const message = known?.message ?? `Patchbay failed (a bug). The log tells more under ${requestId}.`
    const data = { kind: known?.kind ?? 'bug', message, hint: known?.hint ?? null, requestId }
    await stream.writeSSE({ event: 'error', data: JSON.stringify(data) })
  }
}

/** Looks again and again, since what a run does is in the database and may happen on another machine. */
async function watch(deps: ApiDeps, runId: string, stream: SSEStreamingApi): Promise<void> {
  const given = new AbortController()
  stream.onAbort(() => given.abort())
  const signal = AbortSignal.any([given.signal, deps.closing])
  let quiet = 0
  for (let looks = 0; looks < EVENTS_MAX && !signal.aborted; looks += 1) {
    const progress = await readProgress(deps, runId)
    const isOver =
      progress.run.state !== 'RUNNING' && !progress.tickets.planning && progress.tickets.waiting === 0
    quiet = isOver ? quiet + 1 : 0
    const isEnd = quiet >= QUIET_LOOKS || (isOver && progress.run.state === 'FAILED')
    await stream.writeSSE({ event: isEnd ? 'end' : 'progress', data: JSON.stringify(progress) })
    if (isEnd) return
    await systemClock.sleep(EVENT_INTERVAL_MS, signal).catch(() => undefined)
  }
}

async function readProgress(deps: ApiDeps, runId: string): Promise<RunProgress> {
  const run = await requireRun(deps, runId)
  const ledger = await readLedger(deps, runId)
  if (run.state === 'RUNNING') {
    const tickets = { planning: false, done: 0, waiting: 0, later: 0, nextAt: null }
    return { run: toRun(run), ledger, needsPerson: false, tickets }
  }
  return {
    run: toRun(run),
    ledger,
    needsPerson: (await getIntegration(deps.pool, run.integrationId))?.status === 'NEEDS_ATTENTION',
    tickets: await readTicketProgress(deps, { integrationId: run.integrationId, runId }),
  }
}
