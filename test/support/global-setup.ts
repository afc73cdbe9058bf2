import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runMigrations } from 'graphile-worker'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { systemClock } from '../../src/lib/clock.ts'
import { lockFolder } from '../../src/store/embedded/folder-lock.ts'
import { stopServer } from '../../src/store/embedded/running-server.ts'
import { startEmbeddedServer } from '../../src/store/embedded/server.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openStore } from '../../src/store/pool.ts'
import { withDatabase } from './urls.ts'

const FOLDER_PREFIX = 'patchbay-test-'
const REMOVE_RETRIES_MAX = 5

/**
 * One PostgreSQL for the whole run, the embedded one in a temporary folder or the server that
 * `PATCHBAY_TEST_DATABASE_URL` names, and in it one migrated database that the tests' own ones are copied from.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer()
  const template = `patchbay_template_${randomBytes(6).toString('hex')}`
  try {
    await onServer(server.url, `CREATE DATABASE ${template}`)
    await migrateTemplate(withDatabase(server.url, template))
  } catch (error) {
    await server.stop()
    throw error
  }
  project.provide('databaseServerUrl', server.url)
  project.provide('templateDatabase', template)
  return async () => {
    // A server of our own is thrown away as a whole.
    if (!server.isOwn) await onServer(server.url, `DROP DATABASE IF EXISTS ${template} WITH (FORCE)`)
    await server.stop()
  }
}

interface TestServer {
  url: string
  isOwn: boolean
  stop(): Promise<void>
}

async function startServer(): Promise<TestServer> {
  const given = process.env['PATCHBAY_TEST_DATABASE_URL']
  if (given) return { url: given, isOwn: false, stop: () => Promise.resolve() }
  await removeAbandonedFolders()
  const dataFolder = await mkdtemp(join(tmpdir(), FOLDER_PREFIX))
  // Another run may just be looking whether this one is still there.
  const remove = () => rm(dataFolder, { recursive: true, force: true, maxRetries: REMOVE_RETRIES_MAX })
  try {
    const quiet = { info: () => {} }
    const server = await startEmbeddedServer({ dataFolder, log: quiet, unsafeNoFsync: true })
    const stop = async () => {
      await server.stop()
      await remove()
    }
    return { url: server.connectionString, isOwn: true, stop }
  } catch (error) {
    await remove()
    throw error
  }
}

/** What runs that were killed have left: their server still runs, but nobody holds their folder any more. */
async function removeAbandonedFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const folder = join(tmpdir(), name)
    if (!name.startsWith(FOLDER_PREFIX)) continue
    // A run that has just made its folder has not locked it yet.
    if (!(await stat(join(folder, 'postgres.log')).catch(() => undefined))) continue
    try {
      const lock = lockFolder(folder)
      await stopServer(join(folder, 'postgres'), systemClock)
      await rm(folder, { recursive: true, force: true })
      lock.release()
    } catch {
      // Another run uses it, or it belongs to another user.
    }
  }
}

async function migrateTemplate(databaseUrl: string): Promise<void> {
  const pool = await openStore({ databaseUrl, connectionsMax: 2 })
  try {
    await migrate(pool)
    await runMigrations({ pgPool: pool })
  } finally {
    await pool.end()
  }
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
