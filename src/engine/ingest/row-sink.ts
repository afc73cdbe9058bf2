import type pg from 'pg'
import type { DetectionRecord } from '../../model/vm.ts'
import { type StagedCounts, copyToStaging } from '../../store/bulk/batch-merge.ts'
import { CopyBuffer } from '../../store/bulk/copy-buffer.ts'
import {
  type DirectTarget,
  type FindingRow,
  type RowChange,
  type StagingTarget,
  writeEvidenceStaging,
  writeFinding,
  writeObservation,
  writeStaging,
  writeStagingVolatile,
} from '../../store/bulk/finding-rows.ts'

/** New hosts' rows are kept for the merge up to this size; beyond it they take the way through staging. */
const DIRECT_BYTES_MAX = 32 * 1024 * 1024
const STAGING_FLUSH_BYTES = 1024 * 1024
const EVIDENCE_HASHES_MAX = 200_000

/** Rows of new hosts, to be copied straight into the tables in the merge. */
export interface DirectRows {
  findings: readonly Buffer[]
  observations: readonly Buffer[]
  /** How many rows went through staging. */
  staged: StagedCounts
}

/**
 * Where the rows of one attempt at a batch go: into staging, in short transactions of their own, or, for new hosts, into
 * memory until the merge. Nothing of it counts before the merge.
 */
export class RowSink {
  readonly #pool: pg.Pool
  readonly #staging: StagingTarget
  readonly #target: DirectTarget
  readonly #evidenceSent = new Set<string>()
  readonly #rows = new CopyBuffer()
  readonly #volatileRows = new CopyBuffer()
  readonly #evidence = new CopyBuffer()
  readonly #findings = new CopyBuffer()
  readonly #observations = new CopyBuffer()
  readonly #direct: { findings: Buffer[]; observations: Buffer[] } = { findings: [], observations: [] }
  #directBytes = 0
  readonly #staged: StagedCounts = { rows: 0, evidence: 0 }

  constructor(pool: pg.Pool, staging: StagingTarget, target: DirectTarget) {
    this.#pool = pool
    this.#staging = staging
    this.#target = target
  }

  writeNew(row: FindingRow, hostIsNew: boolean): void {
    this.#writeEvidence(row.detection)
    if (!hostIsNew || this.#directBytes >= DIRECT_BYTES_MAX)
      return writeStaging(this.#rows, 'n', row, { target: this.#staging, change: null })
    const before = this.#findings.bytes + this.#observations.bytes
    writeFinding(this.#findings, row, this.#target)
    writeObservation(this.#observations, row, this.#target)
    this.#directBytes += this.#findings.bytes + this.#observations.bytes - before
    if (this.#findings.bytes > STAGING_FLUSH_BYTES) this.#takeDirect()
  }

  writeChanged(row: FindingRow, change: RowChange): void {
    this.#writeEvidence(row.detection)
    writeStaging(this.#rows, change.fixedBetween ? 'm' : 'c', row, { target: this.#staging, change })
  }

  writeVolatile(key: { id: string; placeId: string }, detection: DetectionRecord): void {
    writeStagingVolatile(this.#volatileRows, key, detection, this.#staging)
  }

  /** Sends what has gathered, if it is much. */
  async flush(): Promise<void> {
    await this.#flush(STAGING_FLUSH_BYTES)
  }

  async finish(): Promise<DirectRows> {
    await this.#flush(0)
    this.#takeDirect()
    return { ...this.#direct, staged: this.#staged }
  }

  #writeEvidence(detection: DetectionRecord): void {
    if (detection.results === null || detection.resultsHash === null) return
    const hash = detection.resultsHash.toString('latin1')
    if (this.#evidenceSent.has(hash)) return
    if (this.#evidenceSent.size >= EVIDENCE_HASHES_MAX) this.#evidenceSent.clear()
    this.#evidenceSent.add(hash)
    const evidence = { hash: detection.resultsHash, body: detection.results }
    writeEvidenceStaging(this.#evidence, evidence, this.#staging)
  }

  #takeDirect(): void {
    if (this.#findings.rows === 0) return
    this.#direct.findings.push(this.#findings.take())
    this.#direct.observations.push(this.#observations.take())
  }

  async #flush(thresholdBytes: number): Promise<void> {
    const counts = {
      rows: this.#rows.rows,
      volatileRows: this.#volatileRows.rows,
      evidence: this.#evidence.rows,
    }
    const take = (copy: CopyBuffer) => (copy.rows > 0 && copy.bytes >= thresholdBytes ? copy.take() : null)
    const chunks = {
      rows: take(this.#rows),
      volatileRows: take(this.#volatileRows),
      evidence: take(this.#evidence),
    }
    if (!chunks.rows && !chunks.volatileRows && !chunks.evidence) return
    this.#staged.rows += counts.rows - this.#rows.rows + counts.volatileRows - this.#volatileRows.rows
    this.#staged.evidence += counts.evidence - this.#evidence.rows
    const client = await this.#pool.connect()
    try {
      await copyToStaging(client, chunks)
    } catch (error) {
      client.release(true)
      throw error
    }
    client.release()
  }
}
