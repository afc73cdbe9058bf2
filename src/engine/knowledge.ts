import { createHash } from 'node:crypto'
import type { Reference, VulnerabilityRecord } from '../model/vm.ts'
import type { KnownVulnerability } from '../store/queries/vulnerabilities.ts'
import { isStorableId } from './storable-id.ts'

const REFERENCE_CHARS_MAX = 120
const CVE_CHARS_MAX = 60
/** A longer set of references is named by its first ones and a hash: an index takes no key of any length. */
const PATCH_KEY_CHARS_MAX = 400
const PATCH_KEY_REFERENCES_NAMED = 3

/**
 * One spelling per vendor reference: case and inner spaces do not make another patch. KB numbers keep their prefix,
 * whatever was put before the digits ("kb 5034441", "KB5034441").
 */
export function normaliseReference(id: string): string | null {
  const text = id
    .trim()
    .replaceAll(/\s+/g, ' ')
    .toUpperCase()
    .replace(/^KB[\s:#-]*(\d+)$/, 'KB$1')
    .replaceAll('|', '/')
    .slice(0, REFERENCE_CHARS_MAX)
  return text === '' ? null : text
}

/**
 * What one patch is: the sorted set of normalised vendor references of a patchable QID, or else the QID alone. Equal
 * sets are one patch; sets that only overlap are not merged.
 */
export function patchKeyOf(qid: string, patchable: boolean | null, references: readonly string[]): string {
  const unique = [...new Set(references)].toSorted()
  if (patchable !== true || unique.length === 0) return `qid:${qid}`
  const whole = unique.join('|')
  if (whole.length <= PATCH_KEY_CHARS_MAX) return `ref:${whole}`
  const hash = createHash('sha256').update(whole).digest('hex').slice(0, 16)
  return `ref:${unique.slice(0, PATCH_KEY_REFERENCES_NAMED).join('|')}|#${hash}`
}

const INT2_MAX = 32_767
const YEAR_1000_MS = Date.UTC(1000, 0, 1)
const YEAR_9999_MS = Date.UTC(9999, 11, 31)

/** Says what of a record no column can hold, if anything: such a record is quarantined, never cut. */
export function unstorableVulnerability(record: VulnerabilityRecord): string | null {
  if (!isStorableId(record.qid))
    return `The QID "${record.qid.slice(0, 40)}" is not a number that can be kept.`
  const { severity, publishedMs, lastModifiedMs, codeModifiedMs, patchPublishedMs, customizedMs } = record
  if (severity !== null && !(Number.isInteger(severity) && severity >= 0 && severity <= INT2_MAX))
    return `SEVERITY_LEVEL is ${severity}, which is out of range.`
  const instants = [publishedMs, lastModifiedMs, codeModifiedMs, patchPublishedMs, customizedMs]
  const isDate = (ms: number | null) => ms === null || (ms > YEAR_1000_MS && ms < YEAR_9999_MS)
  return instants.every(isDate) ? null : 'A date of the record is out of range.'
}

export function toKnownVulnerability(record: VulnerabilityRecord): KnownVulnerability {
  const references = normaliseReferences(record.vendorReferences)
  return {
    ...record,
    cves: record.cves.map((cve) => ({ ...cve, id: cve.id.slice(0, CVE_CHARS_MAX) })),
    references,
    contentHash: contentHashOf(record),
    patchKey: patchKeyOf(
      record.qid,
      record.patchable,
      references.map(({ reference }) => reference),
    ),
  }
}

function normaliseReferences(references: readonly Reference[]): { reference: string; url: string | null }[] {
  const byId = new Map<string, { reference: string; url: string | null }>()
  for (const { id, url } of references) {
    const reference = normaliseReference(id)
    if (reference !== null && !byId.has(reference)) byId.set(reference, { reference, url })
  }
  return [...byId.values()]
}

/** Changes exactly when a ticket about this QID would read differently. */
function contentHashOf(record: VulnerabilityRecord): string {
  const shown = [
    record.title,
    record.severity,
    record.patchable,
    record.solutionHtml,
    record.diagnosisHtml,
    record.cvssV3,
    record.cvssV2,
    record.cves.map((cve) => cve.id),
    record.vendorReferences,
  ]
  return createHash('sha256').update(JSON.stringify(shown)).digest('hex').slice(0, 32)
}
