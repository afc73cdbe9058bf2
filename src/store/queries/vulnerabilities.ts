import type { VulnerabilityRecord } from '../../model/vm.ts'
import type { Db, Tx } from '../db.ts'
import { toJsonbText } from '../jsonb-text.ts'
import { recordVersions } from './vulnerability-versions.ts'

const RECORDS_PER_STATEMENT_MAX = 500

/** A QID of the knowledge base with what one patch for it is. */
export interface KnownVulnerability extends VulnerabilityRecord {
  patchKey: string
  /** Normalised ids of its vendor references. */
  references: readonly { reference: string; url: string | null }[]
  /** Of the fields that tickets show. */
  contentHash: string
}

/** A QID that is asked for in vain is asked for again the next day, then ever more rarely, but once a month at least. */
const FIRST_AGAIN_HOURS = 22
const AGAIN_HOURS_MAX = 30 * 24
/** Beyond this many doublings the longest wait is reached anyway. */
const DOUBLINGS_MAX = 8

/** Writes QIDs of the knowledge base, each at most once among `records`, and a version of each that changed. */
export async function mergeVulnerabilities(
  tx: Tx,
  input: { integrationId: string; runId: string | null; now: Date; records: readonly KnownVulnerability[] },
): Promise<void> {
  for (let start = 0; start < input.records.length; start += RECORDS_PER_STATEMENT_MAX) {
    const records = input.records.slice(start, start + RECORDS_PER_STATEMENT_MAX)
    await mergeRows(tx, input.integrationId, input.now, records)
    await replaceCves(tx, input.integrationId, records)
    await replaceReferences(tx, input.integrationId, records)
    await recordVersions(tx, { ...input, qids: records.map((record) => record.qid) })
  }
}

/**
 * Remembers that the knowledge base was asked for these QIDs and answered without them. What it said of one before is
 * kept. They are asked for again ever more rarely.
 */
export async function insertTombstones(
  tx: Tx,
  input: { integrationId: string; now: Date; qids: readonly string[] },
): Promise<void> {
  await tx.query(
    `insert into vulnerability as v (integration_id, qid, is_known, patch_key, fetched_at, missing_since, missing_tries,
                                     next_try_at)
     select $1, qid, false, 'qid:' || qid, $2, $2, 1, $2::timestamptz + make_interval(hours => $4)
       from unnest($3::bigint[]) as qid
      order by qid
     on conflict (integration_id, qid) do update
        set missing_since = coalesce(v.missing_since, $2), missing_tries = v.missing_tries + 1,
            next_try_at = $2::timestamptz
              + make_interval(hours => least($5::int, $4::int << least(v.missing_tries, ${DOUBLINGS_MAX})))`,
    [input.integrationId, input.now, input.qids, FIRST_AGAIN_HOURS, AGAIN_HOURS_MAX],
  )
}

/** Of the QIDs that open findings have those that the knowledge base did not know, and that are due to be asked for again. */
export async function listDueTombstones(
  db: Db,
  input: { integrationId: string; now: Date; limit: number },
): Promise<string[]> {
  const result = await db.query<{ qid: string }>(
    `select v.qid from vulnerability v
      where v.integration_id = $1 and v.missing_since is not null and v.next_try_at <= $2 and ${HAS_OPEN_FINDING}
      order by v.next_try_at, v.qid limit $3`,
    [input.integrationId, input.now, input.limit],
  )
  return result.rows.map((row) => row.qid)
}

/** QIDs of open findings that the knowledge base does not know: nothing is owed, but a run says how many there are. */
export async function countTombstones(db: Db, integrationId: string): Promise<number> {
  const result = await db.query<{ count: number }>(
    `select count(*)::int as count from vulnerability v
      where v.integration_id = $1 and v.missing_since is not null and not v.is_known and ${HAS_OPEN_FINDING}`,
    [integrationId],
  )
  return result.rows[0]!.count
}

const HAS_OPEN_FINDING = `exists (select 1 from finding_vm f join host h on h.id = f.place_id
  where f.issue_key = v.issue_key and f.state = 'open' and h.integration_id = v.integration_id)`

/**
 * After the whole knowledge base was read: what was known before and did not come is not in it any more. QIDs of which a
 * record is owed came and could not be read.
 */
export async function markLeftOutSince(
  tx: Tx,
  input: { integrationId: string; now: Date; since: Date },
): Promise<void> {
  await tx.query(
    `update vulnerability v
        set missing_since = $2, missing_tries = 1, next_try_at = $2::timestamptz + make_interval(hours => $4)
      where v.integration_id = $1 and v.is_known and v.missing_since is null and v.fetched_at < $3
        and not exists (select 1 from gap g where g.integration_id = $1 and g.kind = 'qid' and g.key = v.issue_key
                           and g.settled_at is null)`,
    [input.integrationId, input.now, input.since, FIRST_AGAIN_HOURS],
  )
}

/** QIDs that stand on findings and that the knowledge base has not been asked for. */
export async function listUnknownQids(
  db: Db,
  input: { integrationId: string; limit: number },
): Promise<string[]> {
  const result = await db.query<{ qid: string }>(
    `with recursive used as (
       -- A loose scan: one index probe per distinct QID instead of one row per finding.
       (select issue_key from finding_vm where state = 'open' order by issue_key limit 1)
       union all
       select (select f.issue_key from finding_vm f where f.state = 'open' and f.issue_key > used.issue_key
                order by f.issue_key limit 1)
         from used where used.issue_key is not null
     )
     select issue_key as qid from used
      where issue_key is not null
        and not exists (select 1 from vulnerability v where v.integration_id = $1 and v.issue_key = used.issue_key)
        and exists (select 1 from finding_vm f join host h on h.id = f.place_id
                     where f.issue_key = used.issue_key and f.state = 'open' and h.integration_id = $1)
      limit $2`,
    [input.integrationId, input.limit],
  )
  return result.rows.map((row) => row.qid)
}

async function mergeRows(
  tx: Tx,
  integrationId: string,
  now: Date,
  records: readonly KnownVulnerability[],
): Promise<void> {
  const rows = records.map((record) => ({
    qid: record.qid,
    type: record.type,
    severity: record.severity,
    title: record.title,
    category: record.category,
    patchable: record.patchable,
    patch_key: record.patchKey,
    published_at: toIso(record.publishedMs),
    last_modified_at: toIso(record.lastModifiedMs),
    code_modified_at: toIso(record.codeModifiedMs),
    patch_published_at: toIso(record.patchPublishedMs),
    customized_at: toIso(record.customizedMs),
    customized_by: record.customizedBy,
    diagnosis_html: record.diagnosisHtml,
    consequence_html: record.consequenceHtml,
    solution_html: record.solutionHtml,
    cvss_v2: record.cvssV2,
    cvss_v3: record.cvssV3,
    pci: record.pci,
    disabled: record.disabled,
    discovery_remote: record.discoveryRemote,
    software: record.software,
    threat_intel: record.threatIntel,
    extra: record.extra,
    content_hash: record.contentHash,
  }))
  await tx.query(
    `insert into vulnerability as v (integration_id, is_known, fetched_at, vendor_severity,
                                     ${COLUMNS.map(([name]) => name).join(', ')})
     select $1, true, $2, case when n.customized_at is null then n.severity end,
            ${COLUMNS.map(([name]) => `n.${name}`).join(', ')}
       from jsonb_to_recordset($3::jsonb) as n (${COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')})
      order by n.qid
     on conflict (integration_id, qid) do update
        set is_known = true, fetched_at = excluded.fetched_at,
            missing_since = null, missing_tries = 0, next_try_at = null,
            vendor_severity = coalesce(excluded.vendor_severity, v.vendor_severity),
            ${COLUMNS.filter(([name]) => name !== 'qid')
              .map(([name]) => `${name} = excluded.${name}`)
              .join(', ')}`,
    [integrationId, now, toJsonbText(rows)],
  )
}

const COLUMNS: readonly [name: string, type: string][] = [
  ['qid', 'bigint'],
  ['type', 'text'],
  ['severity', 'smallint'],
  ['title', 'text'],
  ['category', 'text'],
  ['patchable', 'boolean'],
  ['patch_key', 'text'],
  ['published_at', 'timestamptz'],
  ['last_modified_at', 'timestamptz'],
  ['code_modified_at', 'timestamptz'],
  ['patch_published_at', 'timestamptz'],
  ['customized_at', 'timestamptz'],
  ['customized_by', 'text'],
  ['diagnosis_html', 'text'],
  ['consequence_html', 'text'],
  ['solution_html', 'text'],
  ['cvss_v2', 'jsonb'],
  ['cvss_v3', 'jsonb'],
  ['pci', 'boolean'],
  ['disabled', 'boolean'],
  ['discovery_remote', 'boolean'],
  ['software', 'jsonb'],
  ['threat_intel', 'jsonb'],
  ['extra', 'jsonb'],
  ['content_hash', 'text'],
]

async function replaceCves(
  tx: Tx,
  integrationId: string,
  records: readonly KnownVulnerability[],
): Promise<void> {
  const rows = records.flatMap((record) =>
    record.cves.map((cve) => ({ qid: record.qid, cve: cve.id, url: cve.url })),
  )
  await tx.query('delete from vulnerability_cve where integration_id = $1 and qid = any ($2::bigint[])', [
    integrationId,
    records.map((record) => record.qid),
  ])
  await tx.query(
    `insert into vulnerability_cve (integration_id, qid, cve, url)
     select $1, qid, cve, url from jsonb_to_recordset($2::jsonb) as n (qid bigint, cve text, url text)
     on conflict do nothing`,
    [integrationId, toJsonbText(rows)],
  )
}

async function replaceReferences(
  tx: Tx,
  integrationId: string,
  records: readonly KnownVulnerability[],
): Promise<void> {
  const rows = records.flatMap((record) =>
    record.references.map((reference) => ({ qid: record.qid, ...reference })),
  )
  await tx.query(
    'delete from vulnerability_reference where integration_id = $1 and qid = any ($2::bigint[])',
    [integrationId, records.map((record) => record.qid)],
  )
  await tx.query(
    `insert into vulnerability_reference (integration_id, qid, reference, url)
     select $1, qid, reference, url from jsonb_to_recordset($2::jsonb) as n (qid bigint, reference text, url text)
     on conflict do nothing`,
    [integrationId, toJsonbText(rows)],
  )
}

function toIso(valueMs: number | null): string | null {
  return valueMs === null ? null : new Date(valueMs).toISOString()
}
