import type { Command } from 'commander'
import type { Rule, RulePreview } from '../../api/resources.ts'
import type { TicketProgress } from '../../api/run-resources.ts'
import { HubError } from '../../model/errors.ts'
import type { ApiClient } from '../client.ts'
import type { CliRun, GlobalOptions } from '../context.ts'
import { findRule } from '../find.ts'
import { type Column, formatTable, formatText, printJson } from '../output.ts'
import { optionsOf, suggest, withSession } from '../session.ts'

const LOOK_INTERVAL_MS = 500
const LOOKS_PER_LINE = 60
const LOOKS_MAX = 60 * 60 * 2
/** Between the plan and its first change nothing seems to be left. */
const QUIET_LOOKS = 3

const COLUMNS: readonly Column<Rule>[] = [
  { title: 'rule', value: (rule) => rule.id, right: true },
  { title: 'on', value: (rule) => (rule.isEnabled ? 'on' : 'off') },
  { title: 'name', value: (rule) => rule.name, width: 60 },
  { title: 'one ticket per', value: (rule) => rule.groupBy.join(', ') },
  { title: 'error', value: (rule) => rule.lastError, width: 60 },
]

const PLANNED_COLUMNS: readonly Column<RulePreview['planned'][number]>[] = [
  { title: 'would', value: (planned) => planned.action },
  { title: 'issue', value: (planned) => planned.issueKey },
  { title: 'hosts', value: (planned) => planned.openHosts, right: true },
  { title: 'what', value: (planned) => planned.summary ?? planned.name, width: 70 },
  { title: 'why', value: (planned) => planned.reason, width: 60 },
]

export function addRuleCommands(program: Command, run: CliRun): void {
  const group = program.command('rule').description('which findings become which tickets')
  group
    .command('list')
    .description('ticket rules')
    .action((_options, command: Command) => list(run, command))
  group
    .command('preview [rule]')
    .description('what the rule would do now; nothing is written')
    .option('--texts', 'with the whole text of every ticket that would change')
    .action((wanted: string | undefined, _options, command: Command) => preview(run, command, wanted))
  group
    .command('enable [rule]')
    .description('switch a rule on, after a look at its preview')
    .option('--yes', 'the preview has been seen')
    .action((wanted: string | undefined, _options, command: Command) => enable(run, command, wanted))
  group
    .command('disable [rule]')
    .description('switch a rule off; its tickets stay as they are')
    .action((wanted: string | undefined, _options, command: Command) => disable(run, command, wanted))
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const { data } = await client.get<{ data: Rule[] }>('/rules')
    if (options.json === true) return printJson(stdout, data)
    stdout.write(formatTable(data, COLUMNS, stdout.isTTY === true))
  })
}

async function preview(run: CliRun, command: Command, wanted: string | undefined): Promise<void> {
  const options = optionsOf<{ texts?: boolean }>(command)
  await withSession(run, options, async ({ client }) => {
    const rule = await findRule(client, wanted)
    const plan = await client.get<RulePreview>(`/rules/${rule.id}/preview`)
    printPreview(run, options, plan)
    if (!rule.isEnabled) suggest(run, options, `Switch it on: patchbay rule enable ${rule.id} --yes`)
  })
}

function printPreview(run: CliRun, options: GlobalOptions & { texts?: boolean }, plan: RulePreview): void {
  const { stdout } = run.context
  if (options.json === true) return printJson(stdout, plan)
  const changes = plan.planned.filter((planned) => planned.action !== 'keep')
  stdout.write(`${sentenceOf(plan)}\n\n${formatTable(changes, PLANNED_COLUMNS, stdout.isTTY === true)}`)
  if (options.texts !== true) return
  for (const planned of changes)
    stdout.write(
      `\n${planned.action}: ${planned.summary ?? planned.name}\n${formatText(planned.text ?? '')}\n`,
    )
}

function sentenceOf({ counts, heldBack, ruleName }: RulePreview): string {
  const { create, update, reopen, close, keep } = counts
  const held = heldBack > 0 ? ` ${heldBack} more wait for the daily cap.` : ''
  return `"${ruleName}" would create ${create}, update ${update}, reopen ${reopen}, close ${close} and leave ${keep} as they are.${held}`
}

async function enable(run: CliRun, command: Command, wanted: string | undefined): Promise<void> {
  const options = optionsOf<{ yes?: boolean }>(command)
  await withSession(run, options, async ({ client, isOwn }) => {
    const rule = await findRule(client, wanted)
    if (options.yes !== true) {
      printPreview(run, options, await client.get<RulePreview>(`/rules/${rule.id}/preview`))
      throw new HubError('conflict', `"${rule.name}" is not switched on yet.`, {
        hint: `When the preview is what you want: patchbay rule enable ${rule.id} --yes`,
      })
    }
    const enabled = await client.post<Rule>(`/rules/${rule.id}`, { query: { action: 'enable' } })
    // What was started for this command ends with it, so its work is waited for.
    if (isOwn) await untilSent(run, client, rule)
    if (options.json === true) return printJson(run.context.stdout, enabled)
    run.context.stdout.write(`"${rule.name}" is on; its tickets are made now and after every run.\n`)
  })
}

async function untilSent(run: CliRun, client: ApiClient, rule: Rule): Promise<void> {
  let quiet = 0
  for (let looks = 0; looks < LOOKS_MAX && quiet < QUIET_LOOKS; looks += 1) {
    const { planning, waiting } = await client.get<TicketProgress>(`/rules/${rule.id}/progress`)
    quiet = planning || waiting > 0 ? 0 : quiet + 1
    if (looks % LOOKS_PER_LINE === 0 && looks > 0)
      run.context.stderr.write(planning ? 'Tickets are planned.\n' : `${waiting} changes are to be sent.\n`)
    await run.context.clock.sleep(LOOK_INTERVAL_MS, run.signal)
  }
}

async function disable(run: CliRun, command: Command, wanted: string | undefined): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async ({ client }) => {
    const rule = await findRule(client, wanted)
    const disabled = await client.post<Rule>(`/rules/${rule.id}`, { query: { action: 'disable' } })
    if (options.json === true) return printJson(run.context.stdout, disabled)
    run.context.stdout.write(`"${rule.name}" is off.\n`)
  })
}
