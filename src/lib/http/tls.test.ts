import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { afterEach, expect, test } from 'vitest'

import { createHttpDoor } from './index.ts'

// A certificate for qualysapi.example.com that nobody trusts, made for these tests alone; its key protects nothing.
const CERTIFICATE_PEM = `-----BEGIN CERTIFICATE-----
MIIBujCCAV+gAwIBAgIUPK3dIU1/DKzVDW1UcA1WJ9xGFeswCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVcXVhbHlzYXBpLmV4YW1wbGUuY29tMCAXDTI2MTEyMTA0MDIz
OFoYDzIxMjYxMDI4MDQwMjM4WjAgMR4wHAYDVQQDDBVxdWFseXNhcGkuZXhhbXBs
ZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASWOCyCe4ap80zA3OoQwRgZ
yhRw7zsSd44TYm8UrsfsRHgT794G9BAYhZCX63+SCqRFqKmzJXuK/jtDVBQftzNP
o3UwczAdBgNVHQ4EFgQUhB9rhwxKkczh04RBhcXh+EpPMbcwHwYDVR0jBBgwFoAU
hB9rhwxKkczh04RBhcXh+EpPMbcwDwYDVR0TAQH/BAUwAwEB/zAgBgNVHREEGTAX
ghVxdWFseXNhcGkuZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDSQAwRgIhAIdzimCO
Npjfo4Y4+dWbZBOr0pyPa5e2myQMTqdSpw0vAiEA7qiOFxTAbydEvxAqWk5jLLVG
LA7EigmW9d9ZpUxDvOU=
-----END CERTIFICATE-----`
const KEY_PEM = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgx5myKq9D20Hobgfc
LgVIYSOFmygVvEc1WRn9TnAYCIqhRANCAASWOCyCe4ap80zA3OoQwRgZyhRw7zsS
d44TYm8UrsfsRHgT794G9BAYhZCX63+SCqRFqKmzJXuK/jtDVBQftzNP
-----END PRIVATE KEY-----`

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function call(host: string, caPem?: string): Promise<string> {
  const server = createServer({ cert: CERTIFICATE_PEM, key: KEY_PEM }, (_request, response) =>
    response.end('secure'),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const door = createHttpDoor({
    userAgent: 'test',
    allowedCidrs: ['127.0.0.1'],
    resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    ...(caPem === undefined ? {} : { caPem }),
  })
  closers.push(async () => {
    await door.close()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const answer = await door.request({ method: 'GET', url: `https://${host}:${port}/` })
  return answer.body.text()
}

test('a certificate that nobody trusts is refused before anything is sent', async () => {
  await expect(call('qualysapi.example.com')).rejects.toMatchObject({ code: 'tls', sent: false })
})

test('a certificate of an own authority is accepted when its PEM is configured', async () => {
  await expect(call('qualysapi.example.com', CERTIFICATE_PEM)).resolves.toBe('secure')
})

test('a trusted certificate for another name is refused', async () => {
  await expect(call('gateway.example.com', CERTIFICATE_PEM)).rejects.toMatchObject({
    code: 'tls',
    sent: false,
  })
})
