import { type Command, Option } from 'commander'
import type { Integration, IntegrationPage, Saved, Tested } from '../../api/resources.ts'
import type { ApiClient } from '../client.ts'
import type { CliConfig, CliRun, GlobalOptions } from '../context.ts'
import { findIntegration, nameOf } from '../find.ts'
import { type Column, formatInstant, formatTable, printJson, toNumber } from '../output.ts'
import { jiraApiToken, qualysPassword } from '../secret-input.ts'
import { formatChecks } from '../check-text.ts'
import { optionsOf, suggest, withSession } from '../session.ts'
import { addSetCommand } from './integration-set.ts'

const PAGE_LENGTH = 1_000
const STATUS_WORDS = ['ok', 'running', 'partial', 'failed']

const COLUMNS: readonly Column<Integration>[] = [
  { title: 'id', value: (one) => one.id, right: true },
  { title: 'name', value: (one) => nameOf(one), width: 30 },
  { title: 'type', value: (one) => `${one.type}/${one.subtype}` },
  { title: 'on', value: (one) => (one.isEnabled ? 'on' : 'off') },
  {
    title: 'status',
    value: (one) => (one.state === null ? 'new' : (STATUS_WORDS[one.state.status] ?? 'failed')),
  },
  { title: 'last', value: (one) => formatInstant(one.state?.lastScanTime ?? null) },
  { title: 'message', value: (one) => one.state?.message ?? null, width: 80 },
]

export function addIntegrationCommands(program: Command, run: CliRun): void {
  const group = program.command('integration').description('connections to Qualys and to Jira')
  const add = group.command('add').description('add a connection; it is tried before it is saved')
  addQualys(add, run)
  addJira(add, run)
  addSetCommand(group, run)
  group
    .command('list')
    .description('all connections, without their secrets')
    .action((_options, command: Command) => list(run, command))
  for (const action of ['test', 'enable', 'disable'] as const)
    group
      .command(`${action} [integration]`)
      .description(DESCRIPTIONS[action])
      .action((wanted: string | undefined, _options, command: Command) =>
        act(run, command, { action, wanted }),
      )
}

const DESCRIPTIONS = {
  test: 'try a connection, one check after the other',
  enable: 'let a connection be used',
  disable: 'let a connection rest; nothing of it is deleted',
}

interface QualysOptions extends GlobalOptions {
  name?: string
  url: string
  username: string
  passwordFile?: string
  privatePlatform?: boolean
  frequency?: string
  quotaPercent?: string
  showIgs?: string
  knowledge?: string
  test: boolean
}

function addQualys(add: Command, run: CliRun): void {
  add
    .command('qualys')
    .description('a Qualys subscription')
    .requiredOption('--url <url>', 'the API URL, e.g. https://qualysapi.qg2.apps.qualys.com')
    .requiredOption('--username <name>', 'an API user of its own')
    .option(
      '--password-file <file>',
      'a file with the password, or - for standard input; else PATCHBAY_QUALYS_PASSWORD',
    )
    .option('--name <name>', 'what to call it')
    .option('--private-platform', 'a Qualys platform that you run yourself')
    .option('--frequency <days>', 'days between two runs, 1 to 30 (default 1)')
    .option(
      '--quota-percent <percent>',
      'the share of the calls, in an hour and at once, to use (default 60)',
    )
    .addOption(
      new Option('--show-igs <when>', 'when to ask for information gathered').choices([
        'never',
        'weekly',
        'always',
      ]),
    )
    .addOption(
      new Option('--knowledge <what>', 'of the knowledge base: what findings use, or all').choices([
        'used',
        'all',
      ]),
    )
    .option('--no-test', 'save it without trying it')
    .action((_options, command: Command) => {
      const options = optionsOf<QualysOptions>(command)
      return save(run, options, async (config) => ({
        type: 'vaplugin',
        subtype: 'qualys',
        config: {
          name: options.name,
          url: options.url,
          username: options.username,
          password: await qualysPassword(run, config, options.passwordFile),
          privatePlatform: options.privatePlatform,
          autoSyncFrequency: toNumber(options.frequency),
          quotaSharePercent: toNumber(options.quotaPercent),
          showIgs: options.showIgs,
          knowledge: options.knowledge,
        },
      }))
    })
}

interface JiraOptions extends GlobalOptions {
  name?: string
  url: string
  apiUrl?: string
  email: string
  apiTokenFile?: string
  project: string
  issueType?: string
  test: boolean
}

function addJira(add: Command, run: CliRun): void {
  add
    .command('jira')
    .description('a project in Jira Cloud')
    .requiredOption('--url <url>', 'the site, e.g. https://example.atlassian.net')
    .requiredOption('--email <address>', 'the account that the API token belongs to')
    .requiredOption('--project <key>', 'where tickets are made')
    .option(
      '--api-token-file <file>',
      'a file with the API token, or - for standard input; else PATCHBAY_JIRA_API_TOKEN',
    )
    .option('--api-url <url>', 'only for scoped tokens: https://api.atlassian.com/ex/jira/<cloud id>')
    .option('--issue-type <type>', 'by id or by name (default Task)')
    .option('--name <name>', 'what to call it')
    .option('--no-test', 'save it without trying it')
    .action((_options, command: Command) => {
      const options = optionsOf<JiraOptions>(command)
      return save(run, options, async (config) => ({
        type: 'ticketing',
        subtype: 'jira',
        config: {
          name: options.name,
          url: options.url,
          apiUrl: options.apiUrl,
          email: options.email,
          apiToken: await jiraApiToken(run, config, options.apiTokenFile),
          projectKey: options.project,
          issueType: options.issueType,
        },
      }))
    })
}

interface NewIntegration {
  type: string
  subtype: string
  config: Record<string, unknown>
}

/** The secret is asked for before anything is started, so that a missing one costs no time. */
async function save(
  run: CliRun,
  options: GlobalOptions & { test: boolean },
  describe: (config: CliConfig) => Promise<NewIntegration>,
): Promise<void> {
  const { context } = run
  const body = await describe(context.loadConfig({ home: options.home, logLevel: options.logLevel }))
  await withSession(run, options, async ({ client }) => {
    const tested = options.test ? await client.post<Tested>('/integrations/test', { body }) : null
    const saved = await client.post<Saved>('/integrations', { body })
    if (options.json === true) {
      printJson(context.stdout, { ...saved.data, checks: tested?.checks ?? [] })
      return
    }
    if (tested !== null) context.stderr.write(formatChecks(tested.checks))
    context.stdout.write(`Integration ${saved.data.id} is saved.\n`)
    const next =
      body.type === 'vaplugin'
        ? `patchbay sync ${saved.data.id}`
        : 'patchbay rule list, then patchbay rule preview'
    suggest(run, options, `Next: ${next}`)
  })
}

async function list(run: CliRun, command: Command): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async ({ client }) => {
    const { stdout } = run.context
    const page = await client.get<IntegrationPage>('/integrations', { pagelen: PAGE_LENGTH })
    if (options.json === true) return printJson(stdout, page.values, { size: page.size })
    stdout.write(formatTable(page.values, COLUMNS, stdout.isTTY === true))
  })
}

async function act(
  run: CliRun,
  command: Command,
  { action, wanted }: { action: 'test' | 'enable' | 'disable'; wanted: string | undefined },
): Promise<void> {
  const options = optionsOf(command)
  await withSession(run, options, async ({ client }) => {
    const integration = await findIntegration(client, wanted)
    const answer = await post(client, integration, action)
    if (options.json === true) return printJson(run.context.stdout, answer)
    if ('checks' in answer) run.context.stdout.write(formatChecks(answer.checks))
    else run.context.stdout.write(`"${nameOf(integration)}" is ${action}d.\n`)
  })
}

function post(
  client: ApiClient,
  integration: Integration,
  action: string,
): Promise<Tested | { success: true }> {
  return client.post(`/integrations/${integration.id}`, { query: { action } })
}
