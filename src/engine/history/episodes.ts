import type { FindingState } from '../../model/finding.ts'
import type { EpisodeRow, KeptEpisodes } from '../../store/queries/episodes.ts'

/** What of a finding tells its current episode. */
export interface CurrentEpisode {
  state: FindingState
  sourceStatus: string | null
  firstFoundAt: Date | null
  openedAt: Date | null
  fixedAt: Date | null
  timesReopened: number
}

export type EpisodeEnd =
  /** The source reported it fixed, and that was seen. */
  | 'fixed'
  /** The source fixed it and found it again between two pulls. */
  | 'fixed_unseen'

export interface ToldEpisode {
  number: number
  /** As the source dates it. */
  openedAt: Date | null
  /** From when its time counts: the effective first-found for the first episode, the reopening for a later one. */
  startAt: Date | null
  fixedAt: Date | null
  /** Null while it goes on. */
  end: EpisodeEnd | null
  /** From its start to its fix, or until now; null when one of the two is not known. Never negative. */
  durationMs: number | null
  /** The source dates its end before its start. */
  isClamped: boolean
}

export interface ToldHistory {
  /** Oldest first; the current one is the last. */
  episodes: ToldEpisode[]
  /** Episodes that the source counts and that nobody saw, or that are not shown. */
  unseenEpisodes: number
  omittedEpisodes: number
  /** How often it came back within `FLAPPING_DAYS` before its last return; 0 when that is no flapping. */
  flapping: number
}

/** Fixed means "not found by the last test": what comes back this often within these days was hardly ever fixed. */
const FLAPPING_DAYS = 30
const FLAPPING_RETURNS_MIN = 2
const DAY_MS = 24 * 60 * 60_000

/** The episodes of a finding as a person can read them: those that are kept, then the one that stands on the finding. */
export function tellEpisodes(finding: CurrentEpisode, kept: KeptEpisodes, nowMs: number): ToldHistory {
  const earlier = kept.rows.map((row) => tell(row, finding, { end: endOf(row), nowMs }))
  const number = Math.max(finding.timesReopened, kept.rows.at(-1)?.number ?? 0) + 1
  const isFixed = finding.sourceStatus === 'Fixed'
  const current = tell({ ...finding, number, fixedAt: isFixed ? finding.fixedAt : null }, finding, {
    end: isFixed ? 'fixed' : null,
    nowMs,
  })
  const episodes = [...earlier, current]
  return {
    episodes,
    unseenEpisodes: number - 1 - kept.count,
    omittedEpisodes: kept.count - kept.rows.length,
    flapping: countFlapping(episodes),
  }
}

function endOf(row: EpisodeRow): EpisodeEnd {
  return row.fixSeen ? 'fixed' : 'fixed_unseen'
}

function tell(
  episode: Pick<EpisodeRow, 'number' | 'openedAt' | 'fixedAt'>,
  finding: CurrentEpisode,
  { end, nowMs }: { end: EpisodeEnd | null; nowMs: number },
): ToldEpisode {
  const { number, openedAt, fixedAt } = episode
  const startAt = number === 1 ? (finding.firstFoundAt ?? openedAt) : openedAt
  const endMs = end === null ? nowMs : (fixedAt?.getTime() ?? null)
  const rawMs = startAt === null || endMs === null ? null : endMs - startAt.getTime()
  return {
    number,
    openedAt,
    startAt,
    fixedAt,
    end,
    durationMs: rawMs === null ? null : Math.max(rawMs, 0),
    isClamped: rawMs !== null && rawMs < 0,
  }
}

function countFlapping(episodes: readonly ToldEpisode[]): number {
  const returns = episodes.filter(({ number }) => number > 1).flatMap(({ openedAt }) => openedAt ?? [])
  const lastMs = Math.max(...returns.map((at) => at.getTime()))
  const near = returns.filter((at) => at.getTime() >= lastMs - FLAPPING_DAYS * DAY_MS).length
  return near >= FLAPPING_RETURNS_MIN ? near : 0
}
