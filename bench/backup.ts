import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { writeWhole } from '../src/store/backup/backup-file.ts'
import { BackupFile } from '../src/store/backup/backup-reader.ts'
import { restoreBackup } from '../src/store/backup/restore-backup.ts'
import { takeBackup } from '../src/store/backup/take-backup.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../src/store/embedded/server.ts'
import { migrate } from '../src/store/migrate.ts'
import { openStore } from '../src/store/pool.ts'

/**
 * Backup and restore beside binary COPY of the large tables, out to a file and into a database that is migrated and
 * empty: `node bench/backup.ts [findings]`. `fsync` is on.
 */
const FINDINGS = Number(process.argv[2] ?? 1_000_000)
const FINDINGS_PER_HOST = 200
const RSS_SAMPLE_MS = 50
const BYTES_PER_MIB = 1024 * 1024
const LARGE = ['evidence', 'finding', 'observation']

interface Measured {
  name: string
  seconds: number
  rssMiB: number
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-bench-'))
  const server = await startEmbeddedServer({
    dataFolder: join(folder, 'home'),
    log: { info: () => undefined },
  })
  try {
    await measureAll(folder, server)
  } finally {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measureAll(folder: string, server: EmbeddedServer): Promise<void> {
  const source = await openStore({ embedded: server })
  await migrate(source)
  await fill(source)
  const bare = await openDatabase(server, source, 'bare')
  await migrate(bare)
  const target = await openDatabase(server, source, 'target')
  const path = join(folder, 'a.backup')
  const signal = new AbortController().signal
  const measured = [
    await measure('binary COPY out', () => copyOut(source, folder)),
    await measure('backup', () =>
      writeWhole(path, takeBackup(source, { takenAt: new Date(), program: 'bench' }), {
        mayReplace: false,
        signal,
      }),
    ),
    await measure('binary COPY in', () => copyIn(source, bare)),
    await measure('restore', async () => {
      const file = await BackupFile.open(path)
      await restoreBackup(target, file, { now: new Date(), withoutSecrets: false })
      await file.close()
    }),
  ]
  const { rows } = await source.query<{ mib: number }>(
    `select (pg_database_size(current_database()) / 1048576)::int as mib`,
  )
  console.log(
    `${FINDINGS} findings, database ${rows[0]?.mib} MiB, backup ${Math.round((await stat(path)).size / BYTES_PER_MIB)} MiB`,
  )
  console.log('| | seconds | findings/s | RSS max MiB |\n|---|---|---|---|')
  for (const { name, seconds, rssMiB } of measured)
    console.log(
      `| ${name} | ${seconds.toFixed(1)} | ${Math.round(FINDINGS / seconds).toLocaleString('en')} | ${rssMiB} |`,
    )
  for (const pool of [source, bare, target]) await pool.end()
}

async function openDatabase(server: EmbeddedServer, admin: pg.Pool, name: string): Promise<pg.Pool> {
  await admin.query(`create database ${name}`)
  return openStore({ embedded: { clientConfig: { ...server.clientConfig, database: name } } })
}

async function measure(name: string, work: () => Promise<unknown>): Promise<Measured> {
  let rssMax = 0
  const sample = () => (rssMax = Math.max(rssMax, process.memoryUsage.rss()))
  const timer = setInterval(sample, RSS_SAMPLE_MS)
  const startMs = performance.now()
  await work()
  const seconds = (performance.now() - startMs) / 1000
  clearInterval(timer)
  sample()
  return { name, seconds, rssMiB: Math.round(rssMax / BYTES_PER_MIB) }
}

/** What a first load leaves: texts that share nothing but words, each used ten times. */
async function fill(pool: pg.Pool): Promise<void> {
  await pool.query(
    `insert into evidence
     select md5((n / 10)::text)::uuid, (select string_agg(md5((n + k)::text), ' ') from generate_series(1, 9) k)
       from generate_series(0, $1::int - 1, 10) n`,
    [FINDINGS],
  )
  await pool.query(
    `insert into finding (id, kind, integration_id, place_id, issue_key, identity, source_key, type, severity, source_status,
                          state, ignored, disabled, first_found_at, first_found_effective_at, opened_at, port, protocol, ssl,
                          evidence_hash, first_run_id, changed_run_id)
     select 10000 + n, 'vm', 1, n / $2::int, (38000 + n % $2::int)::text, md5('i' || n)::uuid, (5000000000 + n)::text,
            'Confirmed', 1 + n % 5, 'Active', 'open', false, false, now(), now(), now(), 443, 'tcp', true,
            md5((n / 10)::text)::uuid, 1, 1
       from generate_series(0, $1::int - 1) n`,
    [FINDINGS, FINDINGS_PER_HOST],
  )
  await pool.query(
    `insert into observation
     select place_id, id, identity, md5('s' || id)::uuid, id * 7919, now(), now(), now(), now(), 30, 1 from finding`,
  )
  await pool.query('vacuum analyze')
}

async function copyOut(pool: pg.Pool, folder: string): Promise<void> {
  const client = await pool.connect()
  for (const table of LARGE)
    await pipeline(
      client.query(copyTo(`copy (select * from ${table}) to stdout (format binary)`)),
      createWriteStream(join(folder, `${table}.copy`)),
    )
  client.release()
}

async function copyIn(source: pg.Pool, target: pg.Pool): Promise<void> {
  const from = await source.connect()
  const to = await target.connect()
  for (const table of LARGE)
    await pipeline(
      from.query(copyTo(`copy (select * from ${table}) to stdout (format binary)`)),
      to.query(copyFrom(`copy ${table} from stdin (format binary)`)),
    )
  from.release()
  to.release()
}

await main()
