/** The kinds of finding; `vm` is the first that is pulled. */
export type FindingKind = 'vm'

/** Patchbay's derived state of a finding, in the order in which they win when several hold. */
export const FINDING_STATES = [
  'fixed',
  'host_removed',
  'out_of_scope',
  'suppressed',
  'accepted',
  'stale',
  'open',
] as const
export type FindingState = (typeof FINDING_STATES)[number]

export type RunMode = 'full' | 'delta'
export type RunState = 'RUNNING' | 'COMPLETE' | 'PARTIAL' | 'FAILED' | 'CANCELLED'
export type RunPhase = 'listing' | 'fetching' | 'knowledge' | 'finishing' | 'done'
