import { expect } from 'vitest'
import type { EndpointName } from '../../fakes/qualys/call.ts'
import { DEFAULT_USER, type FakeUser } from '../../fakes/qualys/users.ts'
import { getIntegration } from '../../src/store/queries/integrations.ts'
import { test } from '../support/database.ts'
import { DETECTIONS, ID_LIST, callsSince, onDayOne, onDayOneWithTickets } from '../support/day-one.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

/** The account, what the sentence has to say about it, and the one endpoint that may have been asked once. */
const accounts: [string, Partial<FakeUser>, RegExp, EndpointName][] = [
  [
    'a wrong password',
    { password: 'another-password' },
    /user name or the password.*Check both/s,
    'host-list',
  ],
  ['an expired account, told with status 200', { state: 'expired' }, /expired.*renew/s, 'host-list'],
  ['an EULA that was not accepted', { state: 'registration' }, /not completed.*accept.*EULA/s, 'host-list'],
  ['an inactive account', { state: 'inactive' }, /inactive.*activate/s, 'host-list'],
  ['an account that needs SecurID', { state: 'securid' }, /SecurID.*API access alone/s, 'host-list'],
  ['an account without API access', { state: 'unlicensed' }, /licence.*API access/s, 'host-list'],
  ['no permission for the host list', { denied: ['host-list'] }, /licence.*role/s, 'host-list'],
  ['no permission for detections', { denied: ['detection'] }, /licence.*role/s, 'detection'],
  [
    'no permission for the knowledge base',
    { denied: ['knowledge-base'] },
    /licence.*role/s,
    'knowledge-base',
  ],
]

for (const [name, change, sentence, endpoint] of accounts)
  test(`${name} stops the run at once and tells what to do`, async ({ db }) => {
    await onDayOne({ pool: db }, async (hub) => {
      const before = await rememberStore(hub)
      const from = hub.fake.requests.length
      hub.fake.users = [{ ...DEFAULT_USER, ...change }]
      const run = await hub.sync('full')
      expect(run.state).toBe('FAILED')
      expect(run.message).toMatch(sentence)
      expect(callsSince(hub, from, { endpoint })).toBe(1)
      expect(hub.clock.nowMs()).toBeLessThan(before.atMs + 60_000)
      expect(await getIntegration(db, hub.integrationId)).toMatchObject({
        status: 'NEEDS_ATTENTION',
        statusMessage: run.message,
      })
      expect(JSON.stringify(run)).not.toContain(DEFAULT_USER.password)
      await expectHonest(hub, { run, before })
      expect(await openGaps(db)).toEqual([])

      hub.fake.users = [DEFAULT_USER]
      await expectConverged(hub)
      expect(await getIntegration(db, hub.integrationId)).toMatchObject({ status: 'OK', statusMessage: null })
    })
  })

test('UNAUTHORIZED with status 200 stops the run at once and tells what to do', async ({ db }) => {
  await onDayOne({ pool: db }, async (hub) => {
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    hub.fake.faults.add({ match: { ...ID_LIST, times: Infinity }, kind: 'qps', responseCode: 'UNAUTHORIZED' })
    const run = await hub.sync('delta')
    expect([run.state, callsSince(hub, from, ID_LIST)]).toEqual(['FAILED', 1])
    expect(run.message).toMatch(/may not use this application.*API access and a role/s)
    await expectHonest(hub, { run, before })
    await expectConverged(hub)
  })
})

test('fault 19: a password that stops being right in the middle is tried by no other batch', async ({
  db,
}) => {
  const estate = { hosts: 200, detectionsPerHost: 1 }
  await onDayOne({ pool: db, estate, batchesMax: 4 }, async (hub) => {
    await db.query(`update module_state set cursor = cursor || '{"batchHosts": 50}'`)
    const before = await rememberStore(hub)
    const from = hub.fake.requests.length
    hub.fake.faults.add({
      match: { ...DETECTIONS, nth: 2 },
      kind: 'estate',
      run: () => (hub.fake.users = [{ ...DEFAULT_USER, password: 'changed' }]),
    })
    const run = await hub.sync('full')
    expect([run.state, run.message]).toEqual(['FAILED', expect.stringContaining('password') as string])
    const refused = hub.fake.requests.slice(from).filter((request) => request.status === 401)
    // Calls that were on their way already are refused as well; nothing is sent after the first refusal.
    expect(refused.length).toBeLessThanOrEqual(2)
    const batches = await db.query<{ state: string }>('select state from batch where run_id = $1', [run.id])
    expect(batches.rows.map((batch) => batch.state)).toContain('cancelled')
    await expectHonest(hub, { run, before })
    hub.fake.users = [DEFAULT_USER]
    await expectConverged(hub)
  })
})

test('fault 19: a permission that drops between two pages closes nothing', async ({ db }) => {
  await onDayOneWithTickets(
    { pool: db, estate: { hosts: 120, detectionsPerHost: 3 }, batchesMax: 1 },
    async (hub) => {
      await db.query(`update module_state set cursor = cursor || '{"batchHosts": 50}'`)
      const before = await rememberStore(hub)
      const from = hub.fake.requests.length
      hub.fake.faults.add({
        match: { ...DETECTIONS, nth: 2, times: Infinity },
        kind: 'simple-return',
        status: 403,
        code: 2012,
        text: 'User license is not authorized to run this API.',
      })
      const run = await hub.sync('full')
      expect(run.state).toBe('FAILED')
      expect(callsSince(hub, from, DETECTIONS)).toBe(2)
      const done = await db.query(`select 1 from batch where run_id = $1 and state = 'done'`, [run.id])
      expect(done.rowCount).toBeGreaterThan(0)
      await expectHonest(hub, { run, before })
      await expectConverged(hub)
    },
  )
})
