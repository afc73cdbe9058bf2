import type { FindingState } from '../../model/finding.ts'
import type { Db, Tx } from '../db.ts'
import { forgetFingerprints } from './fingerprints.ts'

/** The part of a finding from which its next state follows. */
export interface StoredLife {
  id: string
  placeId: string
  issueKey: string
  state: FindingState
  sourceKey: string | null
  sourceStatus: string | null
  ignored: boolean | null
  disabled: boolean | null
  missingSince: Date | null
  acceptedUntil: Date | null
  firstFoundEffectiveAt: Date | null
  openedAt: Date | null
  fixedAt: Date | null
  timesReopened: number
  lastProcessedAt: Date | null
}

const LIFE_COLUMNS = `f.id, f.place_id as "placeId", f.issue_key as "issueKey", f.state, f.source_key as "sourceKey", f.source_status as "sourceStatus",
  f.ignored, f.disabled, f.missing_since as "missingSince", f.accepted_until as "acceptedUntil",
  f.first_found_effective_at as "firstFoundEffectiveAt", f.opened_at as "openedAt", f.fixed_at as "fixedAt",
  f.times_reopened as "timesReopened", o.last_processed_at as "lastProcessedAt"`

export async function listLivesByKey(
  db: Db,
  keys: { placeIds: readonly string[]; ids: readonly string[] },
): Promise<StoredLife[]> {
  const result = await db.query<StoredLife>(
    `select ${LIFE_COLUMNS}
       from unnest($1::bigint[], $2::bigint[]) as k (place_id, id)
       join finding f on f.kind = 'vm' and f.place_id = k.place_id and f.id = k.id
       join observation o on o.place_id = f.place_id and o.finding_id = f.id`,
    [keys.placeIds, keys.ids],
  )
  return result.rows
}

/** A page of the findings of some places, by (place, id); `limit` rows at most. */
export async function listLivesOfPlaces(
  db: Db,
  input: { placeIds: readonly string[]; after: { placeId: string; id: string }; limit: number },
): Promise<StoredLife[]> {
  const result = await db.query<StoredLife>(
    `select ${LIFE_COLUMNS}
       from finding f
       join observation o on o.place_id = f.place_id and o.finding_id = f.id
      where f.kind = 'vm' and f.place_id = any ($1::bigint[]) and (f.place_id, f.id) > ($2::bigint, $3::bigint)
      order by f.place_id, f.id
      limit $4`,
    [input.placeIds, input.after.placeId, input.after.id, input.limit],
  )
  return result.rows
}

/**
 * Of findings that an answer left out, those whose state rests on being reported: open or accepted ones. Information
 * gathered is only expected when it was asked for.
 */
export async function listExpectedAmong(
  db: Db,
  keys: { placeIds: readonly string[]; ids: readonly string[]; withInformation: boolean },
): Promise<{ placeId: string; id: string }[]> {
  const result = await db.query<{ placeId: string; id: string }>(
    `select f.place_id as "placeId", f.id
       from unnest($1::bigint[], $2::bigint[]) as k (place_id, id)
       join finding f on f.kind = 'vm' and f.place_id = k.place_id and f.id = k.id
      where f.state in ('open', 'accepted') and ($3 or f.type is distinct from 'Info')`,
    [keys.placeIds, keys.ids, keys.withInformation],
  )
  return result.rows
}

/** The same for places that did not come in the answer at all. */
export async function listExpectedOfPlaces(
  db: Db,
  input: { placeIds: readonly string[]; withInformation: boolean },
): Promise<{ placeId: string; id: string }[]> {
  const result = await db.query<{ placeId: string; id: string }>(
    `select f.place_id as "placeId", f.id
       from finding f
      where f.kind = 'vm' and f.place_id = any ($1::bigint[])
        and f.state in ('open', 'accepted') and ($2 or f.type is distinct from 'Info')`,
    [input.placeIds, input.withInformation],
  )
  return result.rows
}

/** Which findings stand behind these source keys (UNIQUE_VULN_ID) in these places. */
export async function listSourceKeys(
  db: Db,
  input: { placeIds: readonly string[]; sourceKeys: readonly string[] },
): Promise<{ placeId: string; id: string; sourceKey: string }[]> {
  const result = await db.query<{ placeId: string; id: string; sourceKey: string }>(
    `select place_id as "placeId", id, source_key as "sourceKey"
       from finding
      where kind = 'vm' and place_id = any ($1::bigint[]) and source_key = any ($2::text[])`,
    [input.placeIds, input.sourceKeys],
  )
  return result.rows
}

export interface EarlierContradiction {
  placeId: string
  hostId: string
  reason: string
}

/** Those of these contradictions that the last run that owed something of the place put aside with the same words. */
export async function listEarlierContradictions(
  db: Db,
  input: { integrationId: string; runId: string; seen: readonly EarlierContradiction[] },
): Promise<EarlierContradiction[]> {
  const result = await db.query<EarlierContradiction>(
    `select k.place_id as "placeId", k.host_id as "hostId", k.reason
       from unnest($3::bigint[], $4::text[], $5::text[]) as k (place_id, host_id, reason)
      where exists (
            select 1
              from gap g
              join quarantine q on q.run_id = g.last_run_id and q.integration_id = g.integration_id
             where g.integration_id = $1 and g.place_id = k.place_id and g.settled_at is null and g.last_run_id <> $2
               and q.host_id = k.host_id and q.reason = k.reason)`,
    [
      input.integrationId,
      input.runId,
      input.seen.map((one) => one.placeId),
      input.seen.map((one) => one.hostId),
      input.seen.map((one) => one.reason),
    ],
  )
  return result.rows
}

/** A first id of a block of ten thousand that belongs to the caller alone. */
export async function reserveFindingIds(db: Db): Promise<bigint> {
  const result = await db.query<{ block: string }>(`select nextval('finding_id_block') as block`)
  return BigInt(result.rows[0]!.block) * FINDING_ID_BLOCK
}

export const FINDING_ID_BLOCK = 10_000n

export interface StateChange {
  id: string
  placeId: string
  from: FindingState
  to: FindingState
  missingSince: Date | null
  reason: string
}

/** Changes of state that no record brought: left out, place removed or back. Writes the event with the change. */
export async function applyStateChanges(
  tx: Tx,
  input: { integrationId: string; runId: string; seenAt: Date; changes: readonly StateChange[] },
): Promise<void> {
  if (input.changes.length === 0) return
  const { changes } = input
  await forgetFingerprints(tx, [...new Set(changes.map((change) => change.placeId))])
  await tx.query(
    `with change as (
       select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
                  as c (place_id, id, old_state, new_state, missing_since, reason)
     ), written as (
       update finding f
          set state = c.new_state, missing_since = c.missing_since, changed_run_id = $8
         from change c
        where f.kind = 'vm' and f.place_id = c.place_id and f.id = c.id
     ), forgotten as (
       -- No record has this hash: when the finding is seen again, even unchanged, it is looked at.
       update observation o
          set state_hash = '00000000-0000-0000-0000-000000000000'
         from change c
        where c.missing_since is not null and o.place_id = c.place_id and o.finding_id = c.id
     )
     insert into event (seen_at, kind, integration_id, place_id, finding_id, happened_at, run_id,
                        old_state, new_state, old_source_status, new_source_status, reason)
     select $9, 'vm', $7, c.place_id, c.id, null, $8, c.old_state, c.new_state, f.source_status, f.source_status, c.reason
       from change c
       join finding f on f.kind = 'vm' and f.place_id = c.place_id and f.id = c.id
      where c.old_state <> c.new_state`,
    [
      changes.map((change) => change.placeId),
      changes.map((change) => change.id),
      changes.map((change) => change.from),
      changes.map((change) => change.to),
      changes.map((change) => change.missingSince),
      changes.map((change) => change.reason),
      input.integrationId,
      input.runId,
      input.seenAt,
    ],
  )
}
