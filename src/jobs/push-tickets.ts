import { z } from 'zod'
import { pushTickets } from '../engine/push.ts'
import { systemClock } from '../lib/clock.ts'
import { HubError } from '../model/errors.ts'
import { getIntegration, setIntegrationStatus } from '../store/queries/integrations.ts'
import { summariseOutbox } from '../store/queries/outbox.ts'
import { enqueue, type Job, type JobDeps } from './job.ts'

const Payload = z.strictObject({ integrationId: z.string() })
type Payload = z.infer<typeof Payload>

/** Sends what waits for one ticket system, and comes again when something had to be put off. */
export const pushTicketsJob: Job<Payload> = {
  name: 'push-tickets',
  payload: Payload,
  attemptsMax: 1,
  key: ({ integrationId }) => `push:${integrationId}`,
  async run(deps, payload, signal) {
    const { pool, clock, log, worker } = deps.engine
    const integration = await getIntegration(pool, payload.integrationId)
    if (integration === null || !integration.isEnabled) return
    try {
      const target = await deps.connectTarget(integration.id)
      const counts = await pushTickets({ pool, clock, log, worker, ...target }, signal)
      log.info({ integration: integration.id, ...counts }, 'Changes to tickets were sent.')
      if (integration.status === 'NEW')
        await setIntegrationStatus(pool, integration.id, { status: 'OK', message: null })
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof HubError)) throw error
      const message = error.hint === undefined ? error.message : `${error.message} ${error.hint}`
      await setIntegrationStatus(pool, integration.id, { status: 'NEEDS_ATTENTION', message })
      return
    }
    await comeAgain(deps, payload)
  },
}

async function comeAgain(deps: JobDeps, payload: Payload): Promise<void> {
  const { pool, clock } = deps.engine
  const { waiting, nextAt } = await summariseOutbox(pool, payload.integrationId)
  if (waiting === 0 || nextAt === null) return
  // The queue runs on the database's clock, which may not be ours.
  const delayMs = Math.max(0, nextAt.getTime() - clock.nowMs())
  await enqueue(pool, pushTicketsJob, payload, new Date(systemClock.nowMs() + delayMs))
}
