import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Integration } from '../../src/api/resources.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld } from '../support/cli.ts'

let world: CliWorld
let fake: FakeQualys

beforeEach(async () => {
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock: systemClock, hosts: 10 })
  fake = await startFakeQualys({ estate, limits: { rate: 10_000 } })
  world = await CliWorld.open({
    PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8',
    PATCHBAY_QUALYS_PASSWORD: DEFAULT_USER.password,
  })
})

afterEach(async () => {
  await world.close()
  await fake.close()
})

function addQualys(...more: string[]) {
  const account = ['--url', fake.url, '--username', DEFAULT_USER.username, '--private-platform']
  return world.run(['integration', 'add', 'qualys', ...account, ...more])
}

test('a password that was changed in Qualys is entered by the command line, and the next sync goes well', async () => {
  await world.serve()
  expect(await addQualys('--name', 'estate', '--quota-percent', '40')).toMatchObject({ code: 0 })
  fake.users = [{ ...DEFAULT_USER, password: 'changed-password' }]
  expect((await world.run(['sync'])).code).toBe(3)
  const set = (args: string[], input = '') => world.run(['integration', 'set', 'estate', ...args], { input })
  const wrong = await set(['--password-file', '-'], 'again-not-it\n')
  expect(wrong.code).toBe(3)
  expect(wrong.stderr).toMatch(/^Error: Qualys refuses/)
  expect(await set(['--password-file', '-'], 'changed-password\n')).toMatchObject({
    code: 0,
    stdout: 'Integration 1 is saved.\n',
  })
  // The old password in the environment is not taken when it is not asked for.
  expect((await set(['--frequency', '7'])).code).toBe(0)
  const [integration] = await world.json<Integration[]>(['integration', 'list'])
  expect(integration?.config).toMatchObject({
    name: 'estate',
    url: fake.url,
    autoSyncFrequency: 7,
    quotaSharePercent: 40,
  })
  expect(await world.run(['sync'])).toMatchObject({ code: 0 })
  const jira = await set(['--email', 'a@example.com'])
  expect(jira.code).toBe(3)
  expect(jira.stderr).toContain('--email')
  expect((await set(['--frequency', 'often'])).stderr).toContain('autoSyncFrequency')
  expect((await world.run(['integration', 'set', 'nowhere', '--frequency', '2'])).code).toBe(2)
})

test('a new address asks for the password again, and takes it only from where it was given', async () => {
  await world.serve()
  expect((await addQualys('--name', 'estate')).code).toBe(0)
  const elsewhere = ['integration', 'set', 'estate', '--url', fake.url.replace('127.0.0.1', 'localhost')]
  const asked = await world.run(elsewhere, { env: { PATCHBAY_QUALYS_PASSWORD: '' } })
  expect(asked.code).toBe(3)
  expect(asked.stderr).toContain('The Qualys password')
  expect((await world.json<Integration[]>(['integration', 'list']))[0]?.config['url']).toBe(fake.url)
  expect(await world.run(elsewhere)).toMatchObject({ code: 0 })
})

test('the state of the migrations is told beside a running server, which alone may change it', async () => {
  await world.serve()
  const told = await world.json<{ applied: string[]; pending: string[] }>(['migrate', '--status'])
  expect(told.applied.length).toBeGreaterThan(0)
  expect(told.pending).toEqual([])
  expect((await world.run(['migrate'])).code).toBe(6)
})

test('addresses that cannot be right are refused before and by the server, naming the right one', async () => {
  await world.serve()
  const add = (url: string) => world.run(['integration', 'add', 'qualys', '--username', 'x', '--url', url])
  const refusals = [
    ['https://qualysguard.qg2.apps.qualys.com', 'https://qualysapi.qg2.apps.qualys.com'],
    ['https://qualysapi.qg99.apps.qualys.com', 'qualysapi.qg99.apps.qualys.com'],
    ['http://qualysapi.qualys.com', 'https'],
  ] as const
  for (const [url, named] of refusals) {
    const refused = await add(url)
    expect({ url, code: refused.code }).toEqual({ url, code: 3 })
    expect(refused.stderr).toContain(named)
  }
  expect(await world.json<Integration[]>(['integration', 'list'])).toEqual([])
  expect(fake.requests).toEqual([])
})

test('a connection is tried and switched off and on by the command line', async () => {
  await world.serve()
  expect((await addQualys('--name', 'estate')).code).toBe(0)
  const tried = await world.run(['integration', 'test', 'estate'])
  expect(tried.code).toBe(0)
  expect(tried.stdout).toMatch(/^ok +login/m)
  expect((await world.run(['integration', 'disable', 'estate'])).stdout).toBe('"estate" is disabled.\n')
  expect((await world.run(['sync'])).code).toBe(6)
  expect((await world.run(['integration', 'enable', '1'])).code).toBe(0)
  expect((await world.run(['sync'])).code).toBe(0)
})
