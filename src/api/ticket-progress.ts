import { planTicketsJob } from '../jobs/plan-tickets.ts'
import { isJobPending } from '../store/queries/jobs.ts'
import { countTicketOpsOfRun, getTicketBacklog } from '../store/queries/run-report.ts'
import type { ApiDeps } from './deps.ts'
import type { TicketProgress } from './run-resources.ts'

/** A plan that takes longer than this is not waited for: its process may be dead. */
const PLANNING_SECONDS_MAX = 600

/** How far the tickets of a source are. */
export async function readTicketProgress(
  { pool, clock }: ApiDeps,
  source: { integrationId: string; runId: string | null },
): Promise<TicketProgress> {
  const planning = await isJobPending(pool, planTicketsJob.key(source), PLANNING_SECONDS_MAX)
  const ops = source.runId === null ? [] : await countTicketOpsOfRun(pool, source.runId)
  const backlog = await getTicketBacklog(pool, {
    sourceIntegrationId: source.integrationId,
    now: new Date(clock.nowMs()),
  })
  return {
    planning,
    done: ops.filter((op) => op.state === 'done').reduce((sum, op) => sum + op.count, 0),
    waiting: backlog.due,
    later: backlog.later,
    nextAt: backlog.nextAt?.toISOString() ?? null,
  }
}
