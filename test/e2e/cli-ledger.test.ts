import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import type { Estate } from '../../fakes/qualys/estate/types.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld } from '../support/cli.ts'

/** Not a limit of what is tested: its waits are real ones, and a busy machine takes its time to start programs. */
const TEST_MS_MAX = 5 * 60_000

let world: CliWorld
let fake: FakeQualys
let estate: Estate

beforeEach(async () => {
  estate = createEstate({
    clock: systemClock,
    kb: ['38170', '38171'].map((qid) => ({ qid, title: `Known as ${qid}` })),
    hosts: [
      { id: '101', detections: [{ qid: '38170' }, { qid: '38171', status: 'Perhaps' }] },
      { id: '102', detections: [{ qid: '38171' }] },
      { id: '103', detections: [] },
      { id: '104', detections: [{ qid: '38170', results: 'plain' }] },
    ],
  })
  fake = await startFakeQualys({ estate, clock: systemClock })
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
})

test(
  'the ledger of a run is read by a person: expected, came, owed, split, put aside, waited for, asked',
  { timeout: TEST_MS_MAX },
  async () => {
    const detections = { endpoint: 'detection' } as const
    fake.faults.add({ match: detections, kind: 'spent', seconds: 2 })
    fake.faults.add({ match: { ...detections, nth: 2, times: 2 }, kind: 'cut', at: 'half' })
    fake.faults.add({ match: { ...detections, nth: 4 }, kind: 'in-results', what: 'nul', hostId: '104' })
    fake.faults.add({ match: { ...detections, nth: 5 }, kind: 'in-results', what: 'nul', hostId: '104' })
    const { code, stdout } = await world.run(['sync'])
    expect(code).toBe(4)
    const line = (name: string, text: RegExp) =>
      expect(stdout).toMatch(new RegExp(`^${name} +${text.source}$`, 'm'))
    line('run', /1 of integration 1, started by hand/)
    line('state', /PARTIAL/)
    line('mode', /full: nothing was pulled before/)
    line('expected', /4 hosts of 4 that the account sees: descriptions and detections/)
    line('came', /3 hosts with 4 detections \([\d.]+ MB\): 3 new, 1 put aside/)
    line('', /4 descriptions of hosts/)
    line('did not come', /1 host without detections: Qualys leaves them out/)
    // What it waited for, how long, and who said so.
    line('waited', /\d+ s for detections, last until [\d :Z-]+: The answer of Qualys broke off: .+/)
    line(
      '',
      /\d+ s for detections, last until [\d :Z-]+: Qualys says that the budget of this endpoint is used up/,
    )
    // Why a batch was cut in two.
    line('batches', /descriptions 1 of 1; detections 2 of 2, 1 split/)
    line('', /1 batch of detections \(4 hosts\) split into smaller ones \(\d tries\): .+/)
    // What is owed, by reason.
    line('owed', /1 gap \(1 new, 0 settled\)/)
    line(
      '',
      /1 record \(host 101, QID 38171\): .*Perhaps.* Owed since .*, asked for once, next try with the run of .*/,
    )
    line('put aside', /1 record that came and could not be taken as they were/)
    line('', /1 × \(such as host 101, QID 38171\) .*Perhaps.*/)
    line('repaired', /1 character that XML forbids/)
    line(
      'calls',
      /detections 5, 1\.7 % of the 300 that Qualys allows in 1 h, 29\d left when Qualys told last/,
    )
    line('watermark', /[\d :Z-]+; the next delta asks for what came after/)

    // An older run still tells what it owed, and that this has been settled.
    estate.override('101', { detections: [{ match: { qid: '38171' }, change: { status: 'Active' } }] })
    const next = await world.run(['sync', '--force'])
    expect(next.stdout).toMatch(/^owed +nothing; 1 older gap settled$/m)
    expect(next.stdout).toMatch(
      /^watermark +[\d :Z-]+ → [\d :Z-]+; the next delta asks for what came after$/m,
    )
    const older = await world.run(['run', 'show', '1'])
    expect(older.stdout).toMatch(/^owed +1 gap \(1 new, 0 settled\)$/m)
    expect(older.stdout).toMatch(/^ +1 record \(host 101, QID 38171\): .* settled since\.$/m)
  },
)

test(
  'a run that fails without anybody having to act ends with exit code 5 and says in which phase',
  { timeout: TEST_MS_MAX },
  async () => {
    fake.faults.add({
      match: { endpoint: 'host-list', times: Infinity },
      kind: 'simple-return',
      code: 2010,
      text: 'The requested resource was not found.',
    })
    const failed = await world.run(['sync'])
    expect(failed.stdout).toMatch(/^state +FAILED, listing$/m)
    expect(failed.code).toBe(5)
  },
)
