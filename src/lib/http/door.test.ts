import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'

import { afterEach, expect, test } from 'vitest'

import { ManualClock } from '../clock.ts'
import { createHttpDoor, type HttpDoor, HttpDoorError, type HttpDoorOptions } from './index.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function listen(handler: RequestListener): Promise<{ url: string; port: number; server: Server }> {
  const server = createServer(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, server }
}

function openDoor(options: Partial<HttpDoorOptions> = {}): HttpDoor {
  const door = createHttpDoor({ userAgent: 'test', allowedCidrs: ['127.0.0.0/8'], ...options })
  closers.push(() => door.close())
  return door
}

async function failureOf(work: Promise<unknown>): Promise<HttpDoorError> {
  const outcome = await work.then(
    () => null,
    (error: unknown) => error,
  )
  expect(outcome).toBeInstanceOf(HttpDoorError)
  return outcome as HttpDoorError
}

async function getText(door: HttpDoor, url: string): Promise<string> {
  const answer = await door.request({ method: 'GET', url })
  return answer.body.text()
}

test('the door sends method, headers, user agent and body, and returns status, headers and body', async () => {
  const { url } = await listen((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.writeHead(201, { 'X-Twice': ['a', 'b'], 'Content-Type': 'text/plain' })
      const { 'user-agent': userAgent, 'x-a': own } = request.headers
      response.end([request.method, userAgent, own, Buffer.concat(chunks).toString()].join(' '))
    })
  })
  const answer = await openDoor().request({ method: 'PUT', url, headers: { 'X-A': '1' }, body: 'hello' })
  expect(answer.status).toBe(201)
  expect(answer.headers['x-twice']).toBe('a, b')
  expect(await answer.body.text()).toBe('PUT test 1 hello')
})

test('bodies packed with gzip, deflate or brotli are unpacked', async () => {
  const text = 'finding '.repeat(100_000)
  const packs = { gzip: gzipSync(text), deflate: deflateSync(text), br: brotliCompressSync(text) }
  const { url } = await listen((request, response) => {
    const encoding = request.url?.slice(1) as keyof typeof packs
    response.writeHead(200, { 'content-encoding': encoding }).end(packs[encoding])
  })
  const door = openDoor()
  for (const encoding of Object.keys(packs)) expect(await getText(door, `${url}/${encoding}`)).toBe(text)
})

test.each([
  ['http://10.0.0.1/'],
  ['http://169.254.169.254/latest/meta-data/'],
  ['https://[::1]/'],
  ['https://[::ffff:10.0.0.1]/'],
  ['https://[::ffff:a9fe:a9fe]/'],
  ['https://[64:ff9b::a00:1]/'],
  ['https://[2002:a00:1::]/'],
  ['https://[fe80::1]/'],
  ['https://2130706433/'],
  ['https://0x7f.0.0.1/'],
  ['https://0177.0.0.1/'],
  ['https://127.1/'],
  ['https://127.0.0.1./'],
  ['https://１２７.0.0.1/'],
  ['https://0.0.0.0/'],
  ['https://203.0.113.7/'],
])('an address that is not public is refused without a connection: %s', async (url) => {
  const error = await failureOf(openDoor({ allowedCidrs: [] }).request({ method: 'GET', url }))
  expect(error).toMatchObject({ code: 'refused_address', sent: false })
})

test.each([
  ['https://user@example.com/'],
  ['https://:secret@example.com/'],
  ['ftp://example.com/'],
  ['file:///etc/passwd'],
  ['not a url'],
])('a URL that is not a plain http or https URL is refused: %s', async (url) => {
  const error = await failureOf(openDoor().request({ method: 'GET', url }))
  expect(error).toMatchObject({ code: 'refused_url', sent: false })
  expect(error.message).not.toContain('secret')
})

test('plain http to a public address is refused, even when a network list covers it', async () => {
  const door = openDoor({
    allowedCidrs: ['0.0.0.0/0'],
    resolve: async () => [{ address: '8.8.8.8', family: 4 }],
  })
  for (const url of ['http://8.8.8.8/', 'http://example.com/']) {
    expect(await failureOf(door.request({ method: 'GET', url }))).toMatchObject({
      code: 'refused_address',
      sent: false,
    })
  }
})

test('a name with one private among its addresses is refused', async () => {
  const door = openDoor({
    allowedCidrs: [],
    resolve: async () => [
      { address: '8.8.8.8', family: 4 },
      { address: '10.0.0.1', family: 4 },
    ],
  })
  const error = await failureOf(door.request({ method: 'GET', url: 'https://example.com/x?token=secret' }))
  expect(error).toMatchObject({ code: 'refused_address', sent: false })
  expect(error.message).toContain('10.0.0.1')
})

test('localhost with a trailing dot is still loopback', async () => {
  const error = await failureOf(
    openDoor({ allowedCidrs: [] }).request({ method: 'GET', url: 'https://localhost./' }),
  )
  expect(['refused_address', 'dns']).toContain(error.code)
})

test('the connection goes to the very address that was checked, however the name changes afterwards', async () => {
  const { port } = await listen((request, response) => response.end(request.headers.host))
  const answers = ['127.0.0.1', '10.0.0.1']
  let asked = 0
  const door = openDoor({ resolve: async () => [{ address: answers[asked++] ?? '10.0.0.1', family: 4 }] })
  expect(await getText(door, `http://rebinding.example:${port}/`)).toBe(`rebinding.example:${port}`)
  expect(asked).toBe(1)
})

test('each new connection is checked again', async () => {
  const { port } = await listen((_request, response) => response.setHeader('connection', 'close').end('x'))
  const answers = ['127.0.0.1', '10.0.0.1']
  let asked = 0
  const door = openDoor({ resolve: async () => [{ address: answers[asked++] ?? '10.0.0.1', family: 4 }] })
  expect(await getText(door, `http://rebinding.example:${port}/`)).toBe('x')
  const error = await failureOf(door.request({ method: 'GET', url: `http://rebinding.example:${port}/` }))
  expect(error).toMatchObject({ code: 'refused_address', sent: false })
})

test('a name that cannot be resolved is told as such', async () => {
  const door = openDoor({
    resolve: async () => {
      throw Object.assign(new Error('no'), { code: 'ENOTFOUND' })
    },
  })
  const error = await failureOf(door.request({ method: 'GET', url: 'https://nowhere.example/' }))
  expect(error).toMatchObject({ code: 'dns', sent: false })
})

test('a refused connection is certain not to have sent anything', async () => {
  const { server, url } = await listen(() => {})
  server.close()
  await once(server, 'close')
  const error = await failureOf(openDoor().request({ method: 'POST', url, body: 'x' }))
  expect(error).toMatchObject({ code: 'connect', sent: false })
})

test('a connection closed before the answer may have carried the request', async () => {
  const { url } = await listen((request) => request.socket.destroy())
  const error = await failureOf(openDoor().request({ method: 'POST', url: `${url}/a?b=secret`, body: 'x' }))
  expect(error).toMatchObject({ code: 'reset', sent: true })
  expect(error.message).toContain(`${url}/a`)
  expect(error.message).not.toContain('secret')
})

test('a redirect is not followed, and only its host is told', async () => {
  let calls = 0
  const { url } = await listen((_request, response) => {
    calls += 1
    response.writeHead(302, { location: 'http://169.254.169.254/latest?token=secret' }).end()
  })
  const error = await failureOf(openDoor().request({ method: 'GET', url }))
  expect(error).toMatchObject({ code: 'redirect', sent: true })
  expect(error.message).toContain('302')
  expect(error.message).toContain('169.254.169.254')
  expect(error.message).not.toContain('secret')
  expect(calls).toBe(1)
})

test('a cut gzip body and a body shorter than its length are truncated', async () => {
  const packed = gzipSync('finding '.repeat(100_000))
  const { url } = await listen((request, response) => {
    if (request.url === '/gzip') {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed.subarray(0, packed.length - 20))
    } else if (request.url === '/length') {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('short', () => response.destroy())
    } else {
      response.writeHead(200)
      response.write('chunk', () => response.destroy())
    }
  })
  const door = openDoor()
  for (const path of ['/gzip', '/length', '/chunked']) {
    expect(await failureOf(getText(door, url + path))).toMatchObject({ code: 'truncated', sent: true })
  }
})

test('bytes that are not what they are packed as are an encoding error', async () => {
  const { url } = await listen((request, response) => {
    const encoding = request.url === '/unknown' ? 'zstd-of-tomorrow' : 'gzip'
    response.writeHead(200, { 'content-encoding': encoding }).end('plain text')
  })
  const door = openDoor()
  expect(await failureOf(getText(door, `${url}/gzip`))).toMatchObject({ code: 'encoding' })
  expect(await failureOf(getText(door, `${url}/unknown`))).toMatchObject({ code: 'encoding' })
})

test('a body is cut off at its limit, decoded bytes counted', async () => {
  const { url } = await listen((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(3_000_000, 'ab')))
  })
  const answer = await openDoor().request({ method: 'GET', url, bodyBytesMax: 1_000_000 })
  expect(await failureOf(answer.body.text())).toMatchObject({ code: 'too_large' })
})

test('a gzip bomb is refused by its ratio, long before the limit on bytes', async () => {
  const { url } = await listen((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(60_000_000)))
  })
  const answer = await openDoor().request({ method: 'GET', url, bodyBytesMax: 1e12 })
  let bytes = 0
  const error = await failureOf(
    (async () => {
      for await (const chunk of answer.body) bytes += chunk.length
    })(),
  )
  expect(error).toMatchObject({ code: 'too_large' })
  expect(bytes).toBeLessThan(20_000_000)
})

test('headers beyond their limit are refused', async () => {
  const { url } = await listen((_request, response) => {
    response.writeHead(200, { 'x-large': 'x'.repeat(64 * 1024) }).end()
  })
  expect(await failureOf(openDoor().request({ method: 'GET', url }))).toMatchObject({ code: 'too_large' })
})

test('silence before the headers and silence in the body end in a time-out', async () => {
  const { url } = await listen((request, response) => {
    if (request.url === '/body') response.write('<')
  })
  const door = openDoor()
  const headers = await failureOf(door.request({ method: 'GET', url: `${url}/headers`, idleTimeoutMs: 50 }))
  expect(headers).toMatchObject({ code: 'timeout', sent: true })
  const answer = await door.request({ method: 'GET', url: `${url}/body`, idleTimeoutMs: 50 })
  expect(await failureOf(answer.body.text())).toMatchObject({ code: 'timeout' })
})

test('a body that trickles for hours is given up although it is never silent', async () => {
  const clock = new ManualClock(0)
  const { url } = await listen((_request, response) => {
    response.write('<')
    const timer = setInterval(() => {
      clock.advance(10 * 60_000)
      response.write('a')
    }, 5)
    response.on('close', () => clearInterval(timer))
  })
  const answer = await openDoor({ clock }).request({ method: 'GET', url })
  expect(await failureOf(answer.body.text())).toMatchObject({ code: 'timeout' })
})

test('an aborted signal gives up before, during and after the headers', async () => {
  const { url } = await listen((request, response) => {
    if (request.url === '/body') response.write('<')
  })
  const door = openDoor()
  const before = await failureOf(door.request({ method: 'GET', url, signal: AbortSignal.abort() }))
  expect(before).toMatchObject({ code: 'aborted', sent: false })
  const during = new AbortController()
  const waiting = failureOf(door.request({ method: 'GET', url, signal: during.signal }))
  during.abort()
  expect(await waiting).toMatchObject({ code: 'aborted' })
  const after = new AbortController()
  const answer = await door.request({ method: 'GET', url: `${url}/body`, signal: after.signal })
  const reading = failureOf(answer.body.text())
  after.abort()
  expect(await reading).toMatchObject({ code: 'aborted' })
})

test('a slow reader holds the sender back', async () => {
  let accepted = 0
  const { url } = await listen((_request, response) => {
    const chunk = Buffer.alloc(64 * 1024)
    const more = () => {
      if (response.destroyed) return
      accepted += chunk.length
      response.write(chunk, more)
    }
    more()
  })
  const answer = await openDoor().request({ method: 'GET', url, bodyBytesMax: 1e12 })
  let read = 0
  for await (const chunk of answer.body) {
    read += chunk.length
    if (read > 1_000_000) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  // The kernel's buffers on both sides hold some megabytes; an unbounded reader would have taken far more.
  expect(accepted - read).toBeLessThan(32_000_000)
})

test('a discarded answer frees its connection for the next call', async () => {
  const sockets = new Set<unknown>()
  const { url } = await listen((request, response) => {
    sockets.add(request.socket)
    response.end('not read')
  })
  const door = openDoor()
  for (let i = 0; i < 5; i += 1) {
    const answer = await door.request({ method: 'GET', url })
    await answer.body.discard()
    await answer.body.discard()
  }
  expect(sockets.size).toBeLessThan(5)
})

test('https through a proxy is tunnelled, with the proxy password only to the proxy', async () => {
  const seen: { path: string | undefined; authorization: string | undefined }[] = []
  const { server, port } = await listen((_request, response) => response.end())
  server.on('connect', (request, socket) => {
    seen.push({ path: request.url, authorization: request.headers['proxy-authorization'] })
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  const door = openDoor({ proxyUrl: `http://me:pass@127.0.0.1:${port}` })
  const error = await failureOf(
    door.request({ method: 'GET', url: 'https://qualysapi.example.com/a?b=secret' }),
  )
  expect(error).toMatchObject({ code: 'connect', sent: false })
  expect(error.message).not.toMatch(/secret|pass/)
  expect(seen).toEqual([
    {
      path: 'qualysapi.example.com:443',
      authorization: `Basic ${Buffer.from('me:pass').toString('base64')}`,
    },
  ])
})

test('a proxy on an address that is not allowed is refused when the door is made', () => {
  for (const proxyUrl of ['http://10.0.0.1:3128', 'http://me:pa%ss@', 'socks5://127.0.0.1:1080', 'proxy']) {
    expect(() => createHttpDoor({ userAgent: 'test', proxyUrl })).toThrow(HttpDoorError)
  }
})

test('through a proxy plain http to a name is refused', async () => {
  const { port } = await listen((_request, response) => response.end())
  const door = openDoor({ proxyUrl: `http://127.0.0.1:${port}` })
  const error = await failureOf(door.request({ method: 'GET', url: 'http://inside.example/' }))
  expect(error).toMatchObject({ code: 'refused_url', sent: false })
})
