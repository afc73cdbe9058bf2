import { expect } from 'vitest'
import { type TestApi, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { SILENT } from '../../test/support/hub.ts'
import { systemClock } from '../lib/clock.ts'
import { setIntegrationStatus } from '../store/queries/integrations.ts'
import { getModuleState, swapModuleState } from '../store/queries/module-state.ts'
import { type RunRow, getRun, insertRun } from '../store/queries/runs.ts'
import { autoSyncJob, isDue } from './auto-sync.ts'
import { enqueue, type JobDeps } from './job.ts'
import { resumeRunsJob } from './resume-runs.ts'
import { syncJob } from './sync.ts'
import { workBatchesJob } from './work-batches.ts'

const DAY_MS = 86_400_000
const never = new AbortController().signal

async function addQualys(api: TestApi, changes: Record<string, unknown> = {}): Promise<string> {
  const body = { type: 'vaplugin', subtype: 'qualys', config: api.qualysConfig(changes) }
  const saved = await api.call<{ data: { id: number } }>('/integrations', { body })
  return String(saved.body.data.id)
}

async function waitFor<Value>(look: () => Promise<Value | null>): Promise<Value> {
  for (let looks = 0; looks < 2_000; looks += 1) {
    const value = await look()
    if (value !== null) return value
    await systemClock.sleep(10)
  }
  throw new Error('What was waited for did not come.')
}

function endOf(api: TestApi, runId: string): Promise<RunRow> {
  return waitFor(async () => {
    const run = await getRun(api.deps.pool, runId)
    return run === null || run.state === 'RUNNING' ? null : run
  })
}

function waitingSyncs(api: TestApi) {
  return api.deps.pool
    .query<{ key: string }>(
      `select key from graphile_worker.jobs where task_identifier = 'sync' order by key`,
    )
    .then(({ rows }) => rows.map(({ key }) => key))
}

test('a run that nobody drives any more is gone on with, not begun anew', async ({ db }) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    const integrationId = await addQualys(api)
    const left = await insertRun(db, {
      integrationId,
      epoch: '0',
      trigger: 'manual',
      mode: 'full',
      modeReason: 'asked for',
      options: { showResults: true },
      scope: {},
      watermarkFrom: null,
      startedAt: new Date(api.clock.nowMs()),
    })
    await enqueue(db, resumeRunsJob, {})
    expect((await endOf(api, left.id)).state).toBe('COMPLETE')
    await enqueue(db, syncJob, { integrationId, trigger: 'resume', mode: 'delta' })
    await waitFor(async () => ((await waitingSyncs(api)).length === 0 ? true : null))
    expect(await db.query('select 1 from run')).toMatchObject({ rowCount: 1 })
  })
})

test('a run whose tickets nobody has decided about, because its process died, gets its decision', async ({
  db,
}) => {
  await withApi({ pool: db }, async (api) => {
    const integrationId = await addQualys(api)
    const deps = jobDeps(api, 'resumer')
    await syncJob.run(deps, { integrationId, trigger: 'manual', mode: 'full' }, never)
    // The job that the dead process had in hand.
    await db.query(`delete from graphile_worker._private_jobs`)
    await resumeRunsJob.run(deps, {}, never)
    const { rows } = await db.query<{ key: string }>(`select key from graphile_worker.jobs order by key`)
    expect(rows.map(({ key }) => key)).toEqual([`plan:${integrationId}`, 'work-batches'])
  })
})

test('what is due is synced by itself; what needs a person, is switched off or young is not', async ({
  db,
}) => {
  await withApi({ pool: db }, async (api) => {
    const due = await addQualys(api, { name: 'due' })
    const needy = await addQualys(api, { name: 'needy' })
    const off = await addQualys(api, { name: 'off' })
    const slow = await addQualys(api, { name: 'slow', autoSyncFrequency: 30 })
    await setIntegrationStatus(db, needy, { status: 'NEEDS_ATTENTION', message: 'The password is wrong.' })
    await api.call(`/integrations/${off}?action=disable`, { method: 'POST' })
    await db.query('update integration set created_at = $1', [new Date(api.clock.nowMs() - 2 * DAY_MS)])
    const deps = jobDeps(api, 'scheduler')
    await autoSyncJob.run(deps, {}, never)
    expect(await waitingSyncs(api)).toEqual([`sync:${due}`])
    await autoSyncJob.run(deps, {}, never)
    expect(await waitingSyncs(api)).toEqual([`sync:${due}`])
    api.clock.advance(30 * DAY_MS)
    await autoSyncJob.run(deps, {}, never)
    expect(await waitingSyncs(api)).toEqual([`sync:${due}`, `sync:${slow}`])
  })
})

test('a schedule counts from the last good run, and a failed one is tried again after an hour', () => {
  const createdAt = new Date(0)
  const good = new Date(10 * DAY_MS)
  const at = (nowMs: number, lastAt: Date | null = good, frequency: unknown = 1) =>
    isDue({ frequency, createdAt, lastGoodAt: lastAt === null ? null : good, lastAt }, nowMs)
  expect(at(11 * DAY_MS - 1)).toBe(false)
  expect(at(11 * DAY_MS)).toBe(true)
  expect(at(11 * DAY_MS + 1, new Date(11 * DAY_MS))).toBe(false)
  expect(at(11 * DAY_MS + 3_600_000, new Date(11 * DAY_MS))).toBe(true)
  expect(at(DAY_MS, null)).toBe(true)
  expect(at(100 * DAY_MS, good, 'DISABLED')).toBe(false)
  expect(at(100 * DAY_MS, good, null)).toBe(false)
})

test('a queue that fails when the end of a job is written down costs neither the process nor the jobs after it', async ({
  db,
}) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    // A sequence counts although its transaction is rolled back.
    await db.query(`
      create sequence refused_end;
      create function refuse_end() returns trigger language plpgsql as
        $$ begin perform nextval('refused_end'); raise exception 'The database is away.'; end $$;
      create trigger refuse_end before delete on graphile_worker._private_jobs
        for each statement execute function refuse_end()`)
    await enqueue(db, autoSyncJob, {})
    await waitFor(async () => {
      const { rows } = await db.query<{ is_called: boolean }>('select is_called from refused_end')
      return rows[0]?.is_called === true ? true : null
    })
    await db.query('drop trigger refuse_end on graphile_worker._private_jobs')
    const integrationId = await addQualys(api)
    await enqueue(db, syncJob, { integrationId, trigger: 'manual', mode: 'full' })
    expect((await endOf(api, '1')).state).toBe('COMPLETE')
  })
})

test('helpers are woken when there is something to help with', async ({ db }) => {
  await withApi({ pool: db, estate: { hosts: 210 }, withWorker: true }, async (api) => {
    const integrationId = await addQualys(api)
    await cutSmall(api, integrationId)
    // More batches than this process can have in hand, none of which gets done.
    const stuck = api.fake.faults.add({
      kind: 'stall',
      atByte: 300,
      match: { endpoint: 'detection', times: Infinity },
    })
    await enqueue(db, syncJob, { integrationId, trigger: 'manual', mode: 'full' })
    await waitFor(async () => (stuck.hits > 0 ? true : null))
    // So it leaves the call to others, again and again.
    await waitFor(async () => {
      const calls = await db.query(`select 1 from graphile_worker.jobs where key = 'work-batches'`)
      return calls.rowCount === 1 ? true : null
    })
    stuck.remove()
    expect((await endOf(api, '1')).state).toBe('COMPLETE')
  })
})

test('another process helps with the batches of a run whose own driver is stuck', async ({ db }) => {
  await withApi({ pool: db, estate: { hosts: 210 } }, async (api) => {
    const integrationId = await addQualys(api)
    await cutSmall(api, integrationId)
    const driver = jobDeps(api, 'driver', 1)
    const stuck = api.fake.faults.add({ kind: 'stall', atByte: 300, match: { endpoint: 'detection' } })
    const driving = syncJob.run(driver, { integrationId, trigger: 'manual', mode: 'full' }, never)
    await waitFor(async () => (stuck.hits > 0 ? true : null))
    await workBatchesJob.run(jobDeps(api, 'helper'), {}, never)
    const { rows } = await db.query<{ state: string; count: number }>(
      `select state, count(*)::int as count from batch where module = 'qualys.detections' group by 1 order by 1`,
    )
    expect(rows).toEqual([
      { state: 'claimed', count: 1 },
      { state: 'done', count: 4 },
    ])
    stuck.release()
    await driving
    expect(await getRun(db, '1')).toMatchObject({ state: 'COMPLETE' })
  })
})

/** As if earlier runs had learned that few hosts make a good batch. */
async function cutSmall(api: TestApi, integrationId: string): Promise<void> {
  const key = { integrationId, module: 'qualys.detections' }
  const { version } = await getModuleState(api.deps.pool, integrationId, key.module)
  const cursor = { batchHosts: 50 }
  await swapModuleState(api.deps.pool, { ...key, version }, { watermark: null, lastFullAt: null, cursor })
  // Until a first answer has named the limits, one call at a time is made.
  await api.deps.pool.query(
    `insert into quota (subscription, endpoint, concurrency_max) values ($1, 'fo/asset/host/vm/detection', 4)`,
    [`${new URL(api.fake.url).host}/${String(api.qualysConfig()['username'])}`],
  )
}

function jobDeps(api: TestApi, worker: string, batchesMax = 2): JobDeps {
  return {
    engine: {
      pool: api.deps.pool,
      clock: api.clock,
      log: SILENT,
      worker,
      batchesMax,
      connectSource: (integration, onWait) => api.outside.connectSource(integration, onWait),
    },
    connectTarget: (id) => api.outside.connectTarget(id),
    busy: { count: 0 },
    eventMonthsKept: 25,
  }
}
