import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { World } from './world.ts'

/** Everything that a life has led to, as sorted lines that do not depend on ids, on attempts or on when it was seen. */
export interface EndState {
  hash: string
  /** How many lines of what kind, to see that there was something to compare. */
  counts: Record<string, number>
  lines: string[]
  /** What must not be in any life: a doubled ticket, a doubled comment. */
  violations: string[]
}

export async function readEndState(pool: pg.Pool, world: World): Promise<EndState> {
  const counts: Record<string, number> = {}
  const lines: string[] = []
  for (const [kind, sql] of Object.entries(TABLES)) {
    const { rows } = await pool.query<{ line: string }>(sql)
    counts[kind] = rows.length
    lines.push(...rows.map(({ line }) => `${kind} ${line}`))
  }
  const issues = world.jira.issues()
  const comments = issues.flatMap(commentLines)
  counts['issue'] = issues.length
  counts['comment'] = comments.length
  lines.push(...issues.map(issueLine), ...comments)
  lines.sort()
  const hash = createHash('sha256').update(lines.join('\n')).digest('hex')
  return { hash, counts, lines, violations: [...doubledTickets(world), ...doubledComments(world)] }
}

/** The first lines that are in one life only. */
export function differences(one: EndState, other: EndState, max = 20): string[] {
  const only = (lines: readonly string[], others: readonly string[], sign: string) => {
    const left = new Map<string, number>()
    for (const line of others) left.set(line, (left.get(line) ?? 0) + 1)
    return lines.flatMap((line) => {
      const count = left.get(line) ?? 0
      left.set(line, count - 1)
      return count > 0 ? [] : [`${sign} ${line}`]
    })
  }
  const found = [...only(one.lines, other.lines, '+'), ...only(other.lines, one.lines, '-')]
  return found
    .toSorted((a, b) => (a.slice(2) < b.slice(2) ? -1 : 1))
    .slice(0, max)
    .map((line) => line.slice(0, LINE_CHARS_MAX))
}

const LINE_CHARS_MAX = 1_000

/** Times that come from the hub's clock are told by the day: within a day it may have been moved on. */
const TABLES: Readonly<Record<string, string>> = {
  finding: `
    select concat_ws(' | ', h.host_id, f.identity, jsonb_build_array(f.issue_key, f.source_key, f.state, f.source_status,
             f.ignored, f.disabled, f.missing_since::date, f.accepted_until, f.type, f.severity, f.qds,
             f.first_found_at, f.first_found_effective_at,
             case when f.first_found_at is null then f.opened_at::date::timestamptz else f.opened_at end, f.fixed_at, f.times_reopened, f.last_fixed_at,
             f.last_reopened_at, f.port, f.protocol, f.ssl, f.fqdn, f.instance, f.service),
             f.affect_running_kernel, f.evidence_hash, md5(e.body)) as line
      from finding f join host h on h.id = f.place_id left join evidence e on e.hash = f.evidence_hash`,
  observation: `
    select concat_ws(' | ', h.host_id, o.identity, jsonb_build_array(o.state_hash, o.volatile_hash, o.last_found_at,
             o.last_test_at, o.last_update_at, o.last_processed_at, o.times_found)) as line
      from observation o join host h on h.id = o.place_id`,
  event: `
    select concat_ws(' | ', h.host_id, f.identity,
             string_agg(jsonb_build_array(e.old_state, e.new_state, e.old_source_status, e.new_source_status,
                          e.happened_at, e.seen_at::date, e.reason)::text, ', ' order by e.seen_at, e.id)) as line
      from event e
      join finding f on f.kind = e.kind and f.place_id = e.place_id and f.id = e.finding_id
      join host h on h.id = e.place_id
     group by h.host_id, f.identity`,
  episode: `
    select concat_ws(' | ', h.host_id, f.identity, jsonb_build_array(e.number, e.opened_at, e.fixed_at, e.fix_seen,
             e.severity, e.type, e.ended_seen_at::date)) as line
      from episode e
      join finding f on f.kind = e.kind and f.place_id = e.place_id and f.id = e.finding_id
      join host h on h.id = e.place_id`,
  gap: `select concat_ws(' | ', kind, key, reason) as line from gap where settled_at is null`,
  module_state: `
    select concat_ws(' | ', module, watermark, last_full_at::date, cursor - 'batchHosts' - 'lastInformationAt') as line
      from module_state`,
  host: `
    select concat_ws(' | ', h.host_id, jsonb_build_array(h.asset_id, h.ip, h.dns, h.os, h.tracking_method, h.netbios,
             h.first_listed_at::date, h.last_listed_at::date, h.lists_missing, h.removed_at::date,
             h.out_of_scope_at::date, h.last_vm_scanned_at, h.last_activity_at),
             (select string_agg(t.tag_id::text, ',' order by t.tag_id) from host_tag t where t.place_id = h.id)) as line
      from host h`,
  vulnerability: `
    select concat_ws(' | ', qid, is_known, severity, patch_key, content_hash, last_modified_at) as line from vulnerability`,
  staging: `select 'left over' as line from finding_staging union all select 'left over' from evidence_staging`,
  ticket: `
    select concat_ws(' | ', t.group_key, t.original_key, t.generation, t.hash_label, t.state, t.summary, t.review_reason,
             t.closed_at::date, p.generation,
             (select string_agg(concat_ws('/', h.host_id, f.identity, m.told_state), ',' order by h.host_id, f.identity)
                from ticket_finding m
                join finding f on f.kind = 'vm' and f.place_id = m.place_id and f.id = m.finding_id
                join host h on h.id = m.place_id
               where m.ticket_id = t.id)) as line
      from ticket t left join ticket p on p.id = t.previous_ticket_id`,
  integration: `select concat_ws(' | ', name, status, status_message) as line from integration`,
}

type Issue = ReturnType<World['jira']['issues']>[number]

function issueLine(issue: Issue): string {
  const { status, summary, description, labels } = issue
  return `issue ${keyOf(issue)} | ${JSON.stringify([status.category, summary, labels, description])}`
}

function commentLines(issue: Issue): string[] {
  return issue.comments.map((comment) => `comment ${keyOf(issue)} | ${JSON.stringify(comment.body)}`)
}

/** Keys of the fake depend on the order of making; ours do not. */
function keyOf({ ref }: Issue): string | undefined {
  return (ref as { key?: string } | undefined)?.key
}

function doubledTickets(world: World): string[] {
  const labels = world.jira
    .issues()
    .flatMap((issue) => issue.labels.filter((label) => HASH_LABEL.test(label)))
  return doubled(labels).map((label) => `There are two tickets with the label ${label}.`)
}

const HASH_LABEL = /^patchbay-[0-9a-f]{20}$/

function doubledComments(world: World): string[] {
  return world.jira.issues().flatMap((issue) => {
    const keys = issue.comments.map((comment) => JSON.stringify(comment.properties.get('patchbay.ref')))
    return doubled(keys).map((key) => `${issue.key} has the comment ${key} twice.`)
  })
}

function doubled(values: readonly string[]): string[] {
  const seen = new Set<string>()
  return values.filter((value) => seen.size === seen.add(value).size)
}
