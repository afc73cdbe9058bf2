import { expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Gap } from '../../src/api/resources.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld } from '../support/cli.ts'

test('a sync that owes something ends with exit code 4 and a list of gaps', async () => {
  const estate = createEstate({
    clock: systemClock,
    hosts: [{ id: '101', detections: [{ qid: '38170' }, { qid: '38171', status: 'Perhaps' }] }],
  })
  const fake = await startFakeQualys({ estate, clock: systemClock, limits: { rate: 10_000 } })
  const world = await CliWorld.open({
    PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8',
    PATCHBAY_QUALYS_PASSWORD: DEFAULT_USER.password,
  })
  try {
    await world.serve()
    const account = ['--url', fake.url, '--username', DEFAULT_USER.username, '--private-platform']
    expect((await world.run(['integration', 'add', 'qualys', '--name', 'estate', ...account])).code).toBe(0)
    const partial = await world.run(['sync'])
    expect(partial.code).toBe(4)
    const gaps = await world.json<Gap[]>(['gap', 'list'])
    expect(gaps[0]).toMatchObject({ kind: 'record', key: 'host 101, QID 38171' })
    expect((await world.run(['gap', 'list'])).stdout).toContain('host 101, QID 38171')
    expect((await world.run(['run', 'show', '1'])).stdout).toContain('PARTIAL')
  } finally {
    await world.close()
    await fake.close()
  }
})
