import { expect } from 'vitest'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { type TestApi, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import type { Integration } from './resources.ts'

const QUALYS = { type: 'vaplugin', subtype: 'qualys' }

interface Answer {
  success: boolean
  message: string
  hints: string[]
  code: string | null
  data: { id: number }
}

function save(api: TestApi, config: Record<string, unknown>, id?: number) {
  return api.call<Answer>('/integrations', { body: { ...QUALYS, ...(id !== undefined && { id }), config } })
}

test('once hosts are stored an integration stays with its platform and its company', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const first = { ...DEFAULT_USER, username: 'quays_ab1' }
    const configOf = (username: string, url = api.fake.url) => api.qualysConfig({ username, url })
    const { id } = (await save(api, configOf(first.username))).body.data
    // Nothing is stored yet, so nothing can be mixed.
    expect((await save(api, configOf('other_ab1'), id)).status).toBe(200)
    expect((await save(api, configOf('quays_ab1'), id)).status).toBe(200)
    await db.query(
      `insert into host (integration_id, host_id, first_listed_at, last_listed_at, last_listed_scope)
        values ($1, 7, now(), now(), '')`,
      [id],
    )
    for (const config of [configOf('other_ab1'), configOf('quays_ab1', 'http://127.0.0.2:9')]) {
      const refused = await save(api, config, id)
      expect(refused).toMatchObject({ status: 409, body: { code: 'other_subscription' } })
      expect(refused.body.hints[0]).toContain('second integration')
    }
    // A colleague of the same company reads the same hosts.
    expect((await save(api, configOf('QUAYS_cd2'), id)).status).toBe(200)
    expect((await api.call<Integration>(`/integrations/${id}`)).body.config['username']).toBe('QUAYS_cd2')
    expect((await save(api, { ...configOf('other_ab1'), name: 'second' })).status).toBe(200)
  })
})

test('a sealed field cannot be unsealed and read back, only entered again in the open', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const sealed = api.qualysConfig({ username: 'canary_user', sensitiveFields: ['username'] })
    const { id } = (await save(api, sealed)).body.data
    const { username: _, ...without } = sealed
    expect((await save(api, { ...without, sensitiveFields: [] }, id)).status).toBe(200)
    const kept = await api.call<Integration>(`/integrations/${id}`)
    expect(kept.body.config['sensitiveFields']).toEqual(['password', 'username'])
    expect(JSON.stringify(kept.body)).not.toContain('canary_user')
    expect(await api.deps.vault.openAll(db, String(id))).toMatchObject({ username: 'canary_user' })
    await save(api, { ...without, username: 'open_user', sensitiveFields: [] }, id)
    const open = await api.call<Integration>(`/integrations/${id}`)
    expect(open.body.config).toMatchObject({ username: 'open_user', sensitiveFields: ['password'] })
  })
})

test('of many who save at once each gets a name of its own, and one gets the name that all want', async ({
  db,
}) => {
  await withApi({ pool: db }, async (api) => {
    const { name: _, ...nameless } = api.qualysConfig()
    const unnamed = await Promise.all(Array.from({ length: 8 }, () => save(api, nameless)))
    expect(unnamed.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    const named = await Promise.all(Array.from({ length: 8 }, () => save(api, api.qualysConfig())))
    expect(named.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(named.filter(({ body }) => body.code === 'name_taken')).toHaveLength(7)
  })
})
