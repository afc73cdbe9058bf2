import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startSync } from '../../src/jobs/start-sync.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { Crew } from './crew.ts'
import { SharedServer } from './databases.ts'
import { setUp } from './set-up.ts'
import { View } from './view.ts'
import { startWorld } from './world.ts'

const WORKERS = 4
const HOSTS = 550
const WAIT = { timeout: 120_000, interval: 100 }

/** A hub and its workers, each a process, on one database; the hub has its integrations. */
async function withWorkers(
  use: (several: {
    crew: Crew
    view: View
    world: Awaited<ReturnType<typeof startWorld>>
    id: string
  }) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-several-'))
  const world = await startWorld({ seed: 5, hosts: HOSTS, detectionsPerHost: 1 })
  const server = await SharedServer.start(folder)
  const database = await server.createDatabase('several')
  const options = { folder: join(folder, '.'), databaseUrlOf: (pid: number) => database.urlFor(pid) }
  const crew = new Crew({ ...options, nowMs: () => world.nowMs() })
  const view = new View(database, () => undefined)
  try {
    const id = await setUp(crew, world)
    await view.makeBatchesSmall(id)
    const reports = Array.from({ length: WORKERS }, () => crew.start('worker').report)
    expect(await Promise.all(reports)).toEqual(
      Array.from(reports, () => expect.objectContaining({ isReady: true })),
    )
    await use({ crew, view, world, id })
  } finally {
    await crew.close()
    await view.close()
    await server.stop()
    await world.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

test(
  'four further processes share the batches of a run; what one of them held when it was killed another one does',
  { timeout: 240_000 },
  async () => {
    await withWorkers(async ({ crew, view, world, id }) => {
      const stalled = world.qualys.faults.add({
        match: { endpoint: 'detection', times: Infinity },
        kind: 'stall',
        atByte: 200,
      })
      const request = { integrationId: id, trigger: 'manual', mode: 'full' } as const
      await view.withPool((pool) => startSync(pool, systemClock, request))
      await vi.waitFor(async () => {
        await view.hurryJobs()
        expect(new Set((await listClaims(view)).map(({ pid }) => pid)).size).toBe(WORKERS + 1)
      }, WAIT)

      const victim = crew.members.find(({ role }) => role === 'worker')!
      crew.kill(victim)
      await victim.ended
      const lost = (await listClaims(view)).filter(({ pid }) => pid === victim.pid)
      expect(lost.length).toBeGreaterThan(0)
      // Without anybody's doing they are free again within a minute; here that minute is made to pass.
      expect(Math.max(...lost.map(({ seconds }) => seconds))).toBeLessThanOrEqual(60)
      await view.letExpire(victim.pid, true)
      stalled.remove()

      await vi.waitFor(async () => {
        const [run] = await view.ask<{ state: string; message: string }>('select state, message from run')
        expect(run).toEqual({ state: 'COMPLETE', message: 'Everything that was expected came.' })
      }, WAIT)
      const batches = await view.ask<{ id: string; state: string; attempt: number }>(
        'select id, state, attempt from batch order by id',
      )
      const lostIds = new Set(lost.map((claim) => claim.id))
      expect(batches).toEqual(
        batches.map((batch) => ({ id: batch.id, state: 'done', attempt: lostIds.has(batch.id) ? 2 : 1 })),
      )
      expect(crew.lost).toEqual([])
    })
  },
)

async function listClaims(view: View): Promise<{ id: string; pid: number; seconds: number }[]> {
  return view.ask(
    `select id, split_part(claimed_by, ':', 2)::int as pid,
            extract(epoch from claim_expires_at - clock_timestamp())::float8 as seconds
       from batch where state = 'claimed'`,
  )
}
