import { expect } from 'vitest'
import { API_TOKEN, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { proveToken } from '../lib/secrets.ts'

test('the health route proves on demand that it knows the token, and says nothing else', async ({ db }) => {
  await withApi({ pool: db }, async ({ app }) => {
    const ask = async (query: string) =>
      (await app.request(`/healthz${query}`, { headers: { host: 'localhost:1' } })).json()
    expect(await ask('')).toEqual({ service: 'patchbay' })
    const nonce = 'a-nonce-of-the-test'
    expect(await ask(`?nonce=${nonce}`)).toEqual({
      service: 'patchbay',
      proof: proveToken(API_TOKEN, nonce),
    })
    for (const odd of ['short', 'x'.repeat(129), 'with%20space-and-length'])
      expect(await ask(`?nonce=${odd}`)).toEqual({ service: 'patchbay' })
  })
})
