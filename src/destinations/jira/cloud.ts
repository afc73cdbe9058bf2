import type { Clock } from '../../lib/clock.ts'
import type { HttpDoor } from '../../lib/http/index.ts'
import type { TicketDestination } from '../../model/ticket-destination.ts'
import { checkJira } from './check.ts'
import { createJiraClient } from './client.ts'
import { addCommentOnce } from './comments.ts'
import { jiraBaseUrl, type JiraConfig } from './config.ts'
import { createTicket } from './create.ts'
import type { JiraSettings } from './fields.ts'
import { findByHashLabel, listAll, readTickets } from './find.ts'
import { ensureRemoteLink, linkTickets } from './links.ts'
import { transitionTicket } from './transitions.ts'
import { updateTicket } from './update.ts'

export interface JiraCloudOptions {
  config: JiraConfig
  door: HttpDoor
  clock: Clock
  /** Between 0 and 1; spreads repeated calls. */
  random?: () => number
}

/** Jira Cloud (REST API version 3) as a ticket destination. Throws a `config` error for a URL that cannot be right. */
export function createJiraCloud({ config, door, clock, random }: JiraCloudOptions): TicketDestination {
  const settings: JiraSettings = { config, siteUrl: jiraBaseUrl(config.url) }
  const client = createJiraClient({
    baseUrl: config.apiUrl === undefined ? settings.siteUrl : jiraBaseUrl(config.apiUrl),
    email: config.email,
    apiToken: config.apiToken,
    door,
    clock,
    ...(random !== undefined && { random }),
  })
  return {
    check: (signal) => checkJira(client, settings, signal),
    create: (request, signal) => createTicket(client, settings, { request, signal }),
    findByHashLabel: (request, signal) => findByHashLabel(client, settings, { request, signal }),
    listAll: (projectKey, signal) => listAll(client, settings, { projectKey, signal }),
    read: (issueIds, signal) => readTickets(client, settings, { issueIds, signal }),
    update: (request, signal) => updateTicket(client, request, signal),
    addComment: (request, signal) => addCommentOnce(client, request, signal),
    transition: (request, signal) => transitionTicket(client, settings, { request, signal }),
    ensureRemoteLink: (link, signal) => ensureRemoteLink(client, link, signal),
    linkTickets: (link, signal) => linkTickets(client, link, signal),
  }
}
