import { expect, test } from 'vitest'
import { startReplay } from '../../../test/support/replay.ts'
import type { FixTimes, Trend, TrendRow } from '../../api/report-resources.ts'
import type { FindingReport } from '../../api/resources.ts'
import { systemClock } from '../../lib/clock.ts'
import type { CliContext } from '../context.ts'
import { runCli } from '../program.ts'

/** Runs a command against a server that gives this one answer. */
async function run(answer: unknown, args: readonly string[], isTTY = true) {
  const server = await startReplay([
    { body: JSON.stringify(answer), headers: { 'content-type': 'application/json' } },
  ])
  const said = { stdout: '', stderr: '' }
  const output = (stream: 'stdout' | 'stderr') => ({
    isTTY,
    write: (text: string) => void (said[stream] += text),
  })
  const context = {
    stdout: output('stdout'),
    stderr: output('stderr'),
    clock: systemClock,
    loadConfig: () => ({ home: '/nowhere' }),
    findServer: async () => ({ url: server.url, token: 'token' }),
    onSignal: () => undefined,
  } as unknown as CliContext
  try {
    const code = await runCli(context, args)
    return { code, ...said, asked: server.requests.map(({ url }) => url) }
  } finally {
    await server.close()
  }
}

function row(changes: Partial<TrendRow> & { open?: number }): TrendRow {
  const { open = 0, ...rest } = changes
  const counts = { open, fixed: 7, suppressed: 1, accepted: 0, stale: 2, out_of_scope: 0, host_removed: 3 }
  const day = '2026-10-01'
  const none = { new: 0, fixed: 0, reopened: 0, left: 0, back: 0 }
  return { day, isClosed: true, group: '', counts, ...none, ...rest }
}

function trend(data: TrendRow[], by = 'state'): Trend {
  return { zone: 'UTC', by, asOf: '2026-10-02T12:00:00.000Z', data }
}

test('the trend is a line a day with a bar in a terminal, and plain numbers in a pipe', async () => {
  const answer = trend([row({ open: 10 }), row({ day: '2026-10-02', open: 20, new: 12, fixed: 2 })])
  const shown = await run(answer, ['report', 'trend', '--days', '2', '--zone', 'Europe/Berlin'])
  expect(shown.code).toBe(0)
  expect(shown.asked).toEqual(['/api/v3/reports/trend?days=2&zone=Europe%2FBerlin'])
  const [head, first, second] = shown.stdout.split('\n')
  expect(head).toMatch(/^DAY +OPEN +NEW +FIXED +REOPENED/)
  expect(first).toMatch(/^2026-10-01 +10 +█{10} +0 /)
  expect(second).toMatch(/^2026-10-02 +20 +█{20} +12 +2 /)
  const piped = await run(answer, ['report', 'trend'], false)
  expect(piped.stdout.split('\n')[1]).toBe('2026-10-02\t20\t12\t2\t0\t0\t0\t1\t0\t2\t0\t3\t7')
})

test('by severity there is a column for each, and nothing of a hostile type reaches the terminal', async () => {
  const evil = '\u001B]0;owned\u0007=cmd|"calc", \u202Etxt'
  const answer = trend(
    [row({ group: '5', open: 4 }), row({ group: '4', open: 6 }), row({ group: evil, open: 1 })],
    'type',
  )
  const shown = await run(answer, ['report', 'trend', '--by', 'type'])
  const [head, line] = shown.stdout.split('\n')
  expect(head).toMatch(/^DAY +OPEN +/)
  expect(line).toMatch(/^2026-10-01 +11 +█{20} /)
  // oxlint-disable-next-line no-control-regex
  expect(shown.stdout).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F\u202A-\u202E]/)
  const csv = await run(answer, ['report', 'trend', '--by', 'type', '--csv'])
  // oxlint-disable-next-line no-control-regex
  expect(csv.stdout).not.toMatch(/[\u0000-\u0009\u000B\u000C\u000E-\u001F\u007F\u202A-\u202E]/)
})

test('comma-separated values have a head, are quoted where needed, and hold no formula', async () => {
  const answer = trend([row({ group: '=1+1', open: 4 }), row({ group: 'a "b", c', open: -6 })], 'type')
  const { stdout } = await run(answer, ['report', 'trend', '--by', 'type', '--csv'])
  expect(stdout.split('\r\n')).toEqual([
    'day,group,closed,open,suppressed,accepted,stale,out_of_scope,host_removed,fixed,new_on_day,fixed_on_day,reopened_on_day,left_on_day,back_on_day',
    "2026-10-01,'=1+1,yes,4,1,0,2,0,3,7,0,0,0,0,0",
    '2026-10-01,"a ""b"", c",yes,-6,1,0,2,0,3,7,0,0,0,0,0',
    '',
  ])
})

test('no more groups than a terminal has room for are shown, the largest ones, and it is said', async () => {
  const groups = Array.from({ length: 20 }, (_, index) => row({ group: `type ${index}`, open: index }))
  const { stdout, stderr } = await run(trend(groups, 'type'), ['report', 'trend', '--by', 'type'])
  expect(stdout.split('\n')[0]).toContain('TYPE 19')
  expect(stdout.split('\n')[0]).not.toContain('TYPE 7 ')
  expect(stderr).toContain('Only 12 of 20 groups are shown; --csv has them all.')
})

test('times to fix are told with and without what was reopened, and what is left out with its reason', async () => {
  const day = 86_400
  const answer: FixTimes = {
    zone: 'UTC',
    from: '2026-10-01T00:00:00.000Z',
    to: '2026-10-02T00:00:00.000Z',
    data: [
      {
        month: null,
        severity: null,
        all: { episodes: 3, medianSeconds: 10 * day, meanSeconds: 11.25 * day, p90Seconds: 7_200 },
        first: { episodes: 2, medianSeconds: 60, meanSeconds: 1, p90Seconds: null },
        clamped: 1,
      },
    ],
    leftOut: { withoutStart: 0, withoutEnd: 1, inFuture: 0, states: { suppressed: 1_200, stale: 1 } },
  }
  const shown = await run(answer, ['report', 'mttr'])
  expect(shown.stdout.split('\n')[1]).toMatch(/^all +all +3 +10\.0 d +11\.3 d +2\.0 h +2 +1 min +0 min +1$/)
  expect(shown.stderr).toBe(`Left out:
  1,200 open findings became suppressed: nothing shows a fix.
  1 open finding became stale: nothing shows a fix.
  1 episode whose fix has no date.
1 episode that ended before beginning count with no time.
`)
  const json = await run(answer, ['report', 'mttr', '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject({ data: answer.data, meta: { leftOut: answer.leftOut } })
})

test('T23, T29: a finding is shown with its episodes, its clock and that it flaps', async () => {
  const end = { end: 'fixed' as const, isClamped: false, endSeenAt: null }
  const finding: Partial<FindingReport> = {
    id: '1-2',
    qid: '38100',
    title: 'A \u001B[31mred\u001B[0m title',
    state: 'open',
    port: null,
    protocol: null,
    openedAt: '2026-04-01T00:00:00Z',
    fixedAt: null,
    lastFoundAt: null,
    lastTestAt: null,
    missingSince: null,
    notTestedSince: null,
    firstFoundAt: '2026-01-01T00:00:00Z',
    sourceFirstFoundAt: '2026-02-01T00:00:00Z',
    episodes: [
      {
        number: 1,
        startAt: '2026-01-01T00:00:00Z',
        openedAt: '2026-02-01T00:00:00Z',
        fixedAt: '2026-03-01T00:00:00Z',
        durationSeconds: 59 * 86_400,
        endRunId: '12',
        ...end,
      },
      {
        number: 4,
        startAt: '2026-04-01T00:00:00Z',
        openedAt: '2026-04-01T00:00:00Z',
        fixedAt: null,
        durationSeconds: 90_000,
        endRunId: null,
        ...end,
        end: null,
      },
    ],
    unseenEpisodes: 2,
    omittedEpisodes: 0,
    flapping: 3,
    events: [],
    tickets: [],
    evidence: null,
  }
  const { stdout } = await run(finding, ['finding', 'show', '1-2'])
  expect(stdout).toMatch(/^first found +2026-01-01 00:00Z$/m)
  expect(stdout).toMatch(/^Qualys found +2026-02-01 00:00Z$/m)
  expect(stdout).toContain(`Episodes, oldest first
  1  2026-01-01 00:00Z → 2026-03-01 00:00Z  Qualys reported it fixed, run 12  59.0 d
  4  2026-04-01 00:00Z → open  25.0 h
  Qualys counts 2 more episodes that Patchbay never saw.
  It flaps: it came back 3 times within 30 days.
`)
  expect(stdout).not.toContain('\u001B')
})
