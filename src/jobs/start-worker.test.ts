import { runMigrations } from 'graphile-worker'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { SILENT } from '../../test/support/hub.ts'
import { systemClock } from '../lib/clock.ts'
import { createPool } from '../store/pool.ts'
import { type JobDeps, enqueue } from './job.ts'
import { resumeRunsJob } from './resume-runs.ts'
import { startWorker } from './start-worker.ts'

const LOOKS_MAX = 2_000

test('a job that ends while its worker is stopped is written down before the pool may be ended', async ({
  db,
  databaseUrl,
}) => {
  await runMigrations({ pgPool: db })
  const pool = createPool({ connectionString: databaseUrl })
  const none = () => Promise.reject(new Error('There is nothing to connect to.'))
  const deps: JobDeps = {
    engine: { pool, clock: systemClock, log: SILENT, worker: 'one', batchesMax: 1, connectSource: none },
    connectTarget: none,
    busy: { count: 0 },
    eventMonthsKept: 25,
  }
  const closing = new AbortController()
  const worker = await startWorker({ deps, signal: closing.signal, withCron: false })
  const holder = await db.connect()
  await holder.query('begin; lock table run in access exclusive mode')
  await enqueue(db, resumeRunsJob, {})
  const locked = `select 1 from graphile_worker.jobs where locked_at is not null`
  const waiting = `select 1 from pg_locks where relation = 'run'::regclass and not granted`
  for (let looks = 0; looks < LOOKS_MAX && (await db.query(waiting)).rowCount === 0; looks += 1)
    await systemClock.sleep(5)
  expect((await db.query(locked)).rowCount).toBe(1)
  closing.abort(new Error('The test stops the worker.'))
  const stopped = worker.stop()
  await holder.query('commit')
  holder.release()
  await stopped
  expect({ out: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }).toEqual({
    out: 0,
    waiting: 0,
  })
  await pool.end()
  expect((await db.query(locked)).rowCount).toBe(0)
  const { rows } = await db.query<{ task: string }>(
    'select task_identifier as task from graphile_worker.jobs',
  )
  expect(rows.map(({ task }) => task)).not.toContain(resumeRunsJob.name)
})
