import { LINK_TYPES, PRIORITIES, RESOLUTIONS } from './defaults.ts'
import type { FakeComment, FakeIssue, FakeProject, FakeStatus, FakeUser } from './types.ts'
import type { World } from './world.ts'

/** How the fake's state looks in Jira's JSON. */

const CATEGORIES = {
  new: { id: 2, key: 'new', colorName: 'blue-gray', name: 'To Do' },
  indeterminate: { id: 4, key: 'indeterminate', colorName: 'yellow', name: 'In Progress' },
  done: { id: 3, key: 'done', colorName: 'green', name: 'Done' },
} as const

/** Jira's own form: `2026-11-21T03:54:05.000+0000`. */
export function jiraTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '+0000')
}

export function statusJson(baseUrl: string, status: FakeStatus): Record<string, unknown> {
  const category = CATEGORIES[status.category]
  return {
    self: `${baseUrl}/rest/api/3/status/${status.id}`,
    description: '',
    iconUrl: `${baseUrl}/images/icons/status.png`,
    id: status.id,
    name: status.name,
    statusCategory: { self: `${baseUrl}/rest/api/3/statuscategory/${category.id}`, ...category },
  }
}

export function userJson(baseUrl: string, user: FakeUser): Record<string, unknown> {
  return {
    self: `${baseUrl}/rest/api/3/user?accountId=${encodeURIComponent(user.accountId)}`,
    accountId: user.accountId,
    accountType: 'atlassian',
    displayName: user.displayName,
    active: true,
    timeZone: 'Etc/UTC',
  }
}

export function projectJson(baseUrl: string, project: FakeProject): Record<string, unknown> {
  return {
    self: `${baseUrl}/rest/api/3/project/${project.id}`,
    id: project.id,
    key: project.key,
    name: project.name,
    projectTypeKey: 'software',
    simplified: false,
  }
}

export function named(
  baseUrl: string,
  kind: string,
  known: readonly { id: string; name: string }[],
): (id: string | null) => Record<string, unknown> | null {
  return (id) => {
    const one = known.find((other) => other.id === id)
    return one === undefined
      ? null
      : { self: `${baseUrl}/rest/api/3/${kind}/${one.id}`, id: one.id, name: one.name }
  }
}

export interface Shown {
  world: World
  baseUrl: string
  /** Names asked for; `*all` for every one. */
  fields: readonly string[]
  properties: readonly string[]
}

export function issueJson(issue: FakeIssue, shown: Shown): Record<string, unknown> {
  const { baseUrl } = shown
  const json: Record<string, unknown> = {
    id: issue.id,
    key: issue.key,
    self: `${baseUrl}/rest/api/3/issue/${issue.id}`,
  }
  const all = shown.fields.includes('*all') || shown.fields.includes('*navigable')
  const wanted = Object.keys(FIELDS).filter((name) => all || shown.fields.includes(name))
  const custom = Object.entries(issue.custom).filter(([name]) => all || shown.fields.includes(name))
  json['fields'] = Object.fromEntries([
    ...wanted.map((name) => [name, FIELDS[name]?.(issue, shown)]),
    ...custom,
  ])
  if (shown.properties.length > 0) {
    const known = shown.properties.filter((key) => issue.properties.has(key))
    json['properties'] = Object.fromEntries(known.map((key) => [key, issue.properties.get(key)]))
  }
  return json
}

const FIELDS: Readonly<Record<string, (issue: FakeIssue, shown: Shown) => unknown>> = {
  summary: (issue) => issue.summary,
  status: (issue, { world, baseUrl }) => statusJson(baseUrl, world.statusOf(issue)),
  labels: (issue) => issue.labels,
  priority: (issue, { baseUrl }) => named(baseUrl, 'priority', PRIORITIES)(issue.priorityId),
  duedate: (issue) => issue.dueDate,
  assignee: (issue, { world, baseUrl }) => personJson(world, baseUrl, issue.assigneeId),
  creator: (issue, { world, baseUrl }) => personJson(world, baseUrl, issue.creatorId),
  resolution: (issue, { baseUrl }) => named(baseUrl, 'resolution', RESOLUTIONS)(issue.resolutionId),
  created: (issue) => jiraTime(issue.createdMs),
  updated: (issue) => jiraTime(issue.updatedMs),
  project: (issue, { world, baseUrl }) => {
    const project = world.project(issue.projectKey)
    return project === undefined ? null : projectJson(baseUrl, project)
  },
  issuetype: (issue, { world, baseUrl }) =>
    named(baseUrl, 'issuetype', world.project(issue.projectKey)?.issueTypes ?? [])(issue.typeId),
  description: (issue) => issue.description,
  components: (issue, { world, baseUrl }) =>
    issue.componentIds.map(named(baseUrl, 'component', world.project(issue.projectKey)?.components ?? [])),
  issuelinks: (issue, { world, baseUrl }) => linksJson(issue, world, baseUrl),
}

function personJson(world: World, baseUrl: string, accountId: string | null): Record<string, unknown> | null {
  const user = world.users.find((other) => other.accountId === accountId)
  return user === undefined ? null : userJson(baseUrl, user)
}

/** Seen from the inward issue a link names the outward one, and the other way round. */
function linksJson(issue: FakeIssue, world: World, baseUrl: string): unknown[] {
  return world.links.flatMap((link) => {
    const side =
      link.inwardId === issue.id ? 'outwardIssue' : link.outwardId === issue.id ? 'inwardIssue' : undefined
    const other = world.find(link.inwardId === issue.id ? link.outwardId : link.inwardId)
    if (side === undefined || other === undefined) return []
    const type = LINK_TYPES.find((known) => known.id === link.typeId)
    const seen = { id: other.id, key: other.key, self: `${baseUrl}/rest/api/3/issue/${other.id}` }
    return [{ id: link.id, self: `${baseUrl}/rest/api/3/issueLink/${link.id}`, type, [side]: seen }]
  })
}

export function commentJson(
  comment: FakeComment,
  { world, baseUrl, withProperties }: { world: World; baseUrl: string; withProperties: boolean },
): Record<string, unknown> {
  const author = personJson(world, baseUrl, comment.authorId)
  return {
    self: `${baseUrl}/rest/api/3/comment/${comment.id}`,
    id: comment.id,
    author,
    body: comment.body,
    updateAuthor: author,
    created: jiraTime(comment.createdMs),
    updated: jiraTime(comment.createdMs),
    jsdPublic: true,
    ...(withProperties && {
      properties: Array.from(comment.properties, ([key, value]) => ({ key, value })),
    }),
  }
}
