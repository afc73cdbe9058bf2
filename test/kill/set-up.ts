import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Crew } from './crew.ts'
import type { World } from './world.ts'

/** Starts the first hub and configures it over the API, as a person would. Returns the id of the Qualys integration. */
export async function setUp(crew: Crew, { qualys, jira }: World): Promise<string> {
  const report = await crew.start('server').report
  if (report?.isReady !== true) throw new Error(`The first hub does not start: ${report?.failure}`)
  const saved = await callApi(report, '/integrations', {
    type: 'vaplugin',
    subtype: 'qualys',
    config: {
      name: 'estate',
      url: qualys.url,
      username: DEFAULT_USER.username,
      password: DEFAULT_USER.password,
      privatePlatform: true,
      // Nothing happens by itself.
      autoSyncFrequency: 30,
    },
  })
  const { email, apiToken, url } = jira
  const config = { name: 'tickets', url, email, apiToken, projectKey: 'VULN' }
  await callApi(report, '/integrations', { type: 'ticketing', subtype: 'jira', config })
  await callApi(report, '/rules/1?action=enable')
  return String((saved as { data: { id: number } }).data.id)
}

async function callApi(api: { url: string; token: string }, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${api.url}/api/v3${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${api.token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${await answer.text()}`)
  return answer.json()
}
