import { z } from 'zod'
import type { EngineDeps } from '../engine/deps.ts'
import type { VmSource } from '../engine/vm-source.ts'
import { workBatches } from '../engine/work-batches.ts'
import { systemClock } from '../lib/clock.ts'
import { HubError } from '../model/errors.ts'
import { getIntegration } from '../store/queries/integrations.ts'
import { isWorkWaiting } from '../store/queries/jobs.ts'
import { enqueue, type Job } from './job.ts'

const Payload = z.looseObject({})
type Payload = z.infer<typeof Payload>

/** A process that has its hands full leaves the call to another, or to itself later. */
const ASK_AGAIN_MS = 5_000

/**
 * A helping hand for whatever runs: works on batches until none is left. As long as there is work, each process that is
 * woken wakes the next, so that all of them come.
 */
export const workBatchesJob: Job<Payload> = {
  name: 'work-batches',
  payload: Payload,
  attemptsMax: 1,
  key: () => 'work-batches',
  async run(deps, _payload, signal) {
    const { pool, clock, log } = deps.engine
    if (!(await isWorkWaiting(pool, new Date(clock.nowMs())))) return
    if (deps.busy.count > 0) {
      await enqueue(pool, workBatchesJob, {}, new Date(systemClock.nowMs() + ASK_AGAIN_MS))
      return
    }
    deps.busy.count += 1
    const sources = new Sources(deps.engine)
    try {
      await enqueue(pool, workBatchesJob, {})
      const done = await workBatches(deps.engine, (id) => sources.get(id), { runId: null, signal })
      log.info({ done }, 'Batches were worked on.')
    } catch (error) {
      // Whoever drives the run meets the same failure and says so in the run.
      if (signal.aborted) return
      if (!(error instanceof HubError)) throw error
      log.warn({ error: error.message }, 'Helping with batches ended.')
    } finally {
      deps.busy.count -= 1
      await sources.close()
    }
  },
}

/** The source of each integration that batches are met of, connected once. */
class Sources {
  readonly #engine: EngineDeps
  readonly #sources = new Map<string, Promise<VmSource>>()

  constructor(engine: EngineDeps) {
    this.#engine = engine
  }

  get(integrationId: string): Promise<VmSource> {
    const source = this.#sources.get(integrationId) ?? this.#connect(integrationId)
    this.#sources.set(integrationId, source)
    return source
  }

  async close(): Promise<void> {
    for (const source of await Promise.allSettled(this.#sources.values()))
      if (source.status === 'fulfilled') await source.value.close()
  }

  async #connect(integrationId: string): Promise<VmSource> {
    const integration = await getIntegration(this.#engine.pool, integrationId)
    if (integration === null) throw new HubError('not_found', `There is no integration ${integrationId}.`)
    return this.#engine.connectSource(integration, () => undefined)
  }
}
