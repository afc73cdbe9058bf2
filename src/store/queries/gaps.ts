import type { QuarantinedRecord } from '../../model/source.ts'
import type { Db, Tx } from '../db.ts'

export type GapKind = 'host' | 'qid' | 'record'

export interface NewGap {
  kind: GapKind
  key: string
  placeId: string | null
  reason: string
}

export interface GapRow extends NewGap {
  id: string
  integrationId: string
  since: Date
  firstRunId: string | null
  lastRunId: string | null
  tries: number
  nextTryAt: Date | null
  settledAt: Date | null
}

/** Says what is owed; a gap that is open already has been tried once more. */
export async function openGaps(
  db: Db,
  input: { integrationId: string; runId: string; now: Date; gaps: readonly NewGap[] },
): Promise<void> {
  const unique = new Map(input.gaps.map((gap) => [`${gap.kind} ${gap.key}`, gap]))
  if (unique.size === 0) return
  const gaps = [...unique.values()]
  // In order, so that two batches that owe the same wait for each other instead of dead-locking.
  await db.query(
    `insert into gap as g (integration_id, kind, key, place_id, reason, since, first_run_id, last_run_id)
     select $1, n.kind, n.key, n.place_id, n.reason, $3, $2, $2
       from unnest($4::text[], $5::text[], $6::bigint[], $7::text[]) as n (kind, key, place_id, reason)
      order by n.kind, n.key
     on conflict (integration_id, kind, key) where settled_at is null
     do update set reason = excluded.reason, place_id = coalesce(excluded.place_id, g.place_id), last_run_id = $2,
                   tries = g.tries + case when g.last_run_id = $2 then 0 else 1 end`,
    [
      input.integrationId,
      input.runId,
      input.now,
      gaps.map((gap) => gap.kind),
      gaps.map((gap) => gap.key),
      gaps.map((gap) => gap.placeId),
      gaps.map((gap) => gap.reason),
    ],
  )
}

/** Settles the gaps of these places, except those that are named ("kind key") and, if wanted, those of this very run. */
export async function settleGapsOfPlaces(
  db: Db,
  input: {
    integrationId: string
    runId: string
    now: Date
    placeIds: readonly string[]
    keptKeys: readonly string[]
    keepThisRuns: boolean
  },
): Promise<void> {
  await db.query(
    `update gap set settled_at = $3, settled_run_id = $2
      where integration_id = $1 and settled_at is null and place_id = any ($4::bigint[])
        and not ($6 and last_run_id is not distinct from $2)
        and not (kind || ' ' || key = any ($5::text[]))`,
    [input.integrationId, input.runId, input.now, input.placeIds, input.keptKeys, input.keepThisRuns],
  )
}

export interface SilentPlace {
  placeId: string
  /** Nothing was ever found there and no record of it came, so that silence can mean that there is nothing. */
  mayBeEmpty: boolean
}

/** Of places that an answer leaves out those of which something is owed, other than the named gaps ("kind key"). */
export async function listSilentPlaces(
  tx: Tx,
  input: { integrationId: string; placeIds: readonly string[]; keptKeys: readonly string[] },
): Promise<SilentPlace[]> {
  const result = await tx.query<SilentPlace>(
    `select g.place_id as "placeId",
            bool_and(g.kind = 'host')
              and not exists (select 1 from finding f
                               where f.kind = 'vm' and f.place_id = g.place_id and f.type is distinct from 'Info')
              as "mayBeEmpty"
       from gap g
      where g.integration_id = $1 and g.settled_at is null and g.place_id = any ($2::bigint[])
        and not (g.kind || ' ' || g.key = any ($3::text[]))
      group by g.place_id`,
    [input.integrationId, input.placeIds, input.keptKeys],
  )
  return result.rows
}

/** Notes that what is owed of these places, other than the named gaps ("kind key"), was asked for in vain once more. */
export async function noteTries(
  tx: Tx,
  input: { integrationId: string; runId: string; placeIds: readonly string[]; keptKeys: readonly string[] },
): Promise<void> {
  await tx.query(
    `update gap set last_run_id = $2, tries = tries + 1
      where integration_id = $1 and settled_at is null and place_id = any ($3::bigint[])
        and last_run_id is distinct from $2 and not (kind || ' ' || key = any ($4::text[]))`,
    [input.integrationId, input.runId, input.placeIds, input.keptKeys],
  )
}

export async function settleGaps(
  db: Db,
  input: { integrationId: string; runId: string; now: Date; kind: GapKind; keys: readonly string[] },
): Promise<void> {
  await db.query(
    `update gap set settled_at = $3, settled_run_id = $2
      where integration_id = $1 and settled_at is null and kind = $4 and key = any ($5::text[])`,
    [input.integrationId, input.runId, input.now, input.kind, input.keys],
  )
}

/** Settles what was owed of the list of tags, which comes as a whole, except what it owes now. */
export async function settleTagGaps(
  tx: Tx,
  input: { integrationId: string; runId: string; now: Date; keptKeys: readonly string[] },
): Promise<void> {
  await tx.query(
    `update gap set settled_at = $3, settled_run_id = $2
      where integration_id = $1 and settled_at is null and kind = 'record' and place_id is null
        and starts_with(key, 'tag ') and not (key = any ($4::text[]))`,
    [input.integrationId, input.runId, input.now, input.keptKeys],
  )
}

export async function countOpenGaps(db: Db, integrationId: string): Promise<number> {
  const result = await db.query<{ count: number }>(
    'select count(*)::int as count from gap where integration_id = $1 and settled_at is null',
    [integrationId],
  )
  return result.rows[0]!.count
}

/** Qualys ids of the hosts that are owed, whatever the kind of gap: every run asks for them again. */
export async function listOwedHostIds(db: Db, integrationId: string): Promise<string[]> {
  const result = await db.query<{ hostId: string }>(
    `select distinct h.host_id as "hostId"
       from gap g join host h on h.id = g.place_id
      where g.integration_id = $1 and g.settled_at is null`,
    [integrationId],
  )
  return result.rows.map((row) => row.hostId)
}

export async function listOwedQids(db: Db, integrationId: string): Promise<string[]> {
  const result = await db.query<{ key: string }>(
    `select key from gap where integration_id = $1 and kind = 'qid' and settled_at is null`,
    [integrationId],
  )
  return result.rows.map((row) => row.key)
}

/** Oldest first; `afterId` is the keyset cursor. */
export async function listGaps(
  db: Db,
  input: {
    integrationId?: string | undefined
    withSettled: boolean
    afterId?: string | undefined
    limit: number
  },
): Promise<GapRow[]> {
  const result = await db.query<GapRow>(
    `select id, integration_id as "integrationId", kind, key, place_id as "placeId", reason, since,
            first_run_id as "firstRunId", last_run_id as "lastRunId", tries, next_try_at as "nextTryAt",
            settled_at as "settledAt"
       from gap
      where ($1::bigint is null or integration_id = $1) and ($2 or settled_at is null) and id > $3
      order by id limit $4`,
    [input.integrationId ?? null, input.withSettled, input.afterId ?? '0', input.limit],
  )
  return result.rows
}

export async function insertQuarantine(
  db: Db,
  input: {
    integrationId: string
    runId: string
    batchId: string | null
    now: Date
    records: readonly QuarantinedRecord[]
  },
): Promise<void> {
  if (input.records.length === 0) return
  await db.query(
    `insert into quarantine (integration_id, run_id, batch_id, host_id, qid, reason, raw, at)
     select $1, $2, $3, n.host_id, n.qid, n.reason, n.raw, $4
       from unnest($5::text[], $6::text[], $7::text[], $8::text[]) as n (host_id, qid, reason, raw)`,
    [
      input.integrationId,
      input.runId,
      input.batchId,
      input.now,
      input.records.map((record) => record.hostId),
      input.records.map((record) => record.qid),
      input.records.map((record) => record.reason),
      input.records.map((record) => record.raw.replaceAll('\0', '\ufffd')),
    ],
  )
}

/** Settles what was owed of hosts that have left: nothing more will come of them. */
export async function settleGapsOfLeftPlaces(
  db: Db,
  input: { integrationId: string; runId: string; now: Date; placeIds: readonly string[] },
): Promise<void> {
  await db.query(
    `update gap set settled_at = $3, settled_run_id = $2, reason = reason || ' The host has left since.'
      where integration_id = $1 and settled_at is null and place_id = any ($4::bigint[])`,
    [input.integrationId, input.runId, input.now, input.placeIds],
  )
}

/** Settles records of which not even the host could be read, once a full run has not met them again. */
export async function settlePlacelessGaps(
  db: Db,
  input: { integrationId: string; runId: string; now: Date },
): Promise<void> {
  await db.query(
    `update gap set settled_at = $3, settled_run_id = $2
      where integration_id = $1 and settled_at is null and kind = 'record' and place_id is null
        and last_run_id is distinct from $2`,
    [input.integrationId, input.runId, input.now],
  )
}

/** Every run asks for everything that is owed, so the next try is the next run; null where none is scheduled. */
export async function setNextTry(db: Db, integrationId: string, nextTryAt: Date | null): Promise<void> {
  await db.query(
    `update gap set next_try_at = $2
      where integration_id = $1 and settled_at is null and next_try_at is distinct from $2`,
    [integrationId, nextTryAt],
  )
}
