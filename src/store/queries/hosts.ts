import type { HostRecord } from '../../model/vm.ts'
import type { Db, Tx } from '../db.ts'
import { toJsonbText } from '../jsonb-text.ts'

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
 * Writes what a detection answer says of known hosts, whose rows the caller has locked. It says less than the host list
 * does: what identifies a host is taken from it only while the host was never described, so that a change of it is seen
 * in one place.
 */
export async function mergeHosts(tx: Tx, integrationId: string, hosts: readonly HostRecord[]): Promise<void> {
  for (let start = 0; start < hosts.length; start += HOSTS_PER_STATEMENT_MAX) {
    const slice = hosts.slice(start, start + HOSTS_PER_STATEMENT_MAX)
    await tx.query(MERGE_HOSTS, [integrationId, toJson(slice)])
  }
  await mergeTagsOf(tx, integrationId, hosts)
}

/** What tells one machine from another, as it stood before a description came. */
export interface HostIdentity {
  trackingMethod: string | null
  ip: string | null
  os: string | null
  dns: string | null
  fqdn: string | null
  netbios: string | null
  agentId: string | null
  cloudProvider: string | null
  cloudResourceId: string | null
  serialNumber: string | null
  hardwareUuid: string | null
}

export interface DescribedHost {
  placeId: string
  /** False: it is described for the first time. */
  wasNoted: boolean
  before: HostIdentity & { lastVmScannedAt: Date | null }
  record: HostRecord
}

/**
 * Writes descriptions of known hosts, whose rows the caller has locked. A field that a record does not have keeps its
 * value. Returns the hosts of which something that identifies them is new.
 */
export async function describeHosts(
  tx: Tx,
  integrationId: string,
  hosts: readonly HostRecord[],
): Promise<DescribedHost[]> {
  const byId = new Map(hosts.map((host) => [host.hostId, host]))
  const unique = [...byId.values()]
  const described: DescribedHost[] = []
  for (let start = 0; start < unique.length; start += HOSTS_PER_STATEMENT_MAX) {
    const slice = unique.slice(start, start + HOSTS_PER_STATEMENT_MAX)
    const result = await tx.query<DescribedHost['before'] & Omit<Before, 'before'>>(DESCRIBE_HOSTS, [
      integrationId,
      toJson(slice),
    ])
    for (const { placeId, hostId, wasNoted, ...before } of result.rows)
      described.push({ placeId, wasNoted, before, record: byId.get(hostId)! })
  }
  await mergeTagsOf(tx, integrationId, unique)
  return described
}

interface Before {
  placeId: string
  hostId: string
  wasNoted: boolean
}

/** Replaces what identifies hosts by what their records say, and forgets what they do not say: it was another machine's. */
export async function replaceIdentities(
  tx: Tx,
  integrationId: string,
  replaced: readonly { record: HostRecord; since: Date }[],
): Promise<void> {
  for (let start = 0; start < replaced.length; start += HOSTS_PER_STATEMENT_MAX) {
    const slice = replaced.slice(start, start + HOSTS_PER_STATEMENT_MAX)
    await tx.query(
      `update host h
          set ${IDENTITY_COLUMNS.map((column) => `${column} = n.${column}`).join(', ')}, identity_since = s.since
         from jsonb_to_recordset($2::jsonb) as n (${RECORD_COLUMNS})
         join unnest($3::bigint[], $4::timestamptz[]) as s (host_id, since) using (host_id)
        where h.integration_id = $1 and h.host_id = n.host_id`,
      [
        integrationId,
        toJson(slice.map(({ record }) => record)),
        slice.map(({ record }) => record.hostId),
        slice.map(({ since }) => since),
      ],
    )
  }
}

const IDENTITY_COLUMNS = [
  'tracking_method',
  'ip',
  'ipv6',
  'os',
  'os_cpe',
  'dns',
  'fqdn',
  'netbios',
  'agent_id',
  'cloud_provider',
  'cloud_service',
  'cloud_resource_id',
  'serial_number',
  'hardware_uuid',
]
/** Columns that only a description changes once there was one; the date too, since a change of machine is told by it. */
const DESCRIBED_COLUMNS = new Set([...IDENTITY_COLUMNS, 'last_vm_scanned_at'])
const COLUMNS = HOST_FIELDS.map(([column]) => column)
const RECORD_COLUMNS = `host_id bigint, ${HOST_FIELDS.map(([column, , type]) => `${column} ${type}`).join(', ')}`

const MERGE_HOSTS = `update host h
    set ${COLUMNS.map((column) => `${column} = ${detectedValue(column)}`).join(', ')}
   from jsonb_to_recordset($2::jsonb) as n (${RECORD_COLUMNS})
  where h.integration_id = $1 and h.host_id = n.host_id
    and (${COLUMNS.map((column) => `h.${column}`).join(', ')})
        is distinct from (${COLUMNS.map(detectedValue).join(', ')})`

const DESCRIBE_HOSTS = `with n as materialized (
    select * from jsonb_to_recordset($2::jsonb) as n (${RECORD_COLUMNS})
  ), before as (
    select h.id as "placeId", h.host_id as "hostId", h.identity_noted as "wasNoted",
           h.tracking_method as "trackingMethod", h.ip, h.os, h.dns, h.fqdn, h.netbios, h.agent_id as "agentId",
           h.cloud_provider as "cloudProvider", h.cloud_resource_id as "cloudResourceId",
           h.serial_number as "serialNumber", h.hardware_uuid as "hardwareUuid",
           h.last_vm_scanned_at as "lastVmScannedAt"
      from host h join n on n.host_id = h.host_id
     where h.integration_id = $1
       and (not h.identity_noted or (${IDENTITY_COLUMNS.map((column) => `h.${column}`).join(', ')})
            is distinct from (${IDENTITY_COLUMNS.map(mergedValue).join(', ')}))
  ), written as (
    update host h
       set ${COLUMNS.map((column) => `${column} = ${mergedValue(column)}`).join(', ')}, identity_noted = true
      from n
     where h.integration_id = $1 and h.host_id = n.host_id
       and (not h.identity_noted or (${COLUMNS.map((column) => `h.${column}`).join(', ')})
            is distinct from (${COLUMNS.map(mergedValue).join(', ')}))
  )
  select * from before order by "placeId"`

function detectedValue(column: string): string {
  return DESCRIBED_COLUMNS.has(column)
    ? `case when h.identity_noted then h.${column} else ${mergedValue(column)} end`
    : mergedValue(column)
}

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

async function mergeTagsOf(tx: Tx, integrationId: string, hosts: readonly HostRecord[]): Promise<void> {
  const tagged = hosts.filter((host) => host.tags !== null)
  // All tags before any host's: in slices, two transactions could add the same tags in different orders.
  await addTags(tx, integrationId, tagged)
  for (let start = 0; start < tagged.length; start += HOSTS_PER_STATEMENT_MAX)
    await mergeTags(tx, integrationId, tagged.slice(start, start + HOSTS_PER_STATEMENT_MAX))
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
