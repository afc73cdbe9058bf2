import { type ChildProcess, spawn } from 'node:child_process'
import { createReadStream, createWriteStream, readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { createGunzip } from 'node:zlib'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { sync } from '../src/engine/sync.ts'
import { systemClock } from '../src/lib/clock.ts'
import { startEmbeddedServer } from '../src/store/embedded/server.ts'
import { migrate } from '../src/store/migrate.ts'
import { openStore } from '../src/store/pool.ts'
import { insertIntegration } from '../src/store/queries/integrations.ts'
import { engineDeps } from '../test/support/hub.ts'

/**
 * The whole way in over HTTP, from pages rendered beforehand, beside its bounds in the same run:
 * `node bench/ingest.ts [hosts] [detections per host]`. The fake is a process of its own; the hub is this one.
 */
const HOSTS = Number(process.argv[2] ?? 1_000)
const DETECTIONS_PER_HOST = Number(process.argv[3] ?? 200)
const RSS_SAMPLE_MS = 100
const CLOCK_TICKS_PER_SECOND = 100

interface Round {
  name: string
  detections: number
  seconds: number
  hubCpu: number
  databaseCpu: number
  rssMax: number
}

interface Place {
  folder: string
  pool: pg.Pool
  postmaster: number
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-bench-'))
  const server = await startEmbeddedServer({
    dataFolder: join(folder, 'home'),
    log: { info: () => undefined },
  })
  const pool = await openStore({ embedded: server })
  try {
    await migrate(pool)
    const place: Place = { folder, pool, postmaster: server.pid }
    const rounds = await runRounds(place)
    await print(place, rounds, await measureBounds(place))
  } finally {
    await pool.end()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function runRounds(place: Place): Promise<Round[]> {
  const integration = await insertIntegration(place.pool, {
    type: 'vaplugin',
    subtype: 'qualys',
    name: 'bench',
    config: {},
  })
  const days: [name: string, day: number, changedShare: number][] = [
    ['first load', 0, 0],
    ['unchanged', 0, 0],
    ['re-seen', 1, 0],
    ['2 % changed', 2, 0.02],
  ]
  const rounds: Round[] = []
  for (const [name, day, changedShare] of days) {
    const fake = await startFake(join(place.folder, `day-${day}-${changedShare}`), day, changedShare)
    const deps = engineDeps(
      { pool: place.pool, worker: 'bench', config: { showIgs: 'never' } },
      { clock: systemClock, url: fake.url },
    )
    rounds.push(
      await measure(place, name, async () => {
        const request = { integrationId: integration.id, mode: 'full', trigger: 'manual' } as const
        const run = await sync(deps, request, new AbortController().signal)
        if (run.state === 'FAILED') throw new Error(`The run failed: ${run.message}`)
        return countReceived(place.pool, run.id)
      }),
    )
    fake.process.stdin?.end()
  }
  return rounds
}

async function measure(place: Place, name: string, work: () => Promise<number>): Promise<Round> {
  let rssMax = 0
  const sampling = setInterval(() => (rssMax = Math.max(rssMax, process.memoryUsage.rss())), RSS_SAMPLE_MS)
  const cpu = process.cpuUsage()
  const databaseCpu = cpuSecondsOf(place.postmaster)
  const startedMs = performance.now()
  const detections = await work()
  const seconds = (performance.now() - startedMs) / 1000
  clearInterval(sampling)
  const { user, system } = process.cpuUsage(cpu)
  return {
    name,
    detections,
    seconds,
    hubCpu: (user + system) / 1e6,
    databaseCpu: cpuSecondsOf(place.postmaster) - databaseCpu,
    rssMax,
  }
}

async function countReceived(pool: pg.Pool, runId: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select sum(received_records)::int as count from batch where run_id = $1 and module = 'qualys.detections'`,
    [runId],
  )
  return rows[0]?.count ?? 0
}

/** Processor time of a process, its children, and those that it has outlived (Linux). */
function cpuSecondsOf(parent: number): number {
  let ticks = 0
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const fields = statOf(entry)
    if (fields === null) continue
    const [parentPid, user, system, childrenUser, childrenSystem] = [1, 11, 12, 13, 14].map((at) =>
      Number(fields[at]),
    )
    if (Number(entry) === parent) ticks += user! + system! + childrenUser! + childrenSystem!
    else if (parentPid === parent) ticks += user! + system!
  }
  return ticks / CLOCK_TICKS_PER_SECOND
}

function statOf(pid: string): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}

async function startFake(
  folder: string,
  day: number,
  changedShare: number,
): Promise<{ url: string; process: ChildProcess }> {
  const program = fileURLToPath(new URL('ingest-fake.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    [program, folder, String(HOSTS), String(DETECTIONS_PER_HOST), String(day), String(changedShare)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  for await (const line of createInterface({ input: child.stdout }))
    return { url: (JSON.parse(line) as { url: string }).url, process: child }
  throw new Error('The fake ended before it listened.')
}

interface Bounds {
  gunzipSeconds: number
  gunzipBytes: number
  copySeconds: number
  copyRows: number
  databaseBytes: number
}

/** What no way in can beat: unpacking the same bytes, and copying the same rows into a table with a primary key. */
async function measureBounds({ folder, pool }: Place): Promise<Bounds> {
  const pages = join(
    folder,
    'day-0-0',
    (await readdir(join(folder, 'day-0-0'))).find((name) => name.endsWith('.gzs'))!,
  )
  let gunzipBytes = 0
  let startedMs = performance.now()
  await pipeline(createReadStream(pages), createGunzip({ chunkSize: 256 * 1024 }), async (chunks) => {
    for await (const chunk of chunks as AsyncIterable<Buffer>) gunzipBytes += chunk.length
  })
  const gunzipSeconds = (performance.now() - startedMs) / 1000

  const { rows } = await pool.query<{ size: string }>(
    'select pg_database_size(current_database())::text as size',
  )
  await pool.query(
    `create table bound as select f.*, o.state_hash, o.volatile_hash, o.last_found_at, o.last_test_at, o.last_processed_at,
            o.times_found, e.body
       from finding f join observation o on o.place_id = f.place_id and o.finding_id = f.id
       left join evidence e on e.hash = f.evidence_hash with no data`,
  )
  const file = join(folder, 'bound.copy')
  const client = await pool.connect()
  try {
    await pipeline(
      client.query(
        copyTo(`copy (select f.*, o.state_hash, o.volatile_hash, o.last_found_at, o.last_test_at, o.last_processed_at,
            o.times_found, e.body
       from finding f join observation o on o.place_id = f.place_id and o.finding_id = f.id
       left join evidence e on e.hash = f.evidence_hash) to stdout (format binary)`),
      ),
      createWriteStream(file),
    )
    await client.query('alter table bound add primary key (place_id, id)')
    startedMs = performance.now()
    const into = client.query(copyFrom('copy bound from stdin (format binary)'))
    await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), into)
    return {
      gunzipSeconds,
      gunzipBytes,
      copySeconds: (performance.now() - startedMs) / 1000,
      copyRows: into.rowCount,
      databaseBytes: Number(rows[0]!.size),
    }
  } finally {
    client.release()
  }
}

async function print({ pool }: Place, rounds: readonly Round[], bounds: Bounds): Promise<void> {
  const first = rounds[0]!
  const rate = (round: Round) => round.detections / round.seconds
  const copyRate = bounds.copyRows / bounds.copySeconds
  const { rows } = await pool.query<{ server_version: string }>('show server_version')
  console.log(
    `${HOSTS} hosts, ${first.detections} detections; Node ${process.version}, PostgreSQL ${rows[0]!.server_version}\n`,
  )
  console.log(
    '| round | detections/s | of the COPY | of the first load | hub CPU s per million | database CPU s per million | RSS max MiB |',
  )
  console.log('|---|---|---|---|---|---|---|')
  for (const round of rounds) {
    const perMillion = (seconds: number) => ((seconds * 1e6) / round.detections).toFixed(1)
    const cells = [
      round.name,
      Math.round(rate(round)).toLocaleString('en'),
      `${((100 * rate(round)) / copyRate).toFixed(0)} %`,
      (rate(round) / rate(first)).toFixed(2),
      perMillion(round.hubCpu),
      perMillion(round.databaseCpu),
      Math.round(round.rssMax / 1024 / 1024),
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
  console.log(`\nBounds: COPY of the same rows with their evidence into one table with its primary key \
${Math.round(copyRate).toLocaleString('en')} rows/s; gunzip ${Math.round(bounds.gunzipBytes / bounds.gunzipSeconds / 1e6)} MB/s; \
database after all rounds ${Math.round(bounds.databaseBytes / 1024 / 1024)} MiB.`)
}

await main()
