import { appendFile, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { expect } from 'vitest'
import { test as base } from '../../../test/support/database.ts'
import { canMount, runProgram } from '../../../test/support/embedded.ts'
import { buildVersion, listVersions } from '../../../test/upgrade/versions.ts'
import { createPool } from '../pool.ts'
import { writeWhole } from './backup-file.ts'
import { BackupFile } from './backup-reader.ts'
import { FRAME, frameOf, jsonFrame, sha256 } from './format.ts'
import { restoreBackup } from './restore-backup.ts'
import { KEPT_TABLES, LEFT_OUT_TABLES } from './tables.ts'
import { takeBackup } from './take-backup.ts'

const NOW = new Date('2026-10-05T12:00:00Z')

interface Databases {
  folder: string
  /** With a little of everything. */
  source: pg.Pool
  target: pg.Pool
}

const test = base.extend<Databases>({
  // oxlint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'patchbay-backup-'))
    await use(folder)
    await rm(folder, { recursive: true })
  },
  source: async ({ emptyDb }, use) => {
    await buildVersion(emptyDb, (await listVersions()).at(-1)!)
    await use(emptyDb)
  },
  target: async ({ db }, use) => {
    await db.query('drop schema public, graphile_worker cascade')
    await db.query('create schema public')
    await use(db)
  },
})

async function backUp(pool: pg.Pool, path: string): Promise<void> {
  const bytes = takeBackup(pool, { takenAt: NOW, program: 'test' })
  await writeWhole(path, bytes, { mayReplace: false, signal: new AbortController().signal })
}

async function restore(pool: pg.Pool, path: string, withoutSecrets = false): Promise<string[]> {
  const file = await BackupFile.open(path)
  try {
    return (await restoreBackup(pool, file, { now: NOW, withoutSecrets })).migrated
  } finally {
    await file.close()
  }
}

/** Count and content of every table, whatever the order of its rows. */
async function contents(pool: pg.Pool, tables = KEPT_TABLES): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const table of tables) {
    const { rows } = await pool.query<{ text: string }>(
      `select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as text from ${table} t`,
    )
    found[table] = rows[0]!.text
  }
  return found
}

test('a restored backup holds every row as it was, and ids go on after the last', async ({
  source,
  target,
  folder,
}) => {
  await source.query(
    `create table event_2026_09 partition of event for values from ('2026-09-01') to ('2026-10-01')`,
  )
  await source.query(
    `insert into event (seen_at, kind, integration_id, place_id, finding_id, old_state, new_state, reason)
     values ('2026-09-10', 'vm', 1, 1, 1, 'open', 'fixed', E'tab\\t, line\\n, \\\\., backslash \\\\ and nothing: '),
            ('2020-01-01', 'vm', 1, 1, 1, 'fixed', 'open', '\\N')`,
  )
  const before = await contents(source)
  for (const table of KEPT_TABLES.filter((name) => name !== 'restoration'))
    expect({ table, has: before[table] }).not.toEqual({ table, has: '0 0' })
  await backUp(source, join(folder, 'a'))
  await restore(target, join(folder, 'a'))
  const { lease: _, outbox: __, restoration, ...kept } = await contents(target)
  expect(before).toMatchObject(kept)
  expect(restoration).toMatch(/^2 /)
  const where = await target.query(
    `select tableoid::regclass::text as part from event where seen_at < '2026-10-01'`,
  )
  expect(where.rows.map((row: { part: string }) => row.part).toSorted()).toEqual([
    'event_2026_09',
    'event_default',
  ])
  const next = `insert into integration (type, subtype, name, config) values ('a', 'b', 'c', '{}') returning id`
  expect((await target.query(next)).rows).toEqual((await source.query(next)).rows)
  expect((await target.query(`select nextval('finding_id_block')`)).rows).toEqual(
    (await source.query(`select nextval('finding_id_block')`)).rows,
  )
})

test("a restored database is nobody's yet, and what was about to be sent may have been sent", async ({
  source,
  target,
  folder,
}) => {
  await source.query(`update lease set holder = 'somebody', expires_at = now() + interval '1 day'`)
  await source.query(
    `insert into slot (subscription, endpoint, holder, expires_at) values ('a', 'b', 'c', now())`,
  )
  await source.query(
    `insert into outbox (ticket_id, op, payload, reason, state, tries, claimed_by, claim_expires_at, created_at)
     select id, 'comment', '{}', 'r', s, 1, 'w', now() + interval '1 day', now()
       from (select id from ticket order by id limit 1) t, unnest(array['waiting', 'sending', 'done']) s`,
  )
  const epochs = 'select integration_id, epoch from lease'
  const lastOp = 'select max(id) as id from outbox'
  await backUp(source, join(folder, 'a'))
  await restore(target, join(folder, 'a'))
  expect((await target.query(epochs)).rows).toEqual((await source.query(epochs)).rows)
  expect((await target.query('select holder from lease')).rows).toEqual([{ holder: null }])
  expect((await target.query('select from slot')).rowCount).toBe(0)
  const ops = await target.query(
    `select state, tries, claim_expires_at < now() as is_free from outbox where reason = 'r' order by id`,
  )
  expect(ops.rows).toEqual([
    { state: 'waiting', tries: 2, is_free: null },
    { state: 'sending', tries: 2, is_free: true },
    { state: 'done', tries: 1, is_free: false },
  ])
  const { rows } = await source.query<{ id: string }>(lastOp)
  const fresh = await target.query<{ id: string }>(
    `insert into outbox (ticket_id, op, payload, reason, created_at)
     select min(id), 'comment', '{}', 'r', now() from ticket returning id`,
  )
  expect(Number(fresh.rows[0]?.id) - Number(rows[0]?.id)).toBeGreaterThan(100_000)
})

test('without its secrets a restored database asks for them, and for no key', async ({
  source,
  target,
  folder,
}) => {
  await backUp(source, join(folder, 'a'))
  await restore(target, join(folder, 'a'), true)
  const { rows } = await target.query(
    `select (select count(*) from integration_secret)::int as secrets, (select count(*) from key_ring)::int as keys,
            (select status from integration where id = 1) as status, (select status from integration where id = 2) as other`,
  )
  expect(rows).toEqual([{ secrets: 0, keys: 0, status: 'NEEDS_ATTENTION', other: 'OK' }])
})

test('a restored database without any secret takes whatever key comes', async ({
  source,
  target,
  folder,
}) => {
  await source.query('delete from integration_secret')
  await backUp(source, join(folder, 'a'))
  await restore(target, join(folder, 'a'))
  expect((await target.query('select from key_ring')).rowCount).toBe(0)
})

const mayMount = await canMount()

test.runIf(mayMount)(
  'a disk that fills up while a backup is written is a sentence, and no part of it stays',
  async ({ source, folder }) => {
    await source.query(
      `insert into evidence select gen_random_uuid(), string_agg(gen_random_uuid()::text, '') from generate_series(1, 100000) n group by n % 500`,
    )
    runProgram('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder)
    try {
      await expect(backUp(source, join(folder, 'a'))).rejects.toMatchObject({
        kind: 'config',
        code: 'disk_full',
      })
      expect(await readdir(folder)).toEqual([])
    } finally {
      runProgram('umount', folder)
    }
  },
)

test('a backup is one moment, whatever is written and dropped meanwhile', async ({
  source,
  target,
  folder,
}) => {
  const before = await contents(source)
  const bytes = takeBackup(source, { takenAt: NOW, program: 'test' })
  const parts: Uint8Array[] = [(await bytes.next()).value as Buffer]
  await source.query(`delete from finding`)
  await source.query(`insert into evidence select gen_random_uuid(), 'late' from generate_series(1, 100)`)
  let next = await bytes.next()
  for (; next.done !== true; next = await bytes.next()) parts.push(next.value)
  await writeFile(join(folder, 'a'), Buffer.concat(parts))
  await restore(target, join(folder, 'a'))
  const { finding, evidence } = await contents(target)
  expect({ finding, evidence }).toEqual({ finding: before['finding'], evidence: before['evidence'] })
})

test('a byte that is changed, missing or too many anywhere is refused, and nothing is restored', async ({
  source,
  target,
  folder,
}) => {
  const path = join(folder, 'a')
  await backUp(source, path)
  const whole = await readFile(path)
  const attempts: [name: string, bytes: Buffer][] = [['with more', Buffer.concat([whole, Buffer.from('x')])]]
  const places = Array.from({ length: 25 }, (_, index) => Math.floor((index * whole.length) / 25))
  for (const place of [...places, whole.length - 1]) {
    const changed = Buffer.from(whole)
    changed[place]! ^= 1
    attempts.push([`changed at ${place}`, changed], [`cut at ${place}`, whole.subarray(0, place)])
  }
  for (const [name, bytes] of attempts) {
    await writeFile(path, bytes)
    const failed = await restore(target, path).then(
      () => name,
      (error: unknown) => error,
    )
    expect({ name, failed }).toMatchObject({ name, failed: { kind: 'config', name: 'HubError' } })
  }
  expect(
    (await target.query(`select from pg_class where relnamespace = 'public'::regnamespace`)).rowCount,
  ).toBe(0)
  await writeFile(path, whole)
  await restore(target, path)
})

test('a database that holds anything is not restored into', async ({ source, target, folder }) => {
  await backUp(source, join(folder, 'a'))
  await expect(restore(source, join(folder, 'a'))).rejects.toMatchObject({
    kind: 'conflict',
    code: 'database_not_empty',
  })
  await target.query('create table theirs (id bigint)')
  await expect(restore(target, join(folder, 'a'))).rejects.toThrow(
    'The database is not empty: it holds public.theirs.',
  )
})

/** Changes the header, and makes everything behind it fit again, as whoever tampers with a backup would. */
async function tamper(path: string, change: (header: AnyHeader) => void): Promise<void> {
  const bytes = await readFile(path)
  const lineEnd = bytes.indexOf(10) + 1
  const header = JSON.parse(bytes.toString('utf8', 0, lineEnd)) as AnyHeader
  change(header)
  const parts: Buffer[] = [Buffer.from(`${JSON.stringify(header)}\n`)]
  let table = 0
  for (let at = lineEnd; at < bytes.length;) {
    const kind = bytes.toString('latin1', at, at + 1)
    const payload = bytes.subarray(at + 5, at + 5 + bytes.readUInt32BE(at + 1))
    at += 5 + payload.length
    if (kind === FRAME.data) parts.push(frameOf(FRAME.data, payload))
    if (kind === FRAME.tableEnd) {
      const end = JSON.parse(payload.toString('utf8')) as object
      parts.push(jsonFrame(FRAME.tableEnd, { ...end, name: header.tables[table++]?.name }))
    }
    if (kind !== FRAME.end) continue
    const end = JSON.parse(payload.toString('utf8')) as object
    const hash = sha256().update(Buffer.concat(parts)).digest('hex')
    parts.push(jsonFrame(FRAME.end, { ...end, tables: header.tables.length, sha256: hash }))
  }
  await writeFile(path, Buffer.concat(parts))
}

interface AnyHeader {
  tables: { name: string; columns: string[] }[]
  partitions: { table: string; name: string; from: string; to: string }[]
  sequences: { name: string; value: string | null }[]
  migrations: { number: number; name: string; checksum: string }[]
  version: number
}

const TAMPERED: [name: string, change: (header: AnyHeader) => void, says: string][] = [
  ['SQL for a table', (h) => (h.tables[0]!.name = 'integration; drop table run'), 'first line'],
  ['SQL for a column', (h) => (h.tables[0]!.columns[0] = 'id) from program $$id$$'), 'first line'],
  ['a table of the server', (h) => (h.tables[0]!.name = 'pg_authid'), 'tables are not those'],
  ['a table that is left out', (h) => (h.tables[0]!.name = 'migration'), 'tables are not those'],
  ['a column too few', (h) => h.tables[0]!.columns.pop(), 'tables are not those'],
  ['a column twice', (h) => (h.tables[0]!.columns[1] = 'id'), 'tables are not those'],
  ['tables exchanged', (h) => h.tables.reverse(), 'tables are not those'],
  ['a table too many', (h) => h.tables.push(h.tables[0]!), 'not what was written'],
  ['a table too few', (h) => h.tables.pop(), 'goes on after its last table'],
  ['an SQL partition', (h) => h.partitions.push(part('event', 'event_2 (x)')), 'first line'],
  ['a partition of nothing', (h) => h.partitions.push(part('pg_class', 'pg_class_1')), 'partitions are not'],
  ['a partition of a whole table', (h) => h.partitions.push(part('run', 'run_1')), 'does not take'],
  ['a sequence of others', (h) => (h.sequences[0]!.name = 'theirs'), 'sequences are not'],
  ['a sequence that is no number', (h) => (h.sequences[0]!.value = '1; drop'), 'first line'],
  ['a sequence out of range', (h) => (h.sequences[0]!.value = '-5'), 'does not take'],
  ['another migration', (h) => (h.migrations[0]!.checksum = 'a'.repeat(64)), 'is not the one'],
  ['a later migration', (h) => h.migrations.push({ ...h.migrations[0]!, number: 999_999 }), 'newer Patchbay'],
  ['no migrations', (h) => (h.migrations = []), 'first line'],
  ['a newer format', (h) => (h.version = 2), 'in a newer format'],
]

function part(table: string, name: string) {
  return { table, name, from: '1999-01-01T00:00:00.000Z', to: '1999-02-01T00:00:00.000Z' }
}

test('whoever tampers with names, lengths and numbers of a backup gets a sentence, and nothing is run', async ({
  source,
  target,
  folder,
}) => {
  const path = join(folder, 'a')
  await backUp(source, path)
  const whole = await readFile(path)
  for (const [name, change, says] of TAMPERED) {
    await writeFile(path, whole)
    await tamper(path, change)
    const failed = await restore(target, path).then(
      () => new Error('restored'),
      (error: unknown) => error,
    )
    expect({ name, failed }).toMatchObject({ name, failed: { name: 'HubError', kind: 'config' } })
    expect(`${name}: ${(failed as Error).message}`).toContain(says)
  }
  await writeFile(path, whole)
  await tamper(path, () => undefined)
  await restore(target, path)
})

test('a file that is no backup, is endless in its first line or names huge frames is refused in little memory', async ({
  folder,
  target,
  source,
}) => {
  const path = join(folder, 'a')
  await expect(BackupFile.open(path)).rejects.toThrow('does not exist')
  for (const text of ['', '\n', 'SELECT 1;\n', '{"format":"other"}\n', 'x'.repeat(3_000_000)]) {
    await writeFile(path, text)
    await expect(BackupFile.open(path)).rejects.toThrow('is no backup of Patchbay')
  }
  await expect(BackupFile.open(folder)).rejects.toThrow('is no backup of Patchbay')
  const bytes = takeBackup(source, { takenAt: NOW, program: 'test' })
  const first = await bytes.next()
  // It was only begun.
  await bytes.return(undefined as never)
  for (const frame of ['64ffffffff', '6400400000', '7800000001']) {
    await writeFile(path, first.value as Buffer)
    await appendFile(path, Buffer.from(frame, 'hex'))
    await expect(restore(target, path)).rejects.toThrow('there is something else than expected')
  }
})

test('a backup file is for its owner alone, replaces nothing unasked, and leaves nothing when it fails', async ({
  source,
  folder,
}) => {
  const path = join(folder, 'a')
  await backUp(source, path)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const before = await readFile(path)
  await expect(backUp(source, path)).rejects.toMatchObject({ kind: 'conflict', code: 'file_exists' })
  const signal = new AbortController().signal
  async function* failing() {
    yield Buffer.from('half')
    throw new Error('The database is gone.')
  }
  await expect(writeWhole(path, failing(), { mayReplace: true, signal })).rejects.toThrow(
    'The database is gone.',
  )
  expect(await readFile(path)).toEqual(before)
  expect(await readdir(folder)).toEqual(['a'])
  await expect(backUp(source, join(folder, 'no', 'where'))).rejects.toThrow('its folder does not exist')
  async function* other() {
    yield Buffer.from('new')
  }
  expect(await writeWhole(path, other(), { mayReplace: true, signal })).toBe(3)
})

test('a backup that is given up or loses its connection ends at once and keeps no connection', async ({
  databaseUrl,
  db,
  folder,
}) => {
  await db.query(
    `insert into evidence select gen_random_uuid(), repeat('x', 100000) from generate_series(1, 200)`,
  )
  const pool = createPool({ connectionString: databaseUrl }, { connectionsMax: 1 })
  const leaving = new AbortController()
  const bytes = takeBackup(pool, {
    takenAt: NOW,
    program: 'test',
    onProgress: ({ bytes: done }) => done > 5_000_000 && leaving.abort(new Error('enough')),
  })
  const given = writeWhole(join(folder, 'a'), bytes, { mayReplace: false, signal: leaving.signal })
  await expect(given).rejects.toThrow('enough')
  expect(await readdir(folder)).toEqual([])
  const lost = takeBackup(pool, {
    takenAt: NOW,
    program: 'test',
    onProgress: ({ bytes: done }) => {
      if (done > 5_000_000)
        void db.query(`select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy (%'`)
    },
  })
  const failed = writeWhole(join(folder, 'a'), lost, {
    mayReplace: false,
    signal: new AbortController().signal,
  })
  await expect(failed).rejects.toThrow(/terminat|ECONNRESET/)
  await pool.end()
})

test('a database of a newer program is not backed up, nor one that is not ours', async ({
  db,
  emptyDb,
  folder,
}) => {
  await expect(backUp(emptyDb, join(folder, 'a'))).rejects.toMatchObject({ kind: 'not_found' })
  await db.query(`insert into migration values (999999, 'later', repeat('a', 64), false)`)
  await expect(backUp(db, join(folder, 'a'))).rejects.toMatchObject({ code: 'database_too_new' })
})

test('every table is kept in a backup or left out on purpose, and comes after those that it refers to', async ({
  db,
}) => {
  const { rows } = await db.query<{ name: string; refers: string[] }>(
    `select c.relname as name,
            array(select distinct f.relname::text from pg_constraint n join pg_class f on f.oid = n.confrelid
                   where n.conrelid = c.oid and n.contype = 'f' and f.oid <> c.oid) as refers
       from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`,
  )
  const undecided = rows.filter(({ name }) => ![...KEPT_TABLES, ...LEFT_OUT_TABLES].includes(name))
  const advice = 'Say in src/store/backup/tables.ts whether a backup holds these tables'
  expect({ [advice]: undecided.map(({ name }) => name) }).toEqual({ [advice]: [] })
  const early = rows.flatMap(({ name, refers }) =>
    refers.filter(
      (other) => KEPT_TABLES.includes(name) && KEPT_TABLES.indexOf(other) > KEPT_TABLES.indexOf(name),
    ),
  )
  const order = 'These tables have to come earlier in src/store/backup/tables.ts'
  expect({ [order]: early }).toEqual({ [order]: [] })
})
