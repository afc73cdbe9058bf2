import type { Tx } from '../db.ts'

export interface ListedHosts {
  integrationId: string
  runId: string
  scope: string
  now: Date
  hostIds: readonly string[]
}

/**
 * Of the hosts on a new list those that were not on the list before: they may have changed while nobody looked, so a date
 * of processing says nothing about them. To be asked before the list is brought in.
 */
export async function listNewcomers(
  tx: Tx,
  input: { integrationId: string; hostIds: readonly string[] },
): Promise<string[]> {
  const result = await tx.query<{ hostId: string }>(
    `select n.host_id as "hostId"
       from unnest($2::bigint[]) as n (host_id)
       left join host h on h.integration_id = $1 and h.host_id = n.host_id
      where h.id is null or h.lists_missing > 0 or h.removed_at is not null or h.out_of_scope_at is not null
         or h.last_listed_run_id is distinct from
            (select max(last_listed_run_id) from host where integration_id = $1)`,
    [input.integrationId, input.hostIds],
  )
  return result.rows.map((row) => row.hostId)
}

/** Brings a complete id list in: unknown hosts are added, listed ones are marked as seen. */
export async function markListed(tx: Tx, list: ListedHosts): Promise<void> {
  const key = [list.integrationId, list.runId, list.now]
  await tx.query(
    `with listed as (
       insert into host (integration_id, host_id, first_listed_at, last_listed_at, last_listed_run_id, last_listed_scope)
       select $1, id, $3, $3, $2, $4 from unnest($5::bigint[]) as id order by id
       on conflict (integration_id, host_id) do nothing
       returning id
     )
     insert into host_event (integration_id, place_id, at, run_id, kind, reason)
     select $1, id, $3, $2, 'listed', 'On a complete list for the first time.' from listed order by id`,
    [...key, list.scope, list.hostIds],
  )
  // Whoever has left comes back elsewhere, with the states of its findings.
  await tx.query(
    `insert into host_event (integration_id, place_id, at, run_id, kind, reason)
     select $1, id, $3, $2, 'listed_again', 'On the complete list again.'
       from host
      where integration_id = $1 and host_id = any ($4::bigint[])
        and lists_missing > 0 and removed_at is null and out_of_scope_at is null
      order by id`,
    [...key, list.hostIds],
  )
  await tx.query(
    `update host set last_listed_at = $3, last_listed_run_id = $2, last_listed_scope = $4, lists_missing = 0
      where integration_id = $1 and host_id = any ($5::bigint[]) and last_listed_run_id is distinct from $2`,
    [...key, list.scope, list.hostIds],
  )
}

/** Counts, for every host that was not on the list, that it was missing once more. */
export async function countMissing(
  tx: Tx,
  list: { integrationId: string; runId: string; now: Date; listsMissingMin: number },
): Promise<void> {
  await tx.query(
    `with missed as (
       update host set lists_missing = lists_missing + 1
        where integration_id = $1 and last_listed_run_id is distinct from $2 and removed_at is null
          and out_of_scope_at is null
       returning id, lists_missing
     )
     insert into host_event (integration_id, place_id, at, run_id, kind, reason)
     select $1, id, $3, $2, 'missing',
            format('Missing from the complete list; %s of %s in a row before it has left.', lists_missing, $4::integer)
       from missed order by id`,
    [list.integrationId, list.runId, list.now, list.listsMissingMin],
  )
}

export interface PlaceChange {
  placeId: string
  hostId: string
  became: 'removed' | 'out_of_scope' | 'present'
}

export interface PresenceInput {
  integrationId: string
  runId: string
  scope: string
  now: Date
  listsMissingMin: number
}

/**
 * Hosts that were missing from enough complete lists leave: removed where the scope is the one in which they were seen
 * last, out of scope where the scope is another. Hosts that are listed again come back.
 */
export async function changePresence(tx: Tx, input: PresenceInput): Promise<PlaceChange[]> {
  return [...(await leave(tx, input)), ...(await comeBack(tx, input))]
}

async function leave(tx: Tx, input: PresenceInput): Promise<PlaceChange[]> {
  const result = await tx.query<PlaceChange>(
    `with gone as (
       update host
          set removed_at = case when last_listed_scope = $3 then $4::timestamptz end,
              out_of_scope_at = case when last_listed_scope <> $3 then $4::timestamptz end
        where integration_id = $1 and lists_missing >= $5 and removed_at is null and out_of_scope_at is null
          and last_listed_run_id is distinct from $2
       returning id, host_id, last_listed_run_id, removed_at is not null as is_removed
     ), change as (
       -- What has changed in the scope since, by name; few runs are the last to have listed somebody.
       select old.id as run_id,
              (select string_agg(name, ', ' order by name)
                 from jsonb_each_text(old.scope) as a (name, value)
                 full join jsonb_each_text(new.scope) as b (name, value) using (name)
                where a.value is distinct from b.value) as names
         from run new, run old
        where new.id = $2 and old.id in (select last_listed_run_id from gone where not is_removed)
     ), told as (
       insert into host_event (integration_id, place_id, at, run_id, kind, reason)
       select $1, gone.id, $4, $2, case when is_removed then 'removed' else 'out_of_scope' end,
              case when is_removed
                   then format('Missing from %s complete lists in a row, last listed in run %s: purged at Qualys, or no longer shown to this account. That is no fix.',
                               $5::integer, last_listed_run_id)
                   else format('Missing from %s complete lists since what this account can see has changed (%s), last listed in run %s. That is no fix.',
                               $5::integer, coalesce(change.names, 'unknown'), last_listed_run_id) end
         from gone left join change on change.run_id = gone.last_listed_run_id
        order by gone.id
     )
     select id as "placeId", host_id as "hostId", case when is_removed then 'removed' else 'out_of_scope' end as became
       from gone`,
    [input.integrationId, input.runId, input.scope, input.now, input.listsMissingMin],
  )
  return result.rows
}

async function comeBack(tx: Tx, input: PresenceInput): Promise<PlaceChange[]> {
  const result = await tx.query<PlaceChange>(
    `with left_before as (
       select id, removed_at is not null as was_removed
         from host
        where integration_id = $1 and last_listed_run_id = $2 and (removed_at is not null or out_of_scope_at is not null)
     ), told as (
       insert into host_event (integration_id, place_id, at, run_id, kind, reason)
       select $1, id, $3, $2, case when was_removed then 'back' else 'in_scope_again' end,
              'On the complete list again; its findings are as they were.'
         from left_before order by id
     )
     update host h set removed_at = null, out_of_scope_at = null
       from left_before
      where h.id = left_before.id
     returning h.id as "placeId", h.host_id as "hostId", 'present' as became`,
    [input.integrationId, input.runId, input.now],
  )
  return result.rows
}
