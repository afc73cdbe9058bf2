import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Fault, Faults } from './faults.ts'
import { type Limiter, rateLimited } from './limits.ts'
import { ApiError, badRequest, refused, type Reply } from './reply.ts'
import { findRoute, type Route } from './routes.ts'
import type { ExchangeValidator, FakeUser, LoggedRequest } from './types.ts'
import type { World } from './world.ts'

const BODY_BYTES_MAX = 10 * 1024 * 1024
/** The log is for tests and the demo; it must not grow with the life of the process. */
const LOGGED_MAX = 10_000

export interface ExchangeDeps {
  world: World
  faults: Faults
  limiter: Limiter
  requests: LoggedRequest[]
  violations: string[]
  validate: ExchangeValidator | undefined
}

interface Call {
  route: Route
  params: Record<string, string>
  query: URLSearchParams
  text: string
}

/** One request and its answer: authentication, faults, limits, the route, the checks against the specification. */
export class Exchange {
  readonly #deps: ExchangeDeps
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #logged: LoggedRequest | undefined

  constructor(deps: ExchangeDeps, request: IncomingMessage, response: ServerResponse) {
    this.#deps = deps
    this.#request = request
    this.#response = response
  }

  async run(): Promise<void> {
    const method = this.#request.method ?? 'GET'
    const url = new URL(this.#request.url ?? '/', this.#baseUrl())
    const text = await readAll(this.#request)
    const found = findRoute(method, url.pathname)
    this.#log({ method, path: url.pathname, operation: found?.route.operation ?? 'unknown', text })
    if (found === undefined) return this.#send(refused(404, 'No such endpoint.').reply)
    const call: Call = { ...found, query: url.searchParams, text }
    this.#checkRequest(call)
    const fault = this.#deps.faults.take(found.route.operation, text)
    if (fault !== undefined && (await this.#broken(call, fault))) return
    this.#answer(call)
  }

  crashed(error: unknown): void {
    this.#deps.violations.push(
      `the fake itself failed: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
    )
    this.#response.destroy()
  }

  #answer(call: Call): void {
    const reply = this.#handle(call)
    this.#checkReply(call, reply)
    this.#send(reply)
  }

  /** What Jira would do with the request; never throws for what a caller did wrong. */
  #handle(call: Call): Reply {
    try {
      const user = this.#signedIn(call.route)
      const issueId = this.#deps.world.find(call.params['issueIdOrKey'] ?? '')?.id
      const limited = this.#deps.limiter.refuse(call.route, issueId)
      if (limited !== undefined) return limited
      const body = this.#parse(call)
      const { world } = this.#deps
      return call.route.run({
        world,
        user,
        baseUrl: this.#baseUrl(),
        params: call.params,
        query: call.query,
        body,
      })
    } catch (error) {
      if (error instanceof ApiError) return error.reply
      throw error
    }
  }

  #parse({ route, text }: Call): unknown {
    if (!['POST', 'PUT'].includes(route.method)) return undefined
    const type = this.#request.headers['content-type'] ?? ''
    if (!type.startsWith('application/json')) throw refused(415, 'Unsupported Media Type')
    try {
      return JSON.parse(text)
    } catch {
      throw badRequest({
        messages: ['There was an error parsing JSON. Check that your request body is valid.'],
      })
    }
  }

  #signedIn(route: Route): FakeUser {
    const { users } = this.#deps.world
    const given = this.#request.headers.authorization
    const user = users.find(
      ({ email, apiToken }) =>
        email !== undefined &&
        apiToken !== undefined &&
        sameSecret(given ?? '', `Basic ${Buffer.from(`${email}:${apiToken}`).toString('base64')}`),
    )
    if (user !== undefined) return user
    if (given === undefined && route.anonymous === true)
      return { accountId: 'anonymous', displayName: 'Anonymous' }
    throw new ApiError({
      status: 401,
      body: { errorMessages: ['Client must be authenticated to access this resource.'], errors: {} },
      headers: { 'x-seraph-loginreason': given === undefined ? 'OUT' : 'AUTHENTICATED_FAILED' },
    })
  }

  /** True when the fault has dealt with the request. */
  async #broken(call: Call, fault: Fault): Promise<boolean> {
    switch (fault.kind) {
      case 'slow':
        await this.#deps.world.clock.sleep(fault.delayMs)
        return false
      case 'hang':
        if (fault.after === true) this.#handle(call)
        return true
      case 'drop_before':
        this.#response.destroy()
        return true
      case 'drop_after':
        this.#handle(call)
        this.#response.destroy()
        return true
      case 'cut_answer':
        this.#cut(this.#handle(call))
        return true
      case 'status_after':
        this.#handle(call)
        this.#send(unavailable(fault))
        return true
      case 'status_before':
        this.#send(unavailable(fault))
        return true
      case 'html':
        this.#sendHtml(fault.status)
        return true
      case 'rate_limit':
        this.#send(rateLimited(this.#deps.world.clock, fault.reason, fault.retryAfterSec))
        return true
      case 'redirect':
        this.#send({ status: 302, headers: { location: fault.location } })
        return true
      case 'anonymous':
        this.#send(asNobody(call))
        return true
      case 'deny_transition':
        this.#send(deniedTransition(call.route))
        return true
    }
  }

  #checkRequest({ route, params, query, text }: Call): void {
    const { method, template } = route
    const body = text === '' ? undefined : tryParse(text)
    const problems = this.#deps.validate?.request({ method, template, query, body }) ?? []
    for (const problem of problems)
      this.#deps.violations.push(`${method} ${template} ${JSON.stringify(params)}: request ${problem}`)
  }

  #checkReply({ route, params }: Call, { status, body }: Reply): void {
    const { method, template } = route
    const problems = this.#deps.validate?.response({ method, template, status, body }) ?? []
    for (const problem of problems)
      this.#deps.violations.push(
        `${method} ${template} ${JSON.stringify(params)}: answer ${status} ${problem}`,
      )
  }

  #send(reply: Reply): void {
    if (this.#logged !== undefined) this.#logged.status = reply.status
    const text = reply.body === undefined ? '' : JSON.stringify(reply.body)
    const headers = {
      ...reply.headers,
      ...(text !== '' && { 'content-type': 'application/json;charset=UTF-8' }),
    }
    this.#response.writeHead(reply.status, headers).end(text)
  }

  #sendHtml(status: number): void {
    if (this.#logged !== undefined) this.#logged.status = status
    this.#response
      .writeHead(status, { 'content-type': 'text/html' })
      .end(
        '<!DOCTYPE html><html><head><title>Bad Request</title></head><body>The request was blocked.</body></html>',
      )
  }

  #cut(reply: Reply): void {
    const bytes = Buffer.from(JSON.stringify(reply.body ?? {}))
    this.#response.writeHead(reply.status, {
      'content-type': 'application/json',
      'content-length': bytes.length,
    })
    this.#response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => this.#response.destroy())
  }

  #log({
    method,
    path,
    operation,
    text,
  }: {
    method: string
    path: string
    operation: string
    text: string
  }): void {
    const atMs = this.#deps.world.clock.nowMs()
    this.#logged = {
      atMs,
      method,
      path,
      operation,
      body: text === '' ? undefined : tryParse(text),
      status: null,
    }
    if (this.#deps.requests.length < LOGGED_MAX) this.#deps.requests.push(this.#logged)
  }

  #baseUrl(): string {
    return `http://${this.#request.headers.host ?? '127.0.0.1'}`
  }
}

function unavailable(fault: { status: number; retryAfterSec?: number }): Reply {
  return {
    status: fault.status,
    body: { errorMessages: ['The service is not available.'], errors: {} },
    ...(fault.retryAfterSec !== undefined && { headers: { 'retry-after': String(fault.retryAfterSec) } }),
  }
}

function asNobody({ route, text }: Call): Reply {
  const headers = { 'x-seraph-loginreason': 'AUTHENTICATED_FAILED' }
  const errorMessage = 'Issue does not exist or you do not have permission to see it.'
  if (route.operation !== 'bulkFetchIssues')
    return { status: 404, headers, body: { errorMessages: [errorMessage], errors: {} } }
  const { issueIdsOrKeys } = JSON.parse(text) as { issueIdsOrKeys: string[] }
  return {
    status: 200,
    headers,
    body: { issues: [], issueErrors: issueIdsOrKeys.map((id) => ({ id, errorMessage })) },
  }
}

function deniedTransition(route: Route): Reply {
  return route.method === 'GET'
    ? { status: 200, body: { expand: 'transitions', transitions: [] } }
    : refused(400, 'It seems that you have tried to perform an illegal workflow operation.').reply
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) throw new Error('The request body is too large for the fake.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
