import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { expect } from 'vitest'
import { isAlive, query, test, until } from '../../../test/support/embedded.ts'
import { ManualClock } from '../../lib/clock.ts'
import { stopServer } from './running-server.ts'

test('the first start makes a database, and a restart finds what was in it', async ({ folder, start }) => {
  const first = await start(join(folder, 'home'), { unsafeNoFsync: false })
  await query(first, 'create table note (id bigint)')
  await query(first, 'insert into note values (1)')
  await first.stop()
  expect(isAlive(first.pid)).toBe(false)
  const second = await start(join(folder, 'home'), { unsafeNoFsync: false })
  expect(await query(second, 'select id from note')).toEqual([{ id: '1' }])
})

test('the server is durable, speaks UTF-8, sorts alike everywhere and listens on no network', async ({
  folder,
  start,
}) => {
  const server = await start(folder, { unsafeNoFsync: false })
  const [settings] = await query(
    server,
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
            current_setting('full_page_writes') as pages, current_setting('server_encoding') as encoding,
            current_setting('listen_addresses') as addresses, upper('ä') as upper, 'Z' < 'a' as by_code_point`,
  )
  expect(settings).toEqual({
    fsync: 'on',
    commit: 'on',
    pages: 'on',
    encoding: 'UTF8',
    addresses: '',
    upper: 'Ä',
    by_code_point: true,
  })
})

test('the data folder and the password are for their owner alone, and a wrong password opens nothing', async ({
  folder,
  start,
}) => {
  const home = join(folder, 'home')
  const server = await start(home)
  expect((await stat(home)).mode & 0o777).toBe(0o700)
  for (const name of ['postgres.password', 'postgres.log', 'owner']) {
    expect((await stat(join(home, name))).mode & 0o777).toBe(0o600)
  }
  expect(await readFile(join(home, 'postgres.log'), 'utf8')).not.toContain(server.clientConfig.password)
  const stranger = new pg.Client({ ...server.clientConfig, password: 'guess' })
  await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' })
})

test('the connection string leads to the same database from a path with spaces and signs', async ({
  folder,
  start,
}) => {
  const server = await start(join(folder, `it's "my" höme & 100% #1?`))
  const client = new pg.Client({ connectionString: server.connectionString })
  await client.connect()
  expect((await client.query('select current_database() as name')).rows).toEqual([{ name: 'patchbay' }])
  await client.end()
})

test('a path longer than a socket address allows is reached by a link that goes away again', async ({
  folder,
  start,
}) => {
  const server = await start(join(folder, 'long '.repeat(30)))
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  expect(Buffer.byteLength(server.clientConfig.host)).toBeLessThan(100)
  await server.stop()
  await expect(stat(server.clientConfig.host)).rejects.toThrow('ENOENT')
})

test('stopping ends the server although somebody is connected, and may be done twice', async ({
  folder,
  start,
}) => {
  const server = await start(folder)
  const client = new pg.Client(server.clientConfig)
  client.on('error', () => {})
  await client.connect()
  const busy = client.query('select pg_sleep(600)').catch((error: Error) => error.message)
  await Promise.all([server.stop(), server.stop()])
  await server.stop()
  expect(isAlive(server.pid)).toBe(false)
  expect(await server.ended).toBe(undefined)
  expect(await busy).toContain('terminat')
})

test('a server that does not react is killed in the end', async ({ folder, start }) => {
  const server = await start(folder)
  process.kill(server.pid, 'SIGSTOP')
  // Only the clock moves on, so that all limits pass in no time.
  await stopServer(join(folder, 'postgres'), new ManualClock(0, { skipSleeps: true }))
  expect((await server.ended)?.message).toContain('ended by SIGKILL')
  await server.stop()
  // A start and a stop in good order also give back the shared memory.
  await start(folder)
})

test('a file of the data folder that cannot be opened is reported as a sentence', async ({
  folder,
  start,
}) => {
  await mkdir(join(folder, 'postgres.log'))
  await expect(start(folder)).rejects.toMatchObject({
    kind: 'config',
    message: 'Patchbay could not start the embedded PostgreSQL: there is a folder where a file is wanted.',
  })
})

test('aborting a start leaves neither a server nor a lock', async ({ folder, start }) => {
  const aborted = start(folder, { signal: AbortSignal.abort(new Error('enough')) })
  await expect(aborted).rejects.toThrow('enough')
  const server = await start(folder)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('what was committed survives a killed Patchbay, whose server is ended before the new one starts', async ({
  folder,
  start,
  starter,
}) => {
  const killed = starter(folder)
  const orphan = Number((await killed.next()).replace('started ', ''))
  const password = (await readFile(join(folder, 'postgres.password'), 'utf8')).trim()
  const clientConfig = {
    host: join(folder, 'postgres'),
    port: 5432,
    user: 'patchbay',
    password,
    database: 'patchbay',
  }
  await query({ clientConfig }, 'create table note as select 7::bigint as id')
  await killed.kill('SIGKILL')
  expect(isAlive(orphan)).toBe(true)
  const server = await start(folder)
  // It has let go of the folder; that its process is gone altogether may take a moment more.
  await until(() => !isAlive(orphan))
  expect(await query(server, 'select id from note')).toEqual([{ id: '7' }])
})

test('a killed server is noticed and recovered by the next start, even while its children still run', async ({
  folder,
  start,
}) => {
  const server = await start(folder)
  await query(server, 'create table note as select 7::bigint as id')
  const client = new pg.Client(server.clientConfig)
  client.on('error', () => {})
  await client.connect()
  // A child that computes does not look whether its postmaster still lives.
  const busy = client.query('select count(*) from generate_series(1, 1000000000000)').catch(() => {})
  await until(
    async () =>
      (
        await query(
          server,
          `select 1 from pg_stat_activity where query like '%1000000000000%' and state = 'active'`,
        )
      ).length > 1,
  )
  process.kill(server.pid, 'SIGKILL')
  const ended = await server.ended
  expect(ended?.message).toBe('Patchbay could not keep the embedded PostgreSQL running: ended by SIGKILL')
  expect(ended?.kind).toBe('transient')
  await server.stop()
  await busy
  const again = await start(folder)
  expect(await query(again, 'select id from note')).toEqual([{ id: '7' }])
})

test('stale files whose pid now belongs to another process do not hold back the start', async ({
  folder,
  start,
}) => {
  const home = join(folder, 'home')
  await (await start(home)).stop()
  const cluster = join(home, 'postgres')
  const { uid, gid } = await stat(cluster)
  const somebodyElse = spawn('sleep', ['600'], { uid, gid, cwd: '/', stdio: 'ignore' })
  const stale = `${somebodyElse.pid}\n${cluster}\n1700000000\n5432\n.\n\n  12345 1\nready\n`
  await writeFile(join(cluster, 'postmaster.pid'), stale)
  await writeFile(join(cluster, '.s.PGSQL.5432.lock'), stale)
  await writeFile(join(cluster, '.s.PGSQL.5432'), '')
  const server = await start(home)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  expect(somebodyElse.exitCode).toBe(null)
  somebodyElse.kill()
  await once(somebodyElse, 'exit')
})

test('a second server on the same data folder is refused with the pid of the first', async ({
  folder,
  start,
  starter,
}) => {
  const server = await start(folder)
  const refused = {
    kind: 'conflict',
    message: `The data folder ${folder} is in use by the Patchbay process with pid ${process.pid}.`,
  }
  await expect(start(folder)).rejects.toMatchObject(refused)
  expect(await starter(folder).next()).toContain(`failed conflict ${refused.message}`)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  await server.stop()
  expect(await starter(folder).next()).toMatch(/^started \d+$/)
})

test('of many starters at once exactly one gets the data folder', async ({ folder, starter }) => {
  const answers = await Promise.all(Array.from({ length: 4 }, () => starter(folder).next()))
  expect(answers.filter((answer) => answer.startsWith('started'))).toHaveLength(1)
  expect(answers.filter((answer) => answer.startsWith('failed conflict'))).toHaveLength(3)
})

test('a Patchbay killed while it makes the database leaves nothing that the next start minds', async ({
  folder,
  start,
  starter,
}) => {
  const killed = starter(folder)
  const unfinished = await until(async () => {
    const name = (await readdir(folder)).find((entry) => entry.startsWith('postgres.initdb-'))
    return name !== undefined && (await readdir(join(folder, name))).length > 3 && join(folder, name)
  })
  await killed.kill('SIGKILL')
  expect(await readdir(folder)).not.toContain('postgres')
  const server = await start(folder)
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  await expect(stat(unfinished)).rejects.toThrow('ENOENT')
})

test('a lost password file is replaced, with a new password', async ({ folder, start }) => {
  const first = await start(folder)
  await query(first, 'create table note as select 7::bigint as id')
  await first.stop()
  await rm(join(folder, 'postgres.password'))
  const second = await start(folder)
  expect(second.clientConfig.password).not.toBe(first.clientConfig.password)
  expect(await query(second, 'select id from note')).toEqual([{ id: '7' }])
})

test('a database of another major version is refused with both versions', async ({ folder, start }) => {
  const made = await start(folder)
  await made.stop()
  await writeFile(join(folder, 'postgres', 'PG_VERSION'), '17\n')
  await expect(start(folder)).rejects.toMatchObject({
    kind: 'config',
    message: expect.stringContaining('was made by PostgreSQL 17; this Patchbay brings 18.') as unknown,
  })
})

test('a folder named postgres that holds no database is refused and left alone', async ({
  folder,
  start,
}) => {
  const made = await start(join(folder, 'model'))
  await made.stop()
  const { uid, gid } = await stat(join(folder, 'model', 'postgres'))
  await mkdir(join(folder, 'home', 'postgres'), { recursive: true })
  await chown(join(folder, 'home', 'postgres'), uid, gid)
  await writeFile(join(folder, 'home', 'postgres', 'precious'), 'data')
  await expect(start(join(folder, 'home'))).rejects.toThrow('holds no PostgreSQL database')
  expect(await readdir(join(folder, 'home', 'postgres'))).toEqual(['precious'])
})

test('a configuration that the server does not like is reported with its own words', async ({
  folder,
  start,
}) => {
  const made = await start(folder)
  await made.stop()
  await writeFile(join(folder, 'postgres', 'postgresql.conf'), 'no_such_setting = 1\n')
  await expect(start(folder)).rejects.toThrow(/could not start the embedded PostgreSQL: .*no_such_setting/s)
})

test('a file where the data folder should be is reported with a remedy', async ({ folder, start }) => {
  await writeFile(join(folder, 'home'), 'not a folder')
  await expect(start(join(folder, 'home'))).rejects.toMatchObject({
    kind: 'config',
    message: `Patchbay could not use the data folder ${join(folder, 'home')}: there is a file where a folder is wanted.`,
    hint: expect.stringContaining('PATCHBAY_HOME') as unknown,
  })
})
