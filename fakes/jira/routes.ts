import type { Reply } from './reply.ts'
import type { RouteInput } from './request.ts'
import * as flow from './routes-flow.ts'
import * as issue from './routes-issue.ts'
import * as meta from './routes-meta.ts'
import * as search from './routes-search.ts'

export interface Route {
  /** The name faults are aimed at; that of the specification where it has one. */
  operation: string
  method: string
  template: string
  run: (input: RouteInput) => Reply
  /** Whether it counts against the limit of writes to one issue. */
  writesIssue?: boolean
  anonymous?: boolean
}

const ISSUE = '/rest/api/3/issue/{issueIdOrKey}'
const PROJECT = '/rest/api/3/project/{projectIdOrKey}'
const CREATE_META = '/rest/api/3/issue/createmeta/{projectIdOrKey}/issuetypes'

const get = (template: string, operation: string, run: Route['run']): Route => ({
  method: 'GET',
  template,
  operation,
  run,
})
const post = (template: string, operation: string, run: Route['run']): Route => ({
  method: 'POST',
  template,
  operation,
  run,
})

/** In this order: the first template that fits a path wins. */
const ROUTES: readonly Route[] = [
  { ...get('/rest/api/3/serverInfo', 'getServerInfo', meta.serverInfo), anonymous: true },
  get('/rest/api/3/myself', 'getCurrentUser', meta.myself),
  get('/rest/api/3/mypermissions', 'getMyPermissions', meta.myPermissions),
  get('/rest/api/3/priority', 'getPriorities', meta.priorities),
  get('/rest/api/3/resolution', 'getResolutions', meta.resolutions),
  get('/rest/api/3/status', 'getStatuses', meta.statuses),
  get('/rest/api/3/issueLinkType', 'getIssueLinkTypes', meta.linkTypes),
  get(PROJECT, 'getProject', meta.getProject),
  get(`${PROJECT}/statuses`, 'getAllStatuses', meta.projectStatuses),
  get(`${PROJECT}/components`, 'getProjectComponents', meta.projectComponents),
  get(CREATE_META, 'getCreateIssueMetaIssueTypes', meta.createMetaTypes),
  get(`${CREATE_META}/{issueTypeId}`, 'getCreateIssueMetaIssueTypeId', meta.createMetaFields),
  post('/rest/api/3/issue', 'createIssue', issue.createIssue),
  post('/rest/api/3/issue/bulk', 'createIssues', issue.createIssues),
  post('/rest/api/3/issue/bulkfetch', 'bulkFetchIssues', issue.bulkFetch),
  get(ISSUE, 'getIssue', issue.getIssue),
  { method: 'PUT', template: ISSUE, operation: 'editIssue', run: issue.editIssue, writesIssue: true },
  { method: 'DELETE', template: ISSUE, operation: 'deleteIssue', run: issue.deleteIssue, writesIssue: true },
  get(`${ISSUE}/transitions`, 'getTransitions', flow.getTransitions),
  { ...post(`${ISSUE}/transitions`, 'doTransition', flow.doTransition), writesIssue: true },
  get(`${ISSUE}/comment`, 'getComments', flow.getComments),
  { ...post(`${ISSUE}/comment`, 'addComment', flow.addComment), writesIssue: true },
  post('/rest/api/3/comment/list', 'getCommentsByIds', flow.listComments),
  get(`${ISSUE}/properties`, 'getIssuePropertyKeys', issue.getProperties),
  get(`${ISSUE}/properties/{propertyKey}`, 'getIssueProperty', issue.getProperty),
  {
    method: 'PUT',
    template: `${ISSUE}/properties/{propertyKey}`,
    operation: 'setIssueProperty',
    run: issue.setProperty,
    writesIssue: true,
  },
  { ...post(`${ISSUE}/remotelink`, 'createOrUpdateRemoteIssueLink', flow.setRemoteLink), writesIssue: true },
  post('/rest/api/3/issueLink', 'linkIssues', flow.linkIssues),
  post('/rest/api/3/search/jql', 'searchAndReconsileIssuesUsingJqlPost', search.searchIssues),
  post('/rest/api/3/search', 'searchRemoved', search.searchGone),
  get('/rest/api/3/search', 'searchRemoved', search.searchGone),
]

export function findRoute(
  method: string,
  path: string,
): { route: Route; params: Record<string, string> } | undefined {
  for (const route of ROUTES) {
    const params = route.method === method ? fit(route.template, path) : undefined
    if (params !== undefined) return { route, params }
  }
  return undefined
}

function fit(template: string, path: string): Record<string, string> | undefined {
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? ''
    if (part.startsWith('{')) params[part.slice(1, -1)] = decodeURIComponent(value)
    else if (part !== value) return undefined
  }
  return params
}
