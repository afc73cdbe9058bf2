import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld } from '../support/cli.ts'

/** Each command is a program of its own, and a busy machine is slow to start them. */
const COMMANDS_MS_MAX = 180_000

let world: CliWorld
let fake: FakeQualys

const GUID = '6f9619ff-8b86-d011-b42d-00c04fc964ff'
const HOSTILE = 'evil\u009b31m\u202e.example.com'

beforeEach(async () => {
  const estate = createEstate({
    day0Ms: Date.UTC(2026, 9, 1),
    clock: systemClock,
    hosts: [
      {
        id: '101',
        dns: 'web.example.com',
        qgHostId: GUID,
        tags: ['Production'],
        detections: [{ qid: '38100' }],
      },
      { id: '103', dns: HOSTILE, netbios: 'TWIN', qgHostId: GUID },
      { id: '105', dns: 'web.example.com' },
    ],
  })
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

test(
  'a host is shown by its id or name with its story, and what it calls itself does nothing to the terminal',
  async () => {
    const server = await world.serve()
    const access = ['--url', fake.url, '--username', DEFAULT_USER.username, '--private-platform']
    expect((await world.run(['integration', 'add', 'qualys', ...access])).code).toBe(0)
    expect((await world.run(['sync'])).code).toBe(0)
    const listed = await world.run(['host', 'list', '--state', 'present'])
    expect(listed.stdout.split('\n').map((line) => line.split('\t')[0])).toEqual(['101', '103', '105', ''])
    const shown = await world.run(['host', 'show', '101'])
    expect(shown.stdout).toMatch(/^tags +Production$/m)
    expect(shown.stdout).toMatch(/^findings +1 open$/m)
    expect(shown.stdout).toMatch(/^why +On the complete list of \d{4}-\d\d-\d\d in run 1\.$/m)
    expect(shown.stdout).toMatch(
      /^History, newest first\n.* run 1 {2}listed {2}On a complete list for the first time\.$/m,
    )
    expect(shown.stdout).toMatch(
      /^The same machine is also listed as\n {2}host 103 \(evil.* {2}by the same agent id 6f9619ff/m,
    )
    const hostile = await world.run(['host', 'show', 'twin'])
    expect(hostile.code).toBe(0)
    for (const { stdout } of [listed, shown, hostile]) expect(stdout).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u)
    const several = await world.run(['host', 'show', 'WEB.example.com'])
    expect(several.stderr).toContain('There is more than one host "WEB.example.com"; say which.')
    expect(several.stderr).toContain('There are 101 (present, integration 1), 105 (present, integration 1).')
    expect(several.code).not.toBe(0)
    server.process.kill('SIGTERM')
    expect((await server.ended).code).toBe(0)
  },
  COMMANDS_MS_MAX,
)
