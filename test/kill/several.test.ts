import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startSync } from '../../src/jobs/start-sync.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { isHubError } from '../../src/model/errors.ts'
import { Crew, type Member } from './crew.ts'
import { SharedServer } from './databases.ts'
import { setUp } from './set-up.ts'
import { View } from './view.ts'
import { type World, startWorld } from './world.ts'

const HOSTS = 550
const WAIT = { timeout: 200_000, interval: 100 }
/** Not a limit of what is tested: two busy cores take their time. */
const TEST_MS_MAX = 8 * 60_000

interface Several {
  crew: Crew
  view: View
  world: World
  /** What the processes have logged so far. */
  logged: () => Promise<string>
  /** Asks for a full run, whose answers with detections stand still until `release`; returns when all have claims. */
  startStalled: () => Promise<{ release: () => void }>
}

/** A hub and its workers, each a process, on one database; the hub has its integrations, Qualys its Standard limits. */
async function withWorkers(workers: number, use: (several: Several) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-several-'))
  const world = await startWorld({ seed: 5, hosts: HOSTS, detectionsPerHost: 1 }, {})
  const server = await SharedServer.start(folder)
  const database = await server.createDatabase('several')
  const options = { folder: join(folder, '.'), databaseUrlOf: (pid: number) => database.urlFor(pid) }
  const crew = new Crew({ ...options, nowMs: () => world.nowMs() })
  const view = new View(database, () => undefined)
  try {
    const id = await setUp(crew, world)
    await view.makeBatchesSmall(id)
    const reports = Array.from({ length: workers }, () => crew.start('worker').report)
    expect(await Promise.all(reports)).toEqual(
      Array.from(reports, () => expect.objectContaining({ isReady: true })),
    )
    const startStalled = async () => {
      const stalled = world.qualys.faults.add({
        match: { endpoint: 'detection', times: Infinity },
        kind: 'stall',
        atByte: 200,
      })
      const request = { integrationId: id, trigger: 'manual', mode: 'full' } as const
      // Asked a second time, because the first answer was lost, it says that the run is there.
      await view
        .withPool((pool) => startSync(pool, systemClock, request))
        .catch((error: unknown) => {
          if (!isHubError(error, 'conflict')) throw error
        })
      await vi.waitFor(async () => {
        await view.hurryJobs()
        expect(new Set((await listClaims(view)).map(({ pid }) => pid)).size).toBe(workers + 1)
      }, WAIT)
      return { release: () => stalled.remove() }
    }
    const logged = () => readFile(join(folder, 'hubs.log'), 'utf8')
    await use({ crew, view, world, logged, startStalled })
    expect(crew.lost).toEqual([])
  } finally {
    await crew.close()
    await view.close()
    await server.stop()
    await world.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

for (const [count, workers] of [
  ['two', 2],
  ['four', 4],
] as const)
  test(
    `${count} further processes share the batches of a run and one budget; what one of them held when it was killed another one does`,
    { timeout: TEST_MS_MAX },
    async () => {
      await withWorkers(workers, async ({ crew, view, world, startStalled }) => {
        const stalled = await startStalled()
        const victim = crew.members.find(({ role }) => role === 'worker')!
        crew.kill(victim)
        await victim.ended
        const lost = await claimsOf(view, victim)
        expect(lost.length).toBeGreaterThan(0)
        // Without anybody's doing they are free again within a minute; here that minute is made to pass.
        expect(Math.max(...lost.map(({ seconds }) => seconds))).toBeLessThanOrEqual(60)
        await view.letExpire(victim.pid, true)
        stalled.release()
        await untilComplete(view)
        const lostIds = new Set(lost.map((claim) => claim.id))
        expect(await listBatches(view)).toEqual(
          (await listBatches(view)).map(({ id }) => ({
            id,
            state: 'done',
            attempt: lostIds.has(id) ? 2 : 1,
          })),
        )
        expect(world.qualys.requests.filter(({ status }) => status === 409)).toEqual([])
      })
    },
  )

test(
  'a worker that stands still until its claims have run out, and wakes up when others have done its work, writes nothing',
  { timeout: TEST_MS_MAX },
  async () => {
    await withWorkers(2, async ({ crew, view, logged, startStalled }) => {
      const stalled = await startStalled()
      const sleeper = crew.members.find(({ role }) => role === 'worker')!
      crew.pause(sleeper)
      const lost = await claimsOf(view, sleeper)
      await view.letExpire(sleeper.pid, false)
      // The rest of its answers waits for it as well.
      stalled.release()
      await untilComplete(view)
      const before = await listRows(view)
      expect(before.length).toBeGreaterThan(HOSTS)

      crew.wake(sleeper)
      await vi.waitFor(async () => {
        const lines = (await logged()).split('\n').filter((line) => line.includes(LOST_CLAIM))
        expect(lines.length).toBe(lost.length)
      }, WAIT)
      await vi.waitFor(async () => {
        expect(await view.ask('select 1 from finding_staging union all select 1 from slot')).toEqual([])
      }, WAIT)
      expect(await listRows(view)).toEqual(before)
    })
  },
)

const LOST_CLAIM = 'The claim on the batch was lost'

async function untilComplete(view: View): Promise<void> {
  await vi.waitFor(async () => {
    const [run] = await view.ask<{ state: string; message: string }>('select state, message from run')
    expect(run).toEqual({ state: 'COMPLETE', message: 'Everything that was expected came.' })
  }, WAIT)
}

interface Claim {
  id: string
  pid: number
  seconds: number
}

function listClaims(view: View): Promise<Claim[]> {
  return view.ask(
    `select id, split_part(claimed_by, ':', 2)::int as pid,
            extract(epoch from claim_expires_at - clock_timestamp())::float8 as seconds
       from batch where state = 'claimed'`,
  )
}

async function claimsOf(view: View, member: Member): Promise<Claim[]> {
  return (await listClaims(view)).filter(({ pid }) => pid === member.pid)
}

function listBatches(view: View): Promise<{ id: string; state: string; attempt: number }[]> {
  return view.ask('select id, state, attempt from batch order by id')
}

/** Every row that a batch may write, with the transaction that wrote it last. */
function listRows(view: View): Promise<object[]> {
  return view.ask(
    `select 'finding' as what, f.xmin::text, f.id::text, f.state from finding f
     union all select 'observation', o.xmin::text, o.identity::text, '' from observation o
     union all select 'event', e.xmin::text, e.id::text, '' from event e
     union all select 'gap', g.xmin::text, g.key, '' from gap g
     union all select 'host', h.xmin::text, h.id::text, '' from host h
     union all select 'batch', b.xmin::text, b.id::text, b.state from batch b
      order by 1, 3, 2`,
  )
}
