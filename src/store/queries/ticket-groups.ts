import type { Tx } from '../db.ts'
import type { RuleRow } from './rules.ts'
import { EFFECTIVE_SEVERITY } from './severity.ts'

export type TicketState = 'planned' | 'creating' | 'unknown' | 'open' | 'closed' | 'review'

/**
 * Gathers, for the rest of the transaction, which finding is in which group of a rule: what matches now, together with
 * the members of the latest tickets, whatever became of them. A finding that is in an open ticket of this rule stays
 * there, even when the knowledge base has moved it to another group since, so that it never is in two. A closed ticket
 * has lost those that are in another ticket by now or belong to another group. Every other function here reads what was
 * gathered.
 */
export async function gatherGroups(tx: Tx, rule: RuleRow): Promise<void> {
  await tx.query(`
    create temporary table group_member (
      group_key text not null,
      ticket_id bigint,
      place_id bigint not null,
      finding_id bigint not null,
      told_state text,
      told_severity smallint,
      -- It is what the rule is about, and of this group.
      matches boolean not null,
      -- It is what the rule is about, of whatever group.
      matches_rule boolean not null
    ) on commit drop`)
  const { filter, groupBy } = rule
  await tx.query(
    `with latest as (
       select distinct on (group_key) id, group_key, state from ticket where rule_id = $1
        order by group_key, state = 'closed', generation desc, id desc
     ), busy as (
       select m.place_id, m.finding_id, t.group_key
         from ticket t join ticket_finding m on m.ticket_id = t.id
        where t.rule_id = $1 and t.state <> 'closed'
     ), matching as (
       select case when $5 = 'patch' then v.patch_key else 'qid:' || v.issue_key end as group_key,
              f.place_id, f.id as finding_id
         from finding f
         join vulnerability v on v.integration_id = f.integration_id and v.issue_key = f.issue_key
        where f.kind = 'vm' and f.state = 'open' and f.integration_id = $6
          and ($2::text[] is null or f.type = any ($2))
          and ($3::int is null or ${EFFECTIVE_SEVERITY} >= $3)
          and ($4::boolean is null or v.patchable = $4)
     ), free as (
       select matching.*
         from matching left join busy using (place_id, finding_id)
        where busy.group_key is null or busy.group_key = matching.group_key
     ), told as (
       select l.group_key, m.place_id, m.finding_id, m.told_state, m.told_severity
         from latest l join ticket_finding m on m.ticket_id = l.id
        where l.state <> 'closed'
           or (not exists (select 1 from busy b where b.place_id = m.place_id and b.finding_id = m.finding_id)
               and not exists (select 1 from matching x where x.place_id = m.place_id and x.finding_id = m.finding_id
                                                          and x.group_key <> l.group_key))
     )
     insert into group_member (group_key, ticket_id, place_id, finding_id, told_state, told_severity, matches, matches_rule)
     select coalesce(told.group_key, free.group_key), latest.id, place_id, finding_id, told.told_state,
            told.told_severity, free.place_id is not null, matching.place_id is not null
       from told full join free using (group_key, place_id, finding_id)
       left join matching using (place_id, finding_id)
       left join latest on latest.group_key = coalesce(told.group_key, free.group_key)`,
    [
      rule.id,
      filter.types ?? null,
      filter.severityMin ?? null,
      filter.patchable ?? null,
      groupBy[0] ?? 'patch',
      rule.sourceIntegrationId,
    ],
  )
  await tx.query('create index on group_member (group_key)')
  await tx.query('analyze group_member')
}

/** What is true of one group of findings, and of the ticket that stands for it, if there is one. */
export interface GroupFacts {
  groupKey: string
  ticketId: string | null
  ticketState: TicketState | null
  issueKey: string | null
  closedAt: Date | null
  /** Changes of what this ticket is or says that are on their way. */
  opsOpen: number
  inputsHash: string
  toldInputsHash: string | null
  /** Findings by state. Members are those that matched when they joined, whatever became of them. */
  members: number
  open: number
  /** Open ones that the rule is about: others became members when it still was. */
  openMatching: number
  /** Open ones that the rule is about, though the knowledge base may have given them another group. */
  openInRule: number
  fixed: number
  /** Neither open nor fixed: removed, out of scope, suppressed, accepted, stale. */
  unproven: number
  /** Places of members of which something is owed. */
  owedPlaces: number
  /** What has changed since the ticket was told, in hosts. */
  joinedHosts: number
  fixedHosts: number
  reopenedHosts: number
  unprovenHosts: number
  /** Severities that differ from those that the ticket was told. */
  severityChanges: SeverityChange[]
  /** The group when the ticket was told; null for one that was told nothing yet. */
  toldGroupKey: string | null
}

export interface SeverityChange {
  qid: string
  from: number
  to: number
  /** When the knowledge base changed last, as an ISO instant; null for a QID that is not in it. */
  at: string | null
  /** A user of the subscription has edited the vulnerability. */
  isCustomized: boolean
}

/** Every group that has open findings, or a ticket that is not closed; the one with most open findings first. */
export async function listGroups(tx: Tx): Promise<GroupFacts[]> {
  const result = await tx.query<GroupFacts>(
    `with owed as (
       select distinct place_id from gap where settled_at is null and place_id is not null
     ), fact as (
       select m.group_key, m.ticket_id, m.place_id, m.told_state, m.told_severity, m.matches, m.matches_rule, f.state,
              f.issue_key, ${EFFECTIVE_SEVERITY} as severity, greatest(v.last_modified_at, v.customized_at) as known_at,
              v.customized_at is not null as is_customized,
              hashtextextended(concat_ws('/', m.place_id, m.finding_id, f.state, h.dns, h.netbios, h.ip, h.os,
                                         ${EFFECTIVE_SEVERITY}, v.content_hash,
                                         case when f.first_found_effective_at is distinct from f.first_found_at
                                              then f.first_found_effective_at end), 0) as digest,
              owed.place_id is not null as owed
         from group_member m
         join finding f on f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
         join host h on h.id = m.place_id
         left join vulnerability v on v.integration_id = f.integration_id and v.issue_key = f.issue_key
         left join owed on owed.place_id = m.place_id
     )
     select fact.group_key as "groupKey", t.id as "ticketId", t.state as "ticketState", t.issue_key as "issueKey",
            t.closed_at as "closedAt", t.inputs_hash as "toldInputsHash", t.told_group_key as "toldGroupKey",
            (select count(*)::int from outbox o where o.ticket_id = t.id and o.state in ('waiting', 'sending')
                and o.op not in ('comment', 'link')) as "opsOpen",
            bit_xor(fact.digest)::text as "inputsHash",
            count(*)::int as members,
            count(*) filter (where fact.state = 'open')::int as open,
            count(*) filter (where fact.state = 'open' and fact.matches)::int as "openMatching",
            count(*) filter (where fact.state = 'open' and fact.matches_rule)::int as "openInRule",
            count(*) filter (where fact.state = 'fixed')::int as fixed,
            count(*) filter (where fact.state not in ('open', 'fixed'))::int as unproven,
            count(distinct fact.place_id) filter (where fact.owed)::int as "owedPlaces",
            count(distinct fact.place_id) filter (where fact.told_state is null)::int as "joinedHosts",
            count(distinct fact.place_id) filter (where fact.told_state <> 'fixed' and fact.state = 'fixed')::int as "fixedHosts",
            count(distinct fact.place_id) filter (where fact.told_state <> 'open' and fact.state = 'open')::int as "reopenedHosts",
            count(distinct fact.place_id) filter (where fact.told_state <> fact.state
                                                    and fact.state not in ('open', 'fixed'))::int as "unprovenHosts",
            coalesce(jsonb_agg(distinct jsonb_build_object('qid', fact.issue_key, 'from', fact.told_severity,
                                                           'to', fact.severity, 'at', fact.known_at,
                                                           'isCustomized', fact.is_customized))
                       filter (where fact.told_severity <> fact.severity), '[]') as "severityChanges"
       from fact
       left join ticket t on t.id = fact.ticket_id
      group by fact.group_key, t.id
     having count(*) filter (where fact.state = 'open') > 0 or t.state <> 'closed'
      order by open desc, fact.group_key`,
  )
  return result.rows
}

/**
 * When the knowledge base gives every QID of a ticket's members another patch, the ticket follows, unless that patch has
 * a ticket of its own; a closed one does too, as long as it may be reopened. The label stays, so that the ticket is found
 * as before. To be called before groups are gathered.
 */
export async function followPatches(tx: Tx, rule: RuleRow, now: Date): Promise<void> {
  if (rule.groupBy[0] !== 'patch') return
  await tx.query(
    `with moved as (
       select t.id, t.state = 'closed' as is_closed, min(v.patch_key) as patch_key
         from ticket t
         join ticket_finding m on m.ticket_id = t.id
         join finding f on f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
         join vulnerability v on v.integration_id = f.integration_id and v.issue_key = f.issue_key
        where t.rule_id = $1
          and (t.state <> 'closed' or t.closed_at >= $2::timestamptz - make_interval(days => $3))
        group by t.id, t.group_key
       having count(distinct v.patch_key) = 1 and min(v.patch_key) <> t.group_key
     ), first as (
       -- Where several tickets would follow to one patch, the oldest does that is not closed, or else the one that was
       -- closed last; the others keep their members to the end.
       select distinct on (patch_key) id, patch_key from moved
        order by patch_key, is_closed, case when is_closed then -id else id end
     )
     update ticket t set group_key = first.patch_key
       from first
      where t.id = first.id
        and not exists (select 1 from ticket o where o.rule_id = $1 and o.group_key = first.patch_key)`,
    [rule.id, now, rule.policy.reopenWithinDays],
  )
}

/** Which members a text is about: all of a ticket's, or only those that match now, for a ticket that is new. */
export interface GroupSelection {
  groupKey: string
  onlyMatching: boolean
}

/** A ticket that is opened again leaves the members that have gone to another one since it was closed. */
export async function releaseMembers(tx: Tx, input: { ticketId: string; groupKey: string }): Promise<void> {
  await tx.query(
    `delete from ticket_finding m
      where m.ticket_id = $1
        and not exists (select 1 from group_member g where g.group_key = $2 and g.place_id = m.place_id
                                                       and g.finding_id = m.finding_id)`,
    [input.ticketId, input.groupKey],
  )
}

/** Adds what matches to the ticket, and notes what every member is like as that which the ticket is about to tell. */
export async function tellMembers(
  tx: Tx,
  input: { ticketId: string; groupKey: string; now: Date },
): Promise<void> {
  await tx.query(
    `insert into ticket_finding (ticket_id, place_id, finding_id, told_state, joined_at)
     select $1, place_id, finding_id, 'open', $3 from group_member where group_key = $2 and matches
     on conflict do nothing`,
    [input.ticketId, input.groupKey, input.now],
  )
  await tx.query(
    `update ticket_finding m set told_state = f.state, told_severity = ${EFFECTIVE_SEVERITY}
       from finding f
       left join vulnerability v on v.integration_id = f.integration_id and v.issue_key = f.issue_key
      where m.ticket_id = $1 and f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
        and (m.told_state, m.told_severity) is distinct from (f.state, ${EFFECTIVE_SEVERITY})`,
    [input.ticketId],
  )
}

export interface GroupHost {
  placeId: string
  hostId: string
  dns: string | null
  netbios: string | null
  ip: string | null
  os: string | null
  qids: string[]
  severity: number | null
  firstFoundAt: Date | null
  fixedAt: Date | null
  state: 'open' | 'fixed' | 'unproven'
  unprovenAs: string[]
}

/** The hosts of a group as a ticket shows them: open ones first, then by name. */
export async function listGroupHosts(tx: Tx, selection: GroupSelection, limit: number): Promise<GroupHost[]> {
  const result = await tx.query<GroupHost>(
    `select h.id as "placeId", h.host_id as "hostId", h.dns, h.netbios, h.ip, h.os,
            array_agg(distinct f.issue_key order by f.issue_key) as qids,
            max(${EFFECTIVE_SEVERITY})::int as severity, min(f.first_found_effective_at) as "firstFoundAt",
            max(f.fixed_at) as "fixedAt",
            case when bool_or(f.state = 'open') then 'open'
                 when bool_and(f.state = 'fixed') then 'fixed' else 'unproven' end as state,
            coalesce(array_agg(distinct f.state) filter (where f.state not in ('open', 'fixed')), '{}') as "unprovenAs"
       from group_member m
       join finding f on f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
       join host h on h.id = m.place_id
       left join vulnerability v on v.integration_id = f.integration_id and v.issue_key = f.issue_key
      where m.group_key = $1 and (m.matches or not $2)
      group by h.id
      order by case when bool_or(f.state = 'open') then 0 when bool_and(f.state = 'fixed') then 2 else 1 end,
               lower(coalesce(h.dns, h.netbios, h.ip, h.host_id::text)), h.id
      limit $3`,
    [selection.groupKey, selection.onlyMatching, limit],
  )
  return result.rows
}

export interface GroupHostCounts {
  open: number
  fixed: number
  unproven: number
}

export async function countGroupHosts(tx: Tx, selection: GroupSelection): Promise<GroupHostCounts> {
  const result = await tx.query<GroupHostCounts>(
    `with host as (
       select bool_or(f.state = 'open') as is_open, bool_and(f.state = 'fixed') as is_fixed
         from group_member m
         join finding f on f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
        where m.group_key = $1 and (m.matches or not $2)
        group by m.place_id
     )
     select count(*) filter (where is_open)::int as open, count(*) filter (where is_fixed)::int as fixed,
            count(*) filter (where not is_open and not is_fixed)::int as unproven
       from host`,
    [selection.groupKey, selection.onlyMatching],
  )
  return result.rows[0]!
}

export interface GroupVulnerability {
  qid: string
  title: string | null
  severity: number | null
  solutionHtml: string | null
  cvssV3: { base: number | null } | null
  cvssV2: { base: number | null } | null
  cves: string[]
  references: { reference: string; url: string | null }[]
}

/** What the knowledge base says of the group's QIDs, most severe first. */
export async function listGroupVulnerabilities(
  tx: Tx,
  selection: GroupSelection,
  limit: number,
): Promise<GroupVulnerability[]> {
  const result = await tx.query<GroupVulnerability>(
    `with issue as (
       select distinct f.integration_id, f.issue_key
         from group_member m
         join finding f on f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
        where m.group_key = $1 and (m.matches or not $2)
     )
     select v.qid, v.title, v.severity::int, v.solution_html as "solutionHtml", v.cvss_v3 as "cvssV3",
            v.cvss_v2 as "cvssV2",
            coalesce((select array_agg(c.cve order by c.cve) from vulnerability_cve c
                       where c.integration_id = v.integration_id and c.qid = v.qid), '{}') as cves,
            coalesce((select jsonb_agg(jsonb_build_object('reference', r.reference, 'url', r.url) order by r.reference)
                        from vulnerability_reference r
                       where r.integration_id = v.integration_id and r.qid = v.qid), '[]') as references
       from issue
       join vulnerability v on v.integration_id = issue.integration_id and v.issue_key = issue.issue_key
      order by v.severity desc nulls last, v.qid
      limit $3`,
    [selection.groupKey, selection.onlyMatching, limit],
  )
  return result.rows
}
