import type { Tx } from '../db.ts'

/** The same problem on two hosts: the issue and its place within the host, absent ≠ 0 ≠ empty. */
const SAME_ISSUE = `p.issue_key = f.issue_key
  and (p.port, p.protocol, p.ssl, p.fqdn, p.instance) is not distinct from (f.port, f.protocol, f.ssl, f.fqdn, f.instance)`

/**
 * How far back a finding is looked for that the hosts between did not have; what they had has been handed on already, so
 * that a machine that is set up anew every day costs no more for its years.
 */
const GENERATIONS_MAX = 10

/** Whoever goes on as a host whose lineage changed has to be looked at as well, to the end of the chain. */
export async function markHeirs(tx: Tx, integrationId: string): Promise<void> {
  await tx.query(
    `with recursive heir as (
       select new_place_id as place_id, due from host_link where integration_id = $1 and due is not null
       union
       select l.new_place_id, heir.due
         from heir join host_link l on l.old_place_id = heir.place_id and l.ended_at is null
     ), mark as (
       select place_id, max(due) as due from heir group by place_id
     )
     update host_link l set due = mark.due
       from mark
      where l.old_place_id = mark.place_id and l.ended_at is null and l.due is distinct from mark.due
        and l.due is distinct from 'reset'`,
    [integrationId],
  )
}

export interface DueHost {
  placeId: string
  /** What it had inherited is to be forgotten first. */
  isReset: boolean
}

/** Hosts whose findings have to be looked at because their lineage changed; forebears come before their heirs. */
export async function listDueHosts(tx: Tx, integrationId: string, limit: number): Promise<DueHost[]> {
  const result = await tx.query<DueHost>(
    `select due.new_place_id as "placeId", bool_or(due.due = 'reset') as "isReset"
       from host_link due
      where due.integration_id = $1 and due.due is not null
        and not exists (select 1
                          from host_link back
                          join host_link earlier on earlier.new_place_id = back.old_place_id and earlier.due is not null
                         where back.new_place_id = due.new_place_id and back.ended_at is null)
      group by due.new_place_id
      order by due.new_place_id
      limit $2`,
    [integrationId, limit],
  )
  return result.rows
}

/** What these hosts inherited is forgotten. */
export async function forgetInherited(tx: Tx, placeIds: readonly string[]): Promise<void> {
  await tx.query(
    `update finding set first_found_effective_at = first_found_at
      where kind = 'vm' and place_id = any ($1::bigint[])
        and (first_found_effective_at < first_found_at
             or (first_found_at is null and first_found_effective_at is not null))`,
    [placeIds],
  )
}

/** Which of these hosts took over from another: of most batches none, and then no finding has to be looked at. */
export async function listHeirs(tx: Tx, placeIds: readonly string[]): Promise<string[]> {
  const result = await tx.query<{ placeId: string }>(
    `select distinct new_place_id as "placeId" from host_link
      where new_place_id = any ($1::bigint[]) and ended_at is null`,
    [placeIds],
  )
  return result.rows.map((row) => row.placeId)
}

/**
 * Findings of these hosts that stood on a host from which theirs took over are at least as old as there. With a run, only
 * those that came first in it.
 */
export async function inheritFirstFound(
  tx: Tx,
  input: { placeIds: readonly string[]; onlyOfRunId: string | null },
): Promise<void> {
  await tx.query(
    `with recursive forebear as (
       select new_place_id as place_id, old_place_id as forebear_id, 1 as generation
         from host_link where new_place_id = any ($1::bigint[]) and ended_at is null
       union
       select b.place_id, l.old_place_id, b.generation + 1
         from forebear b join host_link l on l.new_place_id = b.forebear_id and l.ended_at is null
        where b.generation < $3
     ), inherited as (
       select f.place_id, f.id, min(p.first_found_effective_at) as at
         from forebear b
         join finding f on f.kind = 'vm' and f.place_id = b.place_id and ($2::bigint is null or f.first_run_id = $2)
         join finding p on p.kind = 'vm' and p.place_id = b.forebear_id and ${SAME_ISSUE}
        group by f.place_id, f.id
     )
     update finding f set first_found_effective_at = inherited.at
       from inherited
      where f.kind = 'vm' and f.place_id = inherited.place_id and f.id = inherited.id
        and (f.first_found_effective_at is null or f.first_found_effective_at > inherited.at)`,
    [input.placeIds, input.onlyOfRunId, GENERATIONS_MAX],
  )
}

/** These hosts were looked at. */
export async function settleHosts(tx: Tx, placeIds: readonly string[]): Promise<void> {
  await tx.query(
    'update host_link set due = null where new_place_id = any ($1::bigint[]) and due is not null',
    [placeIds],
  )
}

/**
 * On hosts that another machine has taken the address of: what was found since is not older than that machine can be.
 * A page of hosts by id; returns the last of them, null after the last page.
 */
export async function clampReused(
  tx: Tx,
  input: { integrationId: string; afterId: string; limit: number },
): Promise<string | null> {
  const result = await tx.query<{ lastId: string | null }>(
    `with reused as (
       select id, identity_since from host
        where integration_id = $1 and identity_since is not null and id > $2
        order by id limit $3
     ), clamped as (
       update finding f set first_found_effective_at = reused.identity_since
         from reused
         join observation o on o.place_id = reused.id and o.last_found_at > reused.identity_since
        where f.kind = 'vm' and f.place_id = reused.id and f.id = o.finding_id
          and f.first_found_effective_at < reused.identity_since
     )
     select max(id) as "lastId" from reused`,
    [input.integrationId, input.afterId, input.limit],
  )
  return result.rows[0]!.lastId
}
