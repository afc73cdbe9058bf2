import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nextDay } from '../test/support/day-one.ts'
import { withHub } from '../test/support/hub.ts'
import { startEmbeddedServer } from '../src/store/embedded/server.ts'
import { migrate } from '../src/store/migrate.ts'
import { openStore } from '../src/store/pool.ts'

/**
 * How many calls a first load and a day's delta need when every host has changed:
 * `node bench/delta.ts [hosts] [detections per host]`. Counts calls; the time is that of a fake that renders as it answers.
 */
const HOSTS = Number(process.argv[2] ?? 100_000)
const DETECTIONS_PER_HOST = Number(process.argv[3] ?? 1)
const CALLS_MAX = 150

const folder = await mkdtemp(join(tmpdir(), 'patchbay-delta-'))
const server = await startEmbeddedServer({ dataFolder: folder, log: { info: () => undefined } })
const pool = await openStore({ embedded: server })
try {
  await migrate(pool)
  const shares = { scanShare: 1, purgeShare: 0, mergeShare: 0, hostGrowth: 0 }
  const estate = { hosts: HOSTS, detectionsPerHost: DETECTIONS_PER_HOST, ...shares }
  await withHub({ pool, estate }, async (hub) => {
    console.log(
      `${HOSTS} hosts, ${DETECTIONS_PER_HOST} detections each\n\n| run | hosts asked for | calls | of these |\n|---|---|---|---|`,
    )
    for (const mode of ['full', 'delta'] as const) {
      const from = hub.fake.requests.length
      const run = await hub.sync(mode)
      if (run.state !== 'COMPLETE') throw new Error(`The run ended ${run.state}: ${run.message}`)
      const calls = hub.fake.requests.slice(from)
      const counts = [...Map.groupBy(calls, ({ endpoint }) => endpoint)].map(
        ([endpoint, requests]) => `${endpoint} ${requests.length}`,
      )
      console.log(`| ${mode} | ${run.expectedHosts} | ${calls.length} | ${counts.join(', ')} |`)
      if (mode === 'delta' && calls.length > CALLS_MAX)
        throw new Error(`A delta of more than ${CALLS_MAX} calls.`)
      nextDay(hub)
    }
  })
} finally {
  await pool.end()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
