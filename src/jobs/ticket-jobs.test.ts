import { expect } from 'vitest'
import type { EstateOptions } from '../../fakes/qualys/estate/types.ts'
import { test } from '../../test/support/database.ts'
import { type TicketHub, withTickets } from '../../test/support/tickets.ts'
import type { JobDeps } from './job.ts'
import { planTicketsJob } from './plan-tickets.ts'
import { pushTicketsJob } from './push-tickets.ts'
import { resumeRunsJob } from './resume-runs.ts'

const never = new AbortController().signal

const ESTATE: EstateOptions = {
  hosts: [{ id: '101', detections: [{ qid: '900001' }] }],
  kb: [
    {
      qid: '900001',
      title: 'Update',
      severity: 5,
      vulnType: 'Vulnerability',
      patchable: true,
      vendorReferences: [{ id: 'KB1', url: 'https://vendor.example.com/KB1' }],
    },
  ],
}

function jobDeps(hub: TicketHub): JobDeps {
  const { destination, target } = hub.push
  return {
    engine: hub.deps,
    connectTarget: async () => ({ destination, target }),
    busy: { count: 0 },
    eventMonthsKept: 25,
  }
}

async function waitingJobs(hub: TicketHub): Promise<string[]> {
  const { rows } = await hub.deps.pool.query<{ name: string }>(
    'select task_identifier as name from graphile_worker.jobs order by 1',
  )
  return rows.map((row) => row.name)
}

test('a plan wakes the sender, and what the sender had to put off wakes it again', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    const run = await hub.sync('full')
    const deps = jobDeps(hub)
    await planTicketsJob.run(deps, { integrationId: hub.integrationId, runId: run.id }, never)
    expect(await waitingJobs(hub)).toEqual(['push-tickets'])

    await db.query('select graphile_worker.complete_jobs(array (select id from graphile_worker.jobs))')
    hub.jira.faults.add({ on: 'createIssue', fault: { kind: 'status_before', status: 503 } })
    await pushTicketsJob.run(deps, { integrationId: hub.push.target.integrationId }, never)
    expect(hub.jira.issues()).toHaveLength(0)
    expect(await waitingJobs(hub)).toEqual(['push-tickets'])
  })
})

test('a plan that dies before it has woken the sender is made again', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    const run = await hub.sync('full')
    await db.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'The process dies.'; end $$;
      create trigger refuse before insert on graphile_worker._private_jobs for each row execute function refuse()`)
    const payload = { integrationId: hub.integrationId, runId: run.id }
    await expect(planTicketsJob.run(jobDeps(hub), payload, never)).rejects.toThrow('The process dies.')
    await db.query('drop trigger refuse on graphile_worker._private_jobs')
    await resumeRunsJob.run(jobDeps(hub), {}, never)
    expect(await waitingJobs(hub)).toContain('plan-tickets')
  })
})

test('changes that nobody sends and runs that nobody planned are found', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    // Whoever drove the run died before it asked for the tickets.
    await resumeRunsJob.run(jobDeps(hub), {}, never)
    expect(await waitingJobs(hub)).toEqual(['plan-tickets', 'work-batches'])

    await db.query('select graphile_worker.complete_jobs(array (select id from graphile_worker.jobs))')
    await db.query('update run set tickets_planned_at = now()')
    await hub.plan()
    await resumeRunsJob.run(jobDeps(hub), {}, never)
    expect(await waitingJobs(hub)).toEqual(['push-tickets', 'work-batches'])
  })
})

test('a disabled integration gives out no batch and keeps no lease', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    const { claimBatch } = await import('../store/queries/batches.ts')
    const { renewLease, takeLease } = await import('../store/queries/leases.ts')
    await hub.sync('full')
    await db.query(`update run set state = 'RUNNING', phase = 'fetching'`)
    await db.query(`update batch set state = 'waiting'`)
    const { integrationId } = hub
    const lease = await takeLease(db, { integrationId, holder: 'test' })
    await db.query('update integration set is_enabled = false where id = $1', [integrationId])
    const now = new Date(hub.clock.nowMs())
    expect(await claimBatch(db, { worker: 'test', now, runId: null })).toBeNull()
    expect(await renewLease(db, { integrationId, epoch: lease!.epoch })).toBe(false)
  })
})
