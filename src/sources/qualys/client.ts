import type { Clock } from '../../lib/clock.ts'
import type { HttpAnswer, HttpCall, HttpDoor } from '../../lib/http/index.ts'
import { createRedactor, type Redactor, redactError } from '../../lib/redact.ts'
import type { SmallXmlElement } from '../../lib/xml-small.ts'
import { HubError } from '../../model/errors.ts'
import type { QuotaPermit, QuotaPort } from '../../model/quota.ts'
import { fromDoorError } from './errors.ts'
import { openBody, type OpenedBody } from './fo-answer.ts'
import { parseLimitHeaders } from './limits.ts'
import { readMsp } from './msp.ts'
import { type QpsAnswer, type QpsRequest, readServiceResponse, toServiceRequest } from './qps.ts'

/** The one door to Qualys: authentication, error bodies, limits. Every failure is a classified `HubError`. */
export interface QualysClient {
  /** The host of the base URL, with its port if it has one; what a WARNING URL has to point to. */
  readonly apiHost: string
  /**
   * An FO call, sent as a POST form. Resolves once the root element of the answer is known to be `expectRoot`; any
   * other answer throws. The permit is held until the body ends, is broken out of, or is discarded.
   */
  fo(call: FoCall): Promise<FoAnswer>
  /** An MSP call (GET): the whole, small body, whose root element is `expectRoot` and which holds no error. */
  msp(call: MspCall): Promise<SmallXmlElement>
  /** A QPS call whose `responseCode` was SUCCESS; anything else throws. */
  qps(call: QpsCall): Promise<QpsAnswer>
}

export interface FoCall {
  /** The key of the shared budget, e.g. `fo/asset/host/vm/detection`. */
  endpoint: string
  /** From the base URL on, e.g. `/api/5.0/fo/asset/host/vm/detection/`. */
  path: string
  params: Readonly<Record<string, string>>
  expectRoot: string
  /** Instead of that of the client. */
  idleTimeoutMs?: number
  signal: AbortSignal
}

interface FoAnswer {
  /** The whole body from its first byte; throws `HubError` (`timeout`, `truncated`, …) when it breaks. Read it once. */
  body: AsyncIterable<Buffer>
  headers: Readonly<Record<string, string>>
  /** Decoded bytes handed out so far. */
  bytesRead(): number
  /** Gives up an answer whose body is not iterated. Idempotent. */
  discard(): Promise<void>
}

interface MspCall {
  endpoint: string
  path: string
  params?: Readonly<Record<string, string>>
  expectRoot: string
  /** Instead of that of the client. */
  idleTimeoutMs?: number
  signal: AbortSignal
}

interface QpsCall {
  endpoint: string
  method: 'GET' | 'POST'
  path: string
  /** Becomes a `ServiceRequest`; only with POST. */
  request?: QpsRequest
  /** Elements of `data` that are always arrays in the answer, e.g. `Tag`. */
  arrays?: readonly string[]
  /** Instead of that of the client. */
  idleTimeoutMs?: number
  signal: AbortSignal
}

export interface QualysClientOptions {
  door: HttpDoor
  /** As `resolveBaseUrls` returns it, e.g. `https://qualysapi.qg2.apps.qualys.com`. */
  baseUrl: string
  username: string
  password: string
  quota: QuotaPort
  clock: Clock
  /** Above the interval of the keep-alive comments; default `IDLE_TIMEOUT_MS`. */
  idleTimeoutMs?: number
  /** Told before a short wait that happens in place. */
  onWait?: (info: QualysWait) => void
  /** For the jitter of waits; 0 ≤ value < 1. */
  random?: () => number
}

export interface QualysWait {
  endpoint: string
  untilMs: number
  reason: 'rate_limit' | 'concurrency' | 'still_working'
}

/** Keep-alive comments come more often than this. */
const IDLE_TIMEOUT_MS = 120_000
/** FO answers are streamed; the bound is against an endless one. */
const FO_BODY_BYTES_MAX = 16 * 1024 ** 3
/** Waits up to this long happen in place, with the slot given back; longer ones are the caller's. */
const SHORT_WAIT_MS_MAX = 60_000
const TRIES_MAX = 5
const JITTER_MS_MAX = 5_000
/** Qualys does not say how long a running call will take. */
const CONCURRENCY_WAIT_MS_MIN = 5_000
const CONCURRENCY_WAIT_MS_MAX = 30_000

export function createQualysClient(options: QualysClientOptions): QualysClient {
  const caller = new Caller(options)
  return {
    apiHost: new URL(options.baseUrl).host,
    fo: (call) => {
      const form = new URLSearchParams(call.params).toString()
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const http = { method: 'POST' as const, headers, body: form, bodyBytesMax: FO_BODY_BYTES_MAX }
      return caller.call(call, http, (opened) => Promise.resolve(opened))
    },
    msp: (call) => {
      const query = new URLSearchParams(call.params).toString()
      const http = { method: 'GET' as const, query }
      return caller.call(call, http, (opened) => readMsp(opened, call))
    },
    qps: (call) => {
      const http = {
        method: call.method,
        headers: { 'content-type': 'text/xml', accept: 'application/xml' },
        ...(call.request === undefined ? {} : { body: toServiceRequest(call.request) }),
      }
      const expected = { ...call, expectRoot: 'ServiceResponse' }
      return caller.call(expected, http, (opened) => readServiceResponse(opened, call))
    },
  }
}

interface CallFrame {
  endpoint: string
  path: string
  expectRoot: string
  /** Instead of that of the client. */
  idleTimeoutMs?: number
  signal: AbortSignal
}

type CallHttp = Pick<HttpCall, 'method' | 'headers' | 'body' | 'bodyBytesMax'> & { query?: string }

/** What all transports share: permit, authentication, limits, and the short waits that Qualys asks for. */
class Caller {
  readonly #options: QualysClientOptions
  readonly #authorization: string
  readonly #redactor: Redactor

  constructor(options: QualysClientOptions) {
    this.#options = options
    const login = Buffer.from(`${options.username}:${options.password}`).toString('base64')
    this.#authorization = `Basic ${login}`
    this.#redactor = createRedactor([options.password, login])
  }

  /** `finish` either hands the opened body on, which then owns the permit, or reads it to its end. */
  async call<Result>(
    frame: CallFrame,
    http: CallHttp,
    finish: (opened: OpenedBody) => Promise<Result>,
  ): Promise<Result> {
    for (let tries = 1; ; tries += 1) {
      frame.signal.throwIfAborted()
      const permit = await this.#options.quota.acquire(frame.endpoint, frame.signal)
      try {
        return await finish(await this.#open(frame, http, permit))
      } catch (error) {
        const waitMs = await this.#giveBack(error, permit)
        const isFinal = waitMs === null || waitMs > SHORT_WAIT_MS_MAX || tries >= TRIES_MAX
        if (isFinal) throw error instanceof HubError ? redactError(error, this.#redactor) : error
        await this.#wait(frame, error as HubError, waitMs)
      }
    }
  }

  async #open(frame: CallFrame, http: CallHttp, permit: QuotaPermit): Promise<OpenedBody> {
    const answer = await this.#send(frame, http)
    try {
      await permit.report(parseLimitHeaders(answer.headers))
    } catch (error) {
      await answer.body.discard()
      throw error
    }
    return openBody({ answer, permit, ...frame, redact: this.#redactor.text })
  }

  async #send(frame: CallFrame, { query, ...http }: CallHttp): Promise<HttpAnswer> {
    const { door, baseUrl, idleTimeoutMs } = this.#options
    const search = query === undefined || query === '' ? '' : `?${query}`
    try {
      return await door.request({
        ...http,
        url: `${baseUrl}${frame.path}${search}`,
        headers: {
          authorization: this.#authorization,
          'x-requested-with': 'Patchbay',
          'accept-encoding': 'gzip',
          ...http.headers,
        },
        signal: frame.signal,
        idleTimeoutMs: frame.idleTimeoutMs ?? idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      })
    } catch (error) {
      throw fromDoorError(error, frame.signal)
    }
  }

  async #giveBack(error: unknown, permit: QuotaPermit): Promise<number | null> {
    try {
      return await this.#refused(error, permit)
    } finally {
      await permit.release()
    }
  }

  /** How long to wait before the same call; null when waiting does not help. Tells the shared budget of a refusal. */
  async #refused(error: unknown, permit: QuotaPermit): Promise<number | null> {
    if (!(error instanceof HubError)) return null
    if (error.kind === 'concurrency' || error.kind === 'rate_limit') {
      const waitMs = error.kind === 'concurrency' ? this.#concurrencyWaitMs() : (error.retryAfterMs ?? 0)
      await permit.refuse({ kind: error.kind, waitMs })
      return waitMs
    }
    const isStillWorking = error.code === '1981' || error.code === 'IN_PROGRESS'
    return isStillWorking ? (error.retryAfterMs ?? null) : null
  }

  #concurrencyWaitMs(): number {
    const spreadMs = CONCURRENCY_WAIT_MS_MAX - CONCURRENCY_WAIT_MS_MIN
    return CONCURRENCY_WAIT_MS_MIN + Math.floor(this.#random() * spreadMs)
  }

  async #wait({ endpoint, signal }: CallFrame, error: HubError, waitMs: number): Promise<void> {
    const { clock, onWait } = this.#options
    const jitterMs = error.kind === 'rate_limit' ? Math.floor(this.#random() * JITTER_MS_MAX) : 0
    const reason =
      error.kind === 'rate_limit' || error.kind === 'concurrency' ? error.kind : ('still_working' as const)
    onWait?.({ endpoint, untilMs: clock.nowMs() + waitMs + jitterMs, reason })
    await clock.sleep(waitMs + jitterMs, signal)
  }

  #random(): number {
    return (this.#options.random ?? Math.random)()
  }
}
