import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable, pipeline } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import type { Clock } from '../../src/lib/clock.ts'
import type { ActiveFault, Half } from './faults.ts'
import type { Chunk } from './render/xml.ts'

const PIECE_BYTES = 64 * 1024
/** To cut in half one must know the whole; answers above this are too big for such a test. */
const WHOLE_BYTES_MAX = 64 * 1024 * 1024
const GZIP_LEVEL = 1
const KEEP_ALIVE = Buffer.from('<!-- keep-alive -->\n')

type Bytes = AsyncIterable<Buffer> | Iterable<Buffer>

/** Small pieces joined, so that a host is not a packet. */
export function* toBytes(chunks: Iterable<Chunk>): Generator<Buffer> {
  let text = ''
  for (const { data } of chunks) {
    if (typeof data === 'string') text += data
    else {
      if (text !== '') yield Buffer.from(text)
      text = ''
      yield data
    }
    if (text.length >= PIECE_BYTES) {
      yield Buffer.from(text)
      text = ''
    }
  }
  if (text !== '') yield Buffer.from(text)
}

export function gzipped(bytes: Bytes): AsyncIterable<Buffer> {
  const gzip = createGzip({ level: GZIP_LEVEL })
  pipeline(Readable.from(bytes, { objectMode: true }), gzip, () => {})
  return gzip
}

/** How an answer ends: as if all had been said, or by a connection that closes in the middle. */
export interface Ending {
  how: 'end' | 'destroy'
}

/** Ends the bytes early, and says in `ending` how the connection is to be left. */
export async function* cut(
  bytes: Bytes,
  fault: { at: Half; how?: 'end' | 'destroy' },
  ending: Ending,
): AsyncGenerator<Buffer> {
  let left = fault.at === 'half' ? 0 : fault.at
  let source: Bytes = bytes
  if (fault.at === 'half') {
    const whole = await collect(bytes)
    left = Math.floor(whole.length / 2)
    source = [whole]
  }
  for await (const piece of source) {
    if (piece.length >= left) {
      yield piece.subarray(0, left)
      ending.how = fault.how ?? 'end'
      return
    }
    left -= piece.length
    yield piece
  }
}

async function collect(bytes: Bytes): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of bytes) {
    size += piece.length
    if (size > WHOLE_BYTES_MAX)
      throw new RangeError('The answer is too big to be cut in half; name a byte instead.')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

export interface WireContext {
  clock: Clock
  /** Aborts when the client is gone or the server closes. */
  signal: AbortSignal
}

/** Stops at a byte until released; meanwhile comments come along now and then, if wanted. */
export async function* stall(
  bytes: Bytes,
  active: ActiveFault & {
    fault: { kind: 'stall'; atByte: number; keepAliveEveryMs?: number; forMs?: number }
  },
  context: WireContext,
): AsyncGenerator<Buffer> {
  let left = active.fault.atByte
  for await (const piece of bytes) {
    if (left < 0 || piece.length < left) {
      left -= piece.length
      yield piece
      continue
    }
    yield piece.subarray(0, left)
    yield* waiting(active, context)
    yield piece.subarray(left)
    left = -1
  }
}

async function* waiting(
  active: ActiveFault & { fault: { kind: 'stall'; keepAliveEveryMs?: number; forMs?: number } },
  { clock, signal }: WireContext,
): AsyncGenerator<Buffer> {
  const { keepAliveEveryMs, forMs = Number.POSITIVE_INFINITY } = active.fault
  const untilMs = clock.nowMs() + forMs
  const released = active.released.then(() => 'released' as const)
  while (clock.nowMs() < untilMs) {
    const stop = new AbortController()
    const either = AbortSignal.any([signal, stop.signal])
    const waitMs = Math.min(keepAliveEveryMs ?? Number.POSITIVE_INFINITY, untilMs - clock.nowMs())
    const ends: Promise<'released' | 'time'>[] = [released, untilAborted(signal)]
    if (Number.isFinite(waitMs)) ends.push(clock.sleep(waitMs, either).then(() => 'time' as const))
    const end = await Promise.race(ends).finally(() => {
      for (const promise of ends) promise.catch(() => {})
      stop.abort(new Error('The stall is over.'))
    })
    if (end === 'released') return
    if (keepAliveEveryMs !== undefined) yield KEEP_ALIVE
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  if (signal.aborted) reject(signal.reason as Error)
  else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  return promise
}

/** So many bytes a second by the clock, one piece at a time. */
export async function* slow(
  bytes: Bytes,
  options: { bytesPerSecond: number; fromByte?: number },
  { clock, signal }: WireContext,
): AsyncGenerator<Buffer> {
  let before = options.fromByte ?? 0
  const size = Math.max(1, Math.floor(options.bytesPerSecond))
  const waitMs = (1000 * size) / options.bytesPerSecond
  for await (const piece of bytes) {
    const free = Math.min(before, piece.length)
    before -= free
    if (free > 0) yield piece.subarray(0, free)
    for (let at = free; at < piece.length; at += size) {
      await clock.sleep(waitMs, signal)
      yield piece.subarray(at, at + size)
    }
  }
}

/** Writes at the reader's pace: a slow client makes the estate wait, never the memory grow. Returns the bytes sent. */
export async function send(
  res: ServerResponse,
  bytes: Bytes,
  options: { signal: AbortSignal; ending: Ending },
): Promise<number> {
  const { signal, ending } = options
  let sent = 0
  try {
    for await (const piece of bytes) {
      if (signal.aborted || res.destroyed) return sent
      if (piece.length === 0) continue
      sent += piece.length
      if (!res.write(piece)) await once(res, 'drain', { signal })
    }
    if (ending.how === 'end') res.end()
    else await closeAfterWriting(res)
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return sent
}

/** What was written goes out, then the connection closes without the end of the message. */
async function closeAfterWriting(res: ServerResponse): Promise<void> {
  // Node holds the first pieces back until the end of the turn.
  await setImmediate()
  const { socket } = res
  if (socket === null || socket.destroyed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('close', resolve)
  socket.end(() => socket.destroy())
  await promise
}
