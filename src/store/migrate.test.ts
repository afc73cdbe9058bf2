import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { test as base } from '../../test/support/database.ts'
import { migrate, migrationStatus } from './migrate.ts'
import { createPool } from './pool.ts'

interface Folder {
  path: string
  write(files: Record<string, string>): Promise<void>
}

const test = base.extend<{ folder: Folder }>({
  // oxlint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const path = await mkdtemp(join(tmpdir(), 'patchbay-migrations-'))
    const write = async (files: Record<string, string>) => {
      for (const [name, sql] of Object.entries(files)) await writeFile(join(path, name), sql)
    }
    await use({ path, write })
    await rm(path, { recursive: true })
  },
})

const FIRST = { '000001_first.sql': 'create table a (id bigint);\ncreate table b (id bigint);\n' }
const SECOND = { '000002_second.sql': 'insert into a values (2);' }

test('migrations are applied in order, once', async ({ emptyDb, folder }) => {
  await folder.write({ ...SECOND, ...FIRST, 'README.md': 'no migration' })
  expect(await migrate(emptyDb, { folder: folder.path })).toEqual(['000001_first', '000002_second'])
  expect(await migrate(emptyDb, { folder: folder.path })).toEqual([])
  expect((await emptyDb.query('select * from a')).rows).toEqual([{ id: '2' }])
})

test('the migration status tells applied from pending without changing the database', async ({
  emptyDb,
  folder,
}) => {
  await folder.write(FIRST)
  expect(await migrationStatus(emptyDb, { folder: folder.path })).toMatchObject({ pending: ['000001_first'] })
  expect((await emptyDb.query(`select to_regclass('migration') as found`)).rows).toEqual([{ found: null }])
  await migrate(emptyDb, { folder: folder.path })
  await folder.write(SECOND)
  const status = await migrationStatus(emptyDb, { folder: folder.path })
  expect(status).toEqual({ applied: ['000001_first'], pending: ['000002_second'], newer: [] })
})

test('many starters at once apply each migration exactly once', async ({
  emptyDb,
  emptyDatabaseUrl,
  folder,
}) => {
  await folder.write({ ...FIRST, ...SECOND, '000003_third.sql': 'insert into a values (3)' })
  const pools = Array.from({ length: 5 }, () => createPool({ connectionString: emptyDatabaseUrl }))
  const applied = await Promise.all(pools.map((pool) => migrate(pool, { folder: folder.path })))
  await Promise.all(pools.map((pool) => pool.end()))
  expect(applied.flat().sort()).toEqual(['000001_first', '000002_second', '000003_third'])
  expect((await emptyDb.query('select id from a order by id')).rows).toEqual([{ id: '2' }, { id: '3' }])
})

test('a failing migration is rolled back as a whole and named', async ({ emptyDb, folder }) => {
  await folder.write({ ...FIRST, '000002_broken.sql': 'create table c (id bigint); select 1/0;' })
  const failed = migrate(emptyDb, { folder: folder.path })
  await expect(failed).rejects.toThrow(
    'The migration 000002_broken failed and was rolled back: division by zero.',
  )
  const { rows } = await emptyDb.query(`select to_regclass('a') as a, to_regclass('c') as c`)
  expect(rows).toEqual([{ a: 'a', c: null }])
  await folder.write({ '000002_broken.sql': 'create table c (id bigint)' })
  expect(await migrate(emptyDb, { folder: folder.path })).toEqual(['000002_broken'])
})

test('a migration that was changed after it had been applied is refused, but not for its line ends', async ({
  emptyDb,
  folder,
}) => {
  await folder.write(FIRST)
  await migrate(emptyDb, { folder: folder.path })
  await folder.write({ '000001_first.sql': FIRST['000001_first.sql'].replaceAll('\n', '\r\n') })
  expect(await migrate(emptyDb, { folder: folder.path })).toEqual([])
  await folder.write({ '000001_first.sql': 'create table other (id bigint);' })
  const refused = 'The migration 000001_first was changed after it had been applied.'
  await expect(migrate(emptyDb, { folder: folder.path })).rejects.toThrow(refused)
  await expect(migrationStatus(emptyDb, { folder: folder.path })).rejects.toThrow(refused)
})

test('a missing migration and one that comes late are refused', async ({ emptyDb, folder }) => {
  await folder.write({ '000002_second.sql': 'select 1', '000003_third.sql': 'select 1' })
  await migrate(emptyDb, { folder: folder.path })
  await folder.write(FIRST)
  await expect(migrate(emptyDb, { folder: folder.path })).rejects.toThrow(
    '000001_first is new, but a later one',
  )
  await rm(join(folder.path, '000001_first.sql'))
  await rm(join(folder.path, '000002_second.sql'))
  await expect(migrate(emptyDb, { folder: folder.path })).rejects.toThrow(
    '000002_second is missing in this program',
  )
})

test('an older program lives with a newer database unless a migration is marked as breaking', async ({
  emptyDb,
  folder,
}) => {
  await folder.write({ ...FIRST, ...SECOND })
  await migrate(emptyDb, { folder: folder.path })
  await rm(join(folder.path, '000002_second.sql'))
  expect(await migrate(emptyDb, { folder: folder.path })).toEqual([])
  expect((await migrationStatus(emptyDb, { folder: folder.path })).newer).toEqual(['000002_second'])

  await folder.write({ ...SECOND, '000003_big.sql': '--! breaking\ndrop table b;' })
  await migrate(emptyDb, { folder: folder.path })
  await rm(join(folder.path, '000003_big.sql'))
  await expect(migrate(emptyDb, { folder: folder.path })).rejects.toMatchObject({
    kind: 'config',
    code: 'database_too_new',
    message: 'The database was migrated by a newer Patchbay (000003_big), too new for this one.',
  })
})

test('migration files with odd names or the same number are refused', async ({ emptyDb, folder }) => {
  await folder.write({ '1_first.sql': 'select 1' })
  await expect(migrate(emptyDb, { folder: folder.path })).rejects.toThrow('1_first.sql is not named like')
  await rm(join(folder.path, '1_first.sql'))
  await folder.write({ '000001_a.sql': 'select 1', '000001_b.sql': 'select 1' })
  await expect(migrate(emptyDb, { folder: folder.path })).rejects.toThrow('Two migrations have the number 1.')
})

test('the real migrations go onto an empty database, and the template has them all', async ({
  db,
  emptyDb,
}) => {
  const files = (await readdir(new URL('./migrations', import.meta.url))).map((file) =>
    file.replace(/\.sql$/, ''),
  )
  expect(await migrate(emptyDb)).toEqual(files.sort())
  expect(await migrationStatus(db)).toEqual({ applied: files, pending: [], newer: [] })
})
