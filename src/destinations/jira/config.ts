import { z } from 'zod'

import { HubError } from '../../model/errors.ts'

/** Values a person types are bounded; these are far above anything real. */
const WORD_CHARS_MAX = 255
const STATUS_NAMES_MAX = 20
const FIXED_FIELDS_MAX = 50

const word = z.string().trim().min(1).max(WORD_CHARS_MAX)
const statusNames = z.array(word).max(STATUS_NAMES_MAX)

/** The configuration of one Jira Cloud integration (`ticketing/jira`). */
export const JiraConfig = z.strictObject({
  name: word.optional(),
  description: z.string().max(2_000).optional(),
  url: z.string().describe('The site, e.g. https://example.atlassian.net'),
  apiUrl: z
    .string()
    .optional()
    .describe('Only for scoped tokens: https://api.atlassian.com/ex/jira/<cloud id>; the site otherwise'),
  email: word.describe('The account the API token belongs to'),
  apiToken: z.string().min(1).max(2_000).describe('An API token of that account'),
  projectKey: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{1,254}$/u, 'a project key, e.g. VULN')
    .describe('Where tickets are made'),
  issueType: word.default('Task').describe('The issue type by id, or by its name'),
  closeStatuses: statusNames
    .default(['Done', 'Closed', 'Resolved', 'Fixed'])
    .describe('Statuses preferred for closing; any status of the category "done" will do'),
  reopenStatuses: statusNames.default(['Reopened', 'To Do', 'Open', 'Backlog']),
  closePath: statusNames.default([]).describe('Statuses to walk through where none leads directly to "done"'),
  reopenPath: statusNames.default([]),
  resolution: word
    .optional()
    .describe('The resolution set when a ticket is closed, where its screen has one'),
  fixedFields: z
    .record(z.string().regex(/^customfield_\d{1,10}$/u), z.json())
    .refine((fields) => Object.keys(fields).length <= FIXED_FIELDS_MAX)
    .default({})
    .describe('Values for custom fields that the create screen requires'),
})
export type JiraConfig = z.infer<typeof JiraConfig>

/** Sealed in the store, never given back, asked for again when `url` changes. */
export const JIRA_SECRET_FIELDS = ['apiToken'] as const

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/u
const CLOUD_PATH = /^\/ex\/jira\/[0-9a-zA-Z-]{1,64}$/u

/**
 * The base URL without a trailing slash, or a `config` error that names the right one. Which addresses may be connected
 * to is the guarded door's business; here only the form is judged. Plain http is for loopback alone.
 */
export function jiraBaseUrl(given: string): string {
  if (!URL.canParse(given))
    throw refuse(`"${given.slice(0, 100)}" is not a URL.`, 'Give the site as https://example.atlassian.net.')
  const url = new URL(given)
  if (url.username !== '' || url.password !== '')
    throw refuse(
      'The Jira URL holds a user name or password.',
      'Give e-mail and API token in their own fields.',
    )
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && LOOPBACK.test(url.hostname)))
    throw refuse(
      `Jira is reached over https only, not ${url.protocol.slice(0, 20)}`,
      `Use https://${url.host}.`,
    )
  const path = url.pathname.replace(/\/+$/u, '')
  const right = url.hostname === 'api.atlassian.com' ? CLOUD_PATH.test(path) : path === ''
  if (!right || url.search !== '' || url.hash !== '') {
    const hint =
      url.hostname === 'api.atlassian.com'
        ? 'Use https://api.atlassian.com/ex/jira/<cloud id>.'
        : `Use ${url.origin}, without a path.`
    throw refuse('The Jira URL must be that of the site itself.', hint)
  }
  return url.origin + path
}

function refuse(message: string, hint: string): HubError {
  return new HubError('config', message, { code: 'base_url', hint })
}
