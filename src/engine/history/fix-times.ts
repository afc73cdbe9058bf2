import type pg from 'pg'
import { FINDING_STATES, type FindingState } from '../../model/finding.ts'
import {
  type FixTimeRow,
  type UndatedEpisodes,
  countUndatedEpisodes,
  summariseFixTimes,
} from '../../store/queries/episodes.ts'
import { inTransaction } from '../../store/transaction.ts'
import { type TrendRequest, readTrend } from './trend.ts'
import { listDayBounds } from '../../store/queries/daily-counts.ts'

export interface FixTimes {
  from: Date
  to: Date
  rows: FixTimeRow[]
  leftOut: UndatedEpisodes & {
    /** Open findings that left that way in the period: nothing shows that they were fixed. */
    states: Partial<Record<FindingState, number>>
  }
}

/**
 * How long it took from an opening to its fix, for every episode that ended by a fix in the last days. Only what the
 * source reported as fixed counts; what merely went out of sight is counted beside it.
 */
export async function readFixTimes(pool: pg.Pool, request: Omit<TrendRequest, 'by'>): Promise<FixTimes> {
  // It refuses what is wrong with the request.
  const trend = await readTrend(pool, { ...request, by: 'state' })
  const { now, integrationId, zone } = request
  const { from, rows, undated } = await inTransaction(pool, async (tx) => {
    await tx.query('set transaction isolation level repeatable read read only')
    const { bounds } = await listDayBounds(tx, request)
    const period = { from: bounds[0]!, to: now, integrationId }
    return {
      from: period.from,
      rows: await summariseFixTimes(tx, { ...period, zone }),
      undated: await countUndatedEpisodes(tx, period),
    }
  })
  const states: Partial<Record<FindingState, number>> = {}
  for (const state of FINDING_STATES)
    for (const { leftTo } of trend)
      if (leftTo[state] !== undefined) states[state] = (states[state] ?? 0) + leftTo[state]
  return { from, to: now, rows, leftOut: { ...undated, states } }
}
