import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Finding, Integration } from '../../src/api/resources.ts'
import type { RunReport } from '../../src/api/run-resources.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld, until } from '../support/cli.ts'

const HOSTS = 25

let world: CliWorld
let fake: FakeQualys

beforeEach(async () => {
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock: systemClock, hosts: HOSTS })
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

function addArguments(...more: string[]): string[] {
  const { username } = DEFAULT_USER
  return [
    'integration',
    'add',
    'qualys',
    '--url',
    fake.url,
    '--username',
    username,
    '--private-platform',
    ...more,
  ]
}

test('without a server a command starts what it needs, does its work and leaves nothing running', async () => {
  const added = await world.run(addArguments('--name', 'estate'))
  expect(added).toMatchObject({ code: 0, stdout: 'Integration 1 is saved.\n' })
  const synced = await world.run(['sync'])
  expect(synced).toMatchObject({ code: 0 })
  expect(synced.stdout).toMatch(/^state +COMPLETE$/m)
  expect(synced.stdout).toMatch(/^expected +25 hosts of 25/m)
  expect(synced.stdout).toMatch(/^owed +nothing$/m)
  expect(synced.stderr).toContain('run 1 (full)')
  const listed = await world.run(['run', 'list'])
  expect(listed.stdout).toMatch(/^1\t1\tCOMPLETE\tfull\tmanual\t/)
  expect(await world.run(['gap', 'list'])).toMatchObject({ code: 0, stdout: '' })
  const findings = await world.json<Finding[]>([
    'finding',
    'list',
    '--state',
    'open',
    '--severity',
    '4',
    '--limit',
    '5',
  ])
  expect(findings).toHaveLength(5)
  expect(findings.every(({ severity, state }) => state === 'open' && (severity ?? 0) >= 4)).toBe(true)
  const shown = await world.run(['finding', 'show', findings[0]?.id ?? ''])
  expect(shown.stdout).toContain(findings[0]?.qid)
  expect(await readdir(world.home)).not.toContain('server.json')
  expect(await readdir(world.home)).not.toContain('owner')
})

test('with a server commands are its clients; a second server is refused and the first goes on', async () => {
  const server = await world.serve()
  expect((await world.run(addArguments())).code).toBe(0)
  const second = await world.run(['serve'])
  expect(second.code).toBe(6)
  expect(second.stderr).toMatch(/The data folder .* is in use by the Patchbay process with pid \d+/)
  const started = await world.run(['sync', '--no-wait'])
  expect(started).toMatchObject({ code: 0, stdout: 'Run 1 has started. Watch it: patchbay run watch 1\n' })
  const report = await world.json<RunReport>(['run', 'watch', '1'])
  expect(report.run.state).toBe('COMPLETE')
  const early = await world.run(['sync'])
  expect(early.code).toBe(6)
  expect(early.stderr).toContain('the next manual sync is allowed at')
  server.process.kill('SIGTERM')
  expect((await server.ended).code).toBe(0)
  expect(await readdir(world.home)).not.toContain('server.json')
})

test('a server that was killed leaves nothing that confuses the next command', async () => {
  const server = await world.serve()
  process.kill(await world.serverPid(), 'SIGKILL')
  expect((await server.ended).code).toBe(128 + 9)
  expect(await readdir(world.home)).toContain('server.json')
  expect(await world.run(['run', 'list'])).toMatchObject({ code: 0, stdout: '' })
  expect(await readdir(world.home)).not.toContain('server.json')
})

test('a wrong password ends with 3 and says what to do, and nothing is saved', async () => {
  const wrong = { env: { PATCHBAY_QUALYS_PASSWORD: 'canary-wrong-password' } }
  const refused = await world.run(addArguments(), wrong)
  expect(refused.code).toBe(3)
  expect(refused.stderr).toMatch(/^Error: Qualys refuses the user name or the password/)
  expect(refused.stderr).toContain('Make sure that the API URL starts with qualysapi')
  expect(await world.json<Integration[]>(['integration', 'list'])).toEqual([])
  const saved = await world.run(addArguments('--no-test'), wrong)
  expect(saved.code).toBe(0)
  const before = fake.requests.length
  const synced = await world.run(['sync'])
  expect(synced.code).toBe(3)
  expect(synced.stdout).toMatch(/^message +Qualys refuses/m)
  // Never a second try: it would lock the account.
  expect(fake.requests.length - before).toBe(1)
  const [integration] = await world.json<Integration[]>(['integration', 'list'])
  expect(integration?.state).toMatchObject({ status: 3 })
  expect(world.said).not.toContain('canary-wrong-password')
})

test('a secret is never said, logged or stored in the clear, not even when everything is logged', async () => {
  const canary = 'canary-7d1e-qualys-password'
  fake.users = [{ ...DEFAULT_USER, password: canary }]
  const env = { PATCHBAY_LOG_LEVEL: 'debug', PATCHBAY_QUALYS_PASSWORD: canary }
  const server = await world.serve(env)
  expect((await world.run(addArguments(), { env })).code).toBe(0)
  expect((await world.run(['sync', '--json'], { env })).code).toBe(0)
  expect((await world.run(['doctor', '--json'], { env })).code).toBe(0)
  expect((await world.run(['integration', 'list', '--json'], { env })).code).toBe(0)
  server.process.kill('SIGTERM')
  const { stderr } = await server.ended
  expect(stderr).toContain('A run has ended.')
  const basic = Buffer.from(`${DEFAULT_USER.username}:${canary}`).toString('base64')
  for (const form of [canary, basic, Buffer.from(canary).toString('base64')]) {
    expect(world.said).not.toContain(form)
    for (const file of await filesIn(world.home))
      if ((await readFile(file, 'latin1')).includes(form)) throw new Error(`${file} holds the secret.`)
  }
  const token = (await readFile(join(world.home, 'api-token'), 'utf8')).trim()
  expect(world.said).not.toContain(token)
})

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

test('token and key file are for their owner alone, and the key is outside the database folder', async () => {
  expect((await world.run(['migrate'])).code).toBe(0)
  expect((await world.run(['run', 'list'])).code).toBe(0)
  for (const file of ['api-token', join('keys', 'master.key')])
    expect({ file, mode: (await stat(join(world.home, file))).mode & 0o777 }).toEqual({ file, mode: 0o600 })
  expect(await readdir(join(world.home, 'postgres'))).not.toContain('keys')
})

test('doctor looks at an account before anything is configured, without a database', async () => {
  const { username, password } = DEFAULT_USER
  const file = join(world.home, 'password')
  await writeFile(file, `${password}\n`)
  const account = [
    'doctor',
    '--url',
    fake.url,
    '--username',
    username,
    '--private-platform',
    '--password-file',
  ]
  const good = await world.run([...account, file])
  expect(good).toMatchObject({ code: 0 })
  expect(good.stdout).toMatch(/^ok +knowledge base/m)
  const piped = await world.run([...account, '-'], { input: 'not-the-password\n' })
  expect(piped.code).toBe(3)
  expect(piped.stdout).toMatch(/^fail +login .*\n +→ Check both/m)
  expect(await readdir(world.home)).toEqual(['password'])
  const ui = await world.run([
    'doctor',
    '--url',
    'https://qualysguard.qg2.apps.qualys.com',
    '--username',
    'x',
  ])
  expect(ui.code).toBe(3)
  expect(ui.stdout).toContain('Use https://qualysapi.qg2.apps.qualys.com')
})

test('a database that cannot be used is a sentence and an exit code, without the password', async () => {
  const env = { DATABASE_URL: 'postgresql://user:canary-db-password@127.0.0.1:1/patchbay' }
  const refused = await world.run(['run', 'list'], { env })
  expect(refused.code).toBe(5)
  expect(refused.stderr).toMatch(/^Error: The database at 127\.0\.0\.1:1\/patchbay cannot be reached/)
  const diagnosed = await world.run(['doctor'], { env })
  expect(diagnosed.code).toBe(5)
  expect(diagnosed.stdout).toContain('cannot be reached')
  const nonsense = await world.run(['run', 'list', '--json'], { env: { DATABASE_URL: 'mysql://x' } })
  expect(nonsense.code).toBe(3)
  expect(JSON.parse(nonsense.stderr)).toMatchObject({ error: { kind: 'config' } })
  expect(world.said).not.toContain('canary-db-password')
})

test('what is used wrongly ends with 2 and names the near word', async () => {
  const typo = await world.run(['snyc'])
  expect(typo).toMatchObject({ code: 2, stdout: '' })
  expect(typo.stderr).toContain('Did you mean sync?')
  expect((await world.run(['run', 'shwo'])).stderr).toContain('Did you mean show?')
  const setting = await world.run(['run', 'list'], { env: { PATCHBAY_PROT: '1' } })
  expect(setting.code).toBe(3)
  expect(setting.stderr).toContain('Do you mean PATCHBAY_PORT?')
  expect((await world.run(['sync', '--password=x'])).code).toBe(2)
  expect((await world.run(['work'])).stderr).toContain('Set DATABASE_URL')
})

test('the exit codes are printed, and help is no error', async () => {
  const codes = await world.run(['help', 'exit-codes'])
  expect(codes.code).toBe(0)
  for (const code of [0, 1, 2, 3, 4, 5, 6, 130]) expect(codes.stdout).toMatch(new RegExp(`^ *${code}  `, 'm'))
  const help = await world.run(['--help'])
  expect(help.code).toBe(0)
  for (const command of ['serve', 'work', 'migrate', 'demo', 'sync', 'doctor'])
    expect(help.stdout).toContain(command)
  expect((await world.run(['help', 'run'])).stdout).toContain('watch <id>')
})

test('Ctrl-C lets a run go politely, and the next sync goes on with it', async () => {
  expect((await world.run(addArguments())).code).toBe(0)
  fake.faults.add({ kind: 'stall', atByte: 500, match: { endpoint: 'detection', times: Infinity } })
  const interrupted = world.start(['sync'])
  await until(interrupted, 'fetching')
  interrupted.process.kill('SIGINT')
  const { code, stderr } = await interrupted.ended
  expect(code).toBe(130)
  expect(stderr).toContain('The run is let go of')
  fake.faults.clear()
  const resumed = await world.run(['sync'])
  expect(resumed).toMatchObject({ code: 0 })
  const runs = await world.json<{ id: string; state: string }[]>(['run', 'list'])
  expect(runs).toMatchObject([{ id: '1', state: 'COMPLETE' }])
})

test('a wait for quota is shown, with its end and its reason', async () => {
  await world.serve()
  expect((await world.run(addArguments())).code).toBe(0)
  fake.faults.add({ kind: 'spent', seconds: 3_600, match: { endpoint: 'detection', times: Infinity } })
  const waiting = world.start(['sync'])
  await until(waiting, 'waiting until')
  expect(waiting.result.stderr).toMatch(/waiting until \d\d:\d\d:\d\dZ: /)
  waiting.process.kill('SIGINT')
  const { code, stderr } = await waiting.ended
  expect(code).toBe(130)
  expect(stderr).toContain('The run goes on in the server.')
  const report = await world.json<RunReport>(['run', 'show', '1'])
  expect(report.run).toMatchObject({ state: 'RUNNING', phase: 'fetching' })
})

test('a server that stops in the middle of a run goes on with it when it starts again', async () => {
  const first = await world.serve()
  expect((await world.run(addArguments())).code).toBe(0)
  fake.faults.add({ kind: 'stall', atByte: 500, match: { endpoint: 'detection', times: Infinity } })
  expect((await world.run(['sync', '--no-wait'])).code).toBe(0)
  const watching = world.start(['run', 'watch', '1'])
  await until(watching, 'fetching')
  first.process.kill('SIGTERM')
  expect((await first.ended).code).toBe(0)
  expect((await watching.ended).code).toBe(5)
  fake.faults.clear()
  await world.serve()
  const report = await world.json<RunReport>(['run', 'watch', '1'])
  expect(report.run).toMatchObject({ id: '1', state: 'COMPLETE' })
})

test('commands that run at once without a server wait for each other', async () => {
  const commands = ['run', 'gap', 'finding', 'ticket'].map((noun) => world.run([noun, 'list']))
  for (const result of await Promise.all(commands)) expect(result).toMatchObject({ code: 0, stdout: '' })
})
