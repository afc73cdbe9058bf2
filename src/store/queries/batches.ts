import type { RunMode } from '../../model/finding.ts'
import type { Db, Tx } from '../db.ts'

/** A claim lives this long without being renewed, so that a dead worker's batch is taken within a minute. */
export const CLAIM_SECONDS = 45

export interface ClaimedBatch {
  id: string
  runId: string
  integrationId: string
  module: string
  purpose: 'expected' | 'asked_again'
  hostIds: string[]
  options: BatchOptions
  attempt: number
  failures: number
  runMode: RunMode
}

export interface BatchOptions {
  showIgs?: boolean
  showResults?: boolean
}

export interface NewBatch {
  module: string
  purpose: 'expected' | 'asked_again'
  hostIds: readonly string[]
  options: BatchOptions
  parentId?: string
}

const BATCHES_PER_INSERT_MAX = 500

export async function insertBatches(
  db: Db,
  key: { runId: string; integrationId: string },
  batches: readonly NewBatch[],
): Promise<void> {
  for (let start = 0; start < batches.length; start += BATCHES_PER_INSERT_MAX) {
    const rows = batches.slice(start, start + BATCHES_PER_INSERT_MAX).map((batch) => ({
      module: batch.module,
      purpose: batch.purpose,
      host_ids: `{${batch.hostIds.join(',')}}`,
      options: batch.options,
      parent_id: batch.parentId ?? null,
    }))
    await db.query(
      `insert into batch (run_id, integration_id, module, purpose, host_ids, options, parent_id)
       select $1, $2, b.module, b.purpose, b.host_ids::bigint[], b.options, b.parent_id
         from jsonb_to_recordset($3::jsonb)
              as b (module text, purpose text, host_ids text, options jsonb, parent_id bigint)`,
      [key.runId, key.integrationId, JSON.stringify(rows)],
    )
  }
}

/** The next batch that may be worked on, in any running run or in one; a claim that ran out is taken over. */
export async function claimBatch(
  db: Db,
  input: { worker: string; now: Date; runId: string | null },
): Promise<ClaimedBatch | null> {
  const result = await db.query<ClaimedBatch>(
    `update batch
        set state = 'claimed', attempt = attempt + 1, claimed_by = $1,
            claim_expires_at = clock_timestamp() + make_interval(secs => $4)
      where id = (
            select b.id
              from batch b
              join run r on r.id = b.run_id and r.state = 'RUNNING' and r.phase = 'fetching'
              join integration i on i.id = b.integration_id and i.is_enabled
             where (b.state = 'waiting' and b.not_before <= $2
                    or b.state = 'claimed' and b.claim_expires_at < clock_timestamp())
               and ($3::bigint is null or b.run_id = $3)
             order by b.not_before, b.id
               for update of b skip locked
             limit 1)
     returning id, run_id as "runId", integration_id as "integrationId", module, purpose, host_ids as "hostIds",
               options, attempt, failures, (select r.mode from run r where r.id = run_id) as "runMode"`,
    [input.worker, input.now, input.runId, CLAIM_SECONDS],
  )
  return result.rows[0] ?? null
}

export interface BatchClaim {
  id: string
  attempt: number
  worker: string
}

export async function renewClaim(db: Db, claim: BatchClaim): Promise<boolean> {
  const result = await db.query(
    `update batch set claim_expires_at = clock_timestamp() + make_interval(secs => $4)
      where id = $1 and attempt = $2 and claimed_by = $3 and state = 'claimed'`,
    [claim.id, claim.attempt, claim.worker, CLAIM_SECONDS],
  )
  return result.rowCount === 1
}

/**
 * The fence of every write for a batch: true only while this attempt holds the claim and the run's driver holds the
 * lease. Keeps run and batch so until the transaction ends; a new driver has to change the run's row first, and waits.
 * The run comes first, as it does for whoever ends a run, so that the two never wait for each other.
 */
export async function fenceBatch(tx: Tx, claim: BatchClaim): Promise<boolean> {
  const run = await tx.query(
    `select 1
       from run r
       join lease l on l.integration_id = r.integration_id and l.epoch = r.epoch
      where r.id = (select run_id from batch where id = $1) and r.state = 'RUNNING'
        for share of r`,
    [claim.id],
  )
  if (run.rowCount !== 1) return false
  const batch = await tx.query(
    `select 1 from batch where id = $1 and attempt = $2 and claimed_by = $3 and state = 'claimed' for update`,
    [claim.id, claim.attempt, claim.worker],
  )
  return batch.rowCount === 1
}

export interface BatchLedger {
  receivedHosts: number
  receivedRecords: number
  unexpectedHosts: number
  /** Left out by the answer, and nothing was expected of them. */
  emptyHosts: number
  newRecords: number
  changedRecords: number
  seenRecords: number
  unchangedRecords: number
  olderRecords: number
  quarantinedRecords: number
  collidedRecords: number
  missingRecords: number
  staleRecords: number
  repairedChars: number
  bytes: number
  durationMs: number
}

/** What the column can hold: a clock that jumps while a batch is on its way makes it look longer. */
const DURATION_MS_MAX = 2 ** 31 - 1

/** Its last error stays: it tells why it took more than one try. */
export async function finishBatch(
  tx: Tx,
  claim: BatchClaim,
  ledger: BatchLedger,
  finishedAt: Date,
): Promise<void> {
  await tx.query(
    `update batch
        set state = 'done', claimed_by = null, claim_expires_at = null,
            received_hosts = $2, received_records = $3, unexpected_hosts = $4, new_records = $5, changed_records = $6,
            seen_records = $7, unchanged_records = $8, older_records = $9, quarantined_records = $10,
            missing_records = $11, stale_records = $12, repaired_chars = $13, bytes = $14, duration_ms = $15,
            finished_at = $16, collided_records = $17, empty_hosts = $18
      where id = $1`,
    [
      claim.id,
      ledger.receivedHosts,
      ledger.receivedRecords,
      ledger.unexpectedHosts,
      ledger.newRecords,
      ledger.changedRecords,
      ledger.seenRecords,
      ledger.unchangedRecords,
      ledger.olderRecords,
      ledger.quarantinedRecords,
      ledger.missingRecords,
      ledger.staleRecords,
      ledger.repairedChars,
      ledger.bytes,
      Math.min(ledger.durationMs, DURATION_MS_MAX),
      finishedAt,
      ledger.collidedRecords,
      ledger.emptyHosts,
    ],
  )
}

/** Gives a batch back to the queue, not to be taken before `notBefore`. */
export async function giveBatchBack(
  tx: Tx,
  claim: BatchClaim,
  input: { notBefore: Date; error: string; isFailure: boolean },
): Promise<void> {
  await tx.query(
    `update batch
        set state = 'waiting', claimed_by = null, claim_expires_at = null, not_before = $2, error = $3,
            failures = failures + $4
      where id = $1`,
    [claim.id, input.notBefore, input.error, input.isFailure ? 1 : 0],
  )
}

/** Ends a batch without a result: `split` into smaller ones, or `owed` as gaps. */
export async function endBatch(
  tx: Tx,
  claim: BatchClaim,
  input: { state: 'split' | 'owed'; error: string; finishedAt: Date },
): Promise<void> {
  await tx.query(
    `update batch set state = $2, claimed_by = null, claim_expires_at = null, error = $3, finished_at = $4 where id = $1`,
    [claim.id, input.state, input.error, input.finishedAt],
  )
}

export async function cancelBatches(db: Db, runId: string, error: string): Promise<void> {
  await db.query(
    `update batch set state = 'cancelled', claimed_by = null, claim_expires_at = null, error = $2
      where run_id = $1 and state in ('waiting', 'claimed')`,
    [runId, error],
  )
}

/**
 * Hosts that runs since the last good one expected and never asked for, because they were ended before. Nothing else
 * remembers them: on the next list they are no news any more.
 */
export async function listCancelledHostIds(
  db: Db,
  input: { integrationId: string; sinceRunId: string },
): Promise<string[]> {
  const result = await db.query<{ hostId: string }>(
    `select distinct h.host_id as "hostId"
       from batch b
       join run r on r.id = b.run_id
      cross join lateral unnest(b.host_ids) as h (host_id)
      where r.integration_id = $1 and r.id > $2
        and (b.state = 'cancelled' or b.state in ('waiting', 'claimed') and r.state <> 'RUNNING')`,
    [input.integrationId, input.sinceRunId],
  )
  return result.rows.map((row) => row.hostId)
}

/** Batches that were cancelled although their run goes on: nobody will ask for their hosts, so they are owed. */
export async function oweCancelledBatches(
  tx: Tx,
  runId: string,
  finishedAt: Date,
): Promise<{ module: string; hostIds: string[] }[]> {
  const result = await tx.query<{ module: string; hostIds: string[] }>(
    `update batch set state = 'owed', finished_at = $2 where run_id = $1 and state = 'cancelled'
     returning module, host_ids as "hostIds"`,
    [runId, finishedAt],
  )
  return result.rows
}

/** What a run still waits for: batches that others hold, and when the next parked one may be taken. */
export async function getOpenWork(
  db: Db,
  runId: string,
): Promise<{ open: number; claimed: number; nextAt: Date | null; error: string | null }> {
  const result = await db.query<{ open: number; claimed: number; nextAt: Date | null; error: string | null }>(
    `select count(*)::int as open,
            count(*) filter (where state = 'claimed')::int as claimed,
            min(not_before) filter (where state = 'waiting' and isfinite(not_before)) as "nextAt",
            (array_agg(error order by not_before) filter (where state = 'waiting' and error is not null))[1] as error
       from batch where run_id = $1 and state in ('waiting', 'claimed')`,
    [runId],
  )
  return result.rows[0]!
}

export interface BatchRow extends BatchLedger {
  id: string
  module: string
  purpose: string
  state: string
  hosts: number
  firstHostId: string
  lastHostId: string
  attempt: number
  failures: number
  error: string | null
  notBefore: Date | null
  finishedAt: Date | null
}

export async function listBatches(
  db: Db,
  input: { runId: string; afterId?: string | undefined; limit: number },
): Promise<BatchRow[]> {
  const result = await db.query<BatchRow>(
    `select id, module, purpose, state, cardinality(host_ids) as hosts, host_ids[1] as "firstHostId",
            host_ids[cardinality(host_ids)] as "lastHostId", attempt, failures, error,
            case when isfinite(not_before) then not_before end as "notBefore", finished_at as "finishedAt",
            received_hosts as "receivedHosts", received_records as "receivedRecords",
            unexpected_hosts as "unexpectedHosts", empty_hosts as "emptyHosts",
            new_records as "newRecords", changed_records as "changedRecords",
            seen_records as "seenRecords", unchanged_records as "unchangedRecords", older_records as "olderRecords",
            quarantined_records as "quarantinedRecords", collided_records as "collidedRecords",
            missing_records as "missingRecords",
            stale_records as "staleRecords", repaired_chars as "repairedChars", bytes::float8 as bytes,
            duration_ms as "durationMs"
       from batch
      where run_id = $1 and id > $2
      order by id limit $3`,
    [input.runId, input.afterId ?? '0', input.limit],
  )
  return result.rows
}
