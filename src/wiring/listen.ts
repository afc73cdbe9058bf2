import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { HubError } from '../model/errors.ts'

export interface Listening {
  url: string
  close(): Promise<void>
}

/** Answers under way get this long when the server closes. */
const CLOSE_MS_MAX = 2_000
const SWEEP_INTERVAL_MS = 20
const HEADERS_TIMEOUT_MS = 10_000

/** @throws HubError `config` when the port is taken or may not be used. */
export async function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  at: { host: string; port: number },
): Promise<Listening> {
  const listener = getRequestListener(fetch)
  const server = createServer({ headersTimeout: HEADERS_TIMEOUT_MS }, (request, response) => {
    void listener(request, response)
  })
  await bind(server, at)
  const { port } = server.address() as AddressInfo
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  return { url: `http://${host}:${port}`, close: () => close(server) }
}

function bind(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'another program uses it' : `it may not be used (${error.code})`
      reject(
        new HubError('config', `The API cannot listen on ${host}:${port}: ${why}.`, {
          code: 'port_in_use',
          cause: error,
          hint: 'Choose another port with --port or PATCHBAY_PORT.',
        }),
      )
    })
    server.listen(port, host, resolve)
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS_MAX)
    // Connections become idle as their answers end, and clients keep them open.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS)
    server.close(() => {
      clearTimeout(timer)
      clearInterval(sweep)
      resolve()
    })
    server.closeIdleConnections()
  })
}
