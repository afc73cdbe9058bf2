import { pipeline, type Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'

import type { Dispatcher } from 'undici'

import type { Clock } from '../clock.ts'
import { HttpDoorError } from './errors.ts'
import { toDoorError } from './translate.ts'

const TEXT_BYTES_MAX = 16 * 1024 * 1024
/** Larger chunks mean fewer crossings into zlib; this size was the fastest of those measured. */
const CHUNK_BYTES = 256 * 1024
/** XML of one shape packs well, a bomb packs better: beyond this ratio, once it is large, it is a bomb. */
const RATIO_MAX = 400
const RATIO_CHECK_FROM_BYTES = 16 * 1024 * 1024
/** How long, in all, a far side may keep us waiting for one body; a trickle of bytes defeats an idle time-out. */
const WAITED_MS_MAX = 60 * 60_000
const DISCARD_BYTES_MAX = 64 * 1024

export interface BodyOptions {
  where: string
  encoding: string
  bytesMax: number
  signal: AbortSignal | undefined
  clock: Clock
}

type Decoder = ReturnType<typeof createGunzip>

/** A response body, decoded as it is read; nothing is read ahead of the consumer but one chunk. */
export class DecodedBody implements AsyncIterable<Buffer> {
  readonly #raw: Dispatcher.ResponseData['body']
  readonly #options: BodyOptions
  #stream: Readable | null = null

  constructor(raw: Dispatcher.ResponseData['body'], options: BodyOptions) {
    this.#raw = raw
    this.#options = options
    // Without a listener, a connection that breaks before anybody reads would end the process.
    this.#raw.on('error', () => {})
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    const { clock, where, bytesMax, signal } = this.#options
    if (this.#stream !== null) throw new Error('A body can be read once only.')
    this.#stream = this.#raw
    const decoder = createDecoder(this.#options.encoding)
    if (decoder === null && !isPlain(this.#options.encoding)) {
      this.#raw.destroy()
      throw new HttpDoorError('encoding', `${where}: the answer is packed in an unknown way.`, { sent: true })
    }
    const stream: Readable = decoder === null ? this.#raw : pipeline(this.#raw, decoder, () => {})
    this.#stream = stream
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    let bytes = 0
    let waitedMs = 0
    try {
      for (;;) {
        const askedMs = clock.nowMs()
        const next = await chunks.next()
        waitedMs += clock.nowMs() - askedMs
        if (next.done === true) return
        bytes += next.value.length
        checkLimits({ bytes, bytesMax, where, waitedMs, packedBytes: decoder?.bytesWritten ?? bytes })
        yield next.value
      }
    } catch (error) {
      throw toDoorError(error, { where, phase: 'body', signal })
    } finally {
      stream.destroy()
    }
  }

  async text(bytesMax: number = TEXT_BYTES_MAX): Promise<string> {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of this) {
      bytes += chunk.length
      if (bytes > bytesMax) throw tooLarge(this.#options.where, bytesMax)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, bytes).toString('utf8')
  }

  async discard(): Promise<void> {
    if (this.#stream !== null) {
      this.#stream.destroy()
      return
    }
    // A short rest is read, so that the connection can be used again; a long one is not worth it.
    this.#stream = this.#raw
    await this.#raw.dump({ limit: DISCARD_BYTES_MAX }).catch(() => {})
  }
}

interface Counts {
  bytes: number
  bytesMax: number
  packedBytes: number
  waitedMs: number
  where: string
}

function checkLimits({ bytes, bytesMax, packedBytes, waitedMs, where }: Counts): void {
  if (bytes > bytesMax) throw tooLarge(where, bytesMax)
  if (bytes > RATIO_CHECK_FROM_BYTES && bytes > packedBytes * RATIO_MAX) {
    throw new HttpDoorError(
      'too_large',
      `${where}: the answer unpacks to more than ${RATIO_MAX} times its size.`,
      {
        sent: true,
      },
    )
  }
  if (waitedMs > WAITED_MS_MAX) {
    throw new HttpDoorError('timeout', `${where}: the answer comes too slowly.`, { sent: true })
  }
}

function tooLarge(where: string, bytesMax: number): HttpDoorError {
  return new HttpDoorError('too_large', `${where}: the answer is larger than ${bytesMax} bytes.`, {
    sent: true,
  })
}

function isPlain(encoding: string): boolean {
  return encoding === '' || encoding === 'identity'
}

function createDecoder(encoding: string): Decoder | null {
  if (encoding === 'gzip' || encoding === 'x-gzip') return createGunzip({ chunkSize: CHUNK_BYTES })
  if (encoding === 'deflate') return createInflate({ chunkSize: CHUNK_BYTES })
  if (encoding === 'br') return createBrotliDecompress({ chunkSize: CHUNK_BYTES })
  return null
}
