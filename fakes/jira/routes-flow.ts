import { z } from 'zod'

import { LINK_TYPES, RESOLUTIONS } from './defaults.ts'
import { type FieldErrors, readFields, richTextProblem } from './fields.ts'
import { commentJson, statusJson } from './render.ts'
import { badRequest, forbidden, notFound, refused, type Reply } from './reply.ts'
import { listQuery, param, readBody, readPage, type RouteInput } from './request.ts'
import { checkProperty, refuseIfAny, scopeOf } from './routes-issue.ts'
import type { FakeComment, FakeIssue, FakeTransition } from './types.ts'

/** Jira Cloud's caps per issue. */
const COMMENTS_MAX = 5_000
const REMOTE_LINKS_MAX = 2_000
const COMMENT_IDS_MAX = 1_000
const GLOBAL_ID_CHARS_MAX = 255

const Bag = z.record(z.string(), z.unknown())

function available(input: RouteInput, issue: FakeIssue): readonly FakeTransition[] {
  if (!input.world.may(issue.projectKey, 'TRANSITION_ISSUES')) return []
  return input.world
    .typeOf(issue)
    .transitions.filter(({ from }) => from === '*' || from.includes(issue.statusId))
}

export function getTransitions(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const withFields = listQuery(input, 'expand').includes('transitions.fields')
  const transitions = available(input, issue).map((transition) => {
    const to = input.world.typeOf(issue).statuses.find((status) => status.id === transition.to)
    if (to === undefined) throw new Error(`No status ${transition.to}`)
    return {
      id: transition.id,
      name: transition.name,
      to: statusJson(input.baseUrl, to),
      hasScreen: transition.screen !== undefined,
      isGlobal: transition.from === '*',
      isInitial: false,
      isAvailable: true,
      isConditional: false,
      isLooped: false,
      ...(withFields && { fields: screenJson(transition) }),
    }
  })
  return { status: 200, body: { expand: 'transitions', transitions } }
}

function screenJson({ screen }: FakeTransition): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  if (screen?.resolution !== undefined) {
    fields['resolution'] = {
      required: screen.resolution === 'required',
      schema: { type: 'resolution', system: 'resolution' },
      name: 'Resolution',
      key: 'resolution',
      hasDefaultValue: false,
      operations: ['set'],
      allowedValues: RESOLUTIONS,
    }
  }
  for (const { id, name } of screen?.required ?? []) {
    const schema = { type: 'string' }
    fields[id] = { required: true, schema, name, key: id, hasDefaultValue: false, operations: ['set'] }
  }
  return fields
}

const TransitionBody = z.strictObject({
  transition: z.looseObject({ id: z.string() }),
  fields: Bag.optional(),
  update: z
    .strictObject({
      comment: z.array(z.strictObject({ add: z.looseObject({ body: z.unknown() }) })).optional(),
    })
    .optional(),
})

export function doTransition(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const body = readBody(input, TransitionBody)
  const transition = available(input, issue).find((other) => other.id === body.transition.id)
  if (transition === undefined)
    throw badRequest({ messages: [`Transition id '${body.transition.id}' is not valid for this issue.`] })
  const errors: FieldErrors = new Map()
  const changes = readScreen(input, issue, { transition, fields: body.fields ?? {}, errors })
  const comments = (body.update?.comment ?? []).map(({ add }) => newComment(input, add.body, new Map()))
  refuseIfAny(errors)
  const target = input.world.typeOf(issue).statuses.find((status) => status.id === transition.to)
  // A workflow sets the resolution on the way to done, and empties it on the way back.
  const resolutionId =
    target?.category === 'done' ? (changes.resolutionId ?? RESOLUTIONS.at(-1)?.id ?? null) : null
  input.world.change(issue, {
    ...changes,
    statusId: transition.to,
    resolutionId,
    comments: transition.screen === undefined ? issue.comments : [...issue.comments, ...comments],
  })
  return { status: 204 }
}

function readScreen(
  input: RouteInput,
  issue: FakeIssue,
  {
    transition,
    fields,
    errors,
  }: { transition: FakeTransition; fields: Record<string, unknown>; errors: FieldErrors },
): ReturnType<typeof readFields> {
  const { screen } = transition
  const onScreen = [
    ...(screen?.resolution === undefined ? [] : ['resolution']),
    ...(screen?.required ?? []).map(({ id }) => id),
  ]
  for (const field of Object.keys(fields)) {
    if (!onScreen.includes(field))
      errors.set(field, `Field '${field}' cannot be set. It is not on the appropriate screen, or unknown.`)
  }
  if (screen?.resolution === 'required' && fields['resolution'] === undefined)
    errors.set('resolution', 'Resolution is required.')
  for (const { id, name } of screen?.required ?? [])
    if (!(id in fields)) errors.set(id, `${name} is required.`)
  const { resolution } = fields
  if (resolution === undefined) return {}
  return readFields(scopeOf(input, issue, 'transition'), { resolution }, errors)
}

function newComment(input: RouteInput, body: unknown, properties: ReadonlyMap<string, unknown>): FakeComment {
  if (richTextProblem(body) !== undefined)
    throw badRequest({ fields: { comment: 'Comment body is not valid!' } })
  return {
    id: input.world.nextId(),
    authorId: input.user.accountId,
    body,
    createdMs: input.world.clock.nowMs(),
    properties,
  }
}

const CommentBody = z.strictObject({
  body: z.unknown(),
  properties: z.array(z.strictObject({ key: z.string(), value: z.unknown() })).optional(),
  visibility: Bag.optional(),
})

export function addComment(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const { body, properties = [] } = readBody(input, CommentBody)
  if (!input.world.may(issue.projectKey, 'ADD_COMMENTS'))
    throw badRequest({ messages: ['You do not have the permission to comment on this issue.'] })
  if (issue.comments.length >= COMMENTS_MAX) throw refused(413, 'The comment limit of this issue is reached.')
  for (const { key, value } of properties) checkProperty(key, value)
  const comment = newComment(input, body, new Map(properties.map(({ key, value }) => [key, value])))
  input.world.change(issue, { comments: [...issue.comments, comment] })
  return { status: 201, body: commentJson(comment, { ...input, withProperties: false }) }
}

/** Comes without properties, whatever is asked for: only the list by ids has them. */
export function getComments(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const page = readPage(input, { maxResults: 100, limit: 5_000 })
  const orderBy = input.query.get('orderBy') ?? 'created'
  if (!['created', '+created', '-created'].includes(orderBy))
    throw badRequest({ messages: ['orderBy is not valid.'] })
  const ordered = orderBy === '-created' ? issue.comments.toReversed() : issue.comments
  const comments = ordered
    .slice(page.startAt, page.startAt + page.maxResults)
    .map((comment) => commentJson(comment, { ...input, withProperties: false }))
  return { status: 200, body: { ...page, total: issue.comments.length, comments } }
}

export function listComments(input: RouteInput): Reply {
  const { ids } = readBody(input, z.strictObject({ ids: z.array(z.int()).min(1).max(COMMENT_IDS_MAX) }))
  const withProperties = listQuery(input, 'expand').includes('properties')
  const wanted = new Set(ids.map(String))
  const values = input.world
    .all()
    .filter((issue) => input.world.find(issue.id) !== undefined)
    .flatMap((issue) => issue.comments)
    .filter((comment) => wanted.has(comment.id))
    .map((comment) => commentJson(comment, { ...input, withProperties }))
  return {
    status: 200,
    body: { startAt: 0, maxResults: COMMENT_IDS_MAX, total: values.length, isLast: true, values },
  }
}

const RemoteLinkBody = z.strictObject({
  globalId: z.string().min(1).max(GLOBAL_ID_CHARS_MAX).optional(),
  application: Bag.optional(),
  relationship: z.string().optional(),
  object: z.looseObject({ url: z.url(), title: z.string().min(1) }),
})

export function setRemoteLink(input: RouteInput): Reply {
  const issue = input.world.require(param(input, 'issueIdOrKey'))
  const body = readBody(input, RemoteLinkBody)
  if (!input.world.may(issue.projectKey, 'LINK_ISSUES'))
    throw forbidden('You do not have permission to link issues.')
  const { globalId = null } = body
  const known = issue.remoteLinks.find((link) => globalId !== null && link.globalId === globalId)
  if (known === undefined && issue.remoteLinks.length >= REMOTE_LINKS_MAX)
    throw refused(413, 'The remote link limit of this issue is reached.')
  const link = { id: known?.id ?? Number(input.world.nextId()), globalId, body }
  input.world.change(issue, { remoteLinks: [...issue.remoteLinks.filter((other) => other !== known), link] })
  const self = `${input.baseUrl}/rest/api/3/issue/${issue.id}/remotelink/${link.id}`
  return { status: known === undefined ? 201 : 200, body: { id: link.id, self } }
}

const IssueRef = z.union([z.looseObject({ id: z.string() }), z.looseObject({ key: z.string() })])

export function linkIssues(input: RouteInput): Reply {
  const body = readBody(
    input,
    z.strictObject({
      type: z.union([z.looseObject({ id: z.string() }), z.looseObject({ name: z.string() })]),
      inwardIssue: IssueRef,
      outwardIssue: IssueRef,
    }),
  )
  const { type: wanted } = body
  const type = LINK_TYPES.find((known) =>
    'id' in wanted ? known.id === wanted.id : known.name === wanted['name'],
  )
  if (type === undefined) throw notFound(`No issue link type with name '${String(wanted['name'])}' found.`)
  const [inward, outward] = [body.inwardIssue, body.outwardIssue].map((ref) =>
    input.world.require(String('id' in ref ? ref.id : ref.key)),
  )
  if (inward === undefined || outward === undefined || inward.id === outward.id)
    throw badRequest({ messages: ['You cannot link an issue to itself.'] })
  if (!input.world.may(inward.projectKey, 'LINK_ISSUES')) throw notFound('No permission to link issues.')
  const same = input.world.links.some(
    (link) => link.typeId === type.id && link.inwardId === inward.id && link.outwardId === outward.id,
  )
  if (!same) {
    const id = input.world.nextId()
    input.world.links.push({ id, typeId: type.id, inwardId: inward.id, outwardId: outward.id })
  }
  return { status: 201 }
}
