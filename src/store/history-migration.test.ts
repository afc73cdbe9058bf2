import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { migrate } from './migrate.ts'

const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url))

test('episodes of a database that kept none yet are made from its events', async ({ emptyDb }) => {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-migrations-'))
  try {
    const files = (await readdir(MIGRATIONS)).toSorted()
    const history = files.findIndex((file) => file.endsWith('_history.sql'))
    for (const file of files.slice(0, history)) await copyFile(join(MIGRATIONS, file), join(folder, file))
    await migrate(emptyDb, { folder })
  } finally {
    await rm(folder, { recursive: true })
  }
  await emptyDb.query(
    `insert into finding (id, kind, integration_id, place_id, issue_key, identity, state, severity, type, times_reopened,
                          first_found_effective_at, first_run_id, changed_run_id)
     select id, 'vm', 1, 1, '1', gen_random_uuid(), 'open', 5, 'Confirmed', times, '2026-01-01Z', 1, 1
       from (values (1, 2), (2, 4), (3, 0), (4, 1)) as f (id, times)`,
  )
  const unseen = 'The source fixed it and found it again between two pulls.'
  await emptyDb.query(
    `insert into event (seen_at, kind, integration_id, place_id, finding_id, happened_at, run_id, old_state, new_state, reason)
     select seen, 'vm', 1, 1, finding, happened, 7, old, new, reason
       from (values
         -- Came back twice, with something else in between.
         (1, '2026-02-02Z'::timestamptz, '2026-02-01Z'::timestamptz, 'open', 'fixed', 'It is fixed.'),
         (1, '2026-03-02Z', '2026-03-01Z', 'fixed', 'open', 'It is back.'),
         (1, '2026-03-05Z', null, 'open', 'stale', 'It was left out.'),
         (1, '2026-03-06Z', null, 'stale', 'fixed', $1),
         (1, '2026-03-06Z', '2026-03-04Z', 'fixed', 'open', 'It is back.'),
         -- Had been reopened three times before anybody looked.
         (2, '2026-02-02Z', '2026-02-01Z', 'open', 'fixed', 'It is fixed.'),
         (2, '2026-03-02Z', '2026-03-01Z', 'fixed', 'suppressed', 'It is back.'),
         -- Never came back.
         (3, '2026-02-02Z', '2026-02-01Z', 'open', 'fixed', 'It is fixed.'),
         -- Was fixed when it was seen first.
         (4, '2026-03-02Z', '2026-03-01Z', 'fixed', 'open', 'It is back.')
       ) as e (finding, seen, happened, old, new, reason)`,
    [unseen],
  )
  await migrate(emptyDb)
  const { rows } = await emptyDb.query<{ line: string }>(
    `select concat_ws(' ', finding_id, number, coalesce(to_char(opened_at, 'MM-DD'), '-'),
                      coalesce(to_char(fixed_at, 'MM-DD'), '-'), fix_seen, severity, ended_run_id) as line
       from episode order by finding_id, number`,
  )
  expect(rows.map(({ line }) => line)).toEqual([
    '1 1 01-01 02-01 t 5 7',
    '1 2 03-01 - f 5 7',
    '2 4 - 02-01 t 5 7',
    '4 1 01-01 - t 5 7',
  ])
})
