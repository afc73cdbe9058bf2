import { HubError } from '../model/errors.ts'

/** An answer of the API that is an error. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly kind: string
  readonly code: string | null
  readonly hints: readonly string[]
  readonly requestId: string | null
  readonly body: unknown

  constructor(message: string, facts: Pick<ApiError, 'kind' | 'code' | 'hints' | 'requestId' | 'body'>) {
    super(message)
    this.kind = facts.kind
    this.code = facts.code
    this.hints = facts.hints
    this.requestId = facts.requestId
    this.body = facts.body
  }
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface ApiClient {
  get<Answer>(path: string, query?: Query): Promise<Answer>
  post<Answer>(path: string, options?: { query?: Query; body?: unknown }): Promise<Answer>
  /** Server-sent events, until the server ends them. Its `error` is thrown as what it says. */
  events<Data>(path: string): AsyncGenerator<{ event: string; data: Data }>
}

/** The code of a call after which nothing has changed: it reached nobody, or it was a question. */
export const SERVER_GONE = 'server_gone'

const EVENT_CHARS_MAX = 4 * 1024 * 1024

/** Speaks with the API of one server. `signal` gives up whatever is under way. */
export function createApiClient(server: { url: string; token: string }, signal: AbortSignal): ApiClient {
  const call = async (method: string, path: string, options: { query?: Query; body?: unknown } = {}) => {
    const url = new URL(`/api/v3${path}`, server.url)
    for (const [name, value] of Object.entries(options.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const headers: Record<string, string> = { authorization: `Bearer ${server.token}` }
    if (options.body !== undefined) headers['content-type'] = 'application/json'
    const body = options.body === undefined ? null : JSON.stringify(options.body)
    const answer = await fetch(url, { method, headers, body, signal }).catch((cause: unknown) => {
      throw unreachable(cause, signal, method === 'GET')
    })
    if (!answer.ok) throw await toError(answer)
    return answer
  }
  return {
    get: async <Answer>(path: string, query?: Query) => {
      const answer = await call('GET', path, query === undefined ? {} : { query })
      const text = await answer.text().catch((cause: unknown) => {
        throw unreachable(cause, signal, true)
      })
      return JSON.parse(text) as Answer
    },
    post: async <Answer>(path: string, options?: { query?: Query; body?: unknown }) =>
      (await (await call('POST', path, options)).json()) as Answer,
    async *events<Data>(path: string) {
      const answer = await call('GET', path)
      if (answer.body === null) return
      const text = answer.body.pipeThrough(new TextDecoderStream())
      try {
        for await (const { event, data } of parseEvents(text)) {
          if (event === 'error')
            throw saidError(JSON.parse(data) as Record<string, unknown>, 'The server failed.')
          yield { event, data: JSON.parse(data) as Data }
        }
      } catch (cause) {
        if (cause instanceof SyntaxError || cause instanceof ApiError || cause instanceof HubError)
          throw cause
        throw unreachable(cause, signal, false)
      }
    },
  }
}

async function* parseEvents(text: AsyncIterable<string>): AsyncGenerator<{ event: string; data: string }> {
  let buffer = ''
  for await (const chunk of text) {
    buffer += chunk
    if (buffer.length > EVENT_CHARS_MAX)
      throw new HubError('contract', 'The server sent an event without an end.')
    const blocks = buffer.split('\n\n')
    buffer = blocks.pop() ?? ''
    for (const block of blocks) {
      const lines = block.split('\n')
      // The space after the colon may be left out.
      const field = (name: string) =>
        lines
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).replace(/^ /, ''))
      const data = field('data')
      if (data.length > 0) yield { event: field('event')[0] ?? 'message', data: data.join('\n') }
    }
  }
}

async function toError(answer: Response): Promise<ApiError> {
  const body = (await answer.json().catch(() => ({}))) as Record<string, unknown>
  return saidError(body, `The server answered ${answer.status}.`)
}

function saidError(body: Record<string, unknown>, otherwise: string): ApiError {
  const text = (name: string) => (typeof body[name] === 'string' ? body[name] : null)
  const hints = Array.isArray(body['hints']) ? body['hints'].map(String) : []
  const hint = text('hint')
  return new ApiError(text('detail') ?? text('message') ?? otherwise, {
    kind: text('kind') ?? 'config',
    code: text('code'),
    hints: hint === null ? hints : [hint, ...hints],
    requestId: text('requestId'),
    body,
  })
}

/** A question may be asked again of another server; what was to change something only if it reached nobody. */
function unreachable(cause: unknown, signal: AbortSignal, isQuestion: boolean): unknown {
  if (signal.aborted) return signal.reason
  const refused = isQuestion || (cause as { cause?: { code?: unknown } }).cause?.code === 'ECONNREFUSED'
  return new HubError('transient', 'The Patchbay server stopped answering.', {
    cause,
    ...(refused && { code: SERVER_GONE }),
    hint: 'See whether it still runs; its log says why it ended.',
  })
}
