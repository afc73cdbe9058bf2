import type pg from 'pg'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import type { Estate, EstateOptions } from '../../fakes/qualys/estate/types.ts'
import { type FakeQualys, type FakeQualysOptions, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { EngineDeps, Log } from '../../src/engine/deps.ts'
import { type SyncRequest, sync } from '../../src/engine/sync.ts'
import type { TicketHub } from './tickets.ts'
import { type Clock, ManualClock } from '../../src/lib/clock.ts'
import { QualysConfig } from '../../src/sources/qualys/config.ts'
import { insertIntegration } from '../../src/store/queries/integrations.ts'
import type { RunRow } from '../../src/store/queries/runs.ts'
import { SharedQuota } from '../../src/store/shared-quota.ts'
import { QUALYS_SINGLE_LANES, createQualysSource } from '../../src/wiring/qualys-source.ts'

export const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** An engine on a real database, connected over real HTTP to a fake Qualys; its waits cost no time. */
export interface TestHub {
  deps: EngineDeps
  clock: ManualClock
  fake: FakeQualys
  estate: Estate
  integrationId: string
  /** Where every run that did not fail is followed by its tickets. */
  tickets?: TicketHub
  sync(mode?: SyncRequest['mode']): Promise<RunRow>
}

export interface TestHubOptions {
  pool: pg.Pool
  estate?: EstateOptions
  fake?: Partial<FakeQualysOptions>
  config?: Partial<Record<keyof QualysConfig, unknown>>
  worker?: string
  batchesMax?: number
  log?: Log
  idleTimeoutMs?: number
}

/** Midday of the estate's day 0. */
export const DAY_0_NOON_MS = Date.UTC(2026, 9, 1, 12)

export async function withHub(options: TestHubOptions, use: (hub: TestHub) => Promise<void>): Promise<void> {
  const clock = new ManualClock(DAY_0_NOON_MS, { skipSleeps: true })
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock, ...options.estate })
  const fake = await startFakeQualys({ clock, limits: { rate: 10_000 }, ...options.fake, estate })
  try {
    const integration = await insertIntegration(options.pool, {
      type: 'vaplugin',
      subtype: 'qualys',
      name: 'test',
      config: {},
    })
    const deps = engineDeps(options, { clock, url: fake.url })
    const request = { integrationId: integration.id, trigger: 'manual' as const }
    await use({
      deps,
      clock,
      fake,
      estate,
      integrationId: integration.id,
      sync: (mode = 'delta') => sync(deps, { ...request, mode }, new AbortController().signal),
    })
  } finally {
    await fake.close()
  }
}

export function engineDeps(options: TestHubOptions, world: { clock: Clock; url: string }): EngineDeps {
  const worker = options.worker ?? 'test worker'
  const config = QualysConfig.parse({
    name: 'test',
    url: world.url,
    username: DEFAULT_USER.username,
    password: DEFAULT_USER.password,
    privatePlatform: true,
    allowedCidrs: ['127.0.0.0/8'],
    quotaSharePercent: 100,
    ...options.config,
  })
  return {
    pool: options.pool,
    clock: world.clock,
    log: options.log ?? SILENT,
    worker,
    batchesMax: options.batchesMax ?? 2,
    connectSource: async (integration, onWait) =>
      createQualysSource({
        integrationId: integration.id,
        config,
        clock: world.clock,
        userAgent: 'Patchbay/test',
        onWait,
        ...(options.idleTimeoutMs !== undefined && { idleTimeoutMs: options.idleTimeoutMs }),
        quota: new SharedQuota({
          pool: options.pool,
          clock: world.clock,
          subscription: 'test',
          integrationId: integration.id,
          holder: worker,
          sharePercent: config.quotaSharePercent,
          singleLaneEndpoints: QUALYS_SINGLE_LANES,
        }),
      }),
  }
}
