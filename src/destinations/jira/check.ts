import type { z } from 'zod'

import { singleLine } from '../../model/blocks.ts'
import { HubError, isHubError } from '../../model/errors.ts'
import type { CheckReport, CheckStep } from '../../model/ticket-destination.ts'
import { type JiraClient, pathPart } from './client.ts'
import type { JiraSettings } from './fields.ts'
import { CreateFieldPage, IssueTypePage, MyPermissions, Myself, Project, ServerInfo } from './schema.ts'

const PAGE_ENTRIES = 200
const PAGES_MAX = 50

/** What every verb of the destination needs, in the words of Jira's permission schemes. */
const PERMISSIONS = {
  BROWSE_PROJECTS: 'Browse projects',
  CREATE_ISSUES: 'Create issues',
  EDIT_ISSUES: 'Edit issues',
  TRANSITION_ISSUES: 'Transition issues',
  ADD_COMMENTS: 'Add comments',
  LINK_ISSUES: 'Link issues',
} as const
/** Missing ones are said, but tickets can be made without them. */
const WANTED_PERMISSIONS = { SCHEDULE_ISSUES: 'Schedule issues', ASSIGN_ISSUES: 'Assign issues' } as const

/** Fields without which the promises do not hold: the label is how a lost ticket is found again. */
const NEEDED_FIELDS = ['summary', 'description', 'labels'] as const
const FILLED_FIELDS = new Set(['project', 'issuetype', 'reporter', ...NEEDED_FIELDS])

/** One step after the other; those after a failed one would only repeat its message, so they are left out. */
export async function checkJira(
  client: JiraClient,
  settings: JiraSettings,
  signal: AbortSignal,
): Promise<CheckReport> {
  const steps: CheckStep[] = []
  for (const { name, run } of STEPS) {
    const step = await judged(name, () => run({ client, settings, signal }))
    steps.push(step)
    if (!step.ok) break
  }
  return { ok: steps.every((step) => step.ok), steps }
}

interface Probe {
  client: JiraClient
  settings: JiraSettings
  signal: AbortSignal
}

const STEPS: readonly { name: string; run: (probe: Probe) => Promise<string> }[] = [
  { name: 'site', run: probeSite },
  { name: 'account', run: probeAccount },
  { name: 'project', run: probeProject },
  { name: 'permissions', run: probePermissions },
  { name: 'create screen', run: probeCreateScreen },
]

async function judged(name: string, run: () => Promise<string>): Promise<CheckStep> {
  try {
    return { name, ok: true, message: await run() }
  } catch (error) {
    if (!isHubError(error)) throw error
    return { name, ok: false, message: error.message, ...(error.hint !== undefined && { hint: error.hint }) }
  }
}

async function get<Shape>(
  { client, signal }: Probe,
  { path, query = {}, what }: { path: string; query?: Record<string, string>; what: string },
  shape: z.ZodType<Shape>,
): Promise<Shape> {
  return client.call({ method: 'GET', path, query, what, repeat: 'read' }, shape, signal)
}

async function probeSite(probe: Probe): Promise<string> {
  const info = await get(probe, { path: '/rest/api/3/serverInfo', what: 'say what it is' }, ServerInfo)
  if (info.deploymentType !== 'Cloud')
    throw new HubError('config', `This is Jira ${singleLine(info.deploymentType)}, not Jira Cloud.`, {
      code: 'deployment',
      hint: 'Choose the integration type for Jira Data Center.',
    })
  return 'Jira Cloud answers.'
}

async function probeAccount(probe: Probe): Promise<string> {
  const myself = await get(probe, { path: '/rest/api/3/myself', what: 'say who the account is' }, Myself)
  return `Signed in as ${singleLine(myself.displayName ?? myself.accountId)}.`
}

async function probeProject(probe: Probe): Promise<string> {
  const { projectKey } = probe.settings.config
  const path = `/rest/api/3/project/${pathPart(projectKey)}`
  const project = await get(probe, { path, what: `show the project ${projectKey}` }, Project)
  return `The project ${singleLine(project.key)} is "${singleLine(project.name)}".`
}

async function probePermissions(probe: Probe): Promise<string> {
  const keys = [...Object.keys(PERMISSIONS), ...Object.keys(WANTED_PERMISSIONS)]
  const query = { projectKey: probe.settings.config.projectKey, permissions: keys.join(',') }
  const { permissions } = await get(
    probe,
    { path: '/rest/api/3/mypermissions', query, what: 'list the permissions' },
    MyPermissions,
  )
  const lacking = (named: Record<string, string>): string[] =>
    Object.keys(named)
      .filter((key) => permissions[key]?.havePermission !== true)
      .map((key) => `"${named[key]}"`)
  const missing = lacking(PERMISSIONS)
  if (missing.length > 0)
    throw new HubError('permission', `The account lacks ${missing.join(', ')} in the project.`, {
      code: 'permissions',
      hint: 'Ask the Jira administrator to add the account to a role of the project that has them.',
    })
  const wished = lacking(WANTED_PERMISSIONS)
  return wished.length === 0
    ? 'The account has all permissions it needs.'
    : `The account can do its work; without ${wished.join(' and ')} tickets have no due date or assignee.`
}

async function probeCreateScreen(probe: Probe): Promise<string> {
  const type = await findIssueType(probe)
  const { config } = probe.settings
  const fields = await pages(async (startAt) => {
    const page = await get(
      probe,
      {
        path: `/rest/api/3/issue/createmeta/${pathPart(config.projectKey)}/issuetypes/${pathPart(type.id)}`,
        query: { startAt: String(startAt), maxResults: String(PAGE_ENTRIES) },
        what: 'list the fields of a new ticket',
      },
      CreateFieldPage,
    )
    return { entries: page.fields, total: page.total }
  })
  const present = new Set(fields.map((field) => field.fieldId))
  const absent = NEEDED_FIELDS.filter((name) => !present.has(name))
  if (absent.length > 0)
    throw new HubError(
      'config',
      `The create screen of "${singleLine(type.name)}" has no field for ${absent.join(', ')}.`,
      {
        code: 'create_screen',
        hint: 'Ask the Jira administrator to put these fields on the screen.',
      },
    )
  const unfilled = fields.filter(
    (field) =>
      field.required &&
      field.hasDefaultValue !== true &&
      !FILLED_FIELDS.has(field.fieldId) &&
      !(field.fieldId in config.fixedFields),
  )
  if (unfilled.length > 0)
    throw new HubError(
      'config',
      `The create screen requires ${unfilled.map((field) => `"${singleLine(field.name)}" (${singleLine(field.fieldId)})`).join(', ')}.`,
      {
        code: 'create_screen',
        hint: 'Give each a value under fixedFields, give it a default in Jira, or make it optional.',
      },
    )
  return `Tickets of the type "${singleLine(type.name)}" can be made.`
}

async function findIssueType(probe: Probe): Promise<{ id: string; name: string }> {
  const { projectKey, issueType } = probe.settings.config
  const types = await pages(async (startAt) => {
    const page = await get(
      probe,
      {
        path: `/rest/api/3/issue/createmeta/${pathPart(projectKey)}/issuetypes`,
        query: { startAt: String(startAt), maxResults: String(PAGE_ENTRIES) },
        what: 'list the issue types',
      },
      IssueTypePage,
    )
    return { entries: page.issueTypes, total: page.total }
  })
  const found = types.find(
    (type) => type.id === issueType || type.name.toLowerCase() === issueType.toLowerCase(),
  )
  if (found !== undefined) return found
  const names = types.slice(0, 20).map((type) => `"${singleLine(type.name)}"`)
  throw new HubError('config', `The project has no issue type "${issueType}", only ${names.join(', ')}.`, {
    code: 'issue_type',
    hint: 'Names are translated in Jira: choose one of these, or give its id.',
  })
}

async function pages<Entry>(
  read: (startAt: number) => Promise<{ entries: Entry[]; total: number }>,
): Promise<Entry[]> {
  const all: Entry[] = []
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { entries, total } = await read(all.length)
    all.push(...entries)
    if (entries.length === 0 || all.length >= total) return all
  }
  throw new HubError('contract', `Jira lists more than ${PAGES_MAX} pages.`)
}
