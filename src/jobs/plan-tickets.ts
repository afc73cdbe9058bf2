import { z } from 'zod'
import { planAllRules } from '../engine/tickets/plan.ts'
import { systemClock } from '../lib/clock.ts'
import { listEnabledRulesOf } from '../store/queries/rules.ts'
import { markTicketsPlanned } from '../store/queries/runs.ts'
import { enqueue, type Job } from './job.ts'
import { pushTicketsJob } from './push-tickets.ts'

/** What could not be decided about, because it was being sent, is decided about after this. */
const DECIDE_AGAIN_MS = 2 * 60_000

const Payload = z.strictObject({ integrationId: z.string(), runId: z.string().nullable() })
type Payload = z.infer<typeof Payload>

/** Decides what tickets of a source should say now, and wakes the senders of their targets. */
export const planTicketsJob: Job<Payload> = {
  name: 'plan-tickets',
  payload: Payload,
  attemptsMax: 5,
  key: ({ integrationId }) => `plan:${integrationId}`,
  async run(deps, { integrationId, runId }) {
    const { pool, clock, log } = deps.engine
    const now = new Date(clock.nowMs())
    const plans = await planAllRules(pool, { sourceIntegrationId: integrationId, runId, now })
    for (const plan of plans) {
      const changes = plan.planned.filter(({ decision }) => decision.action !== 'keep').length
      log.info({ rule: plan.ruleName, changes, heldBack: plan.heldBack }, 'Tickets are planned.')
    }
    const rules = await listEnabledRulesOf(pool, integrationId)
    for (const target of new Set(rules.map((rule) => rule.targetIntegrationId)))
      await enqueue(pool, pushTicketsJob, { integrationId: target })
    if (plans.some((plan) => plan.undecided > 0))
      await enqueue(
        pool,
        planTicketsJob,
        { integrationId, runId },
        new Date(systemClock.nowMs() + DECIDE_AGAIN_MS),
      )
    // The last step: whoever dies before has this done again, and nothing that follows from it is forgotten.
    if (runId !== null) await markTicketsPlanned(pool, runId, now)
  },
}
