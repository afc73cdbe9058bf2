import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { proveToken } from '../lib/secrets.ts'
import { checkHost, checkToken } from './auth.ts'
import type { ApiDeps } from './deps.ts'
import { answerError } from './errors.ts'
import { doctorRoutes } from './routes/doctor.ts'
import { findingRoutes } from './routes/findings.ts'
import { gapRoutes } from './routes/gaps.ts'
import { hostRoutes } from './routes/hosts.ts'
import { integrationRoutes } from './routes/integrations.ts'
import { reportRoutes } from './routes/reports.ts'
import { ruleRoutes } from './routes/rules.ts'
import { runRoutes } from './routes/runs.ts'
import { ticketRoutes } from './routes/tickets.ts'
import { vulnerabilityRoutes } from './routes/vulnerabilities.ts'

/** Nobody has more to say to this API than a configuration. */
const BODY_BYTES_MAX = 1024 * 1024
const NONCE = /^[\w-]{16,128}$/

/** The local API. Every call shows the bearer token, but for `/healthz`, which only proves on demand that it knows it. */
export function createApp(deps: ApiDeps): OpenAPIHono {
  const app = new OpenAPIHono()
  app.onError((error, context) => answerError(context, error, deps.log))
  app.notFound((context) =>
    answerError(context, new HTTPException(404, { message: 'There is no such route.' }), deps.log),
  )
  app.use(checkHost(deps.allowedHosts))
  app.use(async (context, next) => {
    await next()
    context.header('cache-control', 'no-store')
    context.header('x-content-type-options', 'nosniff')
    context.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
  })
  app.get('/healthz', (context) => {
    const nonce = context.req.query('nonce')
    const asksProof = nonce !== undefined && NONCE.test(nonce)
    return context.json({
      service: 'patchbay',
      ...(asksProof && { proof: proveToken(deps.token, nonce) }),
    })
  })
  app.use('/api/*', checkToken(deps.token))
  app.use(
    '/api/*',
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: () => {
        throw new HTTPException(413, { message: `A body has at most ${BODY_BYTES_MAX} bytes.` })
      },
    }),
  )
  for (const routes of [
    integrationRoutes(deps),
    runRoutes(deps),
    gapRoutes(deps),
    findingRoutes(deps),
    hostRoutes(deps),
    vulnerabilityRoutes(deps),
    ticketRoutes(deps),
    ruleRoutes(deps),
    reportRoutes(deps),
    doctorRoutes(deps),
  ])
    app.route('/api/v3', routes)
  return app
}

/** The description of all routes, OpenAPI 3.1. */
export function describeApi(app: OpenAPIHono) {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Patchbay',
      version: '3',
      description:
        'The local API of Patchbay. Every call shows the bearer token from the file api-token in the data folder.',
    },
    servers: [{ url: 'http://127.0.0.1:8088' }],
  })
}
