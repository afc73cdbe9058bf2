import { expect } from 'vitest'
import { withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { diagnose } from '../wiring/diagnose.ts'
import { listSchedulable } from '../store/queries/jobs.ts'
import { insertRun } from '../store/queries/runs.ts'
import { isDue } from './auto-sync.ts'
import { startSync } from './start-sync.ts'

const DAY_MS = 86_400_000

test('after a clock was wrong the schedule goes on, a manual sync is allowed, and doctor tells of it', async ({
  db,
}) => {
  await withApi({ pool: db }, async (api) => {
    const body = { type: 'vaplugin', subtype: 'qualys', config: api.qualysConfig() }
    const saved = await api.call<{ data: { id: number } }>('/integrations', { body })
    const integrationId = String(saved.body.data.id)
    const nowMs = api.clock.nowMs()
    const addRun = async (atMs: number) => {
      const at = new Date(atMs)
      const { id } = await insertRun(db, {
        integrationId,
        epoch: '0',
        trigger: 'schedule',
        mode: 'full',
        modeReason: 'asked for',
        options: { showResults: true },
        scope: {},
        watermarkFrom: null,
        startedAt: at,
      })
      await db.query(`update run set state = 'COMPLETE', phase = 'done', finished_at = $2 where id = $1`, [
        id,
        at,
      ])
    }
    const isDueNow = async () => (await listSchedulable(db)).map((one) => isDue(one, nowMs))
    const runTimes = async () => {
      const { vault, integrationTypes, clock } = api.deps
      const place = { home: '/', keyFile: '/none', database: 'the database', hasWorker: true }
      const signal = AbortSignal.abort()
      const lines = await diagnose({ ...place, pool: db, clock, vault, integrationTypes, signal })
      return lines.filter(({ name }) => name === 'run times')
    }
    await addRun(nowMs - 3_600_000)
    expect(await isDueNow()).toEqual([false])
    expect(await runTimes()).toEqual([])
    await addRun(nowMs + 3_650 * DAY_MS)
    expect(await isDueNow()).toEqual([true])
    expect(await runTimes()).toMatchObject([{ level: 'warn', message: expect.stringContaining('1 runs') }])
    const request = { integrationId, trigger: 'manual', mode: 'delta' } as const
    expect(await startSync(db, api.clock, request)).toMatchObject({ resumedRunId: null })
    // A good run under the right clock counts again: nothing is synced every minute.
    await addRun(nowMs - 60_000)
    expect(await isDueNow()).toEqual([false])
  })
})
