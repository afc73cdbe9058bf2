import { chmod, chown, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { proveToken } from '../lib/secrets.ts'
import { ensureHome, ensureToken, findServer, removeServerFile, writeServerFile } from './home.ts'

let home: string
const servers: Server[] = []

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'patchbay-home-'))
})

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  await rm(home, { recursive: true, force: true })
})

interface Visitor {
  nonce: string | null
  headers: unknown
}

/** Whoever has the port: answers as told and keeps what it was told. */
async function listener(
  answer: (nonce: string) => unknown,
  status = 200,
): Promise<{ url: string; visitors: Visitor[] }> {
  const visitors: Visitor[] = []
  const server = createServer((request, response) => {
    const nonce = new URL(request.url ?? '/', 'http://localhost').searchParams.get('nonce')
    visitors.push({ nonce, headers: request.headers })
    response.writeHead(status, { location: '/elsewhere' })
    response.end(JSON.stringify(answer(nonce ?? '')))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, visitors }
}

async function leave(url: string): Promise<void> {
  await writeServerFile(home, { pid: 1, url, instance: 'one', isCommand: false })
}

test('a server is found when it proves that it knows the token of the folder, anew each time', async () => {
  const token = await ensureToken(home)
  const { url, visitors } = await listener((nonce) => ({ proof: proveToken(token, nonce) }))
  await leave(url)
  expect(await findServer(home)).toEqual({ url, token })
  expect(await findServer(home)).toEqual({ url, token })
  expect(new Set(visitors.map(({ nonce }) => nonce)).size).toBe(2)
  expect(JSON.stringify(visitors)).not.toContain(token)
})

test('whoever took the port of a killed server is told nothing, whatever it answers', async () => {
  const token = await ensureToken(home)
  const replayed = proveToken(token, 'a nonce of yesterday')
  for (const answer of [
    { service: 'patchbay', instance: 'one' },
    { proof: replayed },
    { proof: '' },
    { proof: { length: 43 } },
    'x'.repeat(100_000),
    null,
  ]) {
    const { url, visitors } = await listener(() => answer)
    await leave(url)
    expect(await findServer(home)).toBeNull()
    expect(JSON.stringify(visitors)).not.toContain(token)
  }
  const sending = await listener((nonce) => ({ proof: proveToken(token, nonce) }), 307)
  await leave(sending.url)
  expect(await findServer(home)).toBeNull()
  expect(sending.visitors).toHaveLength(1)
})

test('a server file that names another machine, or nothing at all, is not followed', async () => {
  await ensureToken(home)
  for (const url of [
    'http://192.0.2.1:8088',
    'http://127.0.0.1.example.com',
    'https://127.0.0.1:1',
    'http://127.0.0.1@192.0.2.1/',
    'no url',
  ]) {
    await leave(url)
    expect(await findServer(home)).toBeNull()
  }
  await writeFile(join(home, 'server.json'), 'null')
  expect(await findServer(home)).toBeNull()
  expect(await findServer(join(home, 'missing'))).toBeNull()
})

test('a data folder that is made is closed to others, and one that others can write is refused', async () => {
  const made = join(home, 'a', 'b')
  await ensureHome(made)
  expect((await stat(made)).mode & 0o777).toBe(0o700)
  await chmod(made, 0o755)
  await ensureHome(made)
  for (const mode of [0o775, 0o777, 0o702]) {
    await chmod(made, mode)
    for (const attempt of [ensureHome, findServer])
      await expect(attempt(made)).rejects.toMatchObject({
        kind: 'config',
        code: 'folder_untrusted',
        message: expect.stringContaining('can be changed by other users'),
        hint: expect.stringContaining('chmod go-w'),
      })
  }
  const linked = join(home, 'link')
  await symlink(made, linked)
  await expect(ensureHome(linked)).rejects.toMatchObject({ code: 'folder_untrusted' })
})

test('a token or a server file that others can write is refused', async () => {
  const token = await ensureToken(home)
  const { url } = await listener((nonce) => ({ proof: proveToken(token, nonce) }))
  await leave(url)
  for (const name of ['api-token', 'server.json']) {
    await chmod(join(home, name), 0o666)
    await expect(findServer(home)).rejects.toMatchObject({ kind: 'config', code: 'folder_untrusted' })
    await chmod(join(home, name), 0o600)
  }
  await chmod(join(home, 'api-token'), 0o620)
  await expect(ensureToken(home)).rejects.toMatchObject({ code: 'folder_untrusted' })
})

test.skipIf(process.getuid?.() !== 0)(
  'a data folder or a file in it that belongs to another user is refused [only as root]',
  async () => {
    const token = await ensureToken(home)
    await chown(join(home, 'api-token'), 65_534, 65_534)
    await expect(ensureToken(home)).rejects.toThrow(/api-token belongs to another user \(uid 65534\)/)
    await chown(join(home, 'api-token'), 0, 0)
    expect(await ensureToken(home)).toBe(token)
    await chown(home, 65_534, 65_534)
    await expect(ensureHome(home)).rejects.toThrow(/belongs to another user \(uid 65534\)/)
    await expect(findServer(home)).rejects.toThrow(/belongs to another user \(uid 65534\)/)
  },
)

test('a server takes away its own file only', async () => {
  await leave('http://127.0.0.1:1')
  await removeServerFile(home, 'another')
  expect((await stat(join(home, 'server.json'))).isFile()).toBe(true)
  await removeServerFile(home, 'one')
  await expect(stat(join(home, 'server.json'))).rejects.toThrow(/ENOENT/)
})
