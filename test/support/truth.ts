import type pg from 'pg'
import type { Estate } from '../../fakes/qualys/estate/types.ts'

export interface LineOptions {
  withInformation: boolean
  /**
   * The knowledge base can change the severity of a finding whose host was not scanned since; a delta of detections does
   * not bring that.
   */
  withoutSeverity?: boolean
}

/** One line per finding, the same from the estate and from the store: what any path to the same day must end in. */
export function truthLines(estate: Estate, options: LineOptions): string[] {
  const lines: string[] = []
  for (const host of estate.truth().hosts()) {
    for (const detection of host.detections())
      lines.push(line({ hostId: host.id, ...detection, status: detection.status ?? null }, options))
    if (!options.withInformation) continue
    for (const detection of host.informationGathered())
      lines.push(line({ hostId: host.id, ...detection, status: null }, options))
  }
  return lines.toSorted()
}

/** The findings of hosts that are there, as they stand in the store. */
export async function storedLines(
  pool: pg.Pool,
  options: LineOptions & { states?: readonly string[] },
): Promise<string[]> {
  const { rows } = await pool.query<Shown>(
    `select h.host_id as "hostId", f.issue_key as qid, f.port, f.protocol, f.fqdn, f.instance, f.source_key as "uniqueVulnId",
            f.source_status as status, f.severity, f.type, o.times_found as "timesFound", e.body as results
       from finding f
       join host h on h.id = f.place_id and h.removed_at is null
       join observation o on o.place_id = f.place_id and o.finding_id = f.id
       left join evidence e on e.hash = f.evidence_hash
      where ($1 or f.type <> 'Info') and f.state = any ($2)`,
    [options.withInformation, options.states ?? ['open', 'fixed', 'suppressed']],
  )
  return rows.map((row) => line(row, options)).toSorted()
}

interface Shown {
  hostId: string
  qid: string
  port?: number | null | undefined
  protocol?: string | null | undefined
  fqdn?: string | null | undefined
  instance?: string | null | undefined
  uniqueVulnId?: string | null | undefined
  status: string | null
  severity?: number | null | undefined
  type?: string | null | undefined
  timesFound?: number | null | undefined
  results?: string | null | undefined
}

function line(finding: Shown, options: LineOptions): string {
  return [
    finding.hostId,
    finding.qid,
    finding.port ?? '-',
    finding.protocol ?? '-',
    finding.fqdn ?? '-',
    finding.instance ?? '-',
    finding.uniqueVulnId ?? '-',
    finding.status ?? '-',
    options.withoutSeverity === true ? '' : (finding.severity ?? '-'),
    finding.type ?? '-',
    finding.timesFound ?? '-',
    finding.results ?? '-',
  ].join(' | ')
}
