import { LINK_TYPES, PERMISSION_KEYS, PRIORITIES, RESOLUTIONS } from './defaults.ts'
import { jiraTime, named, projectJson, statusJson, userJson } from './render.ts'
import { badRequest, notFound, type Reply } from './reply.ts'
import { listQuery, param, readPage, type RouteInput } from './request.ts'
import type { FakeIssueType, FakeProject } from './types.ts'

const CREATE_META_MAX = 200

export function serverInfo({ baseUrl, world }: RouteInput): Reply {
  return {
    status: 200,
    body: {
      baseUrl,
      version: '1001.0.0-SNAPSHOT',
      versionNumbers: [1001, 0, 0],
      deploymentType: 'Cloud',
      buildNumber: 100_300,
      serverTime: jiraTime(world.clock.nowMs()),
      serverTitle: 'Jira',
    },
  }
}

export function myself({ baseUrl, user }: RouteInput): Reply {
  return { status: 200, body: { ...userJson(baseUrl, user), emailAddress: user.email } }
}

export function myPermissions(input: RouteInput): Reply {
  const wanted = listQuery(input, 'permissions')
  if (wanted.length === 0) throw badRequest({ messages: ["The 'permissions' query parameter is required."] })
  const unknown = wanted.find((key) => !PERMISSION_KEYS.some((known) => known === key))
  if (unknown !== undefined) throw badRequest({ messages: [`Unrecognized permission '${unknown}'.`] })
  const projectKey = input.query.get('projectKey')
  const project = projectKey === null ? undefined : requireProject(input, projectKey)
  const permissions = PERMISSION_KEYS.filter((key) => wanted.includes(key)).map((key, index) => {
    const havePermission = project !== undefined && input.world.may(project.key, key)
    return [key, { id: String(index + 10), key, name: key, type: 'PROJECT', description: '', havePermission }]
  })
  return { status: 200, body: { permissions: Object.fromEntries(permissions) } }
}

function requireProject({ world }: RouteInput, keyOrId: string): FakeProject {
  const project = world.project(keyOrId)
  if (project === undefined || !world.may(project.key, 'BROWSE_PROJECTS'))
    throw notFound(`No project could be found with key '${keyOrId}'.`)
  return project
}

export function getProject(input: RouteInput): Reply {
  return {
    status: 200,
    body: projectJson(input.baseUrl, requireProject(input, param(input, 'projectIdOrKey'))),
  }
}

export function projectStatuses(input: RouteInput): Reply {
  const project = requireProject(input, param(input, 'projectIdOrKey'))
  const body = project.issueTypes.map((type) => ({
    ...typeJson(input.baseUrl, type),
    statuses: type.statuses.map((status) => statusJson(input.baseUrl, status)),
  }))
  return { status: 200, body }
}

function typeJson(baseUrl: string, { id, name }: FakeIssueType): Record<string, unknown> {
  return { self: `${baseUrl}/rest/api/3/issuetype/${id}`, id, name, subtask: false }
}

export function projectComponents(input: RouteInput): Reply {
  const project = requireProject(input, param(input, 'projectIdOrKey'))
  const one = named(input.baseUrl, 'component', project.components ?? [])
  return { status: 200, body: (project.components ?? []).map((component) => one(component.id)) }
}

export function createMetaTypes(input: RouteInput): Reply {
  const project = requireProject(input, param(input, 'projectIdOrKey'))
  const page = readPage(input, { maxResults: 50, limit: CREATE_META_MAX })
  const issueTypes = project.issueTypes
    .slice(page.startAt, page.startAt + page.maxResults)
    .map((type) => ({ ...typeJson(input.baseUrl, type), description: '' }))
  return { status: 200, body: { ...page, total: project.issueTypes.length, issueTypes } }
}

export function createMetaFields(input: RouteInput): Reply {
  const project = requireProject(input, param(input, 'projectIdOrKey'))
  const type = project.issueTypes.find((other) => other.id === param(input, 'issueTypeId'))
  if (type === undefined) throw notFound('The issue type does not exist in this project.')
  const page = readPage(input, { maxResults: 50, limit: CREATE_META_MAX })
  const all = createFields(input, project, type)
  const fields = all.slice(page.startAt, page.startAt + page.maxResults)
  return { status: 200, body: { ...page, total: all.length, fields } }
}

function createFields(
  { world }: RouteInput,
  project: FakeProject,
  type: FakeIssueType,
): Record<string, unknown>[] {
  const system = (
    fieldId: string,
    name: string,
    more: { required?: boolean; schema?: Record<string, unknown>; values?: readonly unknown[] } = {},
  ): Record<string, unknown> => ({
    fieldId,
    key: fieldId,
    name,
    required: more.required ?? false,
    hasDefaultValue: fieldId === 'priority',
    operations: fieldId === 'labels' ? ['add', 'set', 'remove'] : ['set'],
    schema: more.schema ?? { type: 'string', system: fieldId },
    ...(more.values !== undefined && { allowedValues: more.values }),
  })
  const all: Record<string, unknown>[] = [
    system('project', 'Project', { required: true, schema: { type: 'project', system: 'project' } }),
    system('issuetype', 'Issue Type', { required: true, schema: { type: 'issuetype', system: 'issuetype' } }),
    system('summary', 'Summary', { required: true }),
    system('description', 'Description'),
    system('labels', 'Labels', { schema: { type: 'array', items: 'string', system: 'labels' } }),
    system('priority', 'Priority', { schema: { type: 'priority', system: 'priority' }, values: PRIORITIES }),
    system('components', 'Components', {
      schema: { type: 'array', items: 'component', system: 'components' },
      values: project.components ?? [],
    }),
    ...(world.may(project.key, 'SCHEDULE_ISSUES')
      ? [system('duedate', 'Due date', { schema: { type: 'date', system: 'duedate' } })]
      : []),
    ...(world.may(project.key, 'ASSIGN_ISSUES')
      ? [system('assignee', 'Assignee', { schema: { type: 'user', system: 'assignee' } })]
      : []),
    ...(type.extraFields ?? []).map((extra) => ({
      ...system(extra.id, extra.name, { required: extra.required ?? false, schema: { type: 'string' } }),
      hasDefaultValue: extra.hasDefault ?? false,
    })),
  ]
  return all.filter((field) => !type.hiddenFields?.includes(String(field['fieldId'])))
}

export function priorities({ baseUrl }: RouteInput): Reply {
  const one = named(baseUrl, 'priority', PRIORITIES)
  return {
    status: 200,
    body: PRIORITIES.map(({ id }) => ({ ...one(id), description: '', iconUrl: '', statusColor: '#aaaaaa' })),
  }
}

export function resolutions({ baseUrl }: RouteInput): Reply {
  const one = named(baseUrl, 'resolution', RESOLUTIONS)
  return { status: 200, body: RESOLUTIONS.map(({ id }) => ({ ...one(id), description: '' })) }
}

export function statuses({ world, baseUrl }: RouteInput): Reply {
  const all = world.projects.flatMap((project) => project.issueTypes.flatMap((type) => type.statuses))
  const byId = new Map(all.map((status) => [status.id, status]))
  return { status: 200, body: Array.from(byId.values(), (status) => statusJson(baseUrl, status)) }
}

export function linkTypes({ baseUrl }: RouteInput): Reply {
  const self = `${baseUrl}/rest/api/3/issueLinkType`
  return {
    status: 200,
    body: { issueLinkTypes: LINK_TYPES.map((type) => ({ ...type, self: `${self}/${type.id}` })) },
  }
}
