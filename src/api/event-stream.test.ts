import { afterEach, expect, vi } from 'vitest'
import { API_TOKEN, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { SILENT } from '../../test/support/hub.ts'
import { createApp } from './app.ts'

afterEach(() => vi.restoreAllMocks())

test('an event stream that fails says so in an event and in the log, and nowhere else', async ({ db }) => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  await withApi({ pool: db }, async ({ deps }) => {
    const logged: object[] = []
    const app = createApp({ ...deps, log: { ...SILENT, error: (details) => void logged.push(details) } })
    await db.query(
      `insert into integration (type, subtype, name, config) values ('vaplugin', 'qualys', 'x', '{}')`,
    )
    await db.query(
      `insert into run (integration_id, epoch, trigger, mode, mode_reason, options, scope, started_at)
       select id, 1, 'manual', 'full', '', '{}', '{}', now() from integration`,
    )
    const answer = await app.request('/api/v3/runs/1/events', {
      headers: { host: 'localhost', authorization: `Bearer ${API_TOKEN}` },
    })
    const text = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    expect((await text.read()).value).toMatch(/^event: progress\n/)
    await db.query('alter table run rename to run_of_before')
    let rest = ''
    for (let part = await text.read(); !part.done; part = await text.read()) rest += part.value
    const [, data = ''] = /event: error\ndata: (.*)\n\n$/.exec(rest) ?? []
    const told = JSON.parse(data) as { kind: string; message: string; requestId: string }
    expect(told).toMatchObject({ kind: 'bug', message: expect.stringContaining(told.requestId) })
    expect(data).not.toContain('relation')
    expect(logged).toMatchObject([{ requestId: told.requestId, run: '1' }])
    await db.query('alter table run_of_before rename to run')
  })
  expect(printed).not.toHaveBeenCalled()
})
