import { z } from 'zod'
import { RunLost } from '../engine/run-context.ts'
import { sync } from '../engine/sync.ts'
import { isHubError } from '../model/errors.ts'
import { getUnfinishedRun } from '../store/queries/runs.ts'
import { enqueue, type Job } from './job.ts'
import { planTicketsJob } from './plan-tickets.ts'
import { workBatchesJob } from './work-batches.ts'

const Payload = z.strictObject({
  integrationId: z.string(),
  trigger: z.enum(['manual', 'schedule', 'resume']),
  mode: z.enum(['full', 'delta']),
})
type Payload = z.infer<typeof Payload>

/** Runs an integration once, then asks for its tickets to be planned. A second attempt would be a second run. */
export const syncJob: Job<Payload> = {
  name: 'sync',
  payload: Payload,
  attemptsMax: 1,
  key: ({ integrationId }: { integrationId: string }) => `sync:${integrationId}`,
  async run(deps, payload, signal) {
    const { pool, log } = deps.engine
    deps.busy.count += 1
    try {
      // Somebody else may have finished it meanwhile; resuming must not begin a new one.
      const isGone = (await getUnfinishedRun(pool, payload.integrationId)) === null
      if (payload.trigger === 'resume' && isGone) return
      const wakeHelpers = () => enqueue(pool, workBatchesJob, {})
      const run = await sync({ ...deps.engine, wakeHelpers }, payload, signal)
      log.info({ run: run.id, state: run.state }, 'A run has ended.')
      if (run.state !== 'COMPLETE' && run.state !== 'PARTIAL') return
      await enqueue(pool, planTicketsJob, { integrationId: payload.integrationId, runId: run.id })
    } catch (error) {
      // The run stays in the books; whoever resumes runs takes it up when this process is gone.
      if (signal.aborted) log.info({ integration: payload.integrationId }, 'A run was let go of.')
      else if (isHubError(error, 'conflict') || isHubError(error, 'not_found'))
        log.info({ integration: payload.integrationId, reason: error.message }, 'Nothing was synced.')
      else if (error instanceof RunLost)
        log.warn({ integration: payload.integrationId, reason: error.message }, 'A run was let go of.')
      else throw error
    } finally {
      deps.busy.count -= 1
    }
  },
}
