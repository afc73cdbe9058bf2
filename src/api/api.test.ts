import { expect } from 'vitest'
import { type TestApi, API_TOKEN, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { startSync } from '../jobs/start-sync.ts'
import { HubError, type HubErrorKind } from '../model/errors.ts'
import type { Finding, FindingReport, Integration, IntegrationPage, Run } from './resources.ts'
import type { RunProgress, RunReport } from './run-resources.ts'

const QUALYS = { type: 'vaplugin', subtype: 'qualys' }
const JIRA = {
  type: 'ticketing',
  subtype: 'jira',
  config: {
    name: 'tickets',
    url: 'https://example.atlassian.net',
    email: 'bot@example.com',
    apiToken: 'canary-jira-token',
    projectKey: 'VULN',
  },
}

interface Answer {
  success: boolean
  message: string
  hints: string[]
  kind: string
  code: string | null
  requestId: string
}

async function addQualys(api: TestApi, changes: Record<string, unknown> = {}): Promise<number> {
  const { body } = await api.call<Answer & { data: { id: number } }>('/integrations', {
    body: { ...QUALYS, config: api.qualysConfig(changes) },
  })
  expect(body).toMatchObject({ success: true, message: 'Integration configuration saved successfully.' })
  return body.data.id
}

/** Follows the events to their end. */
async function untilEnd(api: TestApi, runId: string): Promise<RunProgress> {
  const answer = await api.app.request(`/api/v3/runs/${runId}/events`, {
    headers: { host: 'localhost', authorization: `Bearer ${API_TOKEN}` },
  })
  const events = (await answer.text()).split('\n\n').filter((block) => block.includes('event: end'))
  const data = /^data: (.*)$/m.exec(events[0] ?? '')?.[1]
  return JSON.parse(data ?? 'null') as RunProgress
}

async function syncOnce(api: TestApi, id: number, query = ''): Promise<RunProgress> {
  const started = await api.call<Answer & { data: { run: Run } }>(`/integrations/${id}?action=sync${query}`, {
    method: 'POST',
  })
  expect(started).toMatchObject({ status: 202, body: { success: true } })
  return untilEnd(api, started.body.data.run.id)
}

test('the API answers nobody without its token, and tells why with an id', async ({ db }) => {
  await withApi({ pool: db }, async ({ call, app }) => {
    for (const authorization of ['', 'Bearer wrong', `Basic ${API_TOKEN}`]) {
      const { status, body, headers } = await call('/runs', { headers: { authorization } })
      expect(status).toBe(401)
      expect(headers.get('content-type')).toContain('application/problem+json')
      expect(body['requestId']).toMatch(/^[0-9a-f-]{36}$/)
    }
    const health = await app.request('/healthz', { headers: { host: 'localhost:1' } })
    expect(health.status).toBe(200)
  })
})

test('a name that is not the loopback one is refused, so that no web page can reach the API', async ({
  db,
}) => {
  await withApi({ pool: db }, async ({ call }) => {
    for (const host of [
      'evil.example.com',
      '127.0.0.1.example.com',
      'localhost.example.com:8088',
      '',
      '10.0.0.1',
    ])
      expect({ host, ...(await call('/runs', { headers: { host } })) }).toMatchObject({ host, status: 403 })
    for (const host of ['localhost:8088', '127.0.0.1', '[::1]:8088', 'patchbay.example.com'])
      expect({ host, ...(await call('/runs', { headers: { host } })) }).toMatchObject({ host, status: 200 })
  })
})

test('a saved integration gives no secret back and keeps it sealed', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const canary = 'canary-5f1c-password'
    const id = await addQualys(api, { password: canary })
    const one = await api.call<Integration>(`/integrations/${id}`)
    expect(one.body).toMatchObject({ id, ...QUALYS, state: null, isEnabled: true })
    expect(one.body.config).toMatchObject({
      name: 'estate',
      autoSyncFrequency: 1,
      sensitiveFields: ['password'],
    })
    const listed = await api.call<IntegrationPage>('/integrations')
    expect(JSON.stringify([one.body, listed.body])).not.toContain(canary)
    // Leaves a job behind, since nobody works here.
    await startSync(db, api.clock, { integrationId: String(id), trigger: 'manual', mode: 'full' })
    const tables = await db.query<{ name: string }>(
      `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
        where table_schema in ('public', 'graphile_worker') and table_type = 'BASE TABLE'`,
    )
    expect(tables.rows.length).toBeGreaterThan(20)
    for (const { name } of tables.rows) {
      const found = await db.query(`select 1 from ${name} as t where t::text like '%' || $1 || '%'`, [canary])
      expect({ name, rows: found.rowCount }).toEqual({ name, rows: 0 })
    }
    expect(await api.deps.vault.openAll(db, String(id))).toEqual({ password: canary })
  })
})

test('fields named as sensitive are sealed as well and left out of answers', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const id = await addQualys(api, { sensitiveFields: ['username'] })
    const { body } = await api.call<Integration>(`/integrations/${id}`)
    expect(body.config['username']).toBeUndefined()
    expect(body.config['sensitiveFields']).toEqual(['password', 'username'])
    const refused = await api.call<Answer>('/integrations', {
      body: { ...QUALYS, config: api.qualysConfig({ name: 'b', sensitiveFields: ['showIgs'] }) },
    })
    expect(refused.status).toBe(400)
    expect(refused.body.success).toBe(false)
  })
})

test('a configuration that cannot be right is refused in a sentence that names what is', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const save = (config: Record<string, unknown>, kind = QUALYS) =>
      api.call<Answer>('/integrations', { body: { ...kind, config } })
    const ui = await save({
      ...api.qualysConfig(),
      privatePlatform: false,
      url: 'https://qualysguard.qg2.apps.qualys.com',
    })
    expect(ui.status).toBe(400)
    expect(ui.body).toMatchObject({ success: false, kind: 'config' })
    expect(ui.body.message).toContain('https://qualysapi.qg2.apps.qualys.com')
    expect((await save(api.qualysConfig({ nonsense: 1 }))).body.message).toContain('nonsense')
    expect((await save(api.qualysConfig({ autoSyncFrequency: 31 }))).body.message).toContain(
      'autoSyncFrequency',
    )
    expect((await save({}, { type: 'x', subtype: 'y' })).body.hints[0]).toContain('vaplugin/qualys')
    expect((await api.call('/integrations/77')).status).toBe(404)
    expect(await db.query('select 1 from integration')).toMatchObject({ rowCount: 0 })
  })
})

test('an update keeps the stored secret, but never lets it go to another address', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const id = await addQualys(api, { password: 'first-password' })
    const { password: _, ...rest } = api.qualysConfig({ autoSyncFrequency: 7 })
    const kept = await api.call('/integrations', { body: { id, ...QUALYS, config: rest } })
    expect(kept.status).toBe(200)
    expect(await api.deps.vault.openAll(db, String(id))).toEqual({ password: 'first-password' })
    const moved = await api.call<Answer>('/integrations', {
      body: { id, ...QUALYS, config: { ...rest, url: 'http://127.0.0.2:9' } },
    })
    expect(moved.status).toBe(400)
    expect(moved.body.code).toBe('secret_needed')
    const { body } = await api.call<Integration>(`/integrations/${id}`)
    expect(body.config).toMatchObject({ autoSyncFrequency: 7, url: api.fake.url })
  })
})

test('two integrations cannot have one name, and one without a name gets one', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    await addQualys(api)
    const again = await api.call<Answer>('/integrations', { body: { ...QUALYS, config: api.qualysConfig() } })
    expect(again.status).toBe(409)
    const { name: _, ...nameless } = api.qualysConfig()
    await api.call('/integrations', { body: { ...QUALYS, config: nameless } })
    await api.call('/integrations', { body: { ...QUALYS, config: nameless } })
    const { body } = await api.call<IntegrationPage>('/integrations')
    expect(body.values.map((one) => one.config['name'])).toEqual(['estate', 'qualys', 'qualys-2'])
  })
})

test('integrations are listed in numbered pages with links, by type as well', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    for (const name of ['a', 'b', 'c']) await addQualys(api, { name })
    await api.call('/integrations', { body: JIRA })
    const first = await api.call<IntegrationPage>('/integrations?pagelen=2&type=vaplugin')
    expect(first.body).toMatchObject({ page: 1, pagelen: 2, previous: null, size: 3 })
    const next = await api.call<IntegrationPage>((first.body.next ?? '').replace('/api/v3', ''))
    expect(next.body.values.map((one) => one.config['name'])).toEqual(['c'])
    expect(next.body.next).toBeNull()
    const jira = await api.call<IntegrationPage>('/integrations?type=ticketing')
    expect(jira.body.values).toHaveLength(1)
    expect(JSON.stringify(jira.body)).not.toContain('canary-jira-token')
    expect((await api.call<IntegrationPage>('/integrations?id=1')).body.size).toBe(1)
  })
})

test('the actions of a type are described as documented', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const { body } = await api.call<{ type: string; actions: { name: string }[] }[]>(
      '/integrations/details?type=vaplugin&subtype=qualys',
    )
    expect(body).toHaveLength(1)
    expect(body[0]?.actions.map(({ name }) => name)).toEqual(['enable', 'disable', 'test', 'sync'])
  })
})

test('a connection test says what it saw, and a wrong password is tried once and answered with what to do', async ({
  db,
}) => {
  await withApi({ pool: db }, async (api) => {
    const good = await api.call<{ message: string; checks: { ok: boolean }[] }>('/integrations/test', {
      body: { ...QUALYS, config: api.qualysConfig() },
    })
    expect(good.status).toBe(200)
    expect(good.body.message).toBe('Test connection success')
    expect(good.body.checks.every((check) => check.ok)).toBe(true)
    const before = api.fake.requests.length
    const bad = await api.call<Answer>('/integrations/test', {
      body: { ...QUALYS, config: api.qualysConfig({ password: 'canary-wrong' }) },
    })
    expect(bad.status).toBe(400)
    expect(bad.body.success).toBe(false)
    expect(bad.body.hints.length).toBeGreaterThan(1)
    expect(JSON.stringify(bad.body)).not.toContain('canary-wrong')
    expect(api.fake.requests.length - before).toBe(1)
  })
})

test('of many who ask for a sync at once exactly one starts it', async ({ db }) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    const id = await addQualys(api)
    // The run cannot end before the last one has asked.
    const held = api.fake.faults.add({ kind: 'stall', atByte: 100, match: { endpoint: 'host-list' } })
    const answers = await Promise.all(
      Array.from({ length: 12 }, () =>
        api.call<Answer>(`/integrations/${id}?action=sync&force=true`, { method: 'POST' }),
      ),
    )
    held.release()
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(11)
    await untilEnd(api, '1')
    expect(await db.query('select 1 from run')).toMatchObject({ rowCount: 1 })
  })
})

test('a second manual sync waits 24 hours or is insisted on, a disabled integration has none', async ({
  db,
}) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    const id = await addQualys(api)
    const end = await syncOnce(api, id)
    expect(end.run.state).toBe('COMPLETE')
    const sync = (query: string) =>
      api.call<Answer>(`/integrations/${id}?action=sync${query}`, { method: 'POST' })
    const early = await sync('')
    expect(early.status).toBe(409)
    const allowedAt = new Date(Date.parse(end.run.finishedAt ?? '') + 24 * 3_600_000).toISOString()
    expect(early.body.message).toContain(allowedAt)
    expect((await syncOnce(api, id, '&force=true')).run.mode).toBe('delta')
    api.clock.advance(25 * 3_600_000)
    expect((await syncOnce(api, id)).run.trigger).toBe('manual')
    await api.call(`/integrations/${id}?action=disable`, { method: 'POST' })
    expect((await sync('&force=true')).body).toMatchObject({ success: false, code: 'disabled' })
  })
})

test('a failed sync says so in the integration, and does not count for the 24 hours', async ({ db }) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    const id = await addQualys(api, { password: 'not-the-password' })
    const end = await syncOnce(api, id)
    expect(end).toMatchObject({ needsPerson: true, run: { state: 'FAILED' } })
    const { body } = await api.call<Integration>(`/integrations/${id}`)
    expect(body.state?.status).toBe(3)
    expect(body.state?.message).toContain('password')
    await api.call('/integrations', { body: { id, ...QUALYS, config: api.qualysConfig() } })
    expect((await syncOnce(api, id)).run.state).toBe('COMPLETE')
  })
})

test('a run tells what was expected, what came, and what became of it', async ({ db }) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    const id = await addQualys(api)
    const end = await syncOnce(api, id)
    const { body } = await api.call<RunReport>(`/runs/${end.run.id}`)
    expect(body.run).toMatchObject({ state: 'COMPLETE', expectedHosts: 20, visibleHosts: 20 })
    const detections = body.ledger.find(({ module }) => module === 'qualys.detections')
    const stored = await db.query<{ count: number }>('select count(*)::int as count from finding')
    expect(detections?.newRecords).toBe(stored.rows[0]?.count)
    expect(body.gaps).toEqual({ opened: 0, stillOwed: 0, settled: 0 })
    const batches = await api.call<{ data: { state: string }[] }>(`/runs/${end.run.id}/batches`)
    expect(batches.body.data.map(({ state }) => state)).toEqual(['done', 'done'])
    expect((await api.call('/runs/999')).status).toBe(404)
    expect((await api.call('/gaps')).body).toEqual({ data: [], next: null })
    expect((await api.call<{ data: unknown[] }>('/hosts?limit=5')).body.data).toHaveLength(5)
  })
})

test('pages of findings visit each finding once, and filters hold for the count too', async ({ db }) => {
  await withApi({ pool: db, withWorker: true }, async (api) => {
    await syncOnce(api, await addQualys(api))
    type Page = { data: Finding[]; next: string | null; total: { count: number; isExact: boolean } }
    const seen: string[] = []
    let after: string | null = null
    do {
      const page: Page = (
        await api.call<Page>(`/findings?limit=97${after === null ? '' : `&after=${after}`}`)
      ).body
      seen.push(...page.data.map(({ id }) => id))
      after = page.next
    } while (after !== null)
    const { rows } = await db.query<{ count: number }>('select count(*)::int as count from finding')
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBe(rows[0]?.count)

    const all = (await api.call<Page>('/findings?limit=1000')).body.data
    const sample = all.find(({ state, severity }) => state === 'open' && severity === 5)
    if (sample === undefined) throw new Error('The estate has no open finding of severity 5.')
    const matching = all.filter(
      (one) =>
        one.state === 'open' && one.severity === 5 && one.qid === sample.qid && one.hostId === sample.hostId,
    )
    const query = `state=open&severity=5&qid=${sample.qid}&host=${sample.hostName ?? sample.ip}`
    const filtered = (await api.call<Page>(`/findings?${query}`)).body
    expect(filtered.data.map(({ id }) => id)).toEqual(matching.map(({ id }) => id))
    expect(filtered.total).toEqual({ count: matching.length, isExact: true })
  })
})

test('one finding comes with its evidence and its history', async ({ db }) => {
  await withApi({ pool: db, withWorker: true, estate: { hosts: 40 } }, async (api) => {
    const id = await addQualys(api)
    await syncOnce(api, id)
    for (let day = 0; day < 3; day += 1) {
      api.clock.advance(86_400_000)
      api.estate.advanceDay()
      await syncOnce(api, id, '&force=true')
    }
    const changed = await db.query<{ id: string }>(
      `select f.place_id || '-' || f.id as id
         from finding f join event e on e.place_id = f.place_id and e.finding_id = f.id
        where f.state = 'fixed' and e.old_state = 'open' and e.new_state = 'fixed' and f.times_reopened = 0
        limit 1`,
    )
    const { status, body } = await api.call<FindingReport>(`/findings/${changed.rows[0]?.id}`)
    expect(status).toBe(200)
    expect(body.state).toBe('fixed')
    expect(body.events[0]).toMatchObject({ oldState: 'open', newState: 'fixed' })
    const withEvidence = await db.query<{ id: string; body: string }>(
      `select f.place_id || '-' || f.id as id, e.body from finding f join evidence e on e.hash = f.evidence_hash limit 1`,
    )
    const told = await api.call<FindingReport>(`/findings/${withEvidence.rows[0]?.id}`)
    expect(told.body.evidence).toBe(withEvidence.rows[0]?.body)
    expect((await api.call('/findings/1-99999999')).status).toBe(404)
  })
})

test('the built-in rule appears, is off, and is previewed without a trace', async ({ db }) => {
  await withApi({ pool: db, withWorker: true, estate: { hosts: 30 } }, async (api) => {
    await syncOnce(api, await addQualys(api))
    await api.call('/integrations', { body: JIRA })
    const rules = await api.call<{ data: { id: string; isEnabled: boolean }[] }>('/rules')
    expect(rules.body.data).toMatchObject([{ isEnabled: false }])
    const preview = await api.call<{ counts: { create: number }; planned: { text: string | null }[] }>(
      `/rules/${rules.body.data[0]?.id}/preview`,
    )
    expect(preview.body.counts.create).toBeGreaterThan(0)
    expect(preview.body.planned[0]?.text).toContain('Hosts')
    expect(await db.query('select 1 from ticket')).toMatchObject({ rowCount: 0 })
    expect((await api.call('/tickets')).body).toEqual({ data: [], next: null })
  })
})

test('what does not fit is refused before it is looked at', async ({ db }) => {
  await withApi({ pool: db }, async ({ call }) => {
    for (const path of [
      '/runs/abc',
      '/runs?limit=0',
      '/runs?limit=1001',
      "/findings?qid=1'",
      '/findings?state=gone',
      '/findings/12',
    ])
      expect({ path, ...(await call(path)).body }).toMatchObject({ path, status: 400, code: 'bad_request' })
    const large = await call('/integrations', {
      body: { ...QUALYS, config: { name: 'x'.repeat(1_100_000) } },
    })
    expect(large.status).toBe(413)
    expect((await call('/nothing-here')).status).toBe(404)
  })
})

test('each kind of failure has its status, and a bug tells nothing but an id', async ({ db }) => {
  const statuses: Record<HubErrorKind, number> = {
    config: 400,
    auth: 400,
    permission: 400,
    not_found: 404,
    conflict: 409,
    rate_limit: 503,
    concurrency: 503,
    transient: 502,
    contract: 502,
  }
  await withApi({ pool: db }, async ({ call, deps }) => {
    for (const [kind, status] of Object.entries(statuses)) {
      deps.diagnose = async () => {
        throw new HubError(kind as HubErrorKind, 'It failed.', { hint: 'Do this.', retryAfterMs: 1_500 })
      }
      const answer = await call('/doctor')
      expect({ kind, status: answer.status }).toEqual({ kind, status })
      expect(answer.body).toMatchObject({ kind, detail: 'It failed.', hint: 'Do this.' })
      expect(answer.headers.get('retry-after')).toBe('2')
    }
    deps.diagnose = async () => {
      throw new Error('canary-internal')
    }
    const bug = await call('/doctor')
    expect(bug.status).toBe(500)
    expect(JSON.stringify(bug.body)).not.toContain('canary-internal')
  })
})
