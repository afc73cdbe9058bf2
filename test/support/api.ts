import { randomBytes, randomUUID } from 'node:crypto'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type pg from 'pg'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import type { Estate, EstateOptions } from '../../fakes/qualys/estate/types.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { createApp } from '../../src/api/app.ts'
import type { ApiDeps } from '../../src/api/deps.ts'
import type { EngineDeps } from '../../src/engine/deps.ts'
import type { JobDeps } from '../../src/jobs/job.ts'
import { startWorker } from '../../src/jobs/start-worker.ts'
import { ManualClock, systemClock } from '../../src/lib/clock.ts'
import { parseKeyRing } from '../../src/lib/secrets.ts'
import { integrationTypes } from '../../src/wiring/integration-types.ts'
import { KnownSecrets } from '../../src/wiring/log.ts'
import { Outside } from '../../src/wiring/outside.ts'
import { createVault } from '../../src/wiring/vault.ts'
import { DAY_0_NOON_MS, SILENT } from './hub.ts'

export interface TestApi {
  app: OpenAPIHono
  deps: ApiDeps
  engine: EngineDeps
  clock: ManualClock
  estate: Estate
  fake: FakeQualys
  outside: Outside
  /** A call as a client makes it; the answer's body as JSON. */
  call: <Body = Record<string, unknown>>(
    path: string,
    init?: { method?: string; body?: unknown; headers?: Record<string, string> },
  ) => Promise<{ status: number; body: Body; headers: Headers }>
  /** A configuration that fits the fake. */
  qualysConfig: (changes?: Record<string, unknown>) => Record<string, unknown>
}

export const API_TOKEN = 'token-of-the-test'

/** The whole API on a real database, a worker behind it, and a fake Qualys before it. */
export async function withApi(
  options: { pool: pg.Pool; estate?: EstateOptions; withWorker?: boolean },
  use: (api: TestApi) => Promise<void>,
): Promise<void> {
  const { pool } = options
  const clock = new ManualClock(DAY_0_NOON_MS, { skipSleeps: true })
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock, hosts: 20, ...options.estate })
  const fake = await startFakeQualys({ clock, limits: { rate: 10_000 }, estate })
  const keyRing = parseKeyRing(randomBytes(32).toString('base64'), 'the key of the test')
  const vault = createVault(keyRing, new KnownSecrets())
  const worker = 'test worker'
  const outside = new Outside({ pool, clock, vault, worker, allowedCidrs: ['127.0.0.0/8'] })
  const engine: EngineDeps = {
    pool,
    clock,
    log: SILENT,
    worker,
    batchesMax: 2,
    connectSource: (integration, onWait) => outside.connectSource(integration, onWait),
  }
  const jobs: JobDeps = {
    engine,
    connectTarget: (id) => outside.connectTarget(id),
    busy: { count: 0 },
    eventMonthsKept: 25,
  }
  const closing = new AbortController()
  const deps: ApiDeps = {
    pool,
    clock,
    log: SILENT,
    token: API_TOKEN,
    instance: randomUUID(),
    allowedHosts: ['patchbay.example.com'],
    integrationTypes: integrationTypes(outside),
    vault,
    diagnose: async () => ({ lines: [] }),
    closing: closing.signal,
  }
  const app = createApp(deps)
  const running =
    options.withWorker === true
      ? await startWorker({ deps: jobs, signal: closing.signal, withCron: false })
      : null
  try {
    await use({
      app,
      deps,
      engine,
      clock,
      estate,
      fake,
      outside,
      call: caller(app),
      qualysConfig: configFor(fake),
    })
  } finally {
    closing.abort(new Error('The test is over.'))
    await running?.stop()
    await outside.close()
    await fake.close()
    await untilIdle(pool)
  }
}

const IDLE_LOOKS_MAX = 500

/** The queue gives its listening connection back a moment after it has stopped. */
async function untilIdle(pool: pg.Pool): Promise<void> {
  for (let looks = 0; looks < IDLE_LOOKS_MAX && pool.totalCount > pool.idleCount; looks += 1)
    await systemClock.sleep(10)
}

function caller(app: OpenAPIHono): TestApi['call'] {
  return async <Body>(
    path: string,
    init: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
  ) => {
    const answer = await app.request(`/api/v3${path}`, {
      method: init.method ?? (init.body === undefined ? 'GET' : 'POST'),
      headers: {
        host: '127.0.0.1:8088',
        authorization: `Bearer ${API_TOKEN}`,
        ...(init.body !== undefined && { 'content-type': 'application/json' }),
        ...init.headers,
      },
      ...(init.body !== undefined && { body: JSON.stringify(init.body) }),
    })
    return { status: answer.status, body: (await answer.json()) as Body, headers: answer.headers }
  }
}

function configFor(fake: FakeQualys): TestApi['qualysConfig'] {
  return (changes = {}) => ({
    name: 'estate',
    url: fake.url,
    username: DEFAULT_USER.username,
    password: DEFAULT_USER.password,
    privatePlatform: true,
    ...changes,
  })
}
