import type pg from 'pg'
import { expect } from 'vitest'
import type { Detection, DetectionSpec } from '../../../fakes/qualys/estate/types.ts'
import { test } from '../../../test/support/database.ts'
import { nextDay } from '../../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../../test/support/hub.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../../../test/support/oracle.ts'

const hosts = (...detections: DetectionSpec[]) => [{ id: '7', detections }]

async function stored(db: pg.Pool): Promise<unknown[]> {
  const { rows } = await db.query<{ port: number; key: string; state: string }>(
    'select port, source_key as key, state from finding order by port',
  )
  return rows.map(({ port, key, state }) => [port, key, state])
}

async function sync(hub: TestHub, mode: 'full' | 'delta' = 'full'): Promise<string> {
  const before = await rememberStore(hub)
  const run = await hub.sync(mode)
  await expectHonest(hub, { run, before })
  nextDay(hub)
  return run.state
}

function change(hub: TestHub, port: number, fields: Partial<Detection>): void {
  hub.estate.override('7', { detections: [{ match: { port }, change: fields }] })
}

test('T1: a UNIQUE_VULN_ID that comes with two findings of a new host counts for the first alone', async ({
  db,
}) => {
  const estate = {
    hosts: hosts(
      { qid: '38100', port: 80, uniqueVulnId: '11' },
      { qid: '38100', port: 443, uniqueVulnId: '11' },
    ),
  }
  await withHub({ pool: db, estate }, async (hub) => {
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    expect(await stored(db)).toEqual([[80, '11', 'open']])
    expect((await openGaps(db))[0]!.reason).toMatch(/UNIQUE_VULN_ID 11 came with two findings of this host/)
    change(hub, 443, { uniqueVulnId: '12' })
    await expectConverged(hub)
  })
})

test('T1: the same holds for two new findings of a known host', async ({ db }) => {
  await withHub({ pool: db, estate: { hosts: hosts({ qid: '38100', port: 80 }) } }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    hub.estate.override('7', {
      addDetections: [81, 82].map((port) => ({ qid: '38100', port, uniqueVulnId: '99' })),
    })
    expect((await hub.sync('full')).state).toBe('PARTIAL')
    expect(await stored(db)).toHaveLength(2)
    change(hub, 82, { uniqueVulnId: '100' })
    await expectConverged(hub)
  })
})

test('T1: a changed UNIQUE_VULN_ID is taken when a later full run brings the same again and nothing speaks against it', async ({
  db,
}) => {
  const estate = { hosts: hosts({ qid: '38100', port: 80, uniqueVulnId: '11' }) }
  await withHub({ pool: db, estate }, async (hub) => {
    expect(await sync(hub)).toBe('COMPLETE')
    hub.estate.override('7', { detections: [{ match: {}, change: 'fix' }] })
    change(hub, 80, { uniqueVulnId: '12' })
    expect(await sync(hub)).toBe('PARTIAL')
    expect(await stored(db)).toEqual([[80, '11', 'open']])
    // A delta alone takes nothing, nor does another new key.
    expect(await sync(hub, 'delta')).toBe('PARTIAL')
    change(hub, 80, { uniqueVulnId: '13' })
    expect(await sync(hub)).toBe('PARTIAL')
    expect(await stored(db)).toEqual([[80, '11', 'open']])

    expect(await sync(hub)).toBe('COMPLETE')
    expect(await stored(db)).toEqual([[80, '13', 'fixed']])
    await expectConverged(hub)
  })
})

test('T1: several findings of one QID whose UNIQUE_VULN_IDs were made anew are all taken by the next full run', async ({
  db,
}) => {
  const ports = [80, 81, 82]
  const estate = {
    hosts: hosts(...ports.map((port) => ({ qid: '38100', port, uniqueVulnId: `${port}` }))),
  }
  await withHub({ pool: db, estate }, async (hub) => {
    await sync(hub)
    for (const port of ports) change(hub, port, { uniqueVulnId: `9${port}` })
    expect(await sync(hub)).toBe('PARTIAL')
    expect(await sync(hub)).toBe('COMPLETE')
    expect(await stored(db)).toEqual(ports.map((port) => [port, `9${port}`, 'open']))
    await expectConverged(hub)
  })
})

const disputed: [string, (hub: TestHub) => void][] = [
  [
    'the old one stands on another finding of the host',
    (hub) => {
      change(hub, 80, { uniqueVulnId: '12' })
      hub.estate.override('7', { addDetections: [{ qid: '38100', port: 81, uniqueVulnId: '11' }] })
    },
  ],
  [
    'two findings have swapped them',
    (hub) => {
      change(hub, 80, { uniqueVulnId: '22' })
      change(hub, 90, { uniqueVulnId: '11' })
    },
  ],
  ['the new one belongs to a finding that is known', (hub) => change(hub, 80, { uniqueVulnId: '22' })],
]

for (const [name, dispute] of disputed)
  test(`T1: a changed UNIQUE_VULN_ID stays put aside, however often it comes, where ${name}`, async ({
    db,
  }) => {
    const estate = {
      hosts: hosts(
        { qid: '38100', port: 80, uniqueVulnId: '11' },
        { qid: '38100', port: 90, uniqueVulnId: '22' },
      ),
    }
    await withHub({ pool: db, estate }, async (hub) => {
      await hub.sync('full')
      nextDay(hub)
      dispute(hub)
      for (let day = 0; day < 4; day += 1) {
        expect((await hub.sync('full')).state).toBe('PARTIAL')
        expect(await stored(db)).toEqual([
          [80, '11', 'open'],
          [90, '22', 'open'],
        ])
        nextDay(hub)
      }
    })
  })

test('volatile fields that are older than what is known do not set them back', async ({ db }) => {
  const estate = { hosts: hosts({ qid: '38100', port: 80, timesFound: 5 }) }
  await withHub({ pool: db, estate }, async (hub) => {
    await hub.sync('full')
    const observed = async () =>
      (await db.query('select last_processed_at, times_found from observation')).rows
    const before = await observed()
    nextDay(hub)
    change(hub, 80, { lastProcessed: '2026-01-01T00:00:00Z', timesFound: 2 })
    await hub.sync('full')
    expect(await observed()).toEqual(before)

    // Without a date the news counts, and the date that is known stays.
    change(hub, 80, { timesFound: 7, raw: { LAST_PROCESSED_DATETIME: null } })
    await hub.sync('full')
    expect(await observed()).toEqual([{ ...before[0], times_found: 7 }])
  })
})

test('what a crash of the database took out of staging is pulled again', async ({ db }) => {
  await withHub(
    { pool: db, estate: { hosts: 6, detectionsPerHost: 5, scanShare: 1, fixShare: 0.3 } },
    async (hub) => {
      await hub.sync('full')
      nextDay(hub)
      await db.query(`
      create sequence crash;
      create function crash() returns trigger language plpgsql as $$ begin
        if nextval('crash') = 1 then delete from finding_staging; end if;
        return null;
      end $$;
      create trigger crash after insert on finding_staging for each statement execute function crash()`)
      expect(await sync(hub)).toBe('COMPLETE')
      const { rows } = await db.query('select attempt, state from batch where attempt > 1')
      expect(rows).toEqual([{ attempt: 2, state: 'done' }])
      await expectConverged(hub)
    },
  )
})
