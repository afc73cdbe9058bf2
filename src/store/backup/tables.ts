/**
 * What a backup holds, in an order in which a row comes after those that it refers to. A table is named here or below;
 * which one is a decision, so a new table fails a test until somebody has taken it.
 */
export const KEPT_TABLES: readonly string[] = [
  'integration',
  'integration_secret',
  'key_ring',
  // For its epoch, which runs refer to; nobody holds it after a restore.
  'lease',
  'module_state',
  'run',
  'run_wait',
  'run_call',
  'batch',
  'gap',
  'quarantine',
  // What Qualys has said about its limits; not our own calls.
  'quota',
  'tag',
  'host',
  'host_tag',
  'host_identifier',
  'host_link',
  'host_event',
  'evidence',
  'finding',
  'observation',
  'event',
  'episode',
  'daily_count',
  'daily_flow',
  'closed_day',
  'event_floor',
  'vulnerability',
  'vulnerability_version',
  'vulnerability_cve',
  'vulnerability_reference',
  'ticket_rule',
  'ticket',
  'ticket_finding',
  'outbox',
  'restoration',
]

/**
 * What belongs to processes that run, or is made anew. The queue of graphile-worker has a schema of its own and is left
 * out as well: its jobs only wake, and whatever is still to be done is found by its rows.
 */
export const LEFT_OUT_TABLES: readonly string[] = [
  // Written by the migrations that a restore runs.
  'migration',
  'quota_call',
  'slot',
  // Half-read answers: their batches are done again.
  'finding_staging',
  'evidence_staging',
  // Found again by two looks.
  'evidence_orphan',
  // Without it each host is read in full once more.
  'host_fingerprint',
]
