import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FakeJira, startFakeJira } from '../../fakes/jira/fake-jira.ts'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Rule, Ticket } from '../../src/api/resources.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld } from '../support/cli.ts'

let world: CliWorld
let fake: FakeQualys
let jira: FakeJira

beforeEach(async () => {
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock: systemClock, hosts: 8 })
  fake = await startFakeQualys({ estate, limits: { rate: 10_000 } })
  jira = await startFakeJira({ clock: systemClock })
  world = await CliWorld.open({
    PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8',
    PATCHBAY_QUALYS_PASSWORD: DEFAULT_USER.password,
  })
  await world.serve()
  const account = ['--url', fake.url, '--username', DEFAULT_USER.username, '--private-platform']
  expect((await world.run(['integration', 'add', 'qualys', '--name', 'estate', ...account])).code).toBe(0)
})

afterEach(async () => {
  await world.close()
  await fake.close()
  await jira.close()
})

test('the command line leads from a Jira project over a preview to tickets', async () => {
  expect((await world.run(['sync'])).code).toBe(0)
  const site = ['--url', jira.url, '--email', jira.email, '--project', 'VULN', '--api-token-file', '-']
  const added = await world.run(['integration', 'add', 'jira', '--name', 'tickets', ...site], {
    input: `${jira.apiToken}\n`,
  })
  expect(added).toMatchObject({ code: 0, stdout: 'Integration 2 is saved.\n' })
  const preview = await world.run(['rule', 'preview'])
  expect(preview).toMatchObject({ code: 0 })
  expect(preview.stdout).toMatch(/would create [1-9]\d*, update 0/)
  // Nobody has said that the preview was seen.
  const refused = await world.run(['rule', 'enable'])
  expect(refused.code).toBe(6)
  expect(refused.stdout).toContain('would create')
  expect(refused.stderr).toContain('--yes')
  expect(await world.json<Rule[]>(['rule', 'list'])).toMatchObject([{ isEnabled: false }])
  expect(jira.issues()).toEqual([])
  expect((await world.run(['rule', 'enable', '--yes'])).code).toBe(0)
  expect(await world.json<Rule[]>(['rule', 'list'])).toMatchObject([{ isEnabled: true }])
  expect((await world.run(['sync', '--force'])).code).toBe(0)
  const tickets = await world.json<Ticket[]>(['ticket', 'list'])
  expect(tickets.length).toBeGreaterThan(0)
  const shown = await world.run(['ticket', 'show', tickets[0]?.id ?? ''])
  expect(shown.code).toBe(0)
  expect(shown.stdout).toContain(tickets[0]?.summary)
  expect((await world.run(['ticket', 'show', '999999'])).code).toBe(2)
  expect((await world.run(['rule', 'disable'])).code).toBe(0)
  expect(await world.json<Rule[]>(['rule', 'list'])).toMatchObject([{ isEnabled: false }])
})
