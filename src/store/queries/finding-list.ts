import type { Db } from '../db.ts'
import { EFFECTIVE_SEVERITY } from './severity.ts'
import { placesCalled } from './host-list.ts'

/** Counts are exact up to here; more is "10,000+". */
export const COUNT_EXACT_MAX = 10_000

/** A scan reports what it has tested within this time. */
const TEST_LAG = '1 day'

export interface FindingFilter {
  integrationId?: string | undefined
  state?: string | undefined
  severityMin?: number | undefined
  qid?: string | undefined
  /** A Qualys host id, an IP address, or a DNS or NetBIOS name. */
  host?: string | undefined
}

export interface FindingRow {
  placeId: string
  id: string
  integrationId: string
  kind: string
  qid: string
  title: string | null
  type: string | null
  severity: number | null
  qds: number | null
  state: string
  sourceStatus: string | null
  hostId: string
  hostName: string | null
  ip: string | null
  port: number | null
  protocol: string | null
  ssl: boolean | null
  instance: string | null
  firstFoundAt: Date | null
  openedAt: Date | null
  fixedAt: Date | null
  timesReopened: number
  lastFoundAt: Date | null
}

const COLUMNS = `f.place_id as "placeId", f.id, f.integration_id as "integrationId", f.kind, f.issue_key as qid, v.title, f.type,
  ${EFFECTIVE_SEVERITY}::int as severity, f.qds, f.state, f.source_status as "sourceStatus", h.host_id as "hostId",
  coalesce(h.dns, h.fqdn, h.netbios) as "hostName", h.ip, f.port, f.protocol, f.ssl, f.instance,
  f.first_found_effective_at as "firstFoundAt", f.opened_at as "openedAt", f.fixed_at as "fixedAt",
  f.times_reopened as "timesReopened", o.last_found_at as "lastFoundAt"`

const KNOWLEDGE =
  'left join vulnerability v on v.integration_id = f.integration_id and v.issue_key = f.issue_key'

const JOINS = `join host h on h.id = f.place_id
  join observation o on o.place_id = f.place_id and o.finding_id = f.id
  ${KNOWLEDGE}`

interface Where {
  text: string
  values: unknown[]
}

/** Only the conditions that are asked for, so that the planner sees constants and not "is null or". */
function whereOf(filter: FindingFilter): Where {
  const conditions = [`f.kind = 'vm'`]
  const values: unknown[] = []
  const add = (condition: (parameter: string) => string, value: unknown) => {
    values.push(value)
    conditions.push(condition(`$${values.length}`))
  }
  if (filter.integrationId !== undefined) add((p) => `f.integration_id = ${p}`, filter.integrationId)
  if (filter.state === 'open') conditions.push(`f.state = 'open'`)
  else if (filter.state !== undefined) add((p) => `f.state = ${p}`, filter.state)
  if (filter.severityMin !== undefined) add((p) => `${EFFECTIVE_SEVERITY} >= ${p}`, filter.severityMin)
  if (filter.qid !== undefined) add((p) => `f.issue_key = ${p}`, filter.qid)
  if (filter.host !== undefined) add((p) => `f.place_id in (${placesCalled(p)})`, filter.host)
  return { text: conditions.join(' and '), values }
}

/** By place and id, which is the order of the primary key; `after` is the last row of the page before. */
export async function listFindings(
  db: Db,
  filter: FindingFilter,
  page: { after: { placeId: string; id: string } | null; limit: number },
): Promise<FindingRow[]> {
  const where = whereOf(filter)
  const at = where.values.length
  const after = page.after ?? { placeId: '0', id: '0' }
  const result = await db.query<FindingRow>(
    `select ${COLUMNS}
       from finding f ${JOINS}
      where ${where.text} and (f.place_id, f.id) > ($${at + 1}::bigint, $${at + 2}::bigint)
      order by f.place_id, f.id
      limit $${at + 3}`,
    [...where.values, after.placeId, after.id, page.limit],
  )
  return result.rows
}

/** Exact up to `COUNT_EXACT_MAX`; one more stands for "more". */
export async function countFindings(db: Db, filter: FindingFilter): Promise<number> {
  const where = whereOf(filter)
  const result = await db.query<{ count: number }>(
    `select count(*)::int as count
       from (select 1 from finding f ${filter.severityMin === undefined ? '' : KNOWLEDGE}
              where ${where.text} limit ${COUNT_EXACT_MAX + 1}) as counted`,
    where.values,
  )
  return result.rows[0]!.count
}

export interface FindingDetail extends FindingRow {
  sourceKey: string | null
  sourceFirstFoundAt: Date | null
  ignored: boolean | null
  disabled: boolean | null
  missingSince: Date | null
  service: string | null
  evidence: string | null
  firstRunId: string
  changedRunId: string
  lastRunId: string
  lastTestAt: Date | null
  /** The last test of an open finding whose host was scanned well after it: that scan could not test it again. */
  notTestedSince: Date | null
  lastProcessedAt: Date | null
  timesFound: number | null
}

export async function getFinding(
  db: Db,
  key: { placeId: string; id: string },
): Promise<FindingDetail | null> {
  const result = await db.query<FindingDetail>(
    `select ${COLUMNS}, f.source_key as "sourceKey", f.first_found_at as "sourceFirstFoundAt", f.ignored, f.disabled, f.missing_since as "missingSince", f.service,
            e.body as evidence, f.first_run_id as "firstRunId", f.changed_run_id as "changedRunId",
            o.run_id as "lastRunId", o.last_test_at as "lastTestAt",
            case when f.state = 'open' and o.last_test_at < h.last_vm_scanned_at - interval '${TEST_LAG}'
                 then o.last_test_at end as "notTestedSince", o.last_processed_at as "lastProcessedAt",
            o.times_found as "timesFound"
       from finding f ${JOINS}
       left join evidence e on e.hash = f.evidence_hash
      where f.kind = 'vm' and f.place_id = $1 and f.id = $2`,
    [key.placeId, key.id],
  )
  return result.rows[0] ?? null
}

export interface EventRow {
  id: string
  seenAt: Date
  happenedAt: Date | null
  runId: string | null
  oldState: string
  newState: string
  oldSourceStatus: string | null
  newSourceStatus: string | null
  reason: string
}

export async function listEventsOf(
  db: Db,
  key: { placeId: string; id: string },
  limit: number,
): Promise<EventRow[]> {
  const result = await db.query<EventRow>(
    `select id, seen_at as "seenAt", happened_at as "happenedAt", run_id as "runId", old_state as "oldState",
            new_state as "newState", old_source_status as "oldSourceStatus", new_source_status as "newSourceStatus", reason
       from event where place_id = $1 and finding_id = $2
      order by seen_at desc, id desc limit $3`,
    [key.placeId, key.id, limit],
  )
  return result.rows
}

export async function listTicketsOf(
  db: Db,
  key: { placeId: string; id: string },
): Promise<{ id: string; issueKey: string | null; url: string | null; state: string }[]> {
  const result = await db.query<{ id: string; issueKey: string | null; url: string | null; state: string }>(
    `select t.id, t.issue_key as "issueKey", t.url, t.state
       from ticket_finding m join ticket t on t.id = m.ticket_id
      where m.place_id = $1 and m.finding_id = $2 order by t.id`,
    [key.placeId, key.id],
  )
  return result.rows
}
