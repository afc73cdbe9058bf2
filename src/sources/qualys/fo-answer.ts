import { type HttpAnswer, HttpDoorError } from '../../lib/http/index.ts'
import { HubError } from '../../model/errors.ts'
import type { QuotaPermit } from '../../model/quota.ts'
import { classifyAnswer, ERROR_BODY_BYTES_MAX, fromDoorError, isRefusedByStatus } from './errors.ts'
import { type BodyStart, findRoot } from './root.ts'

/** Junk and comments before the root element are survived up to here. */
const PEEK_BYTES_MAX = 64 * 1024

export interface OpenOptions {
  answer: HttpAnswer
  /** Released when the body has ended or is given up; on a failure here it stays the caller's. */
  permit: QuotaPermit
  path: string
  expectRoot: string
  signal: AbortSignal
  /** See `UnexpectedAnswer`. */
  redact: (text: string) => string
}

/** An answer whose root element is the expected one, with the whole body still to be read. */
export interface OpenedBody {
  body: AsyncIterable<Buffer>
  headers: Readonly<Record<string, string>>
  status: number
  /** See `UnexpectedAnswer`. */
  redact: (text: string) => string
  bytesRead(): number
  discard(): Promise<void>
}

/**
 * Looks at the first bytes of an answer until its root element is known.
 * @throws HubError what the answer means, when it is not the expected one.
 */
export async function openBody(options: OpenOptions): Promise<OpenedBody> {
  const { answer, path, expectRoot, signal } = options
  const chunks = answer.body[Symbol.asyncIterator]()
  try {
    const peek = await peekRoot(chunks, answer.status)
    const isGood = answer.status >= 200 && answer.status < 300
    if (isGood && peek.start.kind === 'root' && peek.start.name === expectRoot) {
      return new StreamedBody(options, peek, chunks)
    }
    const body = await readErrorBody(peek, chunks)
    const { status, headers } = answer
    throw classifyAnswer({ path, status, headers, body, expectRoot, redact: options.redact })
  } catch (error) {
    await giveUp(chunks)
    throw fromDoorError(error, signal)
  }
}

interface Peek {
  chunks: readonly Buffer[]
  isComplete: boolean
  start: BodyStart
}

async function peekRoot(chunks: AsyncIterator<Buffer>, status: number): Promise<Peek> {
  const peeked: Buffer[] = []
  let bytes = 0
  for (;;) {
    const next = await (isRefusedByStatus(status) ? nextOrEnd(chunks) : chunks.next())
    const isComplete = next.done === true
    if (!isComplete) {
      peeked.push(next.value)
      bytes += next.value.length
    }
    const head = Buffer.concat(peeked).toString('latin1', 0, PEEK_BYTES_MAX)
    const start = findRoot(head, isComplete || bytes >= PEEK_BYTES_MAX)
    if (start.kind !== 'more') return { chunks: peeked, isComplete, start }
  }
}

/** The body of a refusal ends where it breaks: the status says enough, and to ask again would count against the account. */
async function nextOrEnd(chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
  try {
    return await chunks.next()
  } catch (error) {
    if (error instanceof HttpDoorError && error.code !== 'aborted') return { done: true, value: undefined }
    throw error
  }
}

/** The beginning of an error body; one that breaks off is judged by what came. */
async function readErrorBody(peek: Peek, chunks: AsyncIterator<Buffer>): Promise<string> {
  const read = [...peek.chunks]
  let bytes = read.reduce((sum, chunk) => sum + chunk.length, 0)
  try {
    while (!peek.isComplete && bytes < ERROR_BODY_BYTES_MAX) {
      const next = await chunks.next()
      if (next.done === true) break
      read.push(next.value)
      bytes += next.value.length
    }
  } catch {
    // The status and the beginning of the body are all there is to judge by.
  }
  return Buffer.concat(read).toString('utf8', 0, ERROR_BODY_BYTES_MAX)
}

/** Gives out the peeked chunks, then the rest; gives permit and connection back at the end, however it comes. */
class StreamedBody implements OpenedBody {
  readonly body: AsyncIterable<Buffer>
  readonly headers: Readonly<Record<string, string>>
  readonly status: number
  readonly redact: (text: string) => string
  readonly #options: OpenOptions
  readonly #chunks: AsyncIterator<Buffer>
  readonly #onAbort = (): void => void this.#close().catch(() => {})
  #bytesRead = 0
  #isClosed = false

  constructor(options: OpenOptions, peek: Peek, chunks: AsyncIterator<Buffer>) {
    this.#options = options
    this.#chunks = chunks
    this.headers = options.answer.headers
    this.status = options.answer.status
    this.redact = options.redact
    this.body = { [Symbol.asyncIterator]: () => this.#read(peek) }
    options.signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  bytesRead(): number {
    return this.#bytesRead
  }

  async discard(): Promise<void> {
    await this.#close()
  }

  async *#read(peek: Peek): AsyncGenerator<Buffer, void, undefined> {
    const { signal } = this.#options
    try {
      for (const chunk of peek.chunks) yield this.#count(chunk)
      while (!peek.isComplete) {
        signal.throwIfAborted()
        const next = await this.#chunks.next()
        if (next.done === true) return
        yield this.#count(next.value)
      }
    } catch (error) {
      throw fromDoorError(error, signal)
    } finally {
      await this.#close()
    }
  }

  #count(chunk: Buffer): Buffer {
    this.#bytesRead += chunk.length
    return chunk
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    try {
      await giveUp(this.#chunks)
    } finally {
      await this.#options.permit.release()
    }
  }
}

/** Ends the iteration, which closes the connection unless the body was at its end. */
async function giveUp(chunks: AsyncIterator<Buffer>): Promise<void> {
  await chunks.return?.().catch(() => {})
}

/** The whole body of an opened answer, for those that are small. */
export async function readWhole(opened: OpenedBody, bytesMax: number, path: string): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of opened.body) {
    if (opened.bytesRead() > bytesMax) {
      throw new HubError('contract', `The answer of Qualys to ${path} is larger than ${bytesMax} bytes.`, {
        code: 'too_large',
      })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
