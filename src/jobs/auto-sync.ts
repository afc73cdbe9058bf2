import { z } from 'zod'
import { isHubError } from '../model/errors.ts'
import { type DueIntegration, listSchedulable } from '../store/queries/jobs.ts'
import type { Job } from './job.ts'
import { isFuture } from './plausible.ts'
import { startSync } from './start-sync.ts'

const Payload = z.looseObject({})
type Payload = z.infer<typeof Payload>

const DAY_MS = 24 * 60 * 60_000
/** A run that failed by itself is tried again after this, not after a day. */
const RETRY_MS = 60 * 60_000

/** Every minute: integrations whose time has come are synced. */
export const autoSyncJob: Job<Payload> = {
  name: 'auto-sync',
  payload: Payload,
  attemptsMax: 1,
  key: () => 'auto-sync',
  async run(deps) {
    const { pool, clock, log } = deps.engine
    for (const integration of await listSchedulable(pool)) {
      if (!isDue(integration, clock.nowMs())) continue
      try {
        const request = { integrationId: integration.id, trigger: 'schedule', mode: 'delta' } as const
        await startSync(pool, clock, request)
        log.info({ integration: integration.id }, 'A scheduled run was asked for.')
      } catch (error) {
        if (!isHubError(error, 'conflict')) throw error
      }
    }
  },
}

/**
 * The first run is due one period after the integration was made, unless a person starts it before. What a wrong clock
 * has written is not known, and so does not keep a run from being due.
 */
export function isDue(integration: Omit<DueIntegration, 'id'>, nowMs: number): boolean {
  const days = integration.frequency
  if (typeof days !== 'number' || !(days > 0)) return false
  const since = integration.lastGoodAt ?? integration.createdAt
  if (!isFuture(since, nowMs) && nowMs - since.getTime() < days * DAY_MS) return false
  const { lastAt } = integration
  return lastAt === null || isFuture(lastAt, nowMs) || nowMs - lastAt.getTime() >= RETRY_MS
}
