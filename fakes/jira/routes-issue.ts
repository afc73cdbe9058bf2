import { z } from 'zod'

import { type FieldErrors, readFields, readUpdates, type FieldScope, type FieldChanges } from './fields.ts'
import { issueJson } from './render.ts'
import { ApiError, badRequest, forbidden, type Reply } from './reply.ts'
import { listQuery, param, readBody, type RouteInput } from './request.ts'
import type { FakeIssue } from './types.ts'

const BULK_CREATE_MAX = 50
const BULK_FETCH_MAX = 100
const PROPERTY_KEY_CHARS_MAX = 255
const PROPERTY_VALUE_CHARS_MAX = 32_768
const PROPERTIES_SHOWN_MAX = 5

const Bag = z.record(z.string(), z.unknown())
const IdOrName = z.union([z.looseObject({ id: z.string() }), z.looseObject({ name: z.string() })])
const Property = z.strictObject({ key: z.string(), value: z.unknown() })
const IssueUpdate = z.strictObject({
  fields: Bag.optional(),
  update: Bag.optional(),
  properties: z.array(Property).optional(),
})
type IssueUpdate = z.infer<typeof IssueUpdate>

export function createIssue(input: RouteInput): Reply {
  const issue = makeIssue(input, readBody(input, IssueUpdate))
  return { status: 201, body: created(input, issue) }
}

function created({ baseUrl }: RouteInput, issue: FakeIssue): Record<string, unknown> {
  return { id: issue.id, key: issue.key, self: `${baseUrl}/rest/api/3/issue/${issue.id}` }
}

/** All or nothing for each element: 201 as soon as one could be made. */
export function createIssues(input: RouteInput): Reply {
  const { issueUpdates } = readBody(input, z.strictObject({ issueUpdates: z.array(z.unknown()) }))
  if (issueUpdates.length === 0 || issueUpdates.length > BULK_CREATE_MAX)
    throw badRequest({ messages: [`Between 1 and ${BULK_CREATE_MAX} issues can be created at once.`] })
  const issues: unknown[] = []
  const errors: unknown[] = []
  for (const [failedElementNumber, element] of issueUpdates.entries()) {
    try {
      issues.push(created(input, makeIssue(input, readBody({ ...input, body: element }, IssueUpdate))))
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      errors.push({ status: error.reply.status, elementErrors: error.reply.body, failedElementNumber })
    }
  }
  return { status: issues.length > 0 ? 201 : 400, body: { issues, errors } }
}

function makeIssue(input: RouteInput, body: IssueUpdate): FakeIssue {
  const { world } = input
  const { project: projectRef, issuetype, ...fields } = body.fields ?? {}
  const { project, type } = readTarget(input, projectRef, issuetype)
  const errors: FieldErrors = new Map()
  const changes = readFields({ world, project, type, screen: 'create' }, fields, errors)
  if (!('summary' in fields)) errors.set('summary', 'You must specify a summary of the issue.')
  for (const extra of type.extraFields ?? []) {
    if (extra.required && !extra.hasDefault && !(extra.id in fields))
      errors.set(extra.id, `${extra.name} is required.`)
  }
  const properties = readProperties(body.properties ?? [])
  refuseIfAny(errors)
  return world.add({
    ...changes,
    projectKey: project.key,
    typeId: type.id,
    summary: changes.summary ?? '',
    creatorId: input.user.accountId,
    properties,
  })
}

function readTarget(
  { world }: RouteInput,
  projectRef: unknown,
  typeRef: unknown,
): Pick<FieldScope, 'project' | 'type'> {
  const ref = z
    .union([z.looseObject({ key: z.string() }), z.looseObject({ id: z.string() })])
    .safeParse(projectRef)
  const key = ref.success ? ('key' in ref.data ? ref.data.key : ref.data.id) : undefined
  const project = typeof key === 'string' ? world.project(key) : undefined
  if (project === undefined || !world.may(project.key, 'BROWSE_PROJECTS'))
    throw badRequest({ fields: { project: 'valid project is required' } })
  if (!world.may(project.key, 'CREATE_ISSUES'))
    throw forbidden('You do not have permission to create issues in this project.')
  const wanted = IdOrName.safeParse(typeRef)
  const type = project.issueTypes.find((other) =>
    wanted.success && 'id' in wanted.data
      ? other.id === wanted.data.id
      : wanted.success && other.name === wanted.data['name'],
  )
  if (type === undefined) throw badRequest({ fields: { issuetype: 'Specify a valid issue type' } })
  return { project, type }
}

function readProperties(given: readonly { key: string; value?: unknown }[]): Map<string, unknown> {
  for (const { key, value } of given) checkProperty(key, value)
  return new Map(given.map(({ key, value }) => [key, value]))
}

export function checkProperty(key: string, value: unknown): void {
  if (key === '' || key.length > PROPERTY_KEY_CHARS_MAX)
    throw badRequest({ messages: ['The property key is not valid.'] })
  if (value === undefined)
    throw badRequest({ messages: ['The property value must be a valid, non-empty JSON.'] })
  if (JSON.stringify(value).length > PROPERTY_VALUE_CHARS_MAX)
    throw badRequest({ messages: ['The property value is too long.'] })
}

export function refuseIfAny(errors: FieldErrors): void {
  if (errors.size > 0) throw badRequest({ fields: Object.fromEntries(errors) })
}

export function bulkFetch(input: RouteInput): Reply {
  const body = readBody(
    input,
    z.strictObject({
      issueIdsOrKeys: z.array(z.string()),
      fields: z.array(z.string()).optional(),
      properties: z.array(z.string()).max(PROPERTIES_SHOWN_MAX).optional(),
      expand: z.array(z.string()).optional(),
      fieldsByKeys: z.boolean().optional(),
    }),
  )
  if (body.issueIdsOrKeys.length === 0 || body.issueIdsOrKeys.length > BULK_FETCH_MAX)
    throw badRequest({ messages: [`Between 1 and ${BULK_FETCH_MAX} issues can be requested.`] })
  const shown = {
    world: input.world,
    baseUrl: input.baseUrl,
    fields: body.fields ?? ['*all'],
    properties: body.properties ?? [],
  }
  const found = new Map<string, FakeIssue>()
  const issueErrors: unknown[] = []
  for (const idOrKey of body.issueIdsOrKeys) {
    const issue = input.world.find(idOrKey)
    if (issue !== undefined) found.set(issue.id, issue)
    else
      issueErrors.push({
        id: idOrKey,
        errorMessage: 'Issue does not exist or you do not have permission to see it.',
      })
  }
  const issues = [...found.values()].toSorted((a, b) => Number(a.id) - Number(b.id))
  return { status: 200, body: { issues: issues.map((issue) => issueJson(issue, shown)), issueErrors } }
}

export function getIssue(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const fields = listQuery(input, 'fields')
  const shown = {
    world: input.world,
    baseUrl: input.baseUrl,
    fields: fields.length === 0 ? ['*all'] : fields,
    properties: listQuery(input, 'properties').slice(0, PROPERTIES_SHOWN_MAX),
  }
  return { status: 200, body: issueJson(issue, shown) }
}

export function editIssue(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const { world } = input
  const body = readBody(input, IssueUpdate)
  if (!world.may(issue.projectKey, 'EDIT_ISSUES'))
    throw forbidden('You do not have permission to edit issues in this project.')
  const scope = scopeOf(input, issue, 'edit')
  const { fields = {}, update = {} } = body
  const errors: FieldErrors = new Map()
  const both = Object.keys(fields).find((field) => field in update)
  if (both !== undefined) errors.set(both, `Field '${both}' cannot appear in both 'fields' and 'update'`)
  const changes: FieldChanges = {
    ...readFields(scope, fields, errors),
    ...readUpdates(scope, issue, { update, errors }),
  }
  const fresh = readProperties(body.properties ?? [])
  refuseIfAny(errors)
  world.change(issue, {
    ...changes,
    custom: { ...issue.custom, ...changes.custom },
    properties: new Map([...issue.properties, ...fresh]),
  })
  return { status: 204 }
}

export function scopeOf({ world }: RouteInput, issue: FakeIssue, screen: FieldScope['screen']): FieldScope {
  const project = world.project(issue.projectKey)
  if (project === undefined) throw new Error(`No project ${issue.projectKey}`)
  return { world, project, type: world.typeOf(issue), screen }
}

export function deleteIssue(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  if (!input.world.may(issue.projectKey, 'DELETE_ISSUES'))
    throw forbidden('You do not have permission to delete issues in this project.')
  input.world.delete(issue)
  return { status: 204 }
}

export function getProperties(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const self = `${input.baseUrl}/rest/api/3/issue/${issue.id}/properties`
  return {
    status: 200,
    body: {
      keys: Array.from(issue.properties.keys(), (key) => ({
        key,
        self: `${self}/${encodeURIComponent(key)}`,
      })),
    },
  }
}

export function getProperty(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const key = param(input, 'propertyKey')
  if (!issue.properties.has(key))
    throw new ApiError({
      status: 404,
      body: { errorMessages: [`The property ${key} does not exist.`], errors: {} },
    })
  return { status: 200, body: { key, value: issue.properties.get(key) } }
}

export function setProperty(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const key = param(input, 'propertyKey')
  if (!input.world.may(issue.projectKey, 'EDIT_ISSUES'))
    throw forbidden('You do not have permission to edit this issue.')
  checkProperty(key, input.body)
  const status = issue.properties.has(key) ? 200 : 201
  input.world.change(issue, { properties: new Map([...issue.properties, [key, input.body]]) })
  return { status, body: {} }
}
