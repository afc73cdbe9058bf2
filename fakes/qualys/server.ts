import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../src/lib/clock.ts'
import { NotInTheFake } from './params.ts'
import { ApiError } from './api-error.ts'
import type { Answer, Call, Endpoint } from './call.ts'
import { estateClock } from './estate/estate-clock.ts'
import type { Estate } from './estate/types.ts'
import { changeEstate, FaultSwitchboard, pageFaultsOf } from './faults.ts'
import type { ActiveFault, ReplacingFault } from './faults.ts'
import { endpointOf, isMutation, judge } from './gate.ts'
import { Limits } from './limits.ts'
import type { LimitOptions } from './limits.ts'
import { RenderedPages } from './render-pages.ts'
import { chunk } from './render/xml.ts'
import { replacingAnswer, replacingFault, returned } from './replacing.ts'
import { DEFAULT_USER } from './users.ts'
import type { FakeUser } from './users.ts'
import { isZippable, outgoing } from './outgoing.ts'
import { send } from './wire.ts'
import type { Ending } from './wire.ts'
import { readRequest } from './request.ts'
import type { ReadRequest } from './request.ts'

export interface FakeQualysOptions {
  estate: Estate
  /** That of the estate when absent, else one that stands at noon of the estate's day and runs from there. */
  clock?: Clock
  limits?: LimitOptions
  users?: readonly FakeUser[]
  /** 0 lets the system choose. */
  port?: number
  /** The address that WARNING URLs and DTDs name; that of the server when absent. */
  publicUrl?: string
  /** Every call waits this long, by the clock, before it is answered. */
  latencyMs?: number
  /** A folder made by `renderPages`. */
  renderedFrom?: string
  /** False answers like a proxy that takes the compression away. */
  gzip?: boolean
}

interface LoggedRequest {
  at: number
  method: string
  path: string
  params: Record<string, string>
  body: string
  headers: Record<string, string>
  user: string | undefined
  endpoint: Endpoint['name'] | undefined
  /** A call that would change something in a real subscription. It was refused. */
  mutation: boolean
  faults: string[]
  /** 0 until the answer has started, or for ever when the connection was cut before. */
  status: number
  bytesSent: number
}

export interface FakeQualys {
  readonly url: string
  readonly estate: Estate
  readonly faults: FaultSwitchboard
  readonly limits: Limits
  /** The last calls, oldest first. */
  readonly requests: readonly LoggedRequest[]
  users: readonly FakeUser[]
  /** How many calls are being answered now. */
  readonly running: number
  close(): Promise<void>
}

const REQUESTS_KEPT_MAX = 10_000
const KEEP_ALIVE_MS = 300_000
const POWERED_BY = 'Qualys:FAKEPOD:3b241101-e2bb-4255-8caf-4136c566a962:9f1c3a52-7a54-4d8e-8f0a-2c1d5e6f7a8b'

/** Starts a fake Qualys on the loopback address. */
export async function startFakeQualys(options: FakeQualysOptions): Promise<FakeQualys> {
  const rendered =
    options.renderedFrom === undefined ? undefined : await RenderedPages.open(options.renderedFrom)
  const fake = new RunningFake(options, rendered)
  await fake.listen(options.port ?? 0)
  return fake
}

class RunningFake implements FakeQualys {
  readonly estate: Estate
  readonly faults = new FaultSwitchboard()
  readonly limits: Limits
  readonly requests: LoggedRequest[] = []
  users: readonly FakeUser[]
  running = 0
  url = ''
  readonly #options: FakeQualysOptions
  readonly #clock: Clock
  readonly #rendered: RenderedPages | undefined
  readonly #server: Server
  readonly #closing = new AbortController()
  readonly #previous = new Map<string, readonly [string, string][]>()

  constructor(options: FakeQualysOptions, rendered: RenderedPages | undefined) {
    this.#options = options
    this.#clock = options.clock ?? options.estate.clock ?? estateClock(options.estate)
    this.#rendered = rendered
    this.estate = options.estate
    this.users = options.users ?? [DEFAULT_USER]
    this.limits = new Limits(options.limits ?? {}, () => this.#clock.nowMs())
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (req, res) => {
      res.sendDate = false
      this.#serve(req, res).catch((error: unknown) => fail(res, error))
    })
  }

  async listen(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen(port, '127.0.0.1', resolve)
    await promise
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('The fake Qualys is being closed.'))
    this.faults.clear()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const request = await readRequest(req)
    const endpoint = endpointOf(request.path)
    const active = this.faults.take({ ...request, endpoint: endpoint?.endpoint.name })
    const log = this.#log(request, endpoint?.endpoint, active)
    this.running++
    try {
      for (const { fault } of active) changeEstate(this.estate, fault)
      const gone = AbortSignal.any([this.#closing.signal, goneSignal(res)])
      if ((this.#options.latencyMs ?? 0) > 0) await this.#clock.sleep(this.#options.latencyMs ?? 0, gone)
      const replacing = replacingFault(active)
      if (replacing?.kind === 'reset') {
        req.socket.resetAndDestroy()
        return
      }
      const entered = this.#enter(request, endpoint, replacing === undefined)
      log.user = entered.username
      try {
        const answer = replacing === undefined ? entered.answer(this.#callOf(request, active)) : undefined
        const context = { nowMs: this.#clock.nowMs(), baseUrl: this.#baseUrl() }
        const shown = answer ?? (replacing === undefined ? undefined : replacingAnswer(replacing, context))
        if (shown === undefined) throw new Error('There is neither an answer nor a fault.')
        const withLimits = replacing === undefined || replacing.kind === 'busy' || isToldByHeader(replacing)
        await this.#answer(res, shown, { request, active, headers: entered.headers(withLimits), gone, log })
      } finally {
        entered.leave()
      }
    } finally {
      this.running--
    }
  }

  /** Past the gate: who calls, whether they may, and whether the limits let them. */
  #enter(request: ReadRequest, endpoint: ReturnType<typeof endpointOf>, isCounted: boolean) {
    const context = { nowMs: this.#clock.nowMs(), baseUrl: this.#baseUrl() }
    const verdict = judge(request, endpoint, {
      users: this.users,
      limits: this.limits,
      isCounted,
      ...context,
    })
    const family = endpoint?.endpoint.family
    const name = endpoint?.endpoint.name
    return {
      username: verdict.user?.username,
      leave: verdict.leave,
      headers: (withLimits: boolean) => ({
        ...familyHeaders(family),
        ...(verdict.isKnown && family !== undefined && name !== 'portal-version'
          ? { 'X-Powered-By': POWERED_BY }
          : {}),
        ...(withLimits && verdict.isKnown && family === 'fo' && name !== undefined
          ? this.limits.headers(name, verdict.isInside)
          : {}),
      }),
      answer: (call: Omit<Call, 'user' | 'version'>): Answer => {
        if (verdict.refusal !== undefined) return verdict.refusal
        const target = endpoint?.endpoint
        if (target === undefined || verdict.user === undefined)
          throw new Error('The gate let nobody through to nowhere.')
        const previous = this.#previous.get(target.name)
        this.#previous.set(target.name, call.pairs)
        const pairs = call.page.repeatsPrevious && previous !== undefined ? previous : call.pairs
        return answered(
          target,
          { ...call, pairs, user: verdict.user, version: endpoint?.version ?? '' },
          context,
        )
      },
    }
  }

  #callOf(request: ReadRequest, active: readonly ActiveFault[]): Omit<Call, 'user' | 'version'> {
    return {
      ...request,
      estate: this.estate,
      clock: this.#clock,
      baseUrl: this.#baseUrl(),
      page: pageFaultsOf(active),
      rendered: this.#rendered,
    }
  }

  async #answer(
    res: ServerResponse,
    answer: Answer,
    how: {
      request: ReadRequest
      active: readonly ActiveFault[]
      headers: Record<string, string>
      gone: AbortSignal
      log: LoggedRequest
    },
  ): Promise<void> {
    const { active, gone, log, request } = how
    const ending: Ending = { how: 'end' }
    const isZipped = isZippable(answer, active) && request.acceptsGzip && this.#options.gzip !== false
    const context = { clock: this.#clock, signal: gone }
    const bytes = outgoing(answer, { active, isZipped, ending, context })
    log.status = answer.status
    res.writeHead(answer.status, {
      Date: new Date(this.#clock.nowMs()).toUTCString(),
      ...how.headers,
      ...answer.headers,
      ...(answer.status === 204 ? {} : { 'Content-Type': answer.contentType }),
      ...(isZipped ? { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' } : {}),
      ...(answer.status >= 400 ? { Connection: 'close' } : {}),
    })
    log.bytesSent = await send(res, bytes, { signal: gone, ending })
  }

  #baseUrl(): string {
    return this.#options.publicUrl ?? this.url
  }

  #log(request: ReadRequest, endpoint: Endpoint | undefined, active: readonly ActiveFault[]): LoggedRequest {
    const log: LoggedRequest = {
      at: this.#clock.nowMs(),
      method: request.method,
      path: request.path,
      params: request.params,
      body: request.body,
      headers: request.headers,
      user: undefined,
      endpoint: endpoint?.name,
      mutation: isMutation(request),
      faults: active.map(({ fault }) => fault.kind),
      status: 0,
      bytesSent: 0,
    }
    this.requests.push(log)
    if (this.requests.length > REQUESTS_KEPT_MAX) this.requests.shift()
    return log
  }
}

function answered(endpoint: Endpoint, call: Call, context: { nowMs: number; baseUrl: string }): Answer {
  try {
    return endpoint.answer(call)
  } catch (error) {
    if (error instanceof ApiError)
      return returned(context, {
        status: error.status,
        code: error.code,
        text: error.message,
        items: error.items,
      })
    if (!(error instanceof NotInTheFake)) throw error
    return { status: 501, contentType: 'text/plain', chunks: [chunk('text', `${error.message}\n`)] }
  }
}

/** Other answers that a fault gives tell nothing about limits, as a proxy in between would not. */
function isToldByHeader(fault: ReplacingFault): boolean {
  return fault.kind === 'spent' && fault.tell?.includes('header') !== false
}

function familyHeaders(family: Endpoint['family'] | undefined): Record<string, string> {
  if (family === 'qps') return { Server: 'Apache', Vary: 'Accept-Encoding' }
  return {
    Server: 'Qualys',
    'Strict-Transport-Security': 'max-age=63072000;, max-age=31536000; includeSubDomains',
    'X-XSS-Protection': '1; mode=block, 1;mode=block',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'SAMEORIGIN',
  }
}

function goneSignal(res: ServerResponse): AbortSignal {
  const controller = new AbortController()
  res.once('close', () => controller.abort(new Error('The client has gone.')))
  return controller.signal
}

/** A bug of the fake, told as such, so that no test takes it for Qualys. */
function fail(res: ServerResponse, error: unknown): void {
  if (res.destroyed) return
  if (res.headersSent) {
    res.destroy()
    return
  }
  res.writeHead(590, { 'Content-Type': 'text/plain' })
  res.end(
    `The fake Qualys failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  )
}
