import { expect } from 'vitest'
import { withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { ensureEventPartitions } from '../store/queries/event-partitions.ts'
import type { FixTimes, Trend } from './report-resources.ts'
import type { FindingReport } from './resources.ts'

test('reports answer over HTTP with every day, and refuse what cannot be counted', async ({ db }) => {
  await withApi({ pool: db }, async ({ call }) => {
    await ensureEventPartitions(db, new Date('2026-10-01Z'))
    await db.query(
      `insert into integration (type, subtype, name, config) values ('vaplugin', 'qualys', 'one', '{}')`,
    )
    await db.query(
      `insert into run (integration_id, epoch, trigger, mode, mode_reason, state, scope, started_at)
       values (1, 1, 'manual', 'full', 'asked for', 'COMPLETE', '{}', '2026-09-30T10:00:00Z')`,
    )
    await db.query(`insert into host (integration_id, host_id, first_listed_at, last_listed_at, last_listed_scope)
                    values (1, 7, now(), now(), '')`)
    await db.query(
      `insert into finding (id, kind, integration_id, place_id, issue_key, identity, type, severity, state, source_status,
                            first_found_at, first_found_effective_at, opened_at, fixed_at, times_reopened, first_run_id,
                            changed_run_id)
       values (9, 'vm', 1, 1, '38100', gen_random_uuid(), 'Confirmed', 5, 'fixed', 'Fixed', '2026-09-02Z', '2026-09-01Z',
               '2026-09-30T12:00:00Z', '2026-10-01T06:00:00Z', 1, 1, 1)`,
    )
    await db.query(`insert into observation (place_id, finding_id, identity, state_hash, volatile_hash, run_id)
                    select place_id, id, identity, identity, 0, 1 from finding`)
    await db.query(
      `insert into episode (place_id, finding_id, number, kind, integration_id, opened_at, fixed_at, fix_seen, severity,
                            type, ended_seen_at, ended_run_id)
       values (1, 9, 1, 'vm', 1, '2026-09-02Z', '2026-09-11Z', true, 5, 'Confirmed', '2026-09-30Z', 1)`,
    )
    await db.query(
      `insert into event (seen_at, kind, integration_id, place_id, finding_id, happened_at, run_id, old_state, new_state, reason)
       values ('2026-10-01T08:00:00Z', 'vm', 1, 1, 9, '2026-10-01T06:00:00Z', 4, 'open', 'fixed', 'It is fixed.')`,
    )
    const trend = await call<Trend>('/reports/trend?days=3&by=severity')
    expect(trend.status).toBe(200)
    expect(trend.body.data.map(({ day, group, counts, fixed }) => [day, group, counts.open, fixed])).toEqual([
      ['2026-09-29', '5', 0, 0],
      ['2026-09-30', '5', 1, 0],
      ['2026-10-01', '5', 0, 1],
    ])
    const mttr = await call<FixTimes>('/reports/mttr?integrationId=1')
    expect(mttr.body.data.at(-1)).toMatchObject({
      all: { episodes: 2, meanSeconds: (10 * 86_400 + 18 * 3_600) / 2 },
      first: { episodes: 1, meanSeconds: 10 * 86_400 },
    })
    expect((await call<FixTimes>('/reports/mttr?integrationId=2')).body.data).toMatchObject([
      { month: null, severity: null, all: { episodes: 0, medianSeconds: null } },
    ])
    const finding = await call<FindingReport>('/findings/1-9')
    expect(finding.body.episodes).toMatchObject([
      { number: 1, startAt: '2026-09-01T00:00:00.000Z', openedAt: '2026-09-02T00:00:00.000Z', end: 'fixed' },
      { number: 2, durationSeconds: 18 * 3_600, endRunId: '4', endSeenAt: '2026-10-01T08:00:00.000Z' },
    ])
    expect(finding.body).toMatchObject({ sourceFirstFoundAt: '2026-09-02T00:00:00.000Z', unseenEpisodes: 0 })
    for (const query of ['days=0', 'days=1101', 'by=host', 'zone=Nowhere/Land', 'integrationId=x'])
      expect({ query, ...(await call(`/reports/trend?${query}`)).body }).toMatchObject({ query, status: 400 })
  })
})
