import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Finding } from '../../src/api/resources.ts'
import type { RunReport } from '../../src/api/run-resources.ts'
import type { Migrations } from '../../src/cli/context.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createKeyFile, loadKeyRing, seal } from '../../src/lib/secrets.ts'
import { startEmbeddedServer } from '../../src/store/embedded/server.ts'
import { openStore } from '../../src/store/pool.ts'
import { CliWorld } from '../support/cli.ts'
import { UPGRADE_ESTATE } from '../upgrade/estate.ts'
import { buildVersion, listVersions } from '../upgrade/versions.ts'

/** Each starts many processes one after the other. */
const PROCESSES_TIMEOUT_MS = 600_000

let world: CliWorld
let fake: FakeQualys

beforeEach(async () => {
  fake = await startFakeQualys({
    estate: createEstate({ clock: systemClock, ...UPGRADE_ESTATE }),
    limits: { rate: 10_000 },
  })
  world = await CliWorld.open({ PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8' })
})

afterEach(async () => {
  await world.close()
  await fake.close()
})

/** Works on the database in the data folder as a program of its own. */
async function inFolder(work: (pool: pg.Pool) => Promise<unknown>): Promise<void> {
  const quiet = { info: () => undefined }
  const server = await startEmbeddedServer({ dataFolder: world.home, log: quiet, unsafeNoFsync: true })
  try {
    const pool = await openStore({ embedded: server })
    await work(pool)
    await pool.end()
  } finally {
    await server.stop()
  }
}

/** The data folder of an earlier program, whose Qualys is now the fake. */
async function buildFolder(version: number): Promise<void> {
  const keyFile = join(world.home, 'keys', 'master.key')
  await mkdir(join(world.home, 'keys'), { mode: 0o700 })
  await createKeyFile(keyFile)
  const context = { integrationId: '1', field: 'password' }
  const secret = JSON.stringify(seal(await loadKeyRing(keyFile), DEFAULT_USER.password, context))
  await inFolder(async (pool) => {
    await buildVersion(pool, version)
    await pool.query('delete from key_ring')
    await pool.query('update integration_secret set sealed = $1', [secret])
    await pool.query('update integration set config = $1 where id = 1', [
      { url: fake.url, username: DEFAULT_USER.username, privatePlatform: true },
    ])
    await pool.query('update integration set is_enabled = false where id = 2')
  })
}

test(
  'the data folder of the oldest program is taken over by this one, which finds its findings again',
  async () => {
    const [oldest, ...later] = await listVersions()
    await buildFolder(oldest!)
    const { pending } = await world.json<Migrations>(['migrate', '--status'])
    expect(pending).toHaveLength(later.length)
    // A backup before the update needs no update.
    expect(await world.run(['backup', join(world.home, 'before.backup')])).toMatchObject({ code: 0 })
    expect((await world.json<Migrations>(['migrate', '--status'])).pending).toHaveLength(later.length)

    await world.serve()
    const { run, ledger } = await world.json<RunReport>(['sync', '--force', '--full'])
    expect(run).toMatchObject({ id: '3', state: 'COMPLETE' })
    expect(ledger.find(({ module }) => module === 'qualys.detections')).toMatchObject({ newRecords: 0 })
    expect(await world.json<Finding[]>(['finding', 'list'])).toHaveLength(6)
  },
  PROCESSES_TIMEOUT_MS,
)

test(
  'a newer database is served as long as it can be, and refused with a sentence when it cannot',
  async () => {
    await buildFolder((await listVersions()).at(-1)!)
    const insert = 'insert into migration (number, name, checksum, is_breaking) values'
    await inFolder((pool) => pool.query(`${insert} (999998, 'more', repeat('a', 64), false)`))
    const { newer } = await world.json<Migrations>(['migrate', '--status'])
    expect(newer).toEqual(['999998_more'])
    expect((await world.run(['finding', 'list'])).code).toBe(0)
    const file = join(world.home, 'a.backup')
    expect(await world.run(['backup', file])).toMatchObject({ code: 3 })

    await inFolder((pool) => pool.query(`${insert} (999999, 'other', repeat('a', 64), true)`))
    for (const command of [['serve'], ['backup', file]]) {
      const refused = await world.run(command)
      expect(refused).toMatchObject({ code: 3, stdout: '' })
      expect(refused.stderr).toContain(
        'was migrated by a newer Patchbay (999999_other), too new for this one',
      )
    }
  },
  PROCESSES_TIMEOUT_MS,
)

test(
  'a database of another major version of PostgreSQL is refused, and the way by a backup is named',
  async () => {
    await inFolder(() => Promise.resolve())
    await writeFile(join(world.home, 'postgres', 'PG_VERSION'), '17\n')
    for (const command of [['serve'], ['backup', join(world.home, 'a.backup')]]) {
      const refused = await world.run(command)
      expect(refused.code).toBe(3)
      expect(refused.stderr).toContain('was made by PostgreSQL 17')
      expect(refused.stderr).toMatch(/patchbay backup.*patchbay restore/)
    }
  },
  PROCESSES_TIMEOUT_MS,
)
