import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { DetectionReader, NAMES } from '../src/sources/qualys/detections/parse.ts'
import { ROOT } from '../src/sources/qualys/detections/schema.ts'
import { readFoBody } from '../src/sources/qualys/fo-body.ts'

const CHUNK_BYTES = 256 * 1024
const SCANNED_BYTES_MAX = 200_000_000

/** What no way in can beat, measured over the same bytes and rows. */
export interface Bounds {
  /** MB of XML per second. */
  gunzip: number
  scanner: number
  /** Rows per second. */
  copy: number
}

export async function measureBounds(pages: string, pool: pg.Pool, folder: string): Promise<Bounds> {
  return {
    gunzip: await measureGunzip(pages),
    scanner: await measureScanner(pages),
    copy: await measureCopy(pool, folder),
  }
}

async function measureGunzip(pages: string): Promise<number> {
  let bytes = 0
  const startedMs = performance.now()
  for await (const chunk of unpacked(pages)) bytes += chunk.length
  return megabytesPerSecond(bytes, startedMs)
}

function unpacked(pages: string): AsyncIterable<Buffer> {
  const file = createReadStream(join(pages, 'hosts.xml.gzs'), { highWaterMark: CHUNK_BYTES })
  return file.pipe(createGunzip({ chunkSize: CHUNK_BYTES })) as AsyncIterable<Buffer>
}

function megabytesPerSecond(bytes: number, startedMs: number): number {
  return bytes / 1e6 / ((performance.now() - startedMs) / 1000)
}

/** Up to the record with its hashes, over the same bytes, which are in memory by then. */
async function measureScanner(pages: string): Promise<number> {
  const chunks: Buffer[] = [Buffer.from(`<${ROOT}><RESPONSE><HOST_LIST>`)]
  let bytes = 0
  let isWhole = true
  for await (const chunk of unpacked(pages)) {
    chunks.push(Buffer.from(chunk))
    bytes += chunk.length
    isWhole = bytes < SCANNED_BYTES_MAX
    if (!isWhole) break
  }
  if (isWhole) chunks.push(Buffer.from(`</HOST_LIST></RESPONSE></${ROOT}>`))
  const source = { body: each(chunks), expectRoot: ROOT, names: NAMES, signal: new AbortController().signal }
  const startedMs = performance.now()
  try {
    for await (const message of readFoBody(source, new DetectionReader('1')))
      if (message.type !== 'records') throw new Error('The pages hold something that cannot be read.')
  } catch (error) {
    // The end of the document is missing when not all of it fits into memory.
    if (isWhole) throw error
  }
  return megabytesPerSecond(bytes, startedMs)
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

const ROWS = `select f.*, o.state_hash, o.volatile_hash, o.last_found_at, o.last_test_at, o.last_processed_at, o.times_found,
         e.body
    from finding f join observation o on o.place_id = f.place_id and o.finding_id = f.id
    left join evidence e on e.hash = f.evidence_hash`
const COPY_ROUNDS = 3

/** The same rows with their evidence, into one table with its primary key: the median of some rounds. */
async function measureCopy(pool: pg.Pool, folder: string): Promise<number> {
  const file = join(folder, 'bound.copy')
  const client = await pool.connect()
  try {
    await client.query(`create table bound as ${ROWS} with no data`)
    await client.query('alter table bound add primary key (place_id, id)')
    await pipeline(client.query(copyTo(`copy (${ROWS}) to stdout (format binary)`)), createWriteStream(file))
    const rates: number[] = []
    for (let round = 0; round < COPY_ROUNDS; round += 1) {
      await client.query('truncate bound')
      await client.query('checkpoint')
      const into = client.query(copyFrom('copy bound from stdin (format binary)'))
      const startedMs = performance.now()
      await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), into)
      rates.push(into.rowCount / ((performance.now() - startedMs) / 1000))
    }
    await client.query('drop table bound')
    return rates.toSorted((a, b) => a - b)[Math.floor(COPY_ROUNDS / 2)]!
  } finally {
    client.release()
    await rm(file, { force: true })
  }
}
