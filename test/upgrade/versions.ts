import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { migrate } from '../../src/store/migrate.ts'

const MIGRATIONS = fileURLToPath(new URL('../../src/store/migrations', import.meta.url))
const DATA = fileURLToPath(new URL('./data', import.meta.url))
/** Before it there was no whole hub that could have written anything. */
const FIRST_VERSION = 2

/** File names of the migrations, in order. */
export async function listMigrations(): Promise<string[]> {
  return (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort()
}

/** The schemas that some earlier program had, by number, and the present one. */
export async function listVersions(): Promise<number[]> {
  return (await listMigrations()).map(numberOf).filter((number) => number >= FIRST_VERSION)
}

/** Makes of an empty database what a hub of that version had left: its schema, and its data. */
export async function buildVersion(pool: pg.Pool, version: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-version-'))
  try {
    const data = (await readdir(DATA)).sort()
    for (const file of await listMigrations()) {
      if (numberOf(file) > version) break
      await cp(join(MIGRATIONS, file), join(folder, file))
      await migrate(pool, { folder })
      for (const rows of data.filter((name) => numberOf(name) === numberOf(file)))
        await pool.query(await readFile(join(DATA, rows), 'utf8'))
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function numberOf(file: string): number {
  return Number(file.slice(0, 6))
}
