import { z } from 'zod'
import { listAbandoned, listDueTargets } from '../store/queries/jobs.ts'
import { listUnplannedRuns } from '../store/queries/runs.ts'
import { enqueue, type Job } from './job.ts'
import { planTicketsJob } from './plan-tickets.ts'
import { pushTicketsJob } from './push-tickets.ts'
import { syncJob } from './sync.ts'
import { workBatchesJob } from './work-batches.ts'

const Payload = z.looseObject({})
type Payload = z.infer<typeof Payload>

/** Every minute: what a process that died has left is taken up, runs and changes to tickets alike. */
export const resumeRunsJob: Job<Payload> = {
  name: 'resume-runs',
  payload: Payload,
  attemptsMax: 1,
  key: () => 'resume-runs',
  async run(deps) {
    const { pool, clock } = deps.engine
    for (const integrationId of await listAbandoned(pool))
      await enqueue(pool, syncJob, { integrationId, trigger: 'resume', mode: 'delta' })
    for (const { integrationId, runId } of await listUnplannedRuns(pool))
      await enqueue(pool, planTicketsJob, { integrationId, runId })
    for (const integrationId of await listDueTargets(pool, new Date(clock.nowMs())))
      await enqueue(pool, pushTicketsJob, { integrationId })
    await enqueue(pool, workBatchesJob, {})
  },
}
