import type { TrendGrouping } from '../../model/report.ts'
import type { Db, Tx } from '../db.ts'

/** What findings are counted by; severity 0 and the type '' stand for "not known". */
export interface CountKey {
  integrationId: string
  kind: string
  severity: number
  type: string
}

/** Findings that are in this state now. Days are numbered from 0; before the first is -1, after the last their number. */
export interface HeldCount extends CountKey {
  state: string
  /** The day on which they were seen first. */
  born: number
  findings: number
}

/** Transitions of findings, by the day on which they were seen. */
export interface MovedCount extends CountKey {
  oldState: string
  newState: string
  at: number
  born: number
  findings: number
}

const KEY = `f.integration_id as "integrationId", f.kind, coalesce(f.severity, 0)::int as severity, coalesce(f.type, '') as type`

/** A finding is there from the start of the run that saw it first. */
const BORN = `left join (select id, width_bucket(started_at, $1::timestamptz[]) - 1 as born from run) r on r.id = f.first_run_id`

/**
 * All findings by their state of now and the day of their first sight: one pass over the table, in parallel, and only
 * what is left of it is looked up.
 * `bounds` are the starts of the days and the end of the last.
 */
export async function countHeld(tx: Tx, bounds: readonly Date[]): Promise<HeldCount[]> {
  const { rows } = await tx.query<HeldCount>(
    `select ${KEY}, f.state, coalesce(r.born, -1) as born, sum(f.findings)::float8 as findings
       from (select integration_id, kind, severity, type, state, first_run_id, count(*) as findings
               from finding group by 1, 2, 3, 4, 5, 6) f ${BORN}
      group by 1, 2, 3, 4, 5, 6`,
    [bounds],
  )
  return rows
}

/** All transitions since the start of the first day, by day. Reads the partitions of those months only. */
export async function countMoved(tx: Tx, bounds: readonly Date[]): Promise<MovedCount[]> {
  const { rows } = await tx.query<MovedCount>(
    `select ${KEY}, e.old_state as "oldState", e.new_state as "newState",
            width_bucket(e.seen_at, $1::timestamptz[]) - 1 as at, coalesce(r.born, -1) as born,
            count(*)::float8 as findings
       from event e
       join finding f on f.kind = e.kind and f.place_id = e.place_id and f.id = e.finding_id
       ${BORN}
      where e.seen_at >= $2
      group by 1, 2, 3, 4, 5, 6, 7, 8`,
    [bounds, bounds[0]],
  )
  return rows
}

export interface StateCount extends CountKey {
  day: string
  state: string
  findings: number
}

/** `oldState` is '' where the finding was seen for the first time. */
export interface FlowCount extends CountKey {
  day: string
  oldState: string
  newState: string
  findings: number
}

export interface DayCounts {
  counts: StateCount[]
  flows: FlowCount[]
}

export async function writeClosedDays(
  tx: Tx,
  days: readonly string[],
  written: DayCounts & { now: Date },
): Promise<void> {
  const { counts, flows, now } = written
  await tx.query('insert into closed_day (day, closed_at) select day, $2 from unnest($1::date[]) as day', [
    days,
    now,
  ])
  await tx.query(
    `insert into daily_count (day, integration_id, kind, severity, type, state, findings)
     select * from unnest($1::date[], $2::bigint[], $3::text[], $4::smallint[], $5::text[], $6::text[], $7::bigint[])`,
    [...keyArrays(counts), counts.map((one) => one.state), counts.map((one) => one.findings)],
  )
  await tx.query(
    `insert into daily_flow (day, integration_id, kind, severity, type, old_state, new_state, findings)
     select * from unnest($1::date[], $2::bigint[], $3::text[], $4::smallint[], $5::text[], $6::text[], $7::text[],
                          $8::bigint[])`,
    [
      ...keyArrays(flows),
      flows.map((one) => one.oldState),
      flows.map((one) => one.newState),
      flows.map((one) => one.findings),
    ],
  )
}

function keyArrays(rows: readonly (CountKey & { day: string })[]): unknown[] {
  return [
    rows.map((row) => row.day),
    rows.map((row) => row.integrationId),
    rows.map((row) => row.kind),
    rows.map((row) => row.severity),
    rows.map((row) => row.type),
  ]
}

const GROUP: Readonly<Record<TrendGrouping, string>> = {
  state: `''`,
  severity: `case severity when 0 then 'unknown' else severity::text end`,
  type: `case type when '' then 'unknown' else type end`,
  integration: 'integration_id::text',
}

export interface GroupedDays {
  counts: { day: string; group: string; state: string; findings: number }[]
  flows: { day: string; group: string; oldState: string; newState: string; findings: number }[]
}

export interface TrendFilter {
  by: TrendGrouping
  integrationId?: string | undefined
}

/** Information gathered is no problem that anybody could fix; it is counted where types are told apart. */
export function countsInformation({ by }: TrendFilter): boolean {
  return by === 'type'
}

/** The days from `from` on that are closed, and what was counted on them. */
export async function readClosedDays(
  db: Db,
  from: string,
  filter: TrendFilter,
): Promise<GroupedDays & { days: readonly string[] }> {
  const closed = await db.query<{ day: string }>('select day from closed_day where day >= $1 order by day', [
    from,
  ])
  const values = [from, filter.integrationId ?? null, countsInformation(filter)]
  const where = `where day >= $1 and ($2::bigint is null or integration_id = $2) and ($3 or type <> 'Info')`
  const counts = await db.query<GroupedDays['counts'][number]>(
    `select day, ${GROUP[filter.by]} as group, state, sum(findings)::float8 as findings
       from daily_count ${where} group by 1, 2, 3`,
    values,
  )
  const flows = await db.query<GroupedDays['flows'][number]>(
    `select day, ${GROUP[filter.by]} as group, old_state as "oldState", new_state as "newState",
            sum(findings)::float8 as findings
       from daily_flow ${where} group by 1, 2, 3, 4`,
    values,
  )
  return { counts: counts.rows, flows: flows.rows, days: closed.rows.map(({ day }) => day) }
}

/** The last day that is closed, as YYYY-MM-DD. */
export async function getLastClosedDay(db: Db): Promise<string | null> {
  const { rows } = await db.query<{ day: string | null }>('select max(day) as day from closed_day')
  return rows[0]?.day ?? null
}

export interface RunBounds {
  firstStartedAt: Date | null
  /** Of the runs that have not ended. */
  unfinishedSince: Date | null
}

export async function getRunBounds(db: Db): Promise<RunBounds> {
  const { rows } = await db.query<RunBounds>(
    `select min(started_at) as "firstStartedAt",
            min(started_at) filter (where state = 'RUNNING') as "unfinishedSince"
       from run`,
  )
  return rows[0]!
}

/** The clock of the database, to hold against ours. */
export async function getDatabaseNow(db: Db): Promise<Date> {
  const { rows } = await db.query<{ now: Date }>('select now()')
  return rows[0]!.now
}

export interface DayBounds {
  /** YYYY-MM-DD in the zone, oldest first. */
  days: string[]
  /** The starts of the days and the end of the last: one more than days. */
  bounds: Date[]
}

/** The last `days` days in a time zone, up to the one that `now` is on. A day of it has 23 to 25 hours. */
export async function listDayBounds(
  db: Db,
  input: { now: Date; days: number; zone: string },
): Promise<DayBounds> {
  const { rows } = await db.query<{ day: string; start: Date }>(
    `select day, day::timestamp at time zone $3 as start
       from (select ($1::timestamptz at time zone $3)::date + n as day
               from generate_series(1 - $2::int, 1) as n) as listed
      order by day`,
    [input.now, input.days, input.zone],
  )
  return { days: rows.slice(0, -1).map(({ day }) => day), bounds: rows.map(({ start }) => start) }
}

/** Whether the database knows this time zone. */
export async function isTimeZone(db: Db, zone: string): Promise<boolean> {
  const { rowCount } = await db.query('select 1 from pg_timezone_names where name = $1', [zone])
  return rowCount !== 0
}
