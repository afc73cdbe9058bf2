import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { startSync } from '../../jobs/start-sync.ts'
import { systemClock } from '../../lib/clock.ts'
import { HubError } from '../../model/errors.ts'
import { pageIntegrations, setIntegrationEnabled } from '../../store/queries/integration-admin.ts'
import { type IntegrationRow, getIntegration } from '../../store/queries/integrations.ts'
import { getLastRuns, getRunIdAfter } from '../../store/queries/run-report.ts'
import { getRun } from '../../store/queries/runs.ts'
import type { ApiDeps } from '../deps.ts'
import type { IntegrationType, TestReport } from '../integration-type.ts'
import {
  Integration,
  IntegrationPage,
  Refused,
  Saved,
  Success,
  SyncStarted,
  TestFailed,
  Tested,
} from '../resources.ts'
import { requireType, saveIntegration, withStored } from '../save-integration.ts'
import { toRun } from './runs.ts'
import { json, newRoutes } from './shared.ts'

const PAGE_LENGTH_MAX = 1_000
const TEST_TIMEOUT_MS = 120_000
/** How long the answer to a sync waits for the run to appear in the books. */
const RUN_WAIT_MS_MAX = 5_000
const RUN_POLL_MS = 50

const Id = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const Config = z.record(z.string(), z.unknown())
const Kind = z.object({ type: z.string().max(50), subtype: z.string().max(50) })

export const SaveRequest = Kind.extend({ id: Id.optional(), config: Config })

const REFUSALS = {
  400: json(Refused, 'Refused as it is.'),
  404: json(Refused, 'There is no such integration.'),
  409: json(Refused, 'Not possible now.'),
} as const

const testRoute = createRoute({
  method: 'post',
  path: '/integrations/test',
  operationId: 'testConfiguration',
  summary: 'Try a configuration before it is saved; with an id, together with the secrets that it would keep',
  request: {
    body: { content: { 'application/json': { schema: SaveRequest } }, required: true },
  },
  responses: {
    200: json(Tested, 'It works.'),
    ...REFUSALS,
    400: json(z.union([TestFailed, Refused]), 'It does not; the hints say what to look at.'),
  },
})

const saveRoute = createRoute({
  method: 'post',
  path: '/integrations',
  operationId: 'saveIntegration',
  summary: 'Create an integration, or change one by giving its id',
  request: { body: { content: { 'application/json': { schema: SaveRequest } }, required: true } },
  responses: { 200: json(Saved, 'Saved.'), ...REFUSALS },
})

const listRoute = createRoute({
  method: 'get',
  path: '/integrations',
  operationId: 'listIntegrations',
  summary: 'All integrations, in numbered pages',
  request: {
    query: z.object({
      page: z.coerce.number().int().min(1).max(1_000_000).default(1),
      pagelen: z.coerce.number().int().min(1).max(PAGE_LENGTH_MAX).default(100),
      id: Id.optional(),
      type: z.string().max(50).optional(),
      subtype: z.string().max(50).optional(),
    }),
  },
  responses: { 200: json(IntegrationPage, 'A page.'), ...REFUSALS },
})

const detailsRoute = createRoute({
  method: 'get',
  path: '/integrations/details',
  operationId: 'describeIntegrationTypes',
  summary: 'What can be done with which type of integration',
  request: { query: Kind.partial() },
  responses: {
    200: json(
      z.array(Kind.extend({ actions: z.array(z.object({ name: z.string(), description: z.string() })) })),
      'The types.',
    ),
  },
})

const getRoute = createRoute({
  method: 'get',
  path: '/integrations/{id}',
  operationId: 'getIntegration',
  summary: 'An integration, without what is sealed',
  request: { params: z.object({ id: Id }) },
  responses: { 200: json(Integration, 'The integration.'), ...REFUSALS },
})

const actRoute = createRoute({
  method: 'post',
  path: '/integrations/{id}',
  operationId: 'actOnIntegration',
  summary: 'Sync, test, enable or disable an integration',
  request: {
    params: z.object({ id: Id }),
    query: z.object({
      action: z.string().max(50),
      force: z.enum(['true', 'false']).default('false').openapi({
        description: 'Sync although the last good run is less than 24 hours old.',
      }),
      mode: z.enum(['delta', 'full']).default('delta'),
    }),
  },
  responses: {
    200: json(z.union([Tested, Success]), 'Done.'),
    202: json(SyncStarted, 'The run has begun.'),
    ...REFUSALS,
    400: json(z.union([TestFailed, Refused]), 'Refused, or the test failed.'),
  },
})

export function integrationRoutes(deps: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(testRoute, async (context) => {
    const { id, config, ...kind } = context.req.valid('json')
    const type = requireType(deps, kind)
    const stored = id === undefined ? null : await requireIntegration(deps, id)
    const given = stored === null ? config : await withStored(deps, deps.pool, { type, stored, config })
    const { sensitiveFields: _, ...entered } = given
    const report = await test(deps, type, { name: 'test', ...entered })
    return report.ok ? context.json(tested(report), 200) : context.json(testFailed(type, report), 400)
  })
  app.openapi(saveRoute, async (context) => {
    const id = await saveIntegration(deps, context.req.valid('json'))
    const message = 'Integration configuration saved successfully.'
    return context.json({ success: true as const, message, data: { id: Number(id) } }, 200)
  })
  app.openapi(detailsRoute, (context) => {
    const { type, subtype } = context.req.valid('query')
    const types = deps.integrationTypes.filter(
      (known) => (type ?? known.type) === known.type && (subtype ?? known.subtype) === known.subtype,
    )
    return context.json(
      types.map((known) => ({ type: known.type, subtype: known.subtype, actions: [...known.actions] })),
      200,
    )
  })
  app.openapi(listRoute, async (context) => {
    const query = context.req.valid('query')
    return context.json(await listPage(deps, query), 200)
  })
  app.openapi(getRoute, async (context) => {
    const row = await requireIntegration(deps, context.req.valid('param').id)
    return context.json(await toIntegration(deps, row), 200)
  })
  app.openapi(actRoute, async (context) => {
    const row = await requireIntegration(deps, context.req.valid('param').id)
    const { action, force, mode } = context.req.valid('query')
    switch (action) {
      case 'sync':
        return context.json(await startAndFind(deps, row, { force: force === 'true', mode }), 202)
      case 'test': {
        const type = requireType(deps, row)
        const secrets = await deps.vault.openAll(deps.pool, row.id)
        const { sensitiveFields: _, ...stored } = row.config
        const report = await test(deps, type, { ...stored, ...secrets })
        return report.ok ? context.json(tested(report), 200) : context.json(testFailed(type, report), 400)
      }
      case 'enable':
      case 'disable': {
        await setIntegrationEnabled(deps.pool, row.id, action === 'enable')
        const message = `The integration is ${action}d.`
        return context.json({ success: true as const, message }, 200)
      }
      default: {
        const known = requireType(deps, row).actions.map(({ name }) => name)
        throw new HubError('config', `There is no action "${action}".`, {
          hint: `Known are ${known.join(', ')}.`,
        })
      }
    }
  })
  return app
}

async function test(
  deps: ApiDeps,
  type: IntegrationType,
  config: Record<string, unknown>,
): Promise<TestReport> {
  const signal = AbortSignal.any([deps.closing, AbortSignal.timeout(TEST_TIMEOUT_MS)])
  return type.test(type.validate(config), signal)
}

function tested({ checks }: TestReport): Tested {
  return { success: true, message: 'Test connection success', checks: [...checks] }
}

/** What the check itself says to do comes before what is always worth a look. */
function testFailed(type: IntegrationType, { checks }: TestReport): TestFailed {
  const failed = checks.filter((check) => !check.ok)
  const own = failed.flatMap((check) => (check.hint === null ? [] : [check.hint]))
  return {
    success: false,
    message: failed[0]?.message ?? 'The connection test failed.',
    hints: [...new Set([...own, ...type.hints])],
    checks: [...checks],
  }
}

async function requireIntegration(deps: ApiDeps, id: number): Promise<IntegrationRow> {
  const row = await getIntegration(deps.pool, String(id))
  if (row === null) throw new HubError('not_found', `There is no integration ${id}.`)
  return row
}

async function toIntegration(deps: ApiDeps, row: IntegrationRow): Promise<Integration> {
  const { newest } = await getLastRuns(deps.pool, row.id)
  return {
    id: Number(row.id),
    type: row.type,
    subtype: row.subtype,
    config: { ...row.config, name: row.name },
    state: toState(row, newest),
    isEnabled: row.isEnabled,
  }
}

const STATUS_BY_RUN: Readonly<Record<string, number>> = { COMPLETE: 0, RUNNING: 1, PARTIAL: 2 }
const FAILED = 3

function toState(
  row: IntegrationRow,
  newest: Awaited<ReturnType<typeof getLastRuns>>['newest'],
): Integration['state'] {
  const isNeedy = row.status === 'NEEDS_ATTENTION'
  if (newest === null && row.status === 'NEW') return null
  const status = isNeedy ? FAILED : newest === null ? 0 : (STATUS_BY_RUN[newest.state] ?? FAILED)
  const message = (isNeedy ? row.statusMessage : newest?.message) ?? (status === 0 ? 'Success' : 'Running')
  const lastScanTime = (newest?.finishedAt ?? newest?.startedAt)?.toISOString() ?? null
  // Assets are not imported yet, so none is ever new.
  return { status, message, newAssets: 0, lastScanTime }
}

async function listPage(
  deps: ApiDeps,
  query: {
    page: number
    pagelen: number
    id?: number | undefined
    type?: string | undefined
    subtype?: string | undefined
  },
): Promise<IntegrationPage> {
  const { page, pagelen, id, type, subtype } = query
  const filter = { id: id === undefined ? undefined : String(id), type, subtype }
  const { ids, size } = await pageIntegrations(deps.pool, filter, {
    skip: (page - 1) * pagelen,
    limit: pagelen,
  })
  const values: Integration[] = []
  for (const one of ids) values.push(await toIntegration(deps, await requireIntegration(deps, Number(one))))
  const urlOf = (number: number) => {
    const search = new URLSearchParams({ page: String(number), pagelen: String(pagelen) })
    for (const [name, value] of Object.entries(filter)) if (value !== undefined) search.set(name, value)
    return `/api/v3/integrations?${search.toString()}`
  }
  return {
    page,
    pagelen,
    previous: page > 1 ? urlOf(page - 1) : null,
    next: page * pagelen < size ? urlOf(page + 1) : null,
    size,
    values,
  }
}

/** The run is begun by a worker, which is usually there within milliseconds; the answer waits a little for it. */
async function startAndFind(
  deps: ApiDeps,
  row: IntegrationRow,
  options: { force: boolean; mode: 'delta' | 'full' },
): Promise<SyncStarted> {
  const request = { integrationId: row.id, trigger: 'manual', ...options } as const
  const started = await startSync(deps.pool, deps.clock, request)
  const deadlineMs = systemClock.nowMs() + RUN_WAIT_MS_MAX
  let runId = started.resumedRunId
  while (runId === null && systemClock.nowMs() < deadlineMs && !deps.closing.aborted) {
    await systemClock.sleep(RUN_POLL_MS)
    runId = await getRunIdAfter(deps.pool, { integrationId: row.id, afterId: started.newestRunId })
  }
  const run = runId === null ? null : await getRun(deps.pool, runId)
  const message = run === null ? 'The sync waits for a worker.' : 'The sync has started.'
  return { success: true, message, data: { run: run === null ? null : toRun(run) } }
}
