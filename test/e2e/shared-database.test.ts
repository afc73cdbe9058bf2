import { join } from 'node:path'
import { expect } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Diagnosis } from '../../src/api/resources.ts'
import type { RunReport } from '../../src/api/run-resources.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld, until } from '../support/cli.ts'
import { test } from '../support/database.ts'

test('a server and a worker share a database that is not ours, and the key that opens its secrets', async ({
  emptyDatabaseUrl,
}) => {
  const estate = createEstate({ day0Ms: Date.UTC(2026, 9, 1), clock: systemClock, hosts: 20 })
  const fake = await startFakeQualys({ estate, limits: { rate: 10_000 } })
  const environment = {
    DATABASE_URL: emptyDatabaseUrl,
    PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8',
    PATCHBAY_QUALYS_PASSWORD: DEFAULT_USER.password,
  }
  const here = await CliWorld.open(environment)
  const there = await CliWorld.open(environment)
  try {
    const before = await here.json<{ applied: string[]; pending: string[] }>(['migrate', '--status'])
    expect(before.applied).toEqual([])
    expect(before.pending.slice(0, 2)).toEqual(['000001_foundation', '000002_key_id'])
    await here.serve()
    expect((await here.run(['serve'])).code).toBe(6)
    const worker = there.start(['work'], { PATCHBAY_KEY_FILE: join(here.home, 'keys', 'master.key') })
    await until(worker, 'The worker takes jobs')
    const account = ['--url', fake.url, '--username', DEFAULT_USER.username, '--private-platform']
    expect(await here.run(['integration', 'add', 'qualys', ...account])).toMatchObject({ code: 0 })
    const report = await here.json<RunReport>(['sync'])
    expect(report.run.state).toBe('COMPLETE')
    const { lines } = await here.json<Diagnosis>(['doctor'])
    expect(lines.filter(({ level }) => level === 'fail')).toEqual([])
    worker.process.kill('SIGTERM')
    expect((await worker.ended).code).toBe(0)
    // A key of its own could not open what the other has sealed, so none is made.
    const keyless = await there.run(['work'])
    expect(keyless.code).toBe(3)
    expect(keyless.stderr).toContain('The key file')
  } finally {
    await there.close()
    await here.close()
    await fake.close()
  }
})
