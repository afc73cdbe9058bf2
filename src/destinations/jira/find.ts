import { HubError } from '../../model/errors.ts'
import {
  type FindTickets,
  type FoundTicket,
  HASH_LABEL,
  READ_TICKETS_MAX,
  REF_PROPERTY,
  type TicketSnapshot,
} from '../../model/ticket-destination.ts'
import type { JiraClient } from './client.ts'
import type { JiraSettings } from './fields.ts'
import { allTickets, ticketsByHashLabel } from './jql.ts'
import { BulkFetched, type Issue, SearchPage, SNAPSHOT_FIELDS } from './schema.ts'
import { toSnapshot } from './snapshot.ts'

const PAGE_ISSUES = 100
const PAGES_MAX = 1_000

export async function findByHashLabel(
  client: JiraClient,
  settings: JiraSettings,
  { request, signal }: { request: FindTickets; signal: AbortSignal },
): Promise<FoundTicket[]> {
  const hashLabels = [...request.keysByHashLabel.keys()]
  const found: FoundTicket[] = []
  for await (const issue of search(client, ticketsByHashLabel(request.projectKey, hashLabels), signal)) {
    const ticket = toSnapshot(settings.siteUrl, issue)
    for (const hashLabel of ticket.labels.filter((label) => request.keysByHashLabel.has(label))) {
      const verified = ticket.property?.key === request.keysByHashLabel.get(hashLabel)
      found.push({ ...ticket, hashLabel, verified })
    }
  }
  return found.toSorted(byAge)
}

export async function* listAll(
  client: JiraClient,
  settings: JiraSettings,
  { projectKey, signal }: { projectKey: string; signal: AbortSignal },
): AsyncIterable<FoundTicket> {
  for await (const issue of search(client, allTickets(projectKey), signal)) {
    const ticket = toSnapshot(settings.siteUrl, issue)
    const hashLabel = ticket.labels.find((label) => HASH_LABEL.test(label))
    if (hashLabel !== undefined) yield { ...ticket, hashLabel, verified: ticket.property !== null }
  }
}

/** By id, in one request that does not go through the search index. */
export async function readTickets(
  client: JiraClient,
  settings: JiraSettings,
  { issueIds, signal }: { issueIds: readonly string[]; signal: AbortSignal },
): Promise<Map<string, TicketSnapshot | 'gone'>> {
  if (issueIds.length > READ_TICKETS_MAX)
    throw new HubError('contract', `At most ${READ_TICKETS_MAX} tickets can be read at once.`)
  const answer = new Map<string, TicketSnapshot | 'gone'>(issueIds.map((id) => [id, 'gone']))
  if (issueIds.length === 0) return answer
  const { issues } = await client.call(
    {
      method: 'POST',
      path: '/rest/api/3/issue/bulkfetch',
      body: { issueIdsOrKeys: [...answer.keys()], fields: SNAPSHOT_FIELDS, properties: [REF_PROPERTY] },
      what: 'read tickets',
      repeat: 'read',
    },
    BulkFetched,
    signal,
  )
  for (const issue of issues)
    if (answer.has(issue.id)) answer.set(issue.id, toSnapshot(settings.siteUrl, issue))
  return answer
}

async function* search(client: JiraClient, jql: string, signal: AbortSignal): AsyncIterable<Issue> {
  let nextPageToken: string | undefined
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await client.call(
      {
        method: 'POST',
        path: '/rest/api/3/search/jql',
        body: {
          jql,
          fields: SNAPSHOT_FIELDS,
          properties: [REF_PROPERTY],
          maxResults: PAGE_ISSUES,
          ...(nextPageToken !== undefined && { nextPageToken }),
        },
        what: 'search tickets',
        repeat: 'read',
      },
      SearchPage,
      signal,
    )
    yield* answer.issues
    const token = answer.nextPageToken ?? undefined
    if (token === undefined || answer.isLast === true) return
    if (token === nextPageToken) throw new HubError('contract', 'Jira gave the same page of a search twice.')
    nextPageToken = token
  }
  throw new HubError('contract', `A search has more than ${PAGES_MAX} pages.`, {
    hint: 'Use a project of its own for the tickets of Patchbay.',
  })
}

/** The lowest id is the oldest; ids are longer than a number can hold exactly. */
function byAge(left: FoundTicket, right: FoundTicket): number {
  const [a, b] = [BigInt(left.ref.issueId), BigInt(right.ref.issueId)]
  return a < b ? -1 : a > b ? 1 : 0
}
