import type { FindingKind, FindingState } from '../../model/finding.ts'
import type { DetectionRecord } from '../../model/vm.ts'
import type { CopyBuffer } from './copy-buffer.ts'

/** A finding as it is written: what the source said, and what Patchbay made of it. */
export interface FindingRow {
  id: string
  placeId: string
  detection: DetectionRecord
  sourceStatus: string | null
  state: FindingState
  ignored: boolean
  disabled: boolean
  missingSinceMs: number | null
  acceptedUntilMs: number | null
  firstFoundEffectiveMs: number | null
  openedAtMs: number | null
  fixedAtMs: number | null
  timesReopened: number
}

/** Why a known finding is written again, for its event. */
export interface RowChange {
  reason: string | null
  happenedAtMs: number | null
  /** Set when it was fixed and found again between two observations. */
  fixedBetween: { atMs: number | null } | null
}

/** The columns of one finding that `finding` and `finding_staging` share, in the order in which they are written. */
const SHARED_COLUMNS = [
  'id',
  'place_id',
  'issue_key',
  'identity',
  'source_key',
  'type',
  'severity',
  'qds',
  'source_status',
  'state',
  'ignored',
  'disabled',
  'missing_since',
  'accepted_until',
  'first_found_at',
  'first_found_effective_at',
  'opened_at',
  'fixed_at',
  'times_reopened',
  'last_fixed_at',
  'last_reopened_at',
  'port',
  'protocol',
  'ssl',
  'fqdn',
  'instance',
  'service',
  'affect_running_kernel',
  'affect_running_service',
  'affect_exploitable_config',
  'evidence_hash',
  'extra',
] as const

const OBSERVED_COLUMNS = [
  'state_hash',
  'volatile_hash',
  'last_found_at',
  'last_test_at',
  'last_update_at',
  'last_processed_at',
  'times_found',
] as const

export const FINDING_SHARED_COLUMNS: readonly string[] = SHARED_COLUMNS

export const FINDING_COLUMNS: readonly string[] = [
  ...SHARED_COLUMNS,
  'kind',
  'integration_id',
  'first_run_id',
  'changed_run_id',
]

export const OBSERVATION_COLUMNS: readonly string[] = [
  'place_id',
  'finding_id',
  'identity',
  ...OBSERVED_COLUMNS,
  'run_id',
]

export const STAGING_COLUMNS: readonly string[] = [
  ...SHARED_COLUMNS,
  'batch_id',
  'attempt',
  'op',
  ...OBSERVED_COLUMNS,
  'reason',
  'happened_at',
  'fixed_between_at',
]

const STAGING_VOLATILE_COLUMNS_WRITTEN = ['id', 'place_id', 'identity', 'batch_id', 'attempt', 'op'] as const
export const STAGING_VOLATILE_COLUMNS: readonly string[] = [
  ...STAGING_VOLATILE_COLUMNS_WRITTEN,
  ...OBSERVED_COLUMNS,
]

export const EVIDENCE_STAGING_COLUMNS: readonly string[] = ['batch_id', 'attempt', 'hash', 'body']

export interface DirectTarget {
  kind: FindingKind
  integrationId: string
  runId: string
}

export interface StagingTarget {
  batchId: string
  attempt: number
}

/** n: new; c: changed; m: changed, after a fix that nobody saw; v: only the volatile fields are newer. */
export type StagingOp = 'n' | 'c' | 'm' | 'v'

export function writeFinding(copy: CopyBuffer, row: FindingRow, target: DirectTarget): void {
  copy.startRow(FINDING_COLUMNS.length)
  writeShared(copy, row)
  copy.text(target.kind)
  copy.id(target.integrationId)
  copy.id(target.runId)
  copy.id(target.runId)
}

export function writeObservation(copy: CopyBuffer, row: FindingRow, target: DirectTarget): void {
  copy.startRow(OBSERVATION_COLUMNS.length)
  copy.id(row.placeId)
  copy.id(row.id)
  copy.uuid(row.detection.identity)
  writeObserved(copy, row.detection)
  copy.id(target.runId)
}

export function writeStaging(
  copy: CopyBuffer,
  op: Exclude<StagingOp, 'v'>,
  row: FindingRow,
  details: { target: StagingTarget; change: RowChange | null },
): void {
  copy.startRow(STAGING_COLUMNS.length)
  writeShared(copy, row)
  copy.id(details.target.batchId)
  copy.int4(details.target.attempt)
  copy.char(op)
  writeObserved(copy, row.detection)
  copy.text(details.change?.reason ?? null)
  copy.instant(details.change?.happenedAtMs ?? null)
  copy.instant(details.change?.fixedBetween?.atMs ?? null)
}

export function writeStagingVolatile(
  copy: CopyBuffer,
  key: { id: string; placeId: string },
  detection: DetectionRecord,
  target: StagingTarget,
): void {
  copy.startRow(STAGING_VOLATILE_COLUMNS.length)
  copy.id(key.id)
  copy.id(key.placeId)
  copy.uuid(detection.identity)
  copy.id(target.batchId)
  copy.int4(target.attempt)
  copy.char('v')
  writeObserved(copy, detection)
}

export function writeEvidenceStaging(
  copy: CopyBuffer,
  evidence: { hash: Buffer; body: string },
  target: StagingTarget,
): void {
  copy.startRow(EVIDENCE_STAGING_COLUMNS.length)
  copy.id(target.batchId)
  copy.int4(target.attempt)
  copy.uuid(evidence.hash)
  copy.text(evidence.body)
}

function writeShared(copy: CopyBuffer, row: FindingRow): void {
  const seen = row.detection
  copy.id(row.id)
  copy.id(row.placeId)
  copy.text(seen.qid)
  copy.uuid(seen.identity)
  copy.text(seen.uniqueVulnId)
  copy.text(seen.type)
  copy.int2(seen.severity)
  copy.int2(seen.qds)
  copy.text(row.sourceStatus)
  copy.text(row.state)
  copy.bool(row.ignored)
  copy.bool(row.disabled)
  copy.instant(row.missingSinceMs)
  copy.instant(row.acceptedUntilMs)
  copy.instant(seen.firstFoundMs)
  copy.instant(row.firstFoundEffectiveMs)
  copy.instant(row.openedAtMs)
  copy.instant(row.fixedAtMs)
  copy.int4(row.timesReopened)
  copy.instant(seen.lastFixedMs)
  copy.instant(seen.lastReopenedMs)
  copy.int4(seen.port)
  copy.text(seen.protocol)
  copy.bool(seen.ssl)
  copy.text(seen.fqdn)
  copy.text(seen.instance)
  copy.text(seen.service)
  copy.bool(seen.affectRunningKernel)
  copy.bool(seen.affectRunningService)
  copy.bool(seen.affectExploitableConfig)
  copy.uuid(seen.resultsHash)
  copy.jsonb(seen.extra)
}

function writeObserved(copy: CopyBuffer, seen: DetectionRecord): void {
  copy.uuid(seen.stateHash)
  copy.int8Bytes(seen.volatileHash)
  copy.instant(seen.lastFoundMs)
  copy.instant(seen.lastTestMs)
  copy.instant(seen.lastUpdateMs)
  copy.instant(seen.lastProcessedMs)
  copy.int4(seen.timesFound)
}
