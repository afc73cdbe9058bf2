import type { VulnerabilityRecord } from '../../model/vm.ts'
import type { Db, Tx } from '../db.ts'
import { toJsonbText } from '../jsonb-text.ts'

const RECORDS_PER_STATEMENT_MAX = 500

/** A QID of the knowledge base with what one patch for it is. */
export interface KnownVulnerability extends VulnerabilityRecord {
  patchKey: string
  /** Normalised ids of its vendor references. */
  references: readonly { reference: string; url: string | null }[]
  /** Of the fields that tickets show. */
  contentHash: string
}

/** Writes QIDs of the knowledge base, each at most once among `records`. */
export async function mergeVulnerabilities(
  tx: Tx,
  input: { integrationId: string; now: Date; records: readonly KnownVulnerability[] },
): Promise<void> {
  for (let start = 0; start < input.records.length; start += RECORDS_PER_STATEMENT_MAX) {
    const records = input.records.slice(start, start + RECORDS_PER_STATEMENT_MAX)
    await mergeRows(tx, input.integrationId, input.now, records)
    await replaceCves(tx, input.integrationId, records)
    await replaceReferences(tx, input.integrationId, records)
  }
}

/** Remembers that the knowledge base did not know these QIDs, so that they are visible and asked for again. */
export async function insertTombstones(
  tx: Tx,
  input: { integrationId: string; now: Date; qids: readonly string[] },
): Promise<void> {
  await tx.query(
    `insert into vulnerability (integration_id, qid, is_known, patch_key, fetched_at)
     select $1, qid, false, 'qid:' || qid, $2 from unnest($3::bigint[]) as qid
     on conflict (integration_id, qid) do update set fetched_at = $2`,
    [input.integrationId, input.now, input.qids],
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
    `insert into vulnerability (integration_id, is_known, fetched_at, ${COLUMNS.map(([name]) => name).join(', ')})
     select $1, true, $2, ${COLUMNS.map(([name]) => `n.${name}`).join(', ')}
       from jsonb_to_recordset($3::jsonb) as n (${COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')})
      order by n.qid
     on conflict (integration_id, qid) do update
        set is_known = true, fetched_at = excluded.fetched_at,
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
