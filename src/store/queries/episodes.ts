import type { Db, Tx } from '../db.ts'

export interface EpisodeRow {
  number: number
  openedAt: Date | null
  fixedAt: Date | null
  /** False: it was fixed and found again between two pulls. */
  fixSeen: boolean
  severity: number | null
  endedSeenAt: Date
  endedRunId: string | null
}

export interface KeptEpisodes {
  /** The last ones, oldest first. */
  rows: EpisodeRow[]
  count: number
}

/** The episodes of a finding that are over and have another after them; the last `limit` of them. */
export async function listKeptEpisodes(
  db: Db,
  key: { placeId: string; id: string },
  limit: number,
): Promise<KeptEpisodes> {
  const { rows } = await db.query<EpisodeRow & { count: number }>(
    `select number, opened_at as "openedAt", fixed_at as "fixedAt", fix_seen as "fixSeen", severity,
            ended_seen_at as "endedSeenAt", ended_run_id as "endedRunId", (count(*) over ())::int as count
       from episode where place_id = $1 and finding_id = $2
      order by number desc limit $3`,
    [key.placeId, key.id, limit],
  )
  return { rows: rows.toReversed(), count: rows[0]?.count ?? 0 }
}

export interface FixTimeRequest {
  from: Date
  to: Date
  /** Months end at its midnight. */
  zone: string
  integrationId?: string | undefined
}

/** How long episodes took that ended by a fix in a period. Seconds; what is negative counts as 0. */
export interface FixTimeRow {
  /** YYYY-MM; null for the whole period. */
  month: string | null
  /** Null for all severities, 0 where it is not known. */
  severity: number | null
  episodes: number
  medianSeconds: number | null
  meanSeconds: number | null
  p90Seconds: number | null
  /** The same of first episodes alone: without whatever was reopened. */
  firstEpisodes: number
  firstMedianSeconds: number | null
  firstMeanSeconds: number | null
  firstP90Seconds: number | null
  /** Ended before they began, as the source dates them. */
  clamped: number
}

/**
 * Every episode of every finding that ended by a fix, with its clock: the effective first-found for the first one, the
 * reopening for a later one. The current one counts when its finding is fixed; those before it are kept.
 */
const ENDED = `
  select f.integration_id, f.severity, f.fixed_at, is_first, f.fixed_at as ended_at,
         case when is_first then coalesce(f.first_found_effective_at, f.opened_at) else f.opened_at end as start_at
    from finding f
    left join (select place_id, finding_id from episode group by 1, 2) k
           on k.place_id = f.place_id and k.finding_id = f.id
   cross join lateral (select f.times_reopened = 0 and k.finding_id is null as is_first) first
   where f.kind = 'vm' and f.state = 'fixed' and f.type is distinct from 'Info'
   union all
  select e.integration_id, e.severity, e.fixed_at, e.number = 1, coalesce(e.fixed_at, e.ended_seen_at),
         case when e.number = 1 then coalesce(f.first_found_effective_at, e.opened_at) else e.opened_at end
    from episode e
    join finding f on f.kind = e.kind and f.place_id = e.place_id and f.id = e.finding_id
   where e.kind = 'vm' and e.type is distinct from 'Info'`

const IN_PERIOD = `ended_at >= $1 and ended_at < $2 and ($3::bigint is null or integration_id = $3)`

export async function summariseFixTimes(tx: Tx, request: FixTimeRequest): Promise<FixTimeRow[]> {
  const { rows } = await tx.query<FixTimeRow>(
    `with taken as (
       select to_char(fixed_at at time zone $4, 'YYYY-MM') as month, coalesce(severity, 0)::int as severity, is_first,
              extract(epoch from greatest(fixed_at - start_at, interval '0'))::float8 as seconds, fixed_at < start_at as is_clamped
         from (${ENDED}) as ended
        where ${IN_PERIOD} and fixed_at is not null and start_at is not null
     )
     select month, severity, count(*)::int as episodes,
            percentile_cont(0.5) within group (order by seconds) as "medianSeconds",
            avg(seconds) as "meanSeconds",
            percentile_cont(0.9) within group (order by seconds) as "p90Seconds",
            (count(*) filter (where is_first))::int as "firstEpisodes",
            percentile_cont(0.5) within group (order by seconds) filter (where is_first) as "firstMedianSeconds",
            avg(seconds) filter (where is_first) as "firstMeanSeconds",
            percentile_cont(0.9) within group (order by seconds) filter (where is_first) as "firstP90Seconds",
            (count(*) filter (where is_clamped))::int as clamped
       from taken
      group by grouping sets ((month, severity), (month), (severity), ())
      order by month nulls last, severity desc nulls last`,
    [request.from, request.to, request.integrationId ?? null, request.zone],
  )
  return rows
}

export interface UndatedEpisodes {
  /** The source does not say when they began. */
  withoutStart: number
  /** The source says that they ended, but not when; counted when that was seen. */
  withoutEnd: number
  /** The source dates their end in the future; they count when it is past. */
  inFuture: number
}

export async function countUndatedEpisodes(
  tx: Tx,
  request: Omit<FixTimeRequest, 'zone'>,
): Promise<UndatedEpisodes> {
  const { rows } = await tx.query<UndatedEpisodes>(
    `select (count(*) filter (where ended_at < $2 and fixed_at is not null))::int as "withoutStart",
            (count(*) filter (where ended_at < $2 and fixed_at is null))::int as "withoutEnd",
            (count(*) filter (where ended_at >= $2))::int as "inFuture"
       from (${ENDED}) as ended
      where ((${IN_PERIOD} and (fixed_at is null or start_at is null))
             or (ended_at >= $2 and ($3::bigint is null or integration_id = $3)))`,
    [request.from, request.to, request.integrationId ?? null],
  )
  return rows[0]!
}
