import type { Db } from '../db.ts'

export const HOST_STATES = ['present', 'stale', 'missing', 'removed', 'out_of_scope'] as const
export type HostState = (typeof HOST_STATES)[number]

/** A host that is listed and was not scanned for so long is stale; what is known of it may be old. */
export const STALE_AFTER_DAYS = 30

/** Conditions over `host h`, in the order in which they win; `$1` is now. */
const LAST_SCAN = 'coalesce(h.last_vm_scanned_at, h.last_scan_at)'
const STALE = `h.identity_noted and coalesce(${LAST_SCAN}, h.first_listed_at) < $1::timestamptz - interval '${STALE_AFTER_DAYS} days'`
const LEFT = 'h.lists_missing > 0 or h.removed_at is not null or h.out_of_scope_at is not null'
const IN_STATE: Record<HostState, string> = {
  removed: `(${LEFT}) and h.removed_at is not null`,
  out_of_scope: `(${LEFT}) and h.out_of_scope_at is not null`,
  missing: `(${LEFT}) and h.removed_at is null and h.out_of_scope_at is null`,
  stale: `not (${LEFT}) and ${STALE}`,
  present: `not (${LEFT}) and not (${STALE})`,
}
const STATE = `case when h.removed_at is not null then 'removed' when h.out_of_scope_at is not null then 'out_of_scope'
  when h.lists_missing > 0 then 'missing' when ${STALE} then 'stale' else 'present' end`

/** The hosts that a person calls so: by a Qualys host id, an IP address, or a DNS or NetBIOS name. Each by its index. */
export function placesCalled(parameter: string): string {
  return `select id from host where host_id = case when ${parameter}::text ~ '^[0-9]{1,18}$' then ${parameter}::text::bigint end
    union select id from host where ip = ${parameter}
    union select id from host where lower(dns) = lower(${parameter})
    union select id from host where lower(fqdn) = lower(${parameter})
    union select id from host where lower(netbios) = lower(${parameter})`
}

export interface HostRow {
  placeId: string
  integrationId: string
  hostId: string
  ip: string | null
  dns: string | null
  netbios: string | null
  os: string | null
  agentId: string | null
  trackingMethod: string | null
  state: HostState
  lastScanAt: Date | null
  lastListedAt: Date
  removedAt: Date | null
  outOfScopeAt: Date | null
}

const COLUMNS = `h.id as "placeId", h.integration_id as "integrationId", h.host_id as "hostId", h.ip,
  coalesce(h.fqdn, h.dns) as dns, h.netbios, h.os, h.agent_id as "agentId", h.tracking_method as "trackingMethod",
  ${STATE} as state, ${LAST_SCAN} as "lastScanAt", h.last_listed_at as "lastListedAt", h.removed_at as "removedAt",
  h.out_of_scope_at as "outOfScopeAt"`

export interface HostFilter {
  integrationId?: string | undefined
  state?: HostState | undefined
  /** A Qualys host id, an IP address, or a DNS or NetBIOS name. */
  host?: string | undefined
}

/** A page of hosts by place. */
export async function listHosts(
  db: Db,
  filter: HostFilter,
  page: { now: Date; afterId: string; limit: number },
): Promise<HostRow[]> {
  const values: unknown[] = [page.now, page.afterId, page.limit]
  const conditions = ['h.id > $2::bigint']
  if (filter.integrationId !== undefined)
    conditions.push(`h.integration_id = $${values.push(filter.integrationId)}`)
  if (filter.state !== undefined) conditions.push(IN_STATE[filter.state])
  if (filter.host !== undefined) conditions.push(`h.id in (${placesCalled(`$${values.push(filter.host)}`)})`)
  const result = await db.query<HostRow>(
    `select ${COLUMNS} from host h where ${conditions.join(' and ')} order by h.id limit $3`,
    values,
  )
  return result.rows
}

export interface HostDetail extends HostRow {
  assetId: string | null
  ipv6: string | null
  networkId: string | null
  cloudProvider: string | null
  cloudResourceId: string | null
  serialNumber: string | null
  hardwareUuid: string | null
  agentStatus: string | null
  owner: string | null
  firstFoundAt: Date | null
  firstListedAt: Date
  lastListedRunId: string | null
  lastListedScope: string
  listsMissing: number
  identitySince: Date | null
  lastActivityAt: Date | null
  lastVmScannedAt: Date | null
  lastVmAuthScannedAt: Date | null
  /** Open findings that the last scan did not test, and since when the oldest of them was not. */
  notTested: number
  notTestedSince: Date | null
  tags: { id: string; name: string | null }[]
  findings: { state: string; count: number }[]
}

const TAGS_SHOWN_MAX = 1_000

export async function getHost(db: Db, input: { placeId: string; now: Date }): Promise<HostDetail | null> {
  const result = await db.query<HostDetail>(
    `select ${COLUMNS}, h.asset_id as "assetId", h.ipv6, h.network_id as "networkId", h.cloud_provider as "cloudProvider",
            h.cloud_resource_id as "cloudResourceId", h.serial_number as "serialNumber",
            h.hardware_uuid as "hardwareUuid", h.extra ->> 'AGENT_STATUS' as "agentStatus", h.owner,
            h.first_found_at as "firstFoundAt", h.first_listed_at as "firstListedAt",
            h.last_listed_run_id as "lastListedRunId", h.last_listed_scope as "lastListedScope",
            h.lists_missing as "listsMissing", h.identity_since as "identitySince",
            h.last_activity_at as "lastActivityAt", h.last_vm_scanned_at as "lastVmScannedAt",
            h.last_vm_auth_scanned_at as "lastVmAuthScannedAt",
            untested.count as "notTested", untested.since as "notTestedSince",
            (select coalesce(jsonb_agg(jsonb_build_object('id', t.tag_id::text, 'name', tag.name) order by tag.name, t.tag_id), '[]')
               from (select tag_id from host_tag where place_id = h.id order by tag_id limit ${TAGS_SHOWN_MAX}) t
               left join tag on tag.integration_id = h.integration_id and tag.tag_id = t.tag_id) as tags,
            (select coalesce(jsonb_agg(jsonb_build_object('state', s.state, 'count', s.count) order by s.state), '[]')
               from (select state, count(*)::int as count from finding where kind = 'vm' and place_id = h.id
                      group by state) s) as findings
       from host h
      cross join lateral (
            select count(*)::int as count, min(o.last_test_at) as since
              from finding f
              join observation o on o.place_id = f.place_id and o.finding_id = f.id
             where f.kind = 'vm' and f.place_id = h.id and f.state = 'open' and f.type is distinct from 'Info'
               and o.last_test_at < h.last_vm_scanned_at - interval '1 day'
            ) untested
      where h.id = $2`,
    [input.now, input.placeId],
  )
  return result.rows[0] ?? null
}

export interface HostLinkRow {
  relation: 'forebear' | 'heir'
  placeId: string
  hostId: string
  name: string | null
  kind: 'successor' | 'merged'
  evidenceKind: string
  evidenceValue: string
  linkedAt: Date
  runId: string
  endedAt: Date | null
  endReason: string | null
}

/** Who it took over from and who goes on as it, newest first. */
export async function listHostLinks(db: Db, placeId: string, limit: number): Promise<HostLinkRow[]> {
  const result = await db.query<HostLinkRow>(
    `select case when l.new_place_id = $1 then 'forebear' else 'heir' end as relation, o.id as "placeId",
            o.host_id as "hostId", coalesce(o.fqdn, o.dns, o.netbios, o.ip) as name, l.kind,
            l.evidence_kind as "evidenceKind", l.evidence_value as "evidenceValue", l.linked_at as "linkedAt",
            l.run_id as "runId", l.ended_at as "endedAt", l.end_reason as "endReason"
       from host_link l
       join host o on o.id = case when l.new_place_id = $1 then l.old_place_id else l.new_place_id end
      where l.new_place_id = $1 or l.old_place_id = $1
      order by l.linked_at desc, l.id desc limit $2`,
    [placeId, limit],
  )
  return result.rows
}

export interface TwinRow {
  placeId: string
  hostId: string
  name: string | null
  evidenceKind: string
  evidenceValue: string
}

/** Other listed hosts that are known by a value of this one: the same machine under several host ids. */
export async function listTwins(db: Db, placeId: string, limit: number): Promise<TwinRow[]> {
  const result = await db.query<TwinRow>(
    `select distinct on (o.id) o.id as "placeId", o.host_id as "hostId",
            coalesce(o.fqdn, o.dns, o.netbios, o.ip) as name, i.kind as "evidenceKind", i.value as "evidenceValue"
       from host_identifier i
       join host_identifier t on t.integration_id = i.integration_id and t.kind = i.kind and t.value = i.value
                             and t.ended_at is null and t.place_id <> i.place_id
       join host o on o.id = t.place_id and o.lists_missing = 0 and o.removed_at is null and o.out_of_scope_at is null
      where i.place_id = $1 and i.ended_at is null
      order by o.id, array_position(array['agent', 'cloud', 'hardware', 'serial'], i.kind) limit $2`,
    [placeId, limit],
  )
  return result.rows
}
