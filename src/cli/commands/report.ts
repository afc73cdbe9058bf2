import { type Command, Option } from 'commander'
import type { FixTimeRow, FixTimes, Trend, TrendRow } from '../../api/report-resources.ts'
import { singleLine } from '../../model/blocks.ts'
import { TREND_GROUPINGS } from '../../model/report.ts'
import type { CliRun } from '../context.ts'
import {
  type Column,
  formatBar,
  formatCount,
  formatCsv,
  formatDuration,
  formatTable,
  printJson,
} from '../output.ts'
import { optionsOf, withSession } from '../session.ts'

interface ReportOptions {
  days?: string
  zone?: string
  integration?: string
  csv?: boolean
  by?: string
}

export function addReportCommands(program: Command, run: CliRun): void {
  const group = program.command('report').description('findings counted and timed, over time')
  addPeriod(group.command('trend').description('findings by state at the end of each day, and what changed'))
    .addOption(new Option('--by <what>', 'tell apart (default state)').choices([...TREND_GROUPINGS]))
    .action((_options, command: Command) => trend(run, command))
  addPeriod(
    group.command('mttr').description('time from first found or reopened to fixed, by episode'),
  ).action((_options, command: Command) => mttr(run, command))
}

function addPeriod(command: Command): Command {
  return command
    .option('--days <days>', 'the last days, up to today (default 90)')
    .option('--zone <zone>', 'days end at midnight there, e.g. Europe/Berlin (default UTC)')
    .option('--integration <id>', 'of this integration only')
    .option('--csv', 'print comma-separated values with a head')
}

function queryOf({ days, zone, integration }: ReportOptions) {
  return { days, zone, integrationId: integration }
}

async function trend(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<ReportOptions>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const { data, ...meta } = await client.get<Trend>('/reports/trend', {
      ...queryOf(options),
      by: options.by,
    })
    if (options.json === true) return printJson(stdout, data, meta)
    if (options.csv === true) return void stdout.write(formatCsv(data, TREND_CSV))
    const isTerminal = stdout.isTTY === true
    stdout.write(meta.by === 'state' ? formatStates(data, isTerminal) : formatGroups(run, data, isTerminal))
  })
}

const TREND_CSV: readonly Column<TrendRow>[] = [
  { title: 'day', value: ({ day }) => day },
  { title: 'group', value: ({ group }) => group },
  { title: 'closed', value: ({ isClosed }) => (isClosed ? 'yes' : 'no') },
  { title: 'open', value: ({ counts }) => counts.open },
  { title: 'suppressed', value: ({ counts }) => counts.suppressed },
  { title: 'accepted', value: ({ counts }) => counts.accepted },
  { title: 'stale', value: ({ counts }) => counts.stale },
  { title: 'out_of_scope', value: ({ counts }) => counts.out_of_scope },
  { title: 'host_removed', value: ({ counts }) => counts.host_removed },
  { title: 'fixed', value: ({ counts }) => counts.fixed },
  { title: 'new_on_day', value: (row) => row.new },
  { title: 'fixed_on_day', value: (row) => row.fixed },
  { title: 'reopened_on_day', value: (row) => row.reopened },
  { title: 'left_on_day', value: (row) => row.left },
  { title: 'back_on_day', value: (row) => row.back },
]

function formatStates(rows: readonly TrendRow[], isTerminal: boolean): string {
  const greatest = Math.max(...rows.map(({ counts }) => counts.open))
  const bar: Column<TrendRow> = { title: '', value: ({ counts }) => formatBar(counts.open, greatest) }
  const number = (title: string, value: (row: TrendRow) => number): Column<TrendRow> => ({
    title,
    value,
    right: true,
  })
  const columns: Column<TrendRow>[] = [
    { title: 'day', value: ({ day }) => day },
    number('open', ({ counts }) => counts.open),
    ...(isTerminal ? [bar] : []),
    number('new', (row) => row.new),
    number('fixed', (row) => row.fixed),
    number('reopened', (row) => row.reopened),
    number('left', (row) => row.left),
    number('back', (row) => row.back),
    number('suppressed', ({ counts }) => counts.suppressed),
    number('accepted', ({ counts }) => counts.accepted),
    number('stale', ({ counts }) => counts.stale),
    number('out of scope', ({ counts }) => counts.out_of_scope),
    number('removed', ({ counts }) => counts.host_removed),
    number('all fixed', ({ counts }) => counts.fixed),
  ]
  return formatTable(rows, columns, isTerminal)
}

const GROUPS_SHOWN_MAX = 12
const GROUP_CHARS_MAX = 16

interface DayOfGroups {
  day: string
  total: number
  byGroup: ReadonlyMap<string, number>
}

/** Open findings: a line for each day, a column for each group. */
function formatGroups(run: CliRun, rows: readonly TrendRow[], isTerminal: boolean): string {
  const days = [...Map.groupBy(rows, ({ day }) => day)].map(([day, ofDay]): DayOfGroups => {
    const byGroup = new Map(ofDay.map(({ group, counts }) => [group, counts.open]))
    return { day, byGroup, total: ofDay.reduce((sum, { counts }) => sum + counts.open, 0) }
  })
  const groups = [...(days.at(-1)?.byGroup ?? [])].toSorted(([, a], [, b]) => b - a).map(([group]) => group)
  const shown = groups.slice(0, GROUPS_SHOWN_MAX).toSorted().toReversed()
  if (groups.length > shown.length)
    run.context.stderr.write(
      `Only ${shown.length} of ${groups.length} groups are shown; --csv has them all.\n`,
    )
  const greatest = Math.max(...days.map(({ total }) => total))
  const bar: Column<DayOfGroups> = { title: '', value: ({ total }) => formatBar(total, greatest) }
  const columns: Column<DayOfGroups>[] = [
    { title: 'day', value: ({ day }) => day },
    { title: 'open', value: ({ total }) => total, right: true },
    ...(isTerminal ? [bar] : []),
    ...shown.map((group): Column<DayOfGroups> => ({
      title: singleLine(group).slice(0, GROUP_CHARS_MAX),
      value: ({ byGroup }) => byGroup.get(group) ?? 0,
      right: true,
    })),
  ]
  return formatTable(days, columns, isTerminal)
}

async function mttr(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf<ReportOptions>(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout, stderr } = run.context
    const { data, ...meta } = await client.get<FixTimes>('/reports/mttr', queryOf(options))
    if (options.json === true) return printJson(stdout, data, meta)
    if (options.csv === true)
      stdout.write(
        formatCsv(
          data,
          fixTimeColumns((seconds) => seconds),
        ),
      )
    else stdout.write(formatTable(data, fixTimeColumns(formatDuration), stdout.isTTY === true))
    stderr.write(leftOutText(data, meta.leftOut))
  })
}

function fixTimeColumns(
  duration: (seconds: number | null) => string | number | null,
): readonly Column<FixTimeRow>[] {
  return [
    { title: 'month', value: ({ month }) => month ?? 'all' },
    { title: 'severity', value: ({ severity }) => (severity === 0 ? 'unknown' : (severity ?? 'all')) },
    { title: 'episodes', value: ({ all }) => all.episodes, right: true },
    { title: 'median', value: ({ all }) => duration(all.medianSeconds), right: true },
    { title: 'mean', value: ({ all }) => duration(all.meanSeconds), right: true },
    { title: 'p90', value: ({ all }) => duration(all.p90Seconds), right: true },
    { title: 'first only', value: ({ first }) => first.episodes, right: true },
    { title: 'first median', value: ({ first }) => duration(first.medianSeconds), right: true },
    { title: 'first mean', value: ({ first }) => duration(first.meanSeconds), right: true },
    { title: 'first p90', value: ({ first }) => duration(first.p90Seconds), right: true },
    { title: 'contradictory', value: ({ clamped }) => clamped, right: true },
  ]
}

/** What is in no figure, and why; and what counts with nothing. */
function leftOutText(rows: readonly FixTimeRow[], leftOut: FixTimes['leftOut']): string {
  const { withoutStart, withoutEnd, inFuture, states } = leftOut
  const clamped = rows.find(({ month, severity }) => month === null && severity === null)?.clamped ?? 0
  const lines = [
    ...Object.entries(states).map(
      ([state, count]) => `${formatCount(count, 'open finding')} became ${state}: nothing shows a fix.`,
    ),
    withoutStart > 0 ? `${formatCount(withoutStart, 'episode')} without a known beginning.` : '',
    withoutEnd > 0 ? `${formatCount(withoutEnd, 'episode')} whose fix has no date.` : '',
    inFuture > 0 ? `${formatCount(inFuture, 'episode')} whose fix Qualys dates in the future.` : '',
  ].filter((line) => line !== '')
  const parts = lines.length === 0 ? [] : [`Left out:\n${lines.map((line) => `  ${line}\n`).join('')}`]
  if (clamped > 0)
    parts.push(`${formatCount(clamped, 'episode')} that ended before beginning count with no time.\n`)
  return parts.join('')
}
