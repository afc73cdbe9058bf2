import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { nextDay } from '../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../test/support/hub.ts'
import { systemClock } from '../lib/clock.ts'
import { mergeStaged } from '../store/bulk/batch-merge.ts'
import { deleteOrphans, listOrphans, waitForMerges } from '../store/queries/evidence.ts'
import { inTransaction } from '../store/transaction.ts'
import { collectEvidenceJob } from './collect-evidence.ts'
import type { JobDeps } from './job.ts'

const ESTATE = {
  hosts: [
    { id: '101', detections: [{ qid: '38100', results: 'shared text' }] },
    { id: '102', detections: [{ qid: '38100', results: 'shared text' }] },
    { id: '103', detections: [{ qid: '38100', results: 'own text' }] },
  ],
  kb: [{ qid: '38100', title: 'Update' }],
}
const signal = new AbortController().signal

function collect(hub: TestHub): Promise<void> {
  const deps: JobDeps = {
    engine: hub.deps,
    connectTarget: () => Promise.reject(new Error('No ticket system is needed.')),
    busy: { count: 0 },
    eventMonthsKept: 25,
  }
  return collectEvidenceJob.run(deps, {}, signal)
}

async function texts(db: pg.Pool): Promise<string[]> {
  const { rows } = await db.query<{ body: string }>('select body from evidence order by body')
  return rows.map(({ body }) => body)
}

function say(hub: TestHub, hostId: string, results: string): void {
  hub.estate.override(hostId, { detections: [{ match: {}, change: { results } }] })
}

test('a text is stored once, and deleted by the second look after its last finding changed', async ({
  db,
}) => {
  await withHub({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    expect(await texts(db)).toEqual(['own text', 'shared text'])
    nextDay(hub)
    say(hub, '101', 'another text')
    say(hub, '103', 'another text')
    await hub.sync('full')
    await collect(hub)
    // One finding still shows the shared text, and what is listed first is deleted at the next look.
    expect(await texts(db)).toEqual(['another text', 'own text', 'shared text'])
    await collect(hub)
    expect(await texts(db)).toEqual(['another text', 'shared text'])
    expect((await db.query('select 1 from evidence_orphan')).rows).toEqual([])
  })
})

test('a text that is used again between two looks stays', async ({ db }) => {
  await withHub({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    say(hub, '103', 'another text')
    await hub.sync('full')
    await collect(hub)
    nextDay(hub)
    say(hub, '103', 'own text')
    await hub.sync('full')
    await collect(hub)
    await collect(hub)
    expect(await texts(db)).toEqual(['own text', 'shared text'])
  })
})

/** What a merge does with one finding that gets this text, in a transaction that the test ends. */
async function mergeText(tx: pg.PoolClient, hub: TestHub, hash: string): Promise<void> {
  await tx.query(
    `insert into evidence_staging (batch_id, attempt, hash, body) values (7, 1, $1, 'own text')`,
    [hash],
  )
  const target = { batchId: '7', attempt: 1, kind: 'vm' as const, integrationId: hub.integrationId }
  await mergeStaged(tx, { ...target, runId: '1', seenAt: new Date(), keepEvidence: false })
  await tx.query(
    `update finding set evidence_hash = $1 where place_id = (select id from host where host_id = 103)`,
    [hash],
  )
}

/** A hub in which the text "own text" is unused and confirmed to be: the next delete would take it. */
async function withUnused(db: pg.Pool, use: (hub: TestHub, hash: string) => Promise<void>): Promise<void> {
  await withHub({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    const { rows } = await db.query<{ hash: string }>(`select hash from evidence where body = 'own text'`)
    nextDay(hub)
    say(hub, '103', 'another text')
    await hub.sync('full')
    await use(hub, rows[0]!.hash)
  })
}

async function expectTextIsThere(db: pg.Pool): Promise<void> {
  const { rows } = await db.query(
    `select e.body from finding f join host h on h.id = f.place_id left join evidence e on e.hash = f.evidence_hash
      where h.host_id = 103`,
  )
  expect(rows).toEqual([{ body: 'own text' }])
}

test('a delete waits for a merge that uses the text again, and leaves the text to it', async ({ db }) => {
  await withUnused(db, async (hub, hash) => {
    await listOrphans(db)
    await listOrphans(db)
    await inTransaction(db, async (tx) => {
      await mergeText(tx, hub, hash)
      expect(await deleteOrphans(db, 100)).toBeNull()
    })
    expect(await deleteOrphans(db, 100)).toBe(0)
    await expectTextIsThere(db)
  })
})

test('a merge that could not see the list yet is waited for before the list is confirmed', async ({ db }) => {
  await withUnused(db, async (hub, hash) => {
    await inTransaction(db, async (tx) => {
      await mergeText(tx, hub, hash)
      // The merge has looked at the list already; only now the text is put on it.
      expect(await listOrphans(db)).toEqual({ confirmed: 0, listed: 1, usedAgain: 0 })
      expect(await waitForMerges(db)).toBe(false)
    })
    expect(await waitForMerges(db)).toBe(true)
    expect(await listOrphans(db)).toMatchObject({ confirmed: 0, usedAgain: 1 })
    await expectTextIsThere(db)
  })
})

test('a merge that comes while a text is being deleted writes it anew', async ({ db }) => {
  await withUnused(db, async (hub, hash) => {
    await listOrphans(db)
    await listOrphans(db)
    let merged: Promise<void> | undefined
    await inTransaction(db, async (tx) => {
      await tx.query('lock table evidence in share row exclusive mode')
      merged = inTransaction(db, (other) => mergeText(other, hub, hash))
      await untilBlocked(db)
      await tx.query('delete from evidence where hash = $1', [hash])
      await tx.query('delete from evidence_orphan where hash = $1', [hash])
    })
    await merged
    await expectTextIsThere(db)
  })
})

async function untilBlocked(db: pg.Pool): Promise<void> {
  for (let looks = 0; looks < 2_000; looks += 1) {
    const { rows } = await db.query(
      `select 1 from pg_locks where not granted and relation = 'evidence'::regclass`,
    )
    if (rows.length > 0) return
    await systemClock.sleep(5)
  }
  throw new Error('Nothing waits for the table of evidence.')
}
