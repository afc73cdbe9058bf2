import { type Command, Option } from 'commander'
import type { Integration, Saved, Tested } from '../../api/resources.ts'
import { HubError } from '../../model/errors.ts'
import type { ApiClient } from '../client.ts'
import type { CliConfig, CliRun, GlobalOptions } from '../context.ts'
import { findIntegration, nameOf } from '../find.ts'
import { printJson, toNumber } from '../output.ts'
import { formatChecks } from '../check-text.ts'
import { jiraApiToken, qualysPassword } from '../secret-input.ts'
import { optionsOf, suggest, withSession } from '../session.ts'

interface SetOptions extends GlobalOptions {
  name?: string
  url?: string
  username?: string
  passwordFile?: string
  frequency?: string
  quotaPercent?: string
  showIgs?: string
  knowledge?: string
  apiUrl?: string
  email?: string
  apiTokenFile?: string
  project?: string
  issueType?: string
  test: boolean
}

/** How a secret of a type is asked for, and which options are for this type only. */
interface SetType {
  title: string
  secretField: string
  secretOf: (run: CliRun, config: CliConfig, file: string | undefined) => Promise<string>
  secretFile: 'passwordFile' | 'apiTokenFile'
  /** Where the secret goes; it is asked for again when one of them changes. */
  targetFields: readonly string[]
  /** Options, and the fields of the configuration that they change. */
  fields: Readonly<Partial<Record<keyof SetOptions, string>>>
}

const QUALYS: SetType = {
  title: 'Qualys',
  secretField: 'password',
  secretOf: qualysPassword,
  secretFile: 'passwordFile',
  targetFields: ['url'],
  fields: {
    name: 'name',
    url: 'url',
    username: 'username',
    frequency: 'autoSyncFrequency',
    quotaPercent: 'quotaSharePercent',
    showIgs: 'showIgs',
    knowledge: 'knowledge',
  },
}

const JIRA: SetType = {
  title: 'Jira',
  secretField: 'apiToken',
  secretOf: jiraApiToken,
  secretFile: 'apiTokenFile',
  targetFields: ['url', 'apiUrl'],
  fields: {
    name: 'name',
    url: 'url',
    apiUrl: 'apiUrl',
    email: 'email',
    project: 'projectKey',
    issueType: 'issueType',
  },
}

const NUMBERS = new Set(['frequency', 'quotaPercent'])

export function addSetCommand(group: Command, run: CliRun): void {
  group
    .command('set <integration>')
    .description(
      'change a connection: what is not given stays; without any option its password or API token is asked for',
    )
    .option('--name <name>', 'what to call it')
    .option('--url <url>', 'the API URL of Qualys, or the site of Jira')
    .option('--username <name>', 'Qualys: the API user')
    .option('--password-file <file>', 'Qualys: a file with the new password, or - for standard input')
    .option('--frequency <days>', 'Qualys: days between two runs, 1 to 30')
    .option('--quota-percent <percent>', 'Qualys: the share of the calls, in an hour and at once, to use')
    .addOption(
      new Option('--show-igs <when>', 'Qualys: when to ask for information gathered').choices([
        'never',
        'weekly',
        'always',
      ]),
    )
    .addOption(
      new Option('--knowledge <what>', 'Qualys: of the knowledge base what findings use, or all').choices([
        'used',
        'all',
      ]),
    )
    .option('--email <address>', 'Jira: the account that the API token belongs to')
    .option('--api-token-file <file>', 'Jira: a file with the new API token, or - for standard input')
    .option('--api-url <url>', 'Jira: https://api.atlassian.com/ex/jira/<cloud id>, for scoped tokens')
    .option('--project <key>', 'Jira: where tickets are made')
    .option('--issue-type <type>', 'Jira: by id or by name')
    .option('--no-test', 'save it without trying it')
    .action((wanted: string, _options, command: Command) => set(run, command, wanted))
}

/** What stands in a file is read once, before anything is started; what has to be asked for is asked for later. */
async function set(run: CliRun, command: Command, wanted: string): Promise<void> {
  const { context } = run
  const options = optionsOf<SetOptions>(command)
  const config = context.loadConfig({ home: options.home, logLevel: options.logLevel })
  const secrets = {
    passwordFile: await ifGiven(options.passwordFile, (file) => qualysPassword(run, config, file)),
    apiTokenFile: await ifGiven(options.apiTokenFile, (file) => jiraApiToken(run, config, file)),
  }
  await withSession(run, options, async ({ client }) => {
    const integration = await findIntegration(client, wanted)
    const type = integration.type === 'vaplugin' ? QUALYS : JIRA
    const changes = changesOf(type, integration, options)
    const stored = integration.config
    const isMoved = type.targetFields.some((field) => field in changes && changes[field] !== stored[field])
    let secret = secrets[type.secretFile]
    if (secret === undefined && (isMoved || Object.keys(changes).length === 0))
      secret = await type.secretOf(run, config, undefined)
    if (secret !== undefined) changes[type.secretField] = secret
    await save(run, client, { integration, changes, options })
  })
}

async function ifGiven(
  file: string | undefined,
  read: (file: string) => Promise<string>,
): Promise<string | undefined> {
  return file === undefined ? undefined : read(file)
}

function changesOf(type: SetType, integration: Integration, options: SetOptions): Record<string, unknown> {
  const other = type === QUALYS ? JIRA : QUALYS
  for (const name of [...Object.keys(other.fields), other.secretFile] as (keyof SetOptions)[])
    if (options[name] !== undefined && !(name in type.fields))
      throw new HubError('config', `"${nameOf(integration)}" is ${type.title}; --${dashed(name)} is not.`, {
        hint: `Leave it out, or name a ${other.title} integration.`,
      })
  const changes: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(type.fields)) {
    const value = options[name as keyof SetOptions]
    if (value !== undefined) changes[field] = NUMBERS.has(name) ? toNumber(String(value)) : value
  }
  return changes
}

async function save(
  run: CliRun,
  client: ApiClient,
  input: { integration: Integration; changes: Record<string, unknown>; options: SetOptions },
): Promise<void> {
  const { context } = run
  const { integration, changes, options } = input
  const { id, type, subtype, config } = integration
  const body = { id, type, subtype, config: { ...config, ...changes } }
  const tested = options.test ? await client.post<Tested>('/integrations/test', { body }) : null
  const saved = await client.post<Saved>('/integrations', { body })
  if (options.json === true) return printJson(context.stdout, { ...saved.data, checks: tested?.checks ?? [] })
  if (tested !== null) context.stderr.write(formatChecks(tested.checks))
  context.stdout.write(`Integration ${id} is saved.\n`)
  if (type === 'vaplugin') suggest(run, options, `Next: patchbay sync ${id}`)
}

function dashed(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
