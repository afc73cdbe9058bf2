import type { FindingState } from '../model/finding.ts'

/** What decides a finding's state; plain facts, each known from somewhere that can be shown. */
export interface FindingFacts {
  /** The last source status that was understood; null for information gathered, which has no status. */
  sourceStatus: string | null
  ignored: boolean
  disabled: boolean
  /** Since when the source leaves it out of answers about a host that it does list. */
  missingSinceMs: number | null
  acceptedUntilMs: number | null
}

/** What is known of the place that a finding is in. */
export interface PlaceFacts {
  removed: boolean
  outOfScope: boolean
}

/** The current episode of a finding: since when it is open, how often it came back, when it was fixed. */
export interface Episode {
  openedAtMs: number | null
  fixedAtMs: number | null
  timesReopened: number
}

/** A finding's life as it is kept: facts, the state derived from them, and the current episode. */
export interface FindingLife {
  facts: FindingFacts
  state: FindingState
  episode: Episode
  /** When the source last worked on it; what is older than this is old news. */
  lastProcessedMs: number | null
}

/** What one answer of the source says about a finding. */
export interface Sighting {
  status: string | null
  type: string | null
  ignored: boolean | null
  disabled: boolean | null
  firstFoundMs: number | null
  lastFoundMs: number | null
  lastFixedMs: number | null
  lastReopenedMs: number | null
  lastProcessedMs: number | null
  timesReopened: number | null
}

export interface Transition {
  from: FindingState
  to: FindingState
  reason: string
  happenedAtMs: number | null
}

export type SightingResult =
  | { outcome: 'known'; life: FindingLife; transitions: Transition[] }
  /** The words cannot be understood: nothing changes and the record is owed. */
  | { outcome: 'quarantine'; reason: string }
  /** Newer news is known already. */
  | { outcome: 'older' }

export const PRESENT: PlaceFacts = { removed: false, outOfScope: false }

/**
 * The state that wins: the order of the design, §3.4. `fixed` is first, because it is the only one that is evidence;
 * everything between it and `open` says why an open finding is not counted as such.
 */
export function deriveState(facts: FindingFacts, place: PlaceFacts, nowMs: number): FindingState {
  if (facts.sourceStatus === 'Fixed') return 'fixed'
  if (place.removed) return 'host_removed'
  if (place.outOfScope) return 'out_of_scope'
  if (facts.ignored || facts.disabled) return 'suppressed'
  if (facts.acceptedUntilMs !== null && facts.acceptedUntilMs > nowMs) return 'accepted'
  if (facts.missingSinceMs !== null) return 'stale'
  return 'open'
}

/** New, Active and Re-Opened are shown once or for long, but all three mean open; information has no status at all. */
export function isUnderstood(sighting: Pick<Sighting, 'status' | 'type'>): boolean {
  if (sighting.status === null) return sighting.type === 'Info'
  return OPEN_STATUSES.has(sighting.status) || sighting.status === 'Fixed'
}

/** A finding is seen for the first time: no transition, its history starts here. */
export function firstSight(sighting: Sighting, place: PlaceFacts, nowMs: number): SightingResult {
  if (!isUnderstood(sighting)) return notUnderstood(sighting)
  const facts = factsOf(sighting, null)
  const reopenedAtMs = sighting.timesReopened ? sighting.lastReopenedMs : null
  const life: FindingLife = {
    facts,
    state: deriveState(facts, place, nowMs),
    episode: {
      openedAtMs: reopenedAtMs ?? sighting.firstFoundMs ?? nowMs,
      fixedAtMs: isFixed(sighting) ? (sighting.lastFixedMs ?? nowMs) : null,
      timesReopened: sighting.timesReopened ?? 0,
    },
    lastProcessedMs: sighting.lastProcessedMs,
  }
  return { outcome: 'known', life, transitions: [] }
}

/** A known finding is seen again. Pure: the same life and sighting give the same result, and seeing twice changes nothing. */
export function seeAgain(
  previous: FindingLife,
  sighting: Sighting,
  place: PlaceFacts,
  nowMs: number,
): SightingResult {
  if (!isUnderstood(sighting)) return notUnderstood(sighting)
  if (isOlder(sighting.lastProcessedMs, previous.lastProcessedMs)) return { outcome: 'older' }

  const facts = factsOf(sighting, previous.facts.acceptedUntilMs)
  const state = deriveState(facts, place, nowMs)
  const wasFixed = previous.facts.sourceStatus === 'Fixed'
  const reopened = isReopened(previous, sighting)
  const missedFix = reopened && !wasFixed
  const life: FindingLife = {
    facts,
    state,
    episode: nextEpisode(previous.episode, sighting, reopened, nowMs),
    lastProcessedMs: sighting.lastProcessedMs ?? previous.lastProcessedMs,
  }
  return {
    outcome: 'known',
    life,
    transitions: missedFix
      ? missedFixTransitions(previous, life, sighting)
      : transitionsBetween(previous, life, sighting, reopened),
  }
}

/** The source answered about the host and left this finding out, twice: it is stale, which is never fixed. */
export function leftOut(previous: FindingLife, place: PlaceFacts, nowMs: number): FindingLife {
  const facts = { ...previous.facts, missingSinceMs: previous.facts.missingSinceMs ?? nowMs }
  return { ...previous, facts, state: deriveState(facts, place, nowMs) }
}

/** Something about its place changed (removed, out of scope, back again), or an acceptance ran out. */
export function rederive(previous: FindingLife, place: PlaceFacts, nowMs: number): FindingLife {
  return { ...previous, state: deriveState(previous.facts, place, nowMs) }
}

const OPEN_STATUSES = new Set(['New', 'Active', 'Re-Opened'])

function isFixed(sighting: Pick<Sighting, 'status'>): boolean {
  return sighting.status === 'Fixed'
}

function isOlder(newMs: number | null, knownMs: number | null): boolean {
  return newMs !== null && knownMs !== null && newMs < knownMs
}

function notUnderstood(sighting: Sighting): SightingResult {
  const reason =
    sighting.status === null
      ? 'The record has no STATUS, which only information gathered may lack; its state is kept as it was.'
      : `The source status "${sighting.status.slice(0, 40)}" is not known; its state is kept as it was.`
  return { outcome: 'quarantine', reason }
}

function factsOf(sighting: Sighting, acceptedUntilMs: number | null): FindingFacts {
  return {
    sourceStatus: sighting.status,
    ignored: sighting.ignored ?? false,
    disabled: sighting.disabled ?? false,
    missingSinceMs: null,
    acceptedUntilMs,
  }
}

/**
 * Re-Opened is shown once and can be missed between two pulls, so the count and the date of reopening tell as well. A
 * finding that is fixed again before it is seen had an episode in between, which the count keeps.
 */
function isReopened(previous: FindingLife, sighting: Sighting): boolean {
  if (isFixed(sighting)) return false
  if (previous.facts.sourceStatus === 'Fixed') return true
  return sighting.timesReopened !== null && sighting.timesReopened > previous.episode.timesReopened
}

function nextEpisode(previous: Episode, sighting: Sighting, reopened: boolean, nowMs: number): Episode {
  const timesReopened = Math.max(
    sighting.timesReopened ?? 0,
    reopened && sighting.timesReopened === null ? previous.timesReopened + 1 : previous.timesReopened,
  )
  if (reopened) {
    const openedAtMs = sighting.lastReopenedMs ?? sighting.lastFoundMs ?? nowMs
    return { openedAtMs, fixedAtMs: null, timesReopened }
  }
  if (!isFixed(sighting)) return { ...previous, fixedAtMs: null, timesReopened }
  const missedReopening = timesReopened > previous.timesReopened
  return {
    openedAtMs: missedReopening ? (sighting.lastReopenedMs ?? previous.openedAtMs) : previous.openedAtMs,
    fixedAtMs: sighting.lastFixedMs ?? previous.fixedAtMs ?? nowMs,
    timesReopened,
  }
}

function transitionsBetween(
  previous: FindingLife,
  life: FindingLife,
  sighting: Sighting,
  reopened: boolean,
): Transition[] {
  if (previous.state === life.state) return []
  const happenedAtMs =
    life.state === 'fixed'
      ? life.episode.fixedAtMs
      : reopened
        ? life.episode.openedAtMs
        : sighting.lastProcessedMs
  const reason = reopened
    ? 'The source found it again after it was fixed.'
    : life.state === 'fixed'
      ? 'The source reports it fixed.'
      : life.state === 'suppressed'
        ? 'It is ignored or disabled at the source.'
        : 'The source reports it.'
  return [{ from: previous.state, to: life.state, reason, happenedAtMs }]
}

/** It was open, was fixed and found again while nobody looked: two transitions, so that each episode has its ends. */
function missedFixTransitions(previous: FindingLife, life: FindingLife, sighting: Sighting): Transition[] {
  const fixed: Transition = {
    from: previous.state,
    to: 'fixed',
    reason: 'The source fixed it and found it again between two pulls.',
    happenedAtMs: sighting.lastFixedMs,
  }
  const reopened: Transition = {
    from: 'fixed',
    to: life.state,
    reason: 'The source found it again after it was fixed.',
    happenedAtMs: life.episode.openedAtMs,
  }
  return [fixed, reopened]
}
