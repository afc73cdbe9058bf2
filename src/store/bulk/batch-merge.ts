import type { FindingKind } from '../../model/finding.ts'
import type { Db, Tx } from '../db.ts'
import { copyRows } from './copy-rows.ts'
import {
  EVIDENCE_STAGING_COLUMNS,
  FINDING_COLUMNS,
  FINDING_SHARED_COLUMNS,
  OBSERVATION_COLUMNS,
  STAGING_COLUMNS,
  STAGING_VOLATILE_COLUMNS,
  type StagingTarget,
} from './finding-rows.ts'
import { keepEndedEpisodes } from './keep-episodes.ts'

export interface StagedChunks {
  rows: Buffer | null
  volatileRows: Buffer | null
  evidence: Buffer | null
}

/** One short transaction per table: what an attempt staged before it died is simply never merged. */
export async function copyToStaging(client: Tx, chunks: StagedChunks): Promise<void> {
  if (chunks.evidence) await copyRows(client, 'evidence_staging', EVIDENCE_STAGING_COLUMNS, [chunks.evidence])
  if (chunks.rows) await copyRows(client, 'finding_staging', STAGING_COLUMNS, [chunks.rows])
  if (chunks.volatileRows)
    await copyRows(client, 'finding_staging', STAGING_VOLATILE_COLUMNS, [chunks.volatileRows])
}

/** Hosts without any finding need no merge: their rows go straight into the tables. */
export async function copyNewHosts(
  tx: Tx,
  chunks: { findings: readonly Buffer[]; observations: readonly Buffer[] },
): Promise<void> {
  if (chunks.findings.length === 0) return
  await copyRows(tx, 'finding', FINDING_COLUMNS, chunks.findings)
  await copyRows(tx, 'observation', OBSERVATION_COLUMNS, chunks.observations)
}

export interface MergeTarget extends StagingTarget {
  kind: FindingKind
  integrationId: string
  runId: string
  seenAt: Date
  /** RESULTS were not asked for: the evidence that is known stays. */
  keepEvidence: boolean
}

/**
 * Brings what an attempt staged into the tables. Runs inside the batch's one merge transaction, after its fence. Events
 * and ended episodes come first, because they compare with the state before. Evidence goes in ordered by its hash, so that two batches
 * with the same texts wait for each other instead of dead-locking.
 */
export async function mergeStaged(tx: Tx, target: MergeTarget): Promise<void> {
  const key = [target.batchId, target.attempt]
  await tx.query(
    `insert into evidence (hash, body)
     select distinct on (hash) hash, body from evidence_staging where batch_id = $1 and attempt = $2 order by hash
     on conflict (hash) do nothing`,
    key,
  )
  // After the insert, never before: see queries/evidence.ts.
  await tx.query(
    `delete from evidence_orphan
      where hash in (select o.hash from evidence_orphan o
                      where o.hash in (select hash from evidence_staging where batch_id = $1 and attempt = $2)
                      order by o.hash for update)`,
    key,
  )
  await tx.query(
    `insert into event (seen_at, kind, integration_id, place_id, finding_id, happened_at, run_id,
                        old_state, new_state, old_source_status, new_source_status, reason)
     select $5, $3, $4, f.place_id, f.id, step.happened_at, $6,
            step.old_state, step.new_state, f.source_status, s.source_status, step.reason
       from finding_staging s
       join finding f on f.kind = $3 and f.place_id = s.place_id and f.id = s.id
      cross join lateral (
            select 1 as step, f.state as old_state, 'fixed' as new_state, s.fixed_between_at as happened_at,
                   'The source fixed it and found it again between two pulls.' as reason
             where s.op = 'm' and f.state <> 'fixed'
            union all
            select 2, case when s.op = 'm' then 'fixed' else f.state end, s.state, s.happened_at, s.reason
             where (case when s.op = 'm' then 'fixed' else f.state end) <> s.state
            ) step
      where s.batch_id = $1 and s.attempt = $2 and s.op in ('c', 'm')
      order by s.place_id, s.id, step.step`,
    [...key, target.kind, target.integrationId, target.seenAt, target.runId],
  )
  await keepEndedEpisodes(tx, target)
  await tx.query(
    `update finding f
        set (${UPDATED_COLUMNS.join(', ')}, changed_run_id) = row (${UPDATED_COLUMNS.map(updatedValue).join(', ')}, $4::bigint)
       from finding_staging s
      where s.batch_id = $1 and s.attempt = $2 and s.op in ('c', 'm')
        and f.kind = $3 and f.place_id = s.place_id and f.id = s.id`,
    [...key, target.kind, target.runId, target.keepEvidence],
  )
  await tx.query(
    `insert into finding (${FINDING_SHARED_COLUMNS.join(', ')}, kind, integration_id, first_run_id, changed_run_id)
     select ${FINDING_SHARED_COLUMNS.map((column) => `s.${column}`).join(', ')}, $3, $4, $5, $5
       from finding_staging s
      where s.batch_id = $1 and s.attempt = $2 and s.op = 'n'`,
    [...key, target.kind, target.integrationId, target.runId],
  )
  await mergeObservations(tx, target)
  await dropStaged(tx, target.batchId)
}

export interface StagedCounts {
  rows: number
  evidence: number
}

/** Whether all that an attempt staged is there: the staging tables are empty after a crash of the database. */
export async function isStagedWhole(tx: Tx, target: StagingTarget, counts: StagedCounts): Promise<boolean> {
  const key = 'where batch_id = $1 and attempt = $2'
  const result = await tx.query<StagedCounts>(
    `select (select count(*) from finding_staging ${key})::int as rows,
            (select count(*) from evidence_staging ${key})::int as evidence`,
    [target.batchId, target.attempt],
  )
  const found = result.rows[0]!
  return found.rows === counts.rows && found.evidence === counts.evidence
}

/** Everything that any attempt at this batch left in staging. */
export async function dropStaged(tx: Tx, batchId: string): Promise<void> {
  await tx.query('delete from finding_staging where batch_id = $1', [batchId])
  await tx.query('delete from evidence_staging where batch_id = $1', [batchId])
}

/** What one attempt left in staging, when another has taken its batch: nothing of it will be merged any more. */
export async function dropStagedOfAttempt(db: Db, attempt: StagingTarget): Promise<void> {
  for (const table of ['finding_staging', 'evidence_staging'])
    await db.query(`delete from ${table} where batch_id = $1 and attempt = $2`, [
      attempt.batchId,
      attempt.attempt,
    ])
}

/** Everything that attempts of this run left behind; nothing of it will be merged any more. */
export async function dropStagedOfRun(db: Db, runId: string): Promise<void> {
  for (const table of ['finding_staging', 'evidence_staging'])
    await db.query(`delete from ${table} where batch_id in (select id from batch where run_id = $1)`, [runId])
}

/** What only has newer volatile fields was compared by their hash alone, so whether they are newer is seen here. */
async function mergeObservations(tx: Tx, target: MergeTarget): Promise<void> {
  await tx.query(
    `update observation o
        set (${OBSERVED.join(', ')}, run_id) = row (${OBSERVED.map(observedValue).join(', ')}, $3::bigint)
       from finding_staging s
      where s.batch_id = $1 and s.attempt = $2 and s.op in ('c', 'm', 'v')
        and o.place_id = s.place_id and o.finding_id = s.id
        and (s.op <> 'v' or s.last_processed_at >= o.last_processed_at) is not false`,
    [target.batchId, target.attempt, target.runId],
  )
  await tx.query(
    `insert into observation (place_id, finding_id, identity, ${OBSERVED.join(', ')}, run_id)
     select s.place_id, s.id, s.identity, ${OBSERVED.map((column) => `s.${column}`).join(', ')}, $3
       from finding_staging s
      where s.batch_id = $1 and s.attempt = $2 and s.op = 'n'`,
    [target.batchId, target.attempt, target.runId],
  )
}

const KEY_COLUMNS = new Set(['id', 'place_id', 'issue_key', 'identity', 'first_found_effective_at'])
const UPDATED_COLUMNS = FINDING_SHARED_COLUMNS.filter((column) => !KEY_COLUMNS.has(column))

function updatedValue(column: string): string {
  return column === 'evidence_hash'
    ? 'case when $5 then coalesce(s.evidence_hash, f.evidence_hash) else s.evidence_hash end'
    : `s.${column}`
}

/** A record that does not say when it was processed leaves the date that is known, or older news would count again. */
function observedValue(column: string): string {
  return column === 'last_processed_at' ? 'coalesce(s.last_processed_at, o.last_processed_at)' : `s.${column}`
}

const OBSERVED = OBSERVATION_COLUMNS.filter(
  (column) => !['place_id', 'finding_id', 'identity', 'run_id'].includes(column),
)
