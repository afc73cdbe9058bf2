import type { Tx } from '../db.ts'

/** A value that stands on more hosts that nobody has taken over from is a placeholder, whatever it looks like. */
const HOSTS_PER_IDENTIFIER_MAX = 10
/** Of each kind the latest are kept. */
const IDENTIFIERS_PER_HOST_MAX = 8

/** Kinds of identifiers, the strongest first, and how they are called. */
const STRENGTH = `array['agent', 'cloud', 'hardware', 'serial']`
const NAMES = `'{"agent": "agent id", "cloud": "cloud instance", "hardware": "hardware UUID", "serial": "serial number"}'::jsonb`

/**
 * Whether `host h` is on the list of the run `$2`. In a case, since the planner has no statistics of a run that is new: it
 * would take it for one that lists nobody, and compare every host with every other.
 */
const IS_LISTED = `case when h.last_listed_run_id = $2 and h.lists_missing = 0 and h.removed_at is null
  and h.out_of_scope_at is null then true else false end`

export interface NewIdentifier {
  placeId: string
  kind: string
  value: string
}

export async function noteIdentifiers(
  tx: Tx,
  input: { integrationId: string; now: Date; identifiers: readonly NewIdentifier[] },
): Promise<void> {
  const { identifiers } = input
  if (identifiers.length === 0) return
  const result = await tx.query<{ placeId: string }>(
    `insert into host_identifier as i (integration_id, place_id, kind, value, noted_at)
     select distinct $1::bigint, n.place_id, n.kind, n.value, $2::timestamptz
       from unnest($3::bigint[], $4::text[], $5::text[]) as n (place_id, kind, value)
     on conflict (place_id, kind, value) do update set noted_at = excluded.noted_at, ended_at = null
      where i.ended_at is not null
     returning place_id as "placeId"`,
    [
      input.integrationId,
      input.now,
      identifiers.map((one) => one.placeId),
      identifiers.map((one) => one.kind),
      identifiers.map((one) => one.value),
    ],
  )
  if (result.rows.length === 0) return
  await tx.query(
    `delete from host_identifier i
      using (select place_id, kind, value,
                    row_number() over (partition by place_id, kind order by noted_at desc, value) as rank
               from host_identifier where place_id = any ($1::bigint[])) as ranked
      where ranked.rank > $2 and i.place_id = ranked.place_id and i.kind = ranked.kind and i.value = ranked.value`,
    [result.rows.map((row) => row.placeId), IDENTIFIERS_PER_HOST_MAX],
  )
}

/** These hosts are other machines from here on: what they were known by no longer counts, and whom they took over from. */
export async function endIdentities(
  tx: Tx,
  input: { now: Date; placeIds: readonly string[] },
): Promise<void> {
  await tx.query(
    'update host_identifier set ended_at = $2 where place_id = any ($1::bigint[]) and ended_at is null',
    [input.placeIds, input.now],
  )
  await tx.query(
    `update host_link set ended_at = $2, end_reason = 'The host is another machine since.', due = null
      where new_place_id = any ($1::bigint[]) and ended_at is null`,
    [input.placeIds, input.now],
  )
}

export interface LineageKey {
  integrationId: string
  runId: string
  now: Date
}

/** A host from which another had taken over is listed again: both are there, so neither goes on as the other. */
export async function endLinksOfReturned(tx: Tx, key: LineageKey): Promise<void> {
  await tx.query(
    `with ended as (
       update host_link l
          set ended_at = $3, end_reason = 'The earlier host is listed again.', due = 'reset'
         from host h
        where l.integration_id = $1 and l.ended_at is null and h.id = l.old_place_id and ${IS_LISTED}
       returning l.old_place_id, l.new_place_id
     )
     insert into host_event (integration_id, place_id, at, run_id, kind, reason, other_place_id)
     select $1, e.place_id, $3, $2, 'link_ended', e.reason, e.other_place_id
       from ended
      cross join lateral (values
            (old_place_id, new_place_id, 'It is listed again beside the host that had taken over from it.'),
            (new_place_id, old_place_id, 'The host that it had taken over from is listed again; what it inherited is forgotten.')
            ) as e (place_id, other_place_id, reason)
      order by e.place_id`,
    [key.integrationId, key.runId, key.now],
  )
}

/**
 * Gathers, for the rest of the transaction, which hosts that have left may go on as which host that is listed: both are
 * known by a value that belongs to one machine, and no cloud instance speaks against it. Counted on both sides, so that
 * what is not clear is seen.
 */
export async function gatherCandidates(tx: Tx, key: LineageKey): Promise<void> {
  // A table of its own, with statistics: how many hosts have left cannot be guessed, and a wrong guess costs minutes.
  await tx.query(
    `create temporary table left_value on commit drop as
     select h.id as place_id, h.host_id, h.last_listed_at, i.kind, i.value
       from host h
       join host_identifier i on i.place_id = h.id and i.ended_at is null
      where h.integration_id = $1
        and (h.lists_missing > 0 or h.removed_at is not null or h.out_of_scope_at is not null)
        and not exists (select 1 from host_link l where l.old_place_id = h.id and l.ended_at is null)`,
    [key.integrationId],
  )
  await tx.query('analyze left_value')
  await tx.query(
    `create temporary table candidate on commit drop as
     with pair as (
       select o.place_id as old_place_id, o.host_id as old_host_id, o.last_listed_at,
              h.id as new_place_id, h.host_id as new_host_id, h.first_listed_at,
              array_agg(o.kind order by array_position(${STRENGTH}, o.kind), o.value) as kinds,
              array_agg(o.value order by array_position(${STRENGTH}, o.kind), o.value) as values
         from left_value o
         join host_identifier n on n.integration_id = $1 and n.kind = o.kind and n.value = o.value
                               and n.ended_at is null and n.place_id <> o.place_id
         join host h on h.id = n.place_id and ${IS_LISTED}
        where (select count(*)
                 from (select 1
                         from host_identifier c
                        where c.integration_id = $1 and c.kind = o.kind and c.value = o.value and c.ended_at is null
                          and not exists (select 1 from host_link l
                                           where l.old_place_id = c.place_id and l.ended_at is null)
                        limit ${HOSTS_PER_IDENTIFIER_MAX + 1}) as holder) <= ${HOSTS_PER_IDENTIFIER_MAX}
        group by o.place_id, o.host_id, o.last_listed_at, h.id
     )
     select old_place_id, old_host_id, new_place_id, new_host_id,
            kinds[1] as evidence_kind, values[1] as evidence_value, first_listed_at > last_listed_at as is_successor,
            count(*) over (partition by old_place_id) as heirs,
            count(*) filter (where first_listed_at > last_listed_at) over (partition by new_place_id)
              + (select count(*) from host_link l
                  where l.new_place_id = pair.new_place_id and l.ended_at is null and l.kind = 'successor') as forebears
       from pair
      where 'cloud' = any (kinds)
         or not exists (select 1 from host_identifier where place_id = old_place_id and kind = 'cloud' and ended_at is null)
         or not exists (select 1 from host_identifier where place_id = new_place_id and kind = 'cloud' and ended_at is null)`,
    [key.integrationId, key.runId],
  )
  await tx.query('analyze candidate')
}

/**
 * Links what is clear: a host that left has one heir, and who came after it has one forebear. Several that had been
 * listed beside their heir were merged into it.
 */
export async function linkClear(tx: Tx, key: LineageKey): Promise<void> {
  await tx.query(
    `with linked as (
       insert into host_link as l (integration_id, old_place_id, new_place_id, kind, evidence_kind, evidence_value,
                                   linked_at, run_id, due)
       select $1, old_place_id, new_place_id, case when is_successor then 'successor' else 'merged' end,
              evidence_kind, evidence_value, $3, $2, 'inherit'
         from candidate
        where heirs = 1 and (forebears = 1 or not is_successor)
       on conflict (old_place_id, new_place_id) do update
          set kind = excluded.kind, evidence_kind = excluded.evidence_kind, evidence_value = excluded.evidence_value,
              linked_at = excluded.linked_at, run_id = excluded.run_id, ended_at = null, end_reason = null, due = 'inherit'
       returning l.*
     )
     insert into host_event (integration_id, place_id, at, run_id, kind, reason, other_place_id)
     select $1, e.place_id, $3, $2, e.kind, e.reason, e.other_place_id
       from linked
       join host o on o.id = old_place_id
       join host n on n.id = new_place_id
      cross join lateral (
            select format('the same %s, %s', ${NAMES} ->> evidence_kind, evidence_value) as text
            ) as evidence
      cross join lateral (values
            (new_place_id, old_place_id, case when linked.kind = 'merged' then 'absorbed' else 'successor_of' end,
             case when linked.kind = 'merged'
                  then format('Host %s, which had been listed beside it, goes on as this one, merged at Qualys or replaced: %s.', o.host_id, evidence.text)
                  else format('It took over from host %s: %s.', o.host_id, evidence.text) end),
            (old_place_id, new_place_id, case when linked.kind = 'merged' then 'merged_into' else 'succeeded_by' end,
             case when linked.kind = 'merged'
                  then format('It goes on as host %s, which had been listed beside it, merged at Qualys or replaced: %s. That is no fix.', n.host_id, evidence.text)
                  else format('It goes on as host %s: %s. That is no fix.', n.host_id, evidence.text) end)
            ) as e (place_id, other_place_id, kind, reason)
      order by e.place_id`,
    [key.integrationId, key.runId, key.now],
  )
}

/** Tells what is not clear, once for the same doubt: on the host that has several forebears or several heirs. */
export async function tellUnclear(tx: Tx, key: LineageKey): Promise<void> {
  await tx.query(
    `with doubt as (
       select old_place_id as place_id,
              format('Several listed hosts have the same %s: %s. Which of them goes on as this one is not guessed.',
                     string_agg(distinct ${NAMES} ->> evidence_kind, ' or '),
                     string_agg(distinct new_host_id::text, ', ')) as reason
         from candidate where heirs > 1 group by old_place_id
       union all
       select new_place_id,
              format('Several hosts that left have the same %s: %s. From which of them it took over is not guessed.',
                     string_agg(distinct ${NAMES} ->> evidence_kind, ' or '),
                     string_agg(distinct old_host_id::text, ', '))
         from candidate where heirs = 1 and is_successor and forebears > 1 group by new_place_id
     )
     insert into host_event (integration_id, place_id, at, run_id, kind, reason)
     select $1, place_id, $3, $2, 'lineage_unclear', reason
       from doubt
      where not exists (select 1 from host_event e
                         where e.place_id = doubt.place_id and e.kind = 'lineage_unclear' and e.reason = doubt.reason)
      order by place_id`,
    [key.integrationId, key.runId, key.now],
  )
}
