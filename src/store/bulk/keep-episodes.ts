import type { FindingKind } from '../../model/finding.ts'
import type { Tx } from '../db.ts'
import type { StagingTarget } from './finding-rows.ts'

/**
 * Keeps the episodes that end because a staged record begins the next one: the finding was fixed and is found again, or
 * its count says that it was reopened while nobody looked. Compares with the findings before they are changed. A number
 * is never given twice, although a source may reopen a finding without counting.
 */
export async function keepEndedEpisodes(
  tx: Tx,
  target: StagingTarget & { kind: FindingKind; runId: string; seenAt: Date },
): Promise<void> {
  await tx.query(
    `insert into episode (place_id, finding_id, number, kind, integration_id, opened_at, fixed_at, fix_seen,
                          severity, type, ended_seen_at, ended_run_id)
     select f.place_id, f.id, greatest(f.times_reopened, kept.number) + 1, f.kind, f.integration_id, f.opened_at,
            case when f.source_status = 'Fixed' then f.fixed_at else s.fixed_between_at end,
            coalesce(f.source_status = 'Fixed', false), f.severity, f.type, $4, $5
       from finding_staging s
       join finding f on f.kind = $3 and f.place_id = s.place_id and f.id = s.id
      cross join lateral (
            select max(e.number) as number from episode e where e.place_id = f.place_id and e.finding_id = f.id) kept
      where s.batch_id = $1 and s.attempt = $2 and s.op in ('c', 'm')
        and (s.times_reopened > f.times_reopened
             or (f.source_status = 'Fixed' and s.source_status is distinct from 'Fixed'))`,
    [target.batchId, target.attempt, target.kind, target.seenAt, target.runId],
  )
}
