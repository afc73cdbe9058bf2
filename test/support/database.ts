import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject, test as base } from 'vitest'
import { createPool } from '../../src/store/pool.ts'
import { withDatabase } from './urls.ts'

interface Databases {
  /** A copy of the migrated template. */
  databaseUrl: string
  /** A pool on `databaseUrl`. */
  db: pg.Pool
  emptyDatabaseUrl: string
  /** A pool on `emptyDatabaseUrl`, where nothing has been migrated. */
  emptyDb: pg.Pool
}

/**
 * `test` with a database of its own for each test that asks for one, dropped afterwards. A test that keeps a connection
 * of a pool fails.
 */
export const test = base.extend<Databases>({
  // vitest wants the destructuring even where nothing is taken.
  // oxlint-disable-next-line no-empty-pattern
  databaseUrl: ({}, use) => withOwnDatabase(inject('templateDatabase'), use),
  db: ({ databaseUrl }, use) => withPool(databaseUrl, use),
  // oxlint-disable-next-line no-empty-pattern
  emptyDatabaseUrl: ({}, use) => withOwnDatabase('template0', use),
  emptyDb: ({ emptyDatabaseUrl }, use) => withPool(emptyDatabaseUrl, use),
})

async function withOwnDatabase(template: string, use: (url: string) => Promise<void>): Promise<void> {
  const serverUrl = inject('databaseServerUrl')
  const database = `patchbay_test_${randomBytes(8).toString('hex')}`
  // Copying the files costs a quarter of writing their contents to the log.
  await onServer(serverUrl, `CREATE DATABASE ${database} TEMPLATE ${template} STRATEGY file_copy`)
  try {
    await use(withDatabase(serverUrl, database))
  } finally {
    await onServer(serverUrl, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
  }
}

async function withPool(databaseUrl: string, use: (pool: pg.Pool) => Promise<void>): Promise<void> {
  const pool = createPool({ connectionString: databaseUrl })
  await use(pool)
  const kept = pool.totalCount - pool.idleCount
  // The database, and with it every connection, is about to be dropped; `end` would wait for the kept ones for ever.
  if (kept > 0) throw new Error(`The test kept ${kept} connections of the pool.`)
  await pool.end()
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
