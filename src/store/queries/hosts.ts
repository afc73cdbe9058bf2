import type { HostRecord } from '../../model/vm.ts'
import type { Db, Tx } from '../db.ts'
import { toJsonbText } from '../jsonb-text.ts'

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
  await tx.query(
    `insert into host as h (integration_id, host_id, first_listed_at, last_listed_at, last_listed_run_id, last_listed_scope)
     select $1, id, $3, $3, $2, $4 from unnest($5::bigint[]) as id order by id
     on conflict (integration_id, host_id) do update
        set last_listed_at = $3, last_listed_run_id = $2, last_listed_scope = $4, lists_missing = 0`,
    [list.integrationId, list.runId, list.now, list.scope, list.hostIds],
  )
}

/** Counts, for every host that was not on the list, that it was missing once more. */
export async function countMissing(tx: Tx, key: { integrationId: string; runId: string }): Promise<number> {
  const result = await tx.query(
    `update host set lists_missing = lists_missing + 1
      where integration_id = $1 and last_listed_run_id is distinct from $2 and removed_at is null
        and out_of_scope_at is null`,
    [key.integrationId, key.runId],
  )
  return result.rowCount ?? 0
}

export interface PlaceChange {
  placeId: string
  hostId: string
  became: 'removed' | 'out_of_scope' | 'present'
}

/**
 * Hosts that were missing from enough complete lists leave: removed where the scope is the one in which they were seen
 * last, out of scope where the scope is another. Hosts that are listed again come back.
 */
export async function changePresence(
  tx: Tx,
  input: { integrationId: string; runId: string; scope: string; now: Date; listsMissingMin: number },
): Promise<PlaceChange[]> {
  const left = await tx.query<PlaceChange>(
    `update host
        set removed_at = case when last_listed_scope = $3 then $4::timestamptz end,
            out_of_scope_at = case when last_listed_scope <> $3 then $4::timestamptz end
      where integration_id = $1 and lists_missing >= $5 and removed_at is null and out_of_scope_at is null
        and last_listed_run_id is distinct from $2
     returning id as "placeId", host_id as "hostId",
               case when removed_at is null then 'out_of_scope' else 'removed' end as became`,
    [input.integrationId, input.runId, input.scope, input.now, input.listsMissingMin],
  )
  const back = await tx.query<PlaceChange>(
    `update host set removed_at = null, out_of_scope_at = null
      where integration_id = $1 and last_listed_run_id = $2 and (removed_at is not null or out_of_scope_at is not null)
     returning id as "placeId", host_id as "hostId", 'present' as became`,
    [input.integrationId, input.runId],
  )
  return [...left.rows, ...back.rows]
}

/** Qualys host id → place, for the hosts that are known. */
export async function getPlaces(
  db: Db,
  input: { integrationId: string; hostIds: readonly string[] },
): Promise<Map<string, string>> {
  const result = await db.query<[string, string]>({
    text: `select host_id, id from host where integration_id = $1 and host_id = any ($2::bigint[])`,
    values: [input.integrationId, input.hostIds],
    rowMode: 'array',
  })
  return new Map(result.rows)
}

/** Column of `host`, the field of the record, and its SQL type. */
const HOST_FIELDS: readonly [column: string, field: keyof HostRecord, type: string][] = [
  ['asset_id', 'assetId', 'bigint'],
  ['ip', 'ip', 'text'],
  ['ipv6', 'ipv6', 'text'],
  ['tracking_method', 'trackingMethod', 'text'],
  ['network_id', 'networkId', 'text'],
  ['os', 'os', 'text'],
  ['os_cpe', 'osCpe', 'text'],
  ['dns', 'dns', 'text'],
  ['fqdn', 'fqdn', 'text'],
  ['netbios', 'netbios', 'text'],
  ['agent_id', 'agentId', 'text'],
  ['cloud_provider', 'cloudProvider', 'text'],
  ['cloud_service', 'cloudService', 'text'],
  ['cloud_resource_id', 'cloudResourceId', 'text'],
  ['serial_number', 'serialNumber', 'text'],
  ['hardware_uuid', 'hardwareUuid', 'text'],
  ['owner', 'owner', 'text'],
  ['trurisk', 'trurisk', 'integer'],
  ['criticality', 'criticality', 'integer'],
  ['first_found_at', 'firstFoundMs', 'timestamptz'],
  ['last_activity_at', 'lastActivityMs', 'timestamptz'],
  ['last_scan_at', 'lastScanMs', 'timestamptz'],
  ['last_vm_scanned_at', 'lastVmScannedMs', 'timestamptz'],
  ['last_vm_auth_scanned_at', 'lastVmAuthScannedMs', 'timestamptz'],
  ['last_pc_scanned_at', 'lastPcScannedMs', 'timestamptz'],
  ['extra', 'extra', 'jsonb'],
]

const HOSTS_PER_STATEMENT_MAX = 1_000

/**
 * Holds the rows of these hosts until the transaction ends, by ascending id: descriptions and findings of the same hosts
 * come in at the same time, and without one order the two would wait for each other.
 */
export async function lockHosts(
  tx: Tx,
  input: { integrationId: string; hostIds: readonly string[] },
): Promise<void> {
  await tx.query(
    'select 1 from host where integration_id = $1 and host_id = any ($2::bigint[]) order by id for update',
    [input.integrationId, input.hostIds],
  )
}

/**
 * Writes what records say of known hosts, whose rows the caller has locked. A field that a record does not have keeps its value: a detection answer says
 * less of a host than the host list does.
 */
export async function mergeHosts(tx: Tx, integrationId: string, hosts: readonly HostRecord[]): Promise<void> {
  for (let start = 0; start < hosts.length; start += HOSTS_PER_STATEMENT_MAX) {
    const slice = hosts.slice(start, start + HOSTS_PER_STATEMENT_MAX)
    await tx.query(MERGE_HOSTS, [integrationId, toJson(slice)])
  }
  const tagged = hosts.filter((host) => host.tags !== null)
  // All tags before any host's: in slices, two transactions could add the same tags in different orders.
  await addTags(tx, integrationId, tagged)
  for (let start = 0; start < tagged.length; start += HOSTS_PER_STATEMENT_MAX)
    await mergeTags(tx, integrationId, tagged.slice(start, start + HOSTS_PER_STATEMENT_MAX))
}

const MERGE_HOSTS = `update host h
    set ${HOST_FIELDS.map(([column]) => `${column} = ${mergedValue(column)}`).join(', ')}
   from jsonb_to_recordset($2::jsonb)
        as n (host_id bigint, ${HOST_FIELDS.map(([column, , type]) => `${column} ${type}`).join(', ')})
  where h.integration_id = $1 and h.host_id = n.host_id
    and (${HOST_FIELDS.map(([column]) => `h.${column}`).join(', ')})
        is distinct from (${HOST_FIELDS.map(([column]) => mergedValue(column)).join(', ')})`

function mergedValue(column: string): string {
  return column === 'extra'
    ? `case when n.extra is null then h.extra else coalesce(h.extra, '{}') || n.extra end`
    : `coalesce(n.${column}, h.${column})`
}

function toJson(hosts: readonly HostRecord[]): string {
  const rows = hosts.map((host) => {
    const row: Record<string, unknown> = { host_id: host.hostId }
    for (const [column, field, type] of HOST_FIELDS) {
      const value = host[field]
      row[column] =
        type === 'timestamptz' && typeof value === 'number' ? new Date(value).toISOString() : value
    }
    return row
  })
  return toJsonbText(rows)
}

/** Adds the tags that hosts carry and that the list of tags has not brought yet. */
async function addTags(tx: Tx, integrationId: string, tagged: readonly HostRecord[]): Promise<void> {
  const names = new Map<string, string>()
  for (const host of tagged)
    for (const tag of host.tags ?? [])
      if (!names.has(tag.id)) names.set(tag.id, tag.name.replaceAll('\0', '\ufffd'))
  if (names.size === 0) return
  await tx.query(
    `insert into tag (integration_id, tag_id, name)
     select $1, tag_id, name from unnest($2::bigint[], $3::text[]) as n (tag_id, name) order by tag_id
     on conflict (integration_id, tag_id) do nothing`,
    [integrationId, [...names.keys()], [...names.values()]],
  )
}

async function mergeTags(tx: Tx, integrationId: string, tagged: readonly HostRecord[]): Promise<void> {
  const hostIds: string[] = []
  const tagIds: string[] = []
  for (const host of tagged)
    for (const tag of host.tags ?? []) {
      hostIds.push(host.hostId)
      tagIds.push(tag.id)
    }
  await tx.query(
    `with said as (
       select h.id as place_id, n.tag_id
         from unnest($2::bigint[], $3::bigint[]) as n (host_id, tag_id)
         join host h on h.integration_id = $1 and h.host_id = n.host_id
     ), gone as (
       delete from host_tag t
        using host h
        where h.integration_id = $1 and h.host_id = any ($4::bigint[]) and t.place_id = h.id
          and not exists (select 1 from said where said.place_id = t.place_id and said.tag_id = t.tag_id)
     )
     insert into host_tag (integration_id, place_id, tag_id)
     select distinct $1::bigint, place_id, tag_id from said
     on conflict do nothing`,
    [integrationId, hostIds, tagIds, tagged.map((host) => host.hostId)],
  )
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
  lastListedAt: Date
  removedAt: Date | null
  outOfScopeAt: Date | null
}

export async function listHosts(
  db: Db,
  input: { integrationId?: string | undefined; afterId?: string | undefined; limit: number },
): Promise<HostRow[]> {
  const result = await db.query<HostRow>(
    `select id as "placeId", integration_id as "integrationId", host_id as "hostId", ip, dns, netbios, os,
            agent_id as "agentId", last_listed_at as "lastListedAt", removed_at as "removedAt",
            out_of_scope_at as "outOfScopeAt"
       from host
      where ($1::bigint is null or integration_id = $1) and id > $2
      order by id limit $3`,
    [input.integrationId ?? null, input.afterId ?? '0', input.limit],
  )
  return result.rows
}

/** How old the vulnerability scans of the present hosts are; hosts that were never scanned do not count. */
export async function getScanAges(
  db: Db,
  input: { integrationId: string; oldBefore: Date },
): Promise<{ scanned: number; old: number; newestAt: Date | null }> {
  const result = await db.query<{ scanned: number; old: number; newestAt: Date | null }>(
    `select count(*)::int as scanned, count(*) filter (where last_vm_scanned_at < $2)::int as old,
            max(last_vm_scanned_at) as "newestAt"
       from host
      where integration_id = $1 and removed_at is null and out_of_scope_at is null and last_vm_scanned_at is not null`,
    [input.integrationId, input.oldBefore],
  )
  return result.rows[0]!
}
