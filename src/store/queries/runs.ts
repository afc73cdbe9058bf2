import type { RunMode, RunPhase, RunState } from '../../model/finding.ts'
import type { Db } from '../db.ts'
import type { BatchClaim } from './batches.ts'

export interface RunRow {
  id: string
  integrationId: string
  epoch: string
  trigger: string
  mode: RunMode
  modeReason: string
  state: RunState
  phase: RunPhase
  options: RunOptions
  scope: Record<string, string>
  scopeDrift: string | null
  serverStartedAt: Date | null
  watermarkFrom: Date | null
  watermarkTo: Date | null
  visibleHosts: number | null
  expectedHosts: number | null
  message: string | null
  /** What should be looked at although nothing is owed; the message says it too. */
  warnings: string[]
  waitingUntil: Date | null
  waitingReason: string | null
  startedAt: Date
  finishedAt: Date | null
}

export interface RunOptions {
  showIgs?: boolean
  showResults?: boolean
}

const RUN_COLUMNS = `id, integration_id as "integrationId", epoch, trigger, mode, mode_reason as "modeReason", state, phase,
  options, scope, scope_drift as "scopeDrift", server_started_at as "serverStartedAt", watermark_from as "watermarkFrom",
  watermark_to as "watermarkTo", visible_hosts as "visibleHosts", expected_hosts as "expectedHosts", message, warnings,
  waiting_until as "waitingUntil", waiting_reason as "waitingReason", started_at as "startedAt",
  finished_at as "finishedAt"`

export async function insertRun(
  db: Db,
  input: {
    integrationId: string
    epoch: string
    trigger: string
    mode: RunMode
    modeReason: string
    options: RunOptions
    scope: Record<string, string>
    watermarkFrom: Date | null
    startedAt: Date
  },
): Promise<RunRow> {
  const result = await db.query<RunRow>(
    `insert into run (integration_id, epoch, trigger, mode, mode_reason, options, scope, watermark_from, started_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     returning ${RUN_COLUMNS}`,
    [
      input.integrationId,
      input.epoch,
      input.trigger,
      input.mode,
      input.modeReason,
      input.options,
      input.scope,
      input.watermarkFrom,
      input.startedAt,
    ],
  )
  return result.rows[0]!
}

export async function getRun(db: Db, id: string): Promise<RunRow | null> {
  const result = await db.query<RunRow>(`select ${RUN_COLUMNS} from run where id = $1`, [id])
  return result.rows[0] ?? null
}

export async function getUnfinishedRun(db: Db, integrationId: string): Promise<RunRow | null> {
  const result = await db.query<RunRow>(
    `select ${RUN_COLUMNS} from run where integration_id = $1 and state = 'RUNNING'`,
    [integrationId],
  )
  return result.rows[0] ?? null
}

/** The last run whose scope was seen whole: with it the next run's scope is compared. */
export async function getLastGoodRun(db: Db, integrationId: string): Promise<RunRow | null> {
  const result = await db.query<RunRow>(
    `select ${RUN_COLUMNS} from run
      where integration_id = $1 and state in ('COMPLETE', 'PARTIAL')
      order by id desc limit 1`,
    [integrationId],
  )
  return result.rows[0] ?? null
}

/** Newest first; `beforeId` is the keyset cursor. */
export async function listRuns(
  db: Db,
  input: { integrationId?: string | undefined; beforeId?: string | undefined; limit: number },
): Promise<RunRow[]> {
  const result = await db.query<RunRow>(
    `select ${RUN_COLUMNS} from run
      where ($1::bigint is null or integration_id = $1) and ($2::bigint is null or id < $2)
      order by id desc limit $3`,
    [input.integrationId ?? null, input.beforeId ?? null, input.limit],
  )
  return result.rows
}

/** Takes over a run whose driver died: from now on only this epoch may drive it. */
export async function adoptRun(db: Db, input: { runId: string; epoch: string }): Promise<void> {
  await db.query('update run set epoch = $2, waiting_until = null, waiting_reason = null where id = $1', [
    input.runId,
    input.epoch,
  ])
}

export interface RunChange {
  phase?: RunPhase
  mode?: RunMode
  modeReason?: string
  state?: RunState
  message?: string | null
  warnings?: string[]
  scope?: Record<string, string>
  scopeDrift?: string | null
  serverStartedAt?: Date | null
  watermarkTo?: Date | null
  visibleHosts?: number
  expectedHosts?: number
  waitingUntil?: Date | null
  waitingReason?: string | null
  finishedAt?: Date
}

const RUN_CHANGE_COLUMNS: Record<keyof RunChange, string> = {
  phase: 'phase',
  mode: 'mode',
  modeReason: 'mode_reason',
  state: 'state',
  message: 'message',
  warnings: 'warnings',
  scope: 'scope',
  scopeDrift: 'scope_drift',
  serverStartedAt: 'server_started_at',
  watermarkTo: 'watermark_to',
  visibleHosts: 'visible_hosts',
  expectedHosts: 'expected_hosts',
  waitingUntil: 'waiting_until',
  waitingReason: 'waiting_reason',
  finishedAt: 'finished_at',
}

/** False when the run has another driver or is not running any more. */
export async function changeRun(
  db: Db,
  key: { runId: string; epoch: string },
  change: RunChange,
): Promise<boolean> {
  const names = Object.keys(change) as (keyof RunChange)[]
  const assignments = names.map((name, index) => `${RUN_CHANGE_COLUMNS[name]} = $${index + 3}`)
  const result = await db.query(
    `update run set ${assignments.join(', ')} where id = $1 and epoch = $2 and state = 'RUNNING'`,
    [key.runId, key.epoch, ...names.map((name) => change[name])],
  )
  return result.rowCount === 1
}

/** The run works again: it does not wait any more. */
export async function clearWait(db: Db, runId: string): Promise<void> {
  await db.query(
    `update run set waiting_until = null, waiting_reason = null
      where id = $1 and state = 'RUNNING' and waiting_until is not null`,
    [runId],
  )
}

/** Fails the run of a batch, if the claim on it still stands; false when it is somebody else's by now. */
export async function failRunOfClaim(
  db: Db,
  claim: BatchClaim,
  end: { message: string; finishedAt: Date },
): Promise<boolean> {
  const result = await db.query(
    `update run set state = 'FAILED', message = $4, finished_at = $5, waiting_until = null, waiting_reason = null
      where state = 'RUNNING' and id = (select run_id from batch where id = $1 and attempt = $2 and claimed_by = $3
                                           and state = 'claimed')`,
    [claim.id, claim.attempt, claim.worker, end.message, end.finishedAt],
  )
  return result.rowCount === 1
}

/** Sums of the ledger. */
export interface LedgerSums {
  batches: number
  batchesDone: number
  batchesOwed: number
  batchesOpen: number
  batchesSplit: number
  requestedHosts: number
  receivedHosts: number
  receivedRecords: number
  unexpectedHosts: number
  emptyHosts: number
  askedAgainHosts: number
  missingRecords: number
  newRecords: number
  changedRecords: number
  seenRecords: number
  unchangedRecords: number
  olderRecords: number
  quarantinedRecords: number
  collidedRecords: number
  staleRecords: number
  repairedChars: number
  bytes: string
  durationMsMax: number
}

export async function sumLedger(db: Db, runId: string, module?: string): Promise<LedgerSums> {
  const result = await db.query<LedgerSums>(
    `select count(*) filter (where state <> 'split')::int as batches,
            count(*) filter (where state = 'done')::int as "batchesDone",
            count(*) filter (where state = 'owed')::int as "batchesOwed",
            count(*) filter (where state in ('waiting', 'claimed'))::int as "batchesOpen",
            count(*) filter (where state = 'split')::int as "batchesSplit",
            coalesce(sum(cardinality(host_ids)) filter (where purpose = 'expected' and parent_id is null), 0)::int as "requestedHosts",
            coalesce(sum(received_hosts), 0)::int as "receivedHosts",
            coalesce(sum(received_records), 0)::int as "receivedRecords",
            coalesce(sum(unexpected_hosts), 0)::int as "unexpectedHosts",
            coalesce(sum(empty_hosts), 0)::int as "emptyHosts",
            coalesce(sum(cardinality(host_ids)) filter (where purpose = 'asked_again' and state <> 'split'), 0)::int as "askedAgainHosts",
            coalesce(sum(missing_records), 0)::int as "missingRecords",
            coalesce(sum(new_records), 0)::int as "newRecords",
            coalesce(sum(changed_records), 0)::int as "changedRecords",
            coalesce(sum(seen_records), 0)::int as "seenRecords",
            coalesce(sum(unchanged_records), 0)::int as "unchangedRecords",
            coalesce(sum(older_records), 0)::int as "olderRecords",
            coalesce(sum(quarantined_records), 0)::int as "quarantinedRecords",
            coalesce(sum(collided_records), 0)::int as "collidedRecords",
            coalesce(sum(stale_records), 0)::int as "staleRecords",
            coalesce(sum(repaired_chars), 0)::int as "repairedChars",
            coalesce(sum(bytes), 0)::text as bytes,
            coalesce(max(duration_ms), 0) as "durationMsMax"
       from batch
      where run_id = $1 and ($2::text is null or module = $2)`,
    [runId, module ?? null],
  )
  return result.rows[0]!
}

/** Hosts of this run that could not be had at all. */
export async function countOwedHosts(db: Db, runId: string): Promise<number> {
  const result = await db.query<{ count: number }>(
    `select coalesce(sum(cardinality(host_ids)), 0)::int as count
       from batch where run_id = $1 and module = 'qualys.detections' and state = 'owed'`,
    [runId],
  )
  return result.rows[0]!.count
}

/** Notes that the tickets that follow from a run have been decided. */
export async function markTicketsPlanned(db: Db, runId: string, now: Date): Promise<void> {
  await db.query('update run set tickets_planned_at = $2 where id = $1', [runId, now])
}

/** The last good run of each integration whose tickets nobody has decided about. */
export async function listUnplannedRuns(db: Db): Promise<{ runId: string; integrationId: string }[]> {
  const result = await db.query<{ runId: string; integrationId: string; plannedAt: Date | null }>(
    `select distinct on (integration_id) id as "runId", integration_id as "integrationId",
            tickets_planned_at as "plannedAt"
       from run where state in ('COMPLETE', 'PARTIAL')
      order by integration_id, id desc`,
  )
  return result.rows.filter((run) => run.plannedAt === null)
}
