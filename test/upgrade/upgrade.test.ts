import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { expect } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { startFakeQualys } from '../../fakes/qualys/server.ts'
import { sync } from '../../src/engine/sync.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { KEPT_TABLES } from '../../src/store/backup/tables.ts'
import { dumpSchema } from '../../src/store/dump-schema.ts'
import { migrate } from '../../src/store/migrate.ts'
import { test } from '../support/database.ts'
import { DAY_0_NOON_MS, engineDeps } from '../support/hub.ts'
import { UPGRADE_ESTATE } from './estate.ts'
import { buildVersion, listMigrations, listVersions } from './versions.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Every row of every table as JSON, in a fixed order. */
async function readRows(pool: pg.Pool): Promise<Rows> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        and not relispartition order by 1`,
  )
  const found: Rows = new Map()
  for (const { name } of tables) {
    const { rows } = await pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) as row from "${name}" t order by to_jsonb(t)::text`,
    )
    found.set(
      name,
      rows.map(({ row }) => row),
    )
  }
  return found
}

const versions = await listVersions()

test.for(versions)(
  'a database of version %i is brought to the present schema, nothing of it is lost, and a run finds its findings again',
  async (version, { emptyDb }) => {
    await buildVersion(emptyDb, version)
    const before = await readRows(emptyDb)
    const applied = await migrate(emptyDb)
    expect(applied).toHaveLength(versions.filter((later) => later > version).length)

    expect(lostRows(before, await readRows(emptyDb))).toEqual([])
    await runAgain(emptyDb)
  },
)

type Rows = Map<string, Record<string, unknown>[]>

/** Rows that are not there any more as they were, by the columns that are still there. */
function lostRows(before: Rows, after: Rows): unknown[] {
  return [...before].flatMap(([table, rows]) => {
    const now = after.get(table) ?? []
    const columns = Object.keys(rows[0] ?? {}).filter((name) => now[0] === undefined || name in now[0])
    const text = (row: Record<string, unknown>) => JSON.stringify(columns.map((name) => row[name]))
    const kept = new Set(now.map(text))
    return rows.filter((row) => !kept.has(text(row))).map((row) => ({ table, row }))
  })
}

async function runAgain(pool: pg.Pool): Promise<void> {
  // After a week, when information is asked for as well.
  const clock = new ManualClock(DAY_0_NOON_MS + 8 * DAY_MS, { skipSleeps: true })
  const estate = createEstate({ clock, ...UPGRADE_ESTATE })
  const fake = await startFakeQualys({ clock, limits: { rate: 10_000 }, estate })
  const ids = 'select id, place_id, issue_key, identity from finding order by id'
  try {
    const before = await pool.query<{ id: string }>(ids)
    const deps = engineDeps({ pool }, { clock, url: fake.url })
    const request = { integrationId: '1', trigger: 'manual', mode: 'full' } as const
    const run = await sync(deps, request, new AbortController().signal)
    expect(run).toMatchObject({ id: '3', state: 'COMPLETE' })
    expect((await pool.query(ids)).rows).toEqual(before.rows)
    const seen = await pool.query('select from observation where run_id = 3')
    expect(seen.rowCount).toBe(before.rowCount)
  } finally {
    await fake.close()
  }
}

test('whatever version a database had, it ends with the schema of a new one', async ({ emptyDb }) => {
  await buildVersion(emptyDb, versions[0]!)
  await migrate(emptyDb)
  // Months of events come and go while a hub runs.
  await emptyDb.query('drop table event_2026_10, event_2026_11')
  expect(await dumpSchema(emptyDb)).toBe(await readFile(join(ROOT, 'src/store/schema.sql'), 'utf8'))
})

test('every table that a backup keeps has a row in the data of some version', async ({ emptyDb }) => {
  await buildVersion(emptyDb, versions.at(-1)!)
  const rows = await readRows(emptyDb)
  const empty = KEPT_TABLES.filter((table) => rows.get(table)?.length === 0)
  const advice =
    'Write a row for each of these tables into test/upgrade/data/NNNNNN.sql, by the number of the migration that made it'
  expect({ [advice]: empty }).toEqual({ [advice]: [] })
})

test('a migration that has landed is never changed', async () => {
  const text = await readFile(join(ROOT, 'test/upgrade/landed.txt'), 'utf8')
  const landed = new Map(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('  ').toReversed() as [string, string]),
  )
  const files = await listMigrations()
  const unknown = files.filter((name) => !landed.has(name))
  const isNew = 'New migrations are not on record. Run: npm run generate'
  expect({ [isNew]: unknown }).toEqual({ [isNew]: [] })
  const gone = [...landed.keys()].filter((name) => !files.includes(name))
  const isGone = 'These had landed. Put them back; if one had not, delete its line in test/upgrade/landed.txt'
  expect({ [isGone]: gone }).toEqual({ [isGone]: [] })
  const changed: string[] = []
  for (const name of files) {
    const sql = (await readFile(join(ROOT, 'src/store/migrations', name), 'utf8')).replaceAll('\r\n', '\n')
    if (createHash('sha256').update(sql).digest('hex') !== landed.get(name)) changed.push(name)
  }
  const advice =
    'These migrations had landed: data folders have them as they were. Put the change into a new one; if one had not landed, delete its line in test/upgrade/landed.txt and run: npm run generate'
  expect({ [advice]: changed }).toEqual({ [advice]: [] })
})
