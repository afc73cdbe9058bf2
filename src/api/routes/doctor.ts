import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { migrationStatus } from '../../store/migrate.ts'
import type { ApiDeps } from '../deps.ts'
import { Diagnosis, MigrationState } from '../resources.ts'
import { PROBLEMS, json, newRoutes } from './shared.ts'

const DIAGNOSIS_TIMEOUT_MS = 120_000

const route = createRoute({
  method: 'get',
  path: '/doctor',
  operationId: 'diagnose',
  summary: 'Looks at everything that has to be well, and says what to do about the rest',
  responses: { 200: json(Diagnosis, 'Line by line.'), ...PROBLEMS },
})

const migrationsRoute = createRoute({
  method: 'get',
  path: '/migrations',
  operationId: 'getMigrations',
  summary: 'Which migrations the database has, and which it lacks',
  responses: { 200: json(MigrationState, 'By their names.'), ...PROBLEMS },
})

export function doctorRoutes(deps: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(migrationsRoute, async (context) => {
    const { applied, pending, newer } = await migrationStatus(deps.pool)
    return context.json({ applied: [...applied], pending: [...pending], newer: [...newer] }, 200)
  })
  return app.openapi(route, async (context) => {
    const signal = AbortSignal.any([deps.closing, AbortSignal.timeout(DIAGNOSIS_TIMEOUT_MS)])
    const { lines } = await deps.diagnose(signal)
    return context.json({ lines: [...lines] }, 200)
  })
}
