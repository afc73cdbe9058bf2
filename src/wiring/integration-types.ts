import type { IntegrationType, TestReport } from '../api/integration-type.ts'
import { JIRA_SECRET_FIELDS, JiraConfig, jiraBaseUrl } from '../destinations/jira/config.ts'
import { HubError } from '../model/errors.ts'
import { QUALYS_SECRET_FIELDS, QualysConfig, parseQualysConfig } from '../sources/qualys/config.ts'
import { type Outside, parseJiraConfig } from './outside.ts'
import { subscriptionOf } from './subscription.ts'

const ENABLE = { name: 'enable', description: 'This action is to enable integration instance' }
const DISABLE = { name: 'disable', description: 'This action is to disable integration instance' }
const TEST = { name: 'test', description: 'This action is used to test the connection for the integration' }

/** The types of integration that there are, each with what the API has to know of it. */
export function integrationTypes(outside: Outside): IntegrationType[] {
  return [qualys(outside), jira(outside)]
}

function qualys(outside: Outside): IntegrationType {
  return {
    type: 'vaplugin',
    subtype: 'qualys',
    title: 'Qualys VMDR',
    secretFields: QUALYS_SECRET_FIELDS,
    sealableFields: ['username', 'password', 'url'],
    targetFields: ['url', 'gatewayUrl'],
    actions: [
      ENABLE,
      DISABLE,
      TEST,
      { name: 'sync', description: 'This action is used to sync data from the integration' },
    ],
    hints: [
      'Make sure that the API URL starts with qualysapi and not with qualysguard.',
      'See whether you can log in to the Qualys user interface with the same user name and password.',
      'A password that was changed in Qualys is entered by: patchbay integration set <name>.',
      'In Qualys, under Users, the user needs at least the role Reader, and API access.',
      'Qualys can allow certain IP addresses only; ask its administrator to allow the one that this machine calls from.',
    ],
    validate: parseQualysConfig,
    ownerOfIds: (config) => subscriptionOf(parseQualysConfig(config)).toLowerCase(),
    async test(config, signal) {
      const parsed = QualysConfig.parse(config)
      return unlessBrokenOff(parsed.url, signal, async () =>
        toReport(await outside.probeQualys(parsed, signal)),
      )
    },
  }
}

function jira(outside: Outside): IntegrationType {
  return {
    type: 'ticketing',
    subtype: 'jira',
    title: 'Jira Cloud',
    secretFields: JIRA_SECRET_FIELDS,
    sealableFields: ['apiToken', 'email', 'url'],
    targetFields: ['url', 'apiUrl'],
    actions: [ENABLE, DISABLE, TEST],
    hints: [
      'Make sure that the URL is that of the site, e.g. https://example.atlassian.net.',
      'API tokens expire; make a new one under id.atlassian.com, Security, and enter it: patchbay integration set <name>.',
      'The account needs the permissions of the project named in the checks.',
    ],
    validate(config) {
      const parsed = parseJiraConfig(config)
      for (const url of [parsed.url, parsed.apiUrl]) if (url !== undefined) jiraBaseUrl(url)
      return parsed
    },
    async test(config, signal) {
      const parsed = JiraConfig.parse(config)
      return unlessBrokenOff(parsed.url, signal, async () => {
        try {
          return toReport((await outside.jira(parsed).check(signal)).steps)
        } catch (error) {
          if (!(error instanceof HubError) || signal.aborted) throw error
          return toReport([{ name: 'URL', ok: false, message: error.message, hint: error.hint }])
        }
      })
    },
  }
}

/** A far side that accepts and stays silent has failed the check as well as one that refuses. */
async function unlessBrokenOff(
  url: string,
  signal: AbortSignal,
  check: () => Promise<TestReport>,
): Promise<TestReport> {
  try {
    return await check()
  } catch (error) {
    if (!signal.aborted) throw error
    const host = URL.parse(url)?.host ?? 'the far side'
    const isLate = (signal.reason as { name?: unknown } | undefined)?.name === 'TimeoutError'
    const message = isLate
      ? `No answer of ${host} came in time.`
      : `The check of ${host} was broken off before its end.`
    const hint = 'See whether a firewall or a proxy lies in between, and try again.'
    return toReport([{ name: 'answer', ok: false, message, hint }])
  }
}

function toReport(
  checks: readonly { name: string; ok: boolean; message: string; hint?: string | null | undefined }[],
): TestReport {
  return {
    ok: checks.every((check) => check.ok),
    checks: checks.map(({ name, ok, message, hint }) => ({ name, ok, message, hint: hint ?? null })),
  }
}
