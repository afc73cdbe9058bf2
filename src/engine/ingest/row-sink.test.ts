import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import type { DetectionRecord } from '../../model/vm.ts'
import { copyNewHosts, dropStagedOfAttempt, mergeStaged } from '../../store/bulk/batch-merge.ts'
import type { FindingRow } from '../../store/bulk/finding-rows.ts'
import { inTransaction } from '../../store/transaction.ts'
import { RowSink } from './row-sink.ts'

const hash = (text: string, bytes = 16) => createHash('sha256').update(text).digest().subarray(0, bytes)
const MEGABYTE = 'x'.repeat(1024 * 1024)

function rowOf(index: number, fields: Partial<DetectionRecord> = {}): FindingRow {
  const results = fields.results ?? null
  const detection: DetectionRecord = {
    identity: hash(`identity ${index}`),
    stateHash: hash(`state ${index}`),
    volatileHash: hash(`volatile ${index}`, 8),
    uniqueVulnId: String(index),
    qid: '38100',
    type: 'Confirmed',
    severity: 3,
    port: index,
    protocol: 'tcp',
    ssl: false,
    fqdn: null,
    instance: null,
    resultsHash: results === null ? null : hash(results),
    status: 'Active',
    firstFoundMs: 1_000,
    lastFoundMs: 2_000,
    lastTestMs: null,
    lastUpdateMs: null,
    lastFixedMs: null,
    firstReopenedMs: null,
    lastReopenedMs: null,
    lastProcessedMs: 3_000,
    timesFound: 1,
    timesReopened: 0,
    qds: null,
    service: null,
    ignored: false,
    disabled: false,
    affectRunningKernel: null,
    affectRunningService: null,
    affectExploitableConfig: null,
    extra: null,
    ...fields,
    results,
  }
  return {
    id: String(index),
    placeId: '1',
    detection,
    sourceStatus: 'Active',
    state: 'open',
    ignored: false,
    disabled: false,
    missingSinceMs: null,
    acceptedUntilMs: null,
    firstFoundEffectiveMs: 1_000,
    openedAtMs: 1_000,
    fixedAtMs: null,
    timesReopened: 0,
  }
}

const STAGING = { batchId: '5', attempt: 1 }
const TARGET = { kind: 'vm', integrationId: '1', runId: '9' } as const
const MERGE = { ...TARGET, ...STAGING, seenAt: new Date(0), keepEvidence: false }

test('what is too much to hold for the merge goes through staging, and all of it arrives', async ({ db }) => {
  const sink = new RowSink(db, STAGING, TARGET)
  const rows = Array.from({ length: 40 }, (_, index) => rowOf(index, { extra: { LONG: MEGABYTE } }))
  for (const row of rows) sink.writeNew(row, true)
  const direct = await sink.finish()
  const directBytes = direct.findings.reduce((sum, chunk) => sum + chunk.length, 0)
  expect(directBytes).toBeLessThan(34 * 1024 * 1024)
  const staged = await db.query('select 1 from finding_staging')
  expect(staged.rowCount).toBeGreaterThan(0)
  expect(staged.rowCount).toBeLessThan(rows.length)
  await inTransaction(db, async (tx) => {
    await copyNewHosts(tx, direct)
    await mergeStaged(tx, MERGE)
  })
  const { rows: stored } = await db.query(
    `select port, length(extra->>'LONG') as length, first_run_id as run from finding order by port`,
  )
  expect(stored).toEqual(rows.map((_, port) => ({ port, length: MEGABYTE.length, run: '9' })))
  expect((await db.query('select 1 from observation')).rowCount).toBe(40)
  expect((await db.query('select 1 from finding_staging')).rowCount).toBe(0)
})

test('evidence is stored once for each text, whatever the batch and the attempt', async ({ db }) => {
  for (const batchId of ['5', '6']) {
    const staging = { batchId, attempt: 1 }
    const sink = new RowSink(db, staging, TARGET)
    for (let index = 0; index < 6; index += 1)
      sink.writeNew(rowOf(Number(batchId) * 100 + index, { results: `text ${index % 2}` }), false)
    await sink.finish()
    await inTransaction(db, (tx) => mergeStaged(tx, { ...MERGE, ...staging }))
  }
  expect((await db.query('select body from evidence order by body')).rows).toEqual([
    { body: 'text 0' },
    { body: 'text 1' },
  ])
  expect((await db.query('select 1 from finding where evidence_hash is not null')).rowCount).toBe(12)
})

test('of several attempts at a batch only the one that is merged counts, and nothing is left of the others', async ({
  db,
}) => {
  for (const attempt of [1, 2]) {
    const sink = new RowSink(db, { ...STAGING, attempt }, TARGET)
    sink.writeNew(rowOf(attempt, { results: `attempt ${attempt}` }), false)
    await sink.finish()
  }
  await inTransaction(db, (tx) => mergeStaged(tx, { ...MERGE, attempt: 2 }))
  expect((await db.query('select id from finding')).rows).toEqual([{ id: '2' }])
  expect((await db.query('select body from evidence')).rows).toEqual([{ body: 'attempt 2' }])
  const left = await db.query('select 1 from finding_staging union all select 1 from evidence_staging')
  expect(left.rowCount).toBe(0)
})

test('what one attempt staged is dropped without touching another', async ({ db }) => {
  for (const attempt of [1, 2]) {
    const sink = new RowSink(db, { ...STAGING, attempt }, TARGET)
    sink.writeNew(rowOf(attempt, { results: 'text' }), false)
    await sink.finish()
  }
  await dropStagedOfAttempt(db, STAGING)
  expect((await db.query('select attempt from finding_staging')).rows).toEqual([{ attempt: 2 }])
  expect((await db.query('select attempt from evidence_staging')).rows).toEqual([{ attempt: 2 }])
})

test('T24: a fix that nobody saw leaves two events, and a change without RESULTS keeps the evidence', async ({
  db,
}) => {
  const first = new RowSink(db, STAGING, TARGET)
  first.writeNew(rowOf(1, { results: 'text' }), false)
  await first.finish()
  await inTransaction(db, (tx) => mergeStaged(tx, MERGE))

  const second = new RowSink(db, { ...STAGING, batchId: '6' }, TARGET)
  second.writeChanged(
    { ...rowOf(1), timesReopened: 1 },
    { reason: 'It came back.', happenedAtMs: 9_000, fixedBetween: { atMs: 5_000 } },
  )
  await second.finish()
  await inTransaction(db, (tx) => mergeStaged(tx, { ...MERGE, batchId: '6', keepEvidence: true }))
  const { rows } = await db.query('select old_state, new_state, happened_at from event order by id')
  expect(rows).toEqual([
    { old_state: 'open', new_state: 'fixed', happened_at: new Date(5_000) },
    { old_state: 'fixed', new_state: 'open', happened_at: new Date(9_000) },
  ])
  const findings = await db.query(
    `select f.times_reopened, e.body from finding f left join evidence e on e.hash = f.evidence_hash`,
  )
  expect(findings.rows).toEqual([{ times_reopened: 1, body: 'text' }])
})
