import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { ApiError, createApiClient } from './client.ts'

/** A server that answers every call with these bytes, piece by piece, as an event stream. */
async function withStream(
  pieces: readonly string[],
  use: (events: AsyncGenerator<{ event: string; data: unknown }>) => Promise<void>,
): Promise<void> {
  const server = createServer((_request, answer) => {
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const piece of pieces) answer.write(piece)
    answer.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    await use(createApiClient({ url, token: 'x' }, new AbortController().signal).events('/runs/1/events'))
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('an event that says that the server failed is thrown with its kind and its hint, and is no progress', async () => {
  const error = { kind: 'transient', message: 'The database failed.', hint: 'See its log.', requestId: 'r1' }
  const pieces = [
    'event: progress\ndata: {"n":1}\n\nevent: err',
    `or\ndata: ${JSON.stringify(error)}\n\nevent: progress\ndata: {"n":2}\n\n`,
  ]
  await withStream(pieces, async (events) => {
    expect((await events.next()).value).toEqual({ event: 'progress', data: { n: 1 } })
    const thrown: unknown = await events.next().catch((cause: unknown) => cause)
    expect(thrown).toBeInstanceOf(ApiError)
    expect(thrown).toMatchObject({ message: error.message, kind: 'transient', hints: [error.hint] })
  })
})

test('the space after the colon of a field may be left out', async () => {
  await withStream(['event:end\ndata:{"n":1}\n\n'], async (events) => {
    expect((await events.next()).value).toEqual({ event: 'end', data: { n: 1 } })
    expect((await events.next()).done).toBe(true)
  })
})
