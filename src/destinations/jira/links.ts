import { cutText, safeHref, singleLine } from '../../model/blocks.ts'
import { HubError, isHubError } from '../../model/errors.ts'
import type { RemoteLink, TicketLink } from '../../model/ticket-destination.ts'
import { type JiraClient, pathPart } from './client.ts'
import { IssueLinks } from './schema.ts'

const GLOBAL_ID_CHARS_MAX = 255
const TITLE_CHARS_MAX = 255

/** Jira itself replaces a remote link that has the same global id. */
export async function ensureRemoteLink(
  client: JiraClient,
  link: RemoteLink,
  signal: AbortSignal,
): Promise<'ensured' | 'gone'> {
  const url = safeHref(link.url)
  if (url === undefined || link.globalId === '' || link.globalId.length > GLOBAL_ID_CHARS_MAX)
    throw new HubError(
      'contract',
      'A remote link needs an http URL and a global id of at most 255 characters.',
    )
  const body = {
    globalId: link.globalId,
    application: { type: 'patchbay', name: 'Patchbay' },
    relationship: 'tracked by',
    object: {
      url,
      title: cutText(singleLine(link.title), TITLE_CHARS_MAX),
      status: { resolved: link.resolved },
    },
  }
  return unlessGone('ensured', () =>
    client.send(
      {
        method: 'POST',
        path: `/rest/api/3/issue/${pathPart(link.ref.issueId)}/remotelink`,
        body,
        what: 'link a ticket to Patchbay',
        repeat: 'write',
      },
      signal,
    ),
  )
}

export async function linkTickets(
  client: JiraClient,
  link: TicketLink,
  signal: AbortSignal,
): Promise<'linked' | 'exists' | 'gone'> {
  try {
    if (await isLinked(client, link, signal)) return 'exists'
  } catch (error) {
    if (isHubError(error, 'not_found')) return 'gone'
    throw error
  }
  // Jira calls the issue that the sentence starts with the inward one: inward "duplicates" outward.
  const body = {
    type: { name: link.type },
    inwardIssue: { id: link.from.issueId },
    outwardIssue: { id: link.to.issueId },
  }
  return unlessGone('linked', () =>
    client.send(
      { method: 'POST', path: '/rest/api/3/issueLink', body, what: 'link two tickets', repeat: 'write' },
      signal,
    ),
  )
}

async function isLinked(client: JiraClient, link: TicketLink, signal: AbortSignal): Promise<boolean> {
  const issue = await client.call(
    {
      method: 'GET',
      path: `/rest/api/3/issue/${pathPart(link.from.issueId)}`,
      query: { fields: 'issuelinks' },
      what: 'read the links of a ticket',
      repeat: 'read',
    },
    IssueLinks,
    signal,
  )
  return (issue.fields.issuelinks ?? []).some(
    ({ type, outwardIssue }) =>
      outwardIssue?.id === link.to.issueId && type.name.toLowerCase() === link.type.toLowerCase(),
  )
}

async function unlessGone<Outcome>(
  outcome: Outcome,
  write: () => Promise<unknown>,
): Promise<Outcome | 'gone'> {
  try {
    await write()
    return outcome
  } catch (error) {
    if (isHubError(error, 'not_found')) return 'gone'
    throw error
  }
}
