import type { StoredLife } from '../../store/queries/findings.ts'
import type { FindingRow, RowChange } from '../../store/bulk/finding-rows.ts'
import type { DetectionRecord } from '../../model/vm.ts'
import type { FindingLife, Transition } from '../lifecycle.ts'

/** A life as it is kept, for the pure functions of the lifecycle. */
export function toLife(stored: StoredLife): FindingLife {
  return {
    facts: {
      sourceStatus: stored.sourceStatus,
      ignored: stored.ignored ?? false,
      disabled: stored.disabled ?? false,
      missingSinceMs: stored.missingSince?.getTime() ?? null,
      acceptedUntilMs: stored.acceptedUntil?.getTime() ?? null,
    },
    state: stored.state,
    episode: {
      openedAtMs: stored.openedAt?.getTime() ?? null,
      fixedAtMs: stored.fixedAt?.getTime() ?? null,
      timesReopened: stored.timesReopened,
    },
    lastProcessedMs: stored.lastProcessedAt?.getTime() ?? null,
  }
}

export function toRow(
  key: { id: string; placeId: string },
  detection: DetectionRecord,
  life: FindingLife,
  firstFoundEffectiveMs: number | null,
): FindingRow {
  return {
    id: key.id,
    placeId: key.placeId,
    detection,
    sourceStatus: life.facts.sourceStatus,
    state: life.state,
    ignored: life.facts.ignored,
    disabled: life.facts.disabled,
    missingSinceMs: life.facts.missingSinceMs,
    acceptedUntilMs: life.facts.acceptedUntilMs,
    firstFoundEffectiveMs,
    openedAtMs: life.episode.openedAtMs,
    fixedAtMs: life.episode.fixedAtMs,
    timesReopened: life.episode.timesReopened,
  }
}

/** Two transitions mean that it was fixed and found again unseen. */
export function toRowChange(transitions: readonly Transition[]): RowChange {
  const [first, second] = transitions
  const last = second ?? first
  return {
    reason: last?.reason ?? null,
    happenedAtMs: last?.happenedAtMs ?? null,
    fixedBetween: first && second ? { atMs: first.happenedAtMs } : null,
  }
}

const INT2_MAX = 32_767
const INT4_MAX = 2_147_483_647

/** Says which number of a record no column can hold, if any: such a record is quarantined, never cut. */
export function unstorable(detection: DetectionRecord): string | null {
  if (!/^\d{1,18}$/.test(detection.qid)) return `The QID "${detection.qid.slice(0, 40)}" is not a number.`
  const bounds: [string, number | null, number][] = [
    ['SEVERITY', detection.severity, INT2_MAX],
    ['QDS', detection.qds, INT2_MAX],
    ['PORT', detection.port, INT4_MAX],
    ['TIMES_FOUND', detection.timesFound, INT4_MAX],
    ['TIMES_REOPENED', detection.timesReopened, INT4_MAX],
  ]
  for (const [name, value, max] of bounds)
    if (value !== null && (value > max || value < 0)) return `${name} is ${value}, which is out of range.`
  return null
}
