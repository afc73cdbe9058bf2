import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { sync } from '../src/engine/sync.ts'
import { systemClock } from '../src/lib/clock.ts'
import { startEmbeddedServer } from '../src/store/embedded/server.ts'
import { migrate } from '../src/store/migrate.ts'
import { openStore } from '../src/store/pool.ts'
import { insertIntegration } from '../src/store/queries/integrations.ts'
import { engineDeps } from '../test/support/hub.ts'
import { type Bounds, measureBounds } from './bounds.ts'
import { type Cost, measureCost } from './meters.ts'
import { StageProfile } from './stages.ts'

/**
 * The whole way in over HTTP, from pages rendered beforehand, beside its bounds in the same run:
 * `node bench/ingest.ts [hosts] [detections per host]`. The fake is a process of its own; the hub is this one.
 */
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Where rendered pages are kept and found again; without it they are deleted at the end. */
    pages: { type: 'string' },
    /** Only the first so many rounds. */
    rounds: { type: 'string', default: '4' },
    /** Writes the rounds to a file as well. */
    json: { type: 'string' },
    /** Where the time of this process goes, by stage; costs some of it. */
    stages: { type: 'boolean', default: false },
    /** Leaves the bounds out. */
    'no-bounds': { type: 'boolean', default: false },
  },
})
const HOSTS = Number(positionals[0] ?? 1_000)
const DETECTIONS_PER_HOST = Number(positionals[1] ?? 200)

const DAYS: readonly { name: string; day: number; changedShare: number }[] = [
  { name: 'first load', day: 0, changedShare: 0 },
  { name: 'unchanged', day: 0, changedShare: 0 },
  { name: 're-seen', day: 1, changedShare: 0 },
  { name: '2 % changed', day: 2, changedShare: 0.02 },
]

export interface Round extends Cost {
  name: string
  detections: number
  stages: string | null
}

interface Place {
  pages: string
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
    const place: Place = { pages: options.pages ?? join(folder, 'pages'), pool, postmaster: server.pid }
    const rounds = await runRounds(place)
    const databaseMib = await sizeOf(pool)
    if (options.json !== undefined) await writeFile(options.json, JSON.stringify({ rounds, databaseMib }))
    const bounds = options['no-bounds'] ? null : await measureBounds(pagesOf(place, DAYS[0]!), pool, folder)
    await print(pool, { rounds, databaseMib, bounds })
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
  const rounds: Round[] = []
  for (const day of DAYS.slice(0, Number(options.rounds))) {
    const fake = await startFake(place, day)
    const deps = engineDeps(
      { pool: place.pool, worker: 'bench', config: { showIgs: 'never' } },
      { clock: systemClock, url: fake.url },
    )
    const stages = options.stages ? await StageProfile.start() : null
    let runId = ''
    const cost = await measureCost({ postmaster: place.postmaster, fake: fake.process.pid! }, async () => {
      const request = { integrationId: integration.id, mode: 'full', trigger: 'manual' } as const
      const run = await sync(deps, request, new AbortController().signal)
      if (run.state !== 'COMPLETE') throw new Error(`The run ended ${run.state}: ${run.message}`)
      runId = run.id
    })
    fake.process.stdin?.end()
    const detections = await countReceived(place.pool, runId)
    rounds.push({ name: day.name, detections, ...cost, stages: (await stages?.stop(detections)) ?? null })
  }
  return rounds
}

function pagesOf(place: Place, { day, changedShare }: (typeof DAYS)[number]): string {
  return join(place.pages, `${HOSTS}x${DETECTIONS_PER_HOST}-day-${day}-${changedShare}`)
}

async function countReceived(pool: pg.Pool, runId: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select sum(received_records)::int as count from batch where run_id = $1 and module = 'qualys.detections'`,
    [runId],
  )
  return rows[0]?.count ?? 0
}

async function sizeOf(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ size: string }>(
    'select pg_database_size(current_database())::text as size',
  )
  return Math.round(Number(rows[0]!.size) / 1024 / 1024)
}

async function startFake(
  place: Place,
  day: (typeof DAYS)[number],
): Promise<{ url: string; process: ChildProcess }> {
  const program = fileURLToPath(new URL('ingest-fake.ts', import.meta.url))
  const numbers = [HOSTS, DETECTIONS_PER_HOST, day.day, day.changedShare]
  const child = spawn(process.execPath, [program, pagesOf(place, day), ...numbers.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout }))
    return { url: (JSON.parse(line) as { url: string }).url, process: child }
  throw new Error('The fake ended before it listened.')
}

async function print(
  pool: pg.Pool,
  { rounds, databaseMib, bounds }: { rounds: readonly Round[]; databaseMib: number; bounds: Bounds | null },
): Promise<void> {
  const first = rounds[0]!
  const rate = (round: Round) => round.detections / round.seconds
  const { rows } = await pool.query<{ server_version: string }>('show server_version')
  const versions = `Node ${process.version}, PostgreSQL ${rows[0]!.server_version}`
  console.log(`${HOSTS} hosts, ${first.detections} detections; ${versions}\n`)
  const table: (string | number)[][] = [
    ['round', 'seconds', 'detections/s', 'of the COPY', 'of the first load'],
    rounds.map((round) => round.name),
  ]
  table[0]!.push('hub CPU s/M', 'database CPU s/M', 'fake CPU s/M', 'RSS max MiB', 'RSS over the round')
  const lines = rounds.map((round) => {
    const perMillion = (seconds: number) => ((seconds * 1e6) / round.detections).toFixed(1)
    return [
      round.name,
      round.seconds.toFixed(1),
      Math.round(rate(round)).toLocaleString('en'),
      bounds === null ? '' : `${((100 * rate(round)) / bounds.copy).toFixed(1)} %`,
      (rate(round) / rate(first)).toFixed(2),
      perMillion(round.hubCpu),
      perMillion(round.databaseCpu),
      perMillion(round.fakeCpu),
      round.rssMaxMib,
      round.rssMib.join(' '),
    ]
  })
  for (const cells of [table[0]!, table[0]!.map(() => '---'), ...lines])
    console.log(`| ${cells.join(' | ')} |`)
  console.log(`\nDatabase after all rounds ${databaseMib} MiB.`)
  if (bounds !== null)
    console.log(`Bounds: COPY of the same rows with their evidence into one table with its primary key \
${Math.round(bounds.copy).toLocaleString('en')} rows/s; gunzip ${Math.round(bounds.gunzip)} MB/s; scanner with both \
hashes over the same bytes ${Math.round(bounds.scanner)} MB/s.`)
  for (const { name, stages } of rounds) if (stages !== null) console.log(`\n${name}:\n${stages}`)
}

await main()
