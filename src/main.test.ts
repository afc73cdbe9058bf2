import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, type NetConnectOpts, type Socket, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { expect } from 'vitest'
import { test } from '../test/support/database.ts'
import { startHub } from './main.ts'
import { isHubError } from './model/errors.ts'

/** More than a start says to its database, so that the loop ends with a start that is not disturbed. */
const SAID_MAX = 500

test('a hub whose database is lost at any step of its start says so in a sentence, and starts when it is back', async ({
  databaseUrl,
}) => {
  const steps = await loseAtEveryStep(databaseUrl)
  expect(steps).toBeGreaterThan(10)
})

test('a hub whose database is lost while it migrates says so in a sentence, and the next start goes on', async ({
  emptyDatabaseUrl,
}) => {
  const steps = await loseAtEveryStep(emptyDatabaseUrl)
  expect(steps).toBeGreaterThan(20)
})

/** Starts again and again; each start is heard one word further than the one before. Returns how many failed. */
async function loseAtEveryStep(databaseUrl: string): Promise<number> {
  const home = await mkdtemp(join(tmpdir(), 'patchbay-start-'))
  try {
    for (let heard = 1; heard < SAID_MAX; heard += 1) {
      const line = await lineThatBreaks(databaseUrl, heard)
      try {
        const hub = await startHub({ home, databaseUrl: line.url, port: 0, logDestination: nowhere() })
        await hub.close()
        return heard - 1
      } catch (error) {
        if (!isHubError(error, 'transient')) throw error
        expect(error.message).toMatch(/^The database at 127\.0\.0\.1:\d+\/\w+ cannot be reached: .+\.$/)
        expect(error.hint).toMatch(/^See that the server runs/)
      } finally {
        await line.close()
      }
    }
    throw new Error(`No start of ${SAID_MAX} came through.`)
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() })
}

/** A way to the database that breaks for good, all connections at once, when its clients have said so much. */
async function lineThatBreaks(
  databaseUrl: string,
  heardMax: number,
): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  let heard = 0
  const server = createServer((near) => {
    const far = connect(socketOf(databaseUrl))
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (chunk) => {
      heard += 1
      if (heard < heardMax) far.write(chunk)
      else breakOff()
    })
    far.pipe(near)
  })
  const breakOff = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(databaseUrl)
  url.searchParams.delete('host')
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: url.href,
    close: async () => {
      const closed = server.listening ? once(server, 'close') : undefined
      breakOff()
      await closed
    },
  }
}

function socketOf(databaseUrl: string): NetConnectOpts {
  const url = new URL(databaseUrl)
  const port = Number(url.port || '5432')
  const folder = url.searchParams.get('host')
  return folder === null ? { host: url.hostname, port } : { path: `${folder}/.s.PGSQL.${port}` }
}
