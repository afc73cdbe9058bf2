import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'

import { startReplay } from '../../../test/support/replay.ts'
import { ManualClock } from '../../lib/clock.ts'
import { createHttpDoor } from '../../lib/http/index.ts'
import type { HubError } from '../../model/errors.ts'
import { createJiraClient } from './client.ts'
import type { JiraRefusal } from './errors.ts'

const EMAIL = 'hub@example.com'
const API_TOKEN = 'ATATT3xFfGF0-made-up'
const LOGIN = Buffer.from(`${EMAIL}:${API_TOKEN}`).toString('base64')

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

test('credentials that Jira or something before it reflects are in no error', async () => {
  const header = `Authorization: Basic ${LOGIN} (${API_TOKEN})`
  const padded = `${'x'.repeat(290)} ${LOGIN}`
  const bodies = [header, padded].flatMap((said) => [
    JSON.stringify({ errorMessages: [said], errors: { summary: said } }),
    JSON.stringify({ message: said }),
    `<html>${said}</html>`,
  ])
  for (const body of bodies) {
    for (const status of [400, 401, 403, 404, 409, 429, 500]) {
      const headers = { 'ratelimit-reason': `${'x '.repeat(25)}${LOGIN}` }
      const server = await startReplay([{ status, headers, body }])
      const door = createHttpDoor({ userAgent: 'test', allowedCidrs: ['127.0.0.1'] })
      closers.push(
        () => server.close(),
        () => door.close(),
      )
      const clock = new ManualClock(0, { skipSleeps: true })
      const client = createJiraClient({ baseUrl: server.url, email: EMAIL, apiToken: API_TOKEN, door, clock })
      const call = { method: 'POST', path: '/issue', what: 'create a ticket', repeat: 'once' } as const
      const error = await client.call(call, z.unknown(), new AbortController().signal).then(
        () => undefined,
        (thrown: unknown) => thrown as HubError & Partial<JiraRefusal>,
      )
      expect(error?.message).toContain('create a ticket')
      const { message, hint, code, stack, fields } = error ?? {}
      const cause = error?.cause as Error | undefined
      const shown = JSON.stringify([message, hint, code, stack, fields, cause?.message, cause?.stack])
      expect(shown).not.toContain(LOGIN.slice(0, 6))
      expect(shown).not.toContain(API_TOKEN.slice(0, 6))
    }
  }
})
