import type pg from 'pg'
import { describe, expect } from 'vitest'
import { merge, provisionAgain, reuseAddress } from '../../fakes/qualys/estate/machines.ts'
import type { DetectionSpec, HostSpec } from '../../fakes/qualys/estate/types.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { test } from '../../test/support/database.ts'
import { nextDay } from '../../test/support/day-one.ts'
import { type TestHub, withHub } from '../../test/support/hub.ts'
import { expectConverged, expectHonest, rememberStore } from '../../test/support/oracle.ts'
import { withTickets } from '../../test/support/tickets.ts'

const AGENT = {
  trackingMethod: 'AGENT',
  qgHostId: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
  serialNumber: 'VMware-42 1d',
  netbios: 'WEB01',
}

const FOUND: DetectionSpec[] = [
  { qid: '38100', port: 443, protocol: 'tcp' },
  { qid: '38100', port: 8443, protocol: 'tcp' },
  { qid: '38101' },
  { qid: '38102', status: 'Fixed' },
]

function host(id: string, fields: Partial<HostSpec> = {}): HostSpec {
  return { id, detections: FOUND, ...fields }
}

/** Hosts that have nothing to do with the story, so that a few that leave are no drift. */
const BYSTANDERS = Array.from({ length: 4 }, (_, index) => host(String(9001 + index)))

async function honestDays(hub: TestHub, days: number, mode: 'full' | 'delta' = 'delta'): Promise<void> {
  for (let day = 0; day < days; day += 1) {
    nextDay(hub)
    await honestSync(hub, mode)
  }
}

async function honestSync(hub: TestHub, mode: 'full' | 'delta' = 'delta'): Promise<void> {
  const before = await rememberStore(hub)
  await expectHonest(hub, { run: await hub.sync(mode), before })
}

/** For each finding of a host that is not fixed: QID, port, state, and since how many days it is found, in effect and by Qualys. */
async function agesOf(hub: TestHub, hostId: string): Promise<string[]> {
  const { rows } = await hub.deps.pool.query<
    Record<'qid' | 'port' | 'state' | 'effective' | 'source', string>
  >(
    `select f.issue_key as qid, coalesce(f.port::text, '-') as port, f.state,
            round(extract(epoch from $2 - f.first_found_effective_at) / 86400) as effective,
            round(extract(epoch from $2 - f.first_found_at) / 86400) as source
       from finding f join host h on h.id = f.place_id
      where h.host_id = $1 and f.source_status <> 'Fixed' order by f.issue_key, f.port`,
    [hostId, new Date(hub.clock.nowMs())],
  )
  return rows.map(({ qid, port, state, effective, source }) =>
    [qid, port, state, `${effective}d`, `(${source}d)`].join(' '),
  )
}

interface Link {
  old: string
  new: string
  kind: string
  evidence: string
  ended: boolean
}

async function linksOf(db: pg.Pool): Promise<Link[]> {
  const { rows } = await db.query<Link>(
    `select o.host_id as old, n.host_id as new, l.kind, l.evidence_kind as evidence, l.ended_at is not null as ended
       from host_link l join host o on o.id = l.old_place_id join host n on n.id = l.new_place_id order by l.id`,
  )
  return rows
}

async function storyOf(db: pg.Pool, hostId: string): Promise<string[]> {
  const { rows } = await db.query<{ kind: string }>(
    'select e.kind from host_event e join host h on h.id = e.place_id where h.host_id = $1 order by e.id',
    [hostId],
  )
  return rows.map((row) => row.kind)
}

async function reasonsOf(db: pg.Pool, kind: string): Promise<string[]> {
  const { rows } = await db.query<{ reason: string }>(
    'select reason from host_event where kind = $1 order by place_id, id',
    [kind],
  )
  return rows.map((row) => row.reason)
}

describe('a machine that comes back under another host id', () => {
  test('T15: keeps the age of what is open on it, and nothing of the host of before is fixed', async ({
    db,
  }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      provisionAgain(hub.estate, '101', { id: '205' })
      await honestSync(hub)
      expect(await agesOf(hub, '205')).toEqual([
        '38100 443 open 31d (0d)',
        '38100 8443 open 31d (0d)',
        '38101 - open 31d (0d)',
      ])
      expect(await linksOf(db)).toEqual([
        { old: '101', new: '205', kind: 'successor', evidence: 'agent', ended: false },
      ])
      // It is missing from one list: its findings are as they were, and so is the truth.
      expect((await agesOf(hub, '101')).map((line) => line.split(' ')[2])).toEqual(['open', 'open', 'open'])
      await honestDays(hub, 1)
      expect((await agesOf(hub, '101')).map((line) => line.split(' ')[2])).toEqual(
        Array.from({ length: 3 }, () => 'host_removed'),
      )
      expect(await storyOf(db, '101')).toEqual(['listed', 'missing', 'succeeded_by', 'missing', 'removed'])
      expect(await storyOf(db, '205')).toEqual(['listed', 'successor_of'])
      await expectConverged(hub)
    })
  })

  test('T15: keeps the age over a chain of three, and what is found later has it too', async ({ db }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      for (const [from, to] of [
        ['101', '205'],
        ['205', '309'],
      ] as const) {
        nextDay(hub)
        provisionAgain(hub.estate, from, { id: to, detections: [{ qid: '38101', status: 'New' }] })
        await honestSync(hub)
        await honestDays(hub, 1)
      }
      expect(await agesOf(hub, '309')).toEqual(['38101 - open 34d (1d)'])
      // What the host between did not have is looked for before it.
      nextDay(hub)
      hub.estate.override('309', {
        addDetections: [{ qid: '38100', port: 443, protocol: 'tcp', status: 'New' }],
      })
      await honestSync(hub)
      expect(await agesOf(hub, '309')).toEqual(['38100 443 open 35d (0d)', '38101 - open 35d (2d)'])
      await expectConverged(hub)
    })
  })

  test('T15: a finding that comes after the link is as old as on the host of before', async ({ db }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      provisionAgain(hub.estate, '101', { id: '205', detections: [{ qid: '38101', status: 'New' }] })
      await honestSync(hub)
      nextDay(hub)
      hub.estate.override('205', {
        addDetections: [{ qid: '38100', port: 443, protocol: 'tcp', status: 'New' }],
      })
      await honestSync(hub)
      expect(await agesOf(hub, '205')).toEqual(['38100 443 open 32d (0d)', '38101 - open 32d (1d)'])
      // On another port it is another finding.
      hub.estate.override('205', {
        addDetections: [{ qid: '38100', port: 80, protocol: 'tcp', status: 'New' }],
      })
      await honestSync(hub)
      expect(await agesOf(hub, '205')).toContain('38100 80 open 0d (0d)')
    })
  })

  test('T15: a second host from which it could have taken over is told and not guessed', async ({ db }) => {
    const described = { ...AGENT, qgHostId: undefined, serialNumber: undefined }
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      // Known by nothing yet but a cloud instance of its own, which the third has as well.
      const cloud = { cloudProvider: 'AWS', cloudResourceId: 'i-0123456789abcdef0' }
      provisionAgain(hub.estate, '101', { id: '205', ...described, ...cloud })
      await honestDays(hub, 1)
      nextDay(hub)
      provisionAgain(hub.estate, '205', { id: '309', ...described, ...cloud })
      await honestDays(hub, 1)
      expect((await linksOf(db)).map((link) => `${link.old} ${link.evidence} ${link.new}`)).toEqual([
        '205 cloud 309',
      ])
      expect((await agesOf(hub, '309'))[0]).toBe('38100 443 open 3d (1d)')
      hub.estate.override('309', { host: { serialNumber: AGENT.serialNumber } })
      await honestDays(hub, 1)
      expect((await linksOf(db)).map((link) => `${link.old} ${link.evidence} ${link.new}`)).toEqual([
        '205 cloud 309',
      ])
      // It took over from one already; that it took over from another as well is not guessed.
      expect(await reasonsOf(db, 'lineage_unclear')).toEqual([
        'Several hosts that left have the same serial number: 101. From which of them it took over is not guessed.',
      ])
    })
  })

  test('T15: a link that is found late is handed on along the chain', async ({ db }) => {
    const blank = { qgHostId: undefined, serialNumber: undefined }
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      provisionAgain(hub.estate, '101', { id: '205', ...blank, hardwareUuid: UUID })
      await honestDays(hub, 1)
      expect((await agesOf(hub, '205'))[0]).toBe('38100 443 open 1d (1d)')
      expect(await linksOf(db)).toEqual([])
      // Its agent id is told when it has gone already: by the last description before.
      hub.estate.override('205', { host: { qgHostId: AGENT.qgHostId } })
      nextDay(hub)
      await honestSync(hub)
      nextDay(hub)
      provisionAgain(hub.estate, '205', { id: '309', ...blank, hardwareUuid: UUID })
      await honestSync(hub)
      expect((await linksOf(db)).map((link) => `${link.old} ${link.evidence} ${link.new}`)).toEqual([
        '101 agent 205',
        '205 hardware 309',
      ])
      expect((await agesOf(hub, '309'))[0]).toBe('38100 443 open 34d (0d)')
      await expectConverged(hub)
    })
  })

  test('T15: what two machines share, and what a template wrote there, is no evidence', async ({ db }) => {
    const template = { serialNumber: 'To Be Filled By O.E.M.', hardwareUuid: ZEROS, qgHostId: undefined }
    const hosts = [
      host('101', { ...template, netbios: 'A' }),
      // Two that share a serial number, and left together.
      host('103', { serialNumber: 'CLONED-77' }),
      host('105', { serialNumber: 'CLONED-77' }),
      // The same serial number, but two instances of a cloud.
      host('107', { serialNumber: 'SHARED-1', cloudProvider: 'AWS', cloudResourceId: 'i-0aaaaaaaaaaaaaaaa' }),
      ...BYSTANDERS,
    ]
    await withHub({ pool: db, estate: { hosts } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      provisionAgain(hub.estate, '101', { id: '201' })
      provisionAgain(hub.estate, '103', { id: '203' })
      hub.estate.override('105', { purged: true })
      provisionAgain(hub.estate, '107', { id: '207', cloudResourceId: 'i-0bbbbbbbbbbbbbbbb' })
      await honestDays(hub, 2)
      expect(await linksOf(db)).toEqual([])
      expect(new Set((await agesOf(hub, '203')).map((line) => line.split(' ')[3]))).toEqual(new Set(['2d']))
      // Told once, not in every run.
      expect(await reasonsOf(db, 'lineage_unclear')).toEqual([
        'Several hosts that left have the same serial number: 103, 105. From which of them it took over is not guessed.',
      ])
      await expectConverged(hub)
    })
  })

  test('T15: a host that is listed again takes back what its successor had inherited', async ({ db }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      provisionAgain(hub.estate, '101', { id: '205' }, { keepsOld: true })
      hub.estate.override('101', { hiddenFrom: [DEFAULT_USER.username], silent: true })
      await honestSync(hub)
      expect((await agesOf(hub, '205'))[0]).toBe('38100 443 open 31d (0d)')
      nextDay(hub)
      hub.estate.override('101', { hiddenFrom: [], silent: true })
      await honestSync(hub)
      expect((await agesOf(hub, '205'))[0]).toBe('38100 443 open 1d (1d)')
      expect(await storyOf(db, '101')).toEqual([
        'listed',
        'missing',
        'succeeded_by',
        'listed_again',
        'link_ended',
      ])
      expect((await linksOf(db)).map((link) => link.ended)).toEqual([true])
      await expectConverged(hub)
    })
  })

  test('T15: what the first host of a chain takes back, the last one forgets as well', async ({ db }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', AGENT), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      provisionAgain(hub.estate, '101', { id: '205' }, { keepsOld: true })
      hub.estate.override('101', { hiddenFrom: [DEFAULT_USER.username], silent: true })
      await honestSync(hub)
      nextDay(hub)
      provisionAgain(hub.estate, '205', { id: '309' })
      await honestSync(hub)
      expect((await agesOf(hub, '309'))[0]).toBe('38100 443 open 32d (0d)')
      hub.estate.override('101', { hiddenFrom: [], silent: true })
      nextDay(hub)
      await honestSync(hub)
      expect((await agesOf(hub, '205'))[0]).toBe('38100 443 host_removed 2d (2d)')
      expect((await agesOf(hub, '309'))[0]).toBe('38100 443 open 2d (1d)')
    })
  })
})

describe('two hosts that are one machine', () => {
  /** The scanner's host and the agent's: the same correlation id, found by both. */
  const SCANNED = { ...AGENT, trackingMethod: 'IP', serialNumber: undefined }

  test('T17: after a merge the winner has the age of both, and nothing of the loser counts as fixed', async ({
    db,
  }) => {
    const young = FOUND.map((spec) => ({ ...spec, status: 'New' }))
    const hosts = [
      host('101', { ...AGENT, detections: young.slice(0, 1) }),
      host('103', { ...SCANNED, detections: FOUND.slice(0, 3) }),
      ...BYSTANDERS,
    ]
    await withHub({ pool: db, estate: { hosts } }, async (hub) => {
      await honestSync(hub, 'full')
      // While both are listed they are two hosts.
      expect(await linksOf(db)).toEqual([])
      nextDay(hub)
      merge(hub.estate, '103', '101')
      await honestSync(hub)
      expect(await linksOf(db)).toEqual([
        { old: '103', new: '101', kind: 'merged', evidence: 'agent', ended: false },
      ])
      expect((await agesOf(hub, '101'))[0]).toBe('38100 443 open 31d (1d)')
      await honestDays(hub, 1)
      expect((await agesOf(hub, '103')).map((line) => line.split(' ')[2])).toEqual(
        Array.from({ length: 3 }, () => 'host_removed'),
      )
      expect((await db.query(`select 1 from event where new_state = 'fixed'`)).rows).toEqual([])
      expect(await storyOf(db, '103')).toEqual(['listed', 'missing', 'merged_into', 'missing', 'removed'])
      expect(await storyOf(db, '101')).toEqual(['listed', 'absorbed'])
      await expectConverged(hub)
    })
  })

  test('T17: the ticket of a host that was merged stays open, and the winner is in it by itself', async ({
    db,
  }) => {
    const patchable = [{ qid: '38100', severity: 5, title: 'A patch', patchable: true, vendorReferences: [] }]
    const detections = [{ qid: '38100', severity: 5, type: 'Confirmed' }]
    const hosts = [
      host('101', { ...AGENT, detections: [{ ...detections[0]!, status: 'New' }] }),
      host('103', { ...SCANNED, detections }),
      ...BYSTANDERS.map(({ id }) => ({ id })),
    ]
    await withTickets({ pool: db, estate: { hosts, kb: patchable } }, async (hub) => {
      await hub.day('full')
      expect(hub.jira.issues()).toHaveLength(1)
      nextDay(hub)
      merge(hub.estate, '103', '101')
      const firstFound = new Date(hub.clock.nowMs() - 31 * 86_400_000).toISOString().slice(0, 10)
      const shown = () => JSON.stringify(hub.jira.issues()[0]?.description).split(firstFound).length - 1
      expect(shown()).toBe(1)
      // Nothing else has changed yet, and the ticket shows the age of the machine on both hosts.
      await hub.day()
      expect(shown()).toBe(2)
      nextDay(hub)
      await hub.day()
      const members = await db.query<{ host: string; state: string }>(
        `select h.host_id as host, f.state
           from ticket_finding m join finding f on f.place_id = m.place_id and f.id = m.finding_id
           join host h on h.id = m.place_id where h.host_id < 9000 order by 1`,
      )
      expect(members.rows).toEqual([
        { host: '101', state: 'open' },
        { host: '103', state: 'host_removed' },
      ])
      const [issue, ...others] = hub.jira.issues()
      expect([issue?.status.category, others]).toEqual(['new', []])
      expect(shown()).toBe(2)
    })
  })

  test('T6: of five interfaces of one server that are five hosts, one that leaves has no heir by guess', async ({
    db,
  }) => {
    const interfaces = ['101', '103', '105', '107', '109'].map((id) => host(id, SCANNED))
    await withHub({ pool: db, estate: { hosts: [...interfaces, ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      hub.estate.override('109', { purged: true })
      await honestDays(hub, 2)
      expect(await linksOf(db)).toEqual([])
      expect(await reasonsOf(db, 'lineage_unclear')).toEqual([
        'Several listed hosts have the same agent id: 101, 103, 105, 107. Which of them goes on as this one is not guessed.',
      ])
      // All merged into one: each that retires has one heir, and may have it at once with the others.
      for (const id of ['103', '105', '107']) merge(hub.estate, id, '101')
      await honestDays(hub, 1)
      expect((await linksOf(db)).map((link) => `${link.old} ${link.kind} ${link.new}`).toSorted()).toEqual(
        ['103', '105', '107', '109'].map((old) => `${old} merged 101`),
      )
      await expectConverged(hub)
    })
  })
})

describe('an address that another machine has', () => {
  const OLD_MACHINE: Partial<HostSpec> = {
    netbios: 'FILES01',
    os: 'Windows Server 2019 Standard 64 bit Edition',
    dns: 'files01.example.com',
    serialNumber: 'OLD-4711',
  }
  const NEW_MACHINE = { os: 'Ubuntu Linux 24.04.1', dns: 'build07.example.com', netbios: 'BUILD07' }

  test('T16: is told on the host, and what the other machine has is not older than it can be', async ({
    db,
  }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', OLD_MACHINE), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      reuseAddress(hub.estate, '101', NEW_MACHINE, { alsoHas: ['38101'] })
      await honestSync(hub)
      // Qualys goes on with the dates of the machine before; what it calls fixed is fixed by its word.
      expect(await agesOf(hub, '101')).toEqual(['38101 - open 1d (31d)'])
      expect(await storyOf(db, '101')).toEqual(['listed', 'identity_break'])
      expect(await reasonsOf(db, 'identity_break')).toEqual([
        'Another machine has its IP address since: operating system Windows Server 2019 Standard 64 bit Edition → ' +
          'Ubuntu Linux 24.04.1; NetBIOS name FILES01 → BUILD07; DNS name files01.example.com → build07.example.com; ' +
          'serial number OLD-4711 → none. What was found before is not its.',
      ])
      expect((await db.query('select serial_number from host where host_id = 101')).rows).toEqual([
        { serial_number: null },
      ])
      await expectConverged(hub)
    })
  })

  test('T16: what the machine before had and nobody reports since is stale, never fixed', async ({ db }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', OLD_MACHINE), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      reuseAddress(hub.estate, '101', NEW_MACHINE, { alsoHas: ['38101', '38100'] })
      hub.estate.override('101', { detections: [{ match: { qid: '38100' }, change: 'remove' }] })
      await honestSync(hub)
      expect(await agesOf(hub, '101')).toEqual([
        '38100 443 stale 31d (31d)',
        '38100 8443 stale 31d (31d)',
        '38101 - open 1d (31d)',
      ])
    })
  })

  test('T16: ends what the host was known by: its old machine is not taken over from, nor the new one', async ({
    db,
  }) => {
    await withHub({ pool: db, estate: { hosts: [host('101', OLD_MACHINE), ...BYSTANDERS] } }, async (hub) => {
      await honestSync(hub, 'full')
      nextDay(hub)
      reuseAddress(hub.estate, '101', { ...NEW_MACHINE, serialNumber: 'NEW-0815' }, { alsoHas: ['38101'] })
      await honestSync(hub)
      nextDay(hub)
      // The old machine comes back elsewhere, and the host at its old address goes.
      hub.estate.addHost(host('205', { ...OLD_MACHINE, detections: [{ qid: '38101', status: 'New' }] }))
      hub.estate.override('101', { purged: true })
      await honestDays(hub, 1)
      expect(await linksOf(db)).toEqual([])
      nextDay(hub)
      hub.estate.addHost(
        host('207', { ...NEW_MACHINE, serialNumber: 'NEW-0815', detections: [{ qid: '38101' }] }),
      )
      await honestSync(hub)
      expect((await linksOf(db)).map((link) => `${link.old} ${link.evidence} ${link.new}`)).toEqual([
        '101 serial 207',
      ])
      await expectConverged(hub)
    })
  })

  test('a host that is renamed, or has another address, is the same machine, and its latest names are kept', async ({
    db,
  }) => {
    const hosts = [host('101', AGENT), host('103', OLD_MACHINE), ...BYSTANDERS]
    await withHub({ pool: db, estate: { hosts } }, async (hub) => {
      await honestSync(hub, 'full')
      // Set up anew in place: another system and name, but the same serial number.
      hub.estate.override('103', { host: NEW_MACHINE })
      for (let day = 1; day <= 12; day += 1) {
        nextDay(hub)
        hub.estate.override('101', { host: { ip: `192.0.2.${day}` } })
        await hub.sync('delta')
      }
      expect(await storyOf(db, '103')).toEqual(['listed', 'renamed'])
      expect(await storyOf(db, '101')).toEqual(['listed', ...Array.from({ length: 10 }, () => 'readdressed')])
      expect((await reasonsOf(db, 'readdressed')).at(-1)).toBe(
        'Another address: IP address 192.0.2.11 → 192.0.2.12.',
      )
      expect((await agesOf(hub, '103')).every((line) => line.includes('(42d)'))).toBe(true)
    })
  })
})

const UUID = '4c4c4544-0051-3510-8052-b4c04f564432'
const ZEROS = '00000000-0000-0000-0000-000000000000'
