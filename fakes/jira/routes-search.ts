import { z } from 'zod'

import { matches, type ParsedJql, parseJql } from './jql.ts'
import { issueJson } from './render.ts'
import { badRequest, refused, type Reply } from './reply.ts'
import { readBody, type RouteInput } from './request.ts'
import type { FakeIssue } from './types.ts'

const PAGE_DEFAULT = 50
const PAGE_MAX_WITH_FIELDS = 100
const PAGE_MAX_IDS = 5_000
const TOKEN_LIFE_MS = 7 * 24 * 3_600_000

const SearchBody = z.strictObject({
  jql: z.string(),
  fields: z.array(z.string()).optional(),
  properties: z.array(z.string()).max(5).optional(),
  expand: z.string().optional(),
  maxResults: z.int().min(1).max(PAGE_MAX_IDS).optional(),
  nextPageToken: z.string().optional(),
  fieldsByKeys: z.boolean().optional(),
  reconcileIssues: z.array(z.int()).max(50).optional(),
})

const Token = z.strictObject({ jql: z.string(), offset: z.int(), madeMs: z.number() })

/** Sees the index, which lags; only the issues named in `reconcileIssues` are looked up as they are now. */
export function searchIssues(input: RouteInput): Reply {
  const body = readBody(input, SearchBody)
  const query = parseJql(body.jql)
  const { world } = input
  const project = world.project(query.projectKey)
  if (project === undefined || !world.may(project.key, 'BROWSE_PROJECTS'))
    throw badRequest({
      messages: [`The value '${query.projectKey}' does not exist for the field 'project'.`],
    })
  const fields = body.fields ?? ['id']
  const onlyIds = fields.every((field) => field === 'id' || field === 'key')
  const size = Math.min(body.maxResults ?? PAGE_DEFAULT, onlyIds ? PAGE_MAX_IDS : PAGE_MAX_WITH_FIELDS)
  const offset = body.nextPageToken === undefined ? 0 : readToken(input, body.nextPageToken, body.jql)
  const found = candidates(input, body.reconcileIssues ?? [])
    .filter((issue) => matches(issue, query))
    .toSorted(inOrder(query))
  const page = found.slice(offset, offset + size)
  const isLast = offset + size >= found.length
  const shown = { world, baseUrl: input.baseUrl, fields, properties: body.properties ?? [] }
  const issues = page.map((issue) => {
    const json = issueJson(issue, shown)
    return onlyIds && !fields.includes('key') ? { id: issue.id } : json
  })
  const next = { jql: body.jql, offset: offset + size, madeMs: world.clock.nowMs() }
  return { status: 200, body: { issues, isLast, ...(!isLast && { nextPageToken: makeToken(next) }) } }
}

function candidates({ world }: RouteInput, reconcile: readonly number[]): FakeIssue[] {
  const named = new Set(reconcile.map(String))
  const current = [...named].map((id) => world.find(id)).filter((issue) => issue !== undefined)
  return [...world.indexed().filter((issue) => !named.has(issue.id)), ...current]
}

function inOrder(query: ParsedJql): (a: FakeIssue, b: FakeIssue) => number {
  const sign = query.descending ? -1 : 1
  const numberOf = (issue: FakeIssue): number => Number(issue.key.split('-')[1])
  // Nobody promises an order among equals: the fake turns theirs round, so that no caller can lean on it.
  return (a, b) =>
    sign *
    (query.orderBy === 'key'
      ? numberOf(a) - numberOf(b)
      : a.createdMs - b.createdMs || Number(b.id) - Number(a.id))
}

function makeToken(token: z.infer<typeof Token>): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url')
}

function readToken({ world }: RouteInput, given: string, jql: string): number {
  const bad = badRequest({ messages: ['The nextPageToken is invalid or has expired.'] })
  let token: unknown
  try {
    token = JSON.parse(Buffer.from(given, 'base64url').toString('utf8'))
  } catch {
    throw bad
  }
  const parsed = Token.safeParse(token)
  if (!parsed.success || parsed.data.jql !== jql) throw bad
  if (world.clock.nowMs() - parsed.data.madeMs > TOKEN_LIFE_MS) throw bad
  return parsed.data.offset
}

export function searchGone(): Reply {
  throw refused(410, 'The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.')
}
