import { expect } from 'vitest'
import { DAY_MS } from '../../../fakes/qualys/estate/time.ts'
import type { EstateOptions } from '../../../fakes/qualys/estate/types.ts'
import { test } from '../../../test/support/database.ts'
import { type TicketHub, withTickets } from '../../../test/support/tickets.ts'

const PATCH = { id: 'KB5000001', url: 'https://vendor.example.com/KB5000001' }

function entry(qid: string, fields: object = {}) {
  return {
    qid,
    title: `Vendor update for QID ${qid}`,
    severity: 5,
    vulnType: 'Vulnerability',
    patchable: true,
    vendorReferences: [PATCH],
    cves: [{ id: 'CVE-2025-90001', url: 'https://cve.example.com/CVE-2025-90001' }],
    solution: '<P>Install the update.<P>See <A HREF="https://vendor.example.com/">the vendor</A>.',
    ...fields,
  }
}

/** Two hosts that need one patch (two QIDs of one update), and one finding that no patch exists for. */
const ESTATE: EstateOptions = {
  hosts: [
    { id: '101', detections: [{ qid: '900001' }, { qid: '900002' }] },
    { id: '102', detections: [{ qid: '900001' }, { qid: '900003' }] },
  ],
  kb: [entry('900001'), entry('900002'), entry('900003', { patchable: false, vendorReferences: [] })],
}

function nextDay(hub: TicketHub): void {
  hub.clock.advance(DAY_MS)
  hub.estate.advanceDay()
}

function fix(hub: TicketHub, hostId: string, qid: string): void {
  hub.estate.override(hostId, { detections: [{ match: { qid }, change: 'fix' }] })
}

function theOnlyIssue(hub: TicketHub) {
  const issues = hub.jira.issues()
  expect(issues).toHaveLength(1)
  return issues[0]!
}

test('a ticket lists its hosts, tells what changed, closes on evidence and is reopened', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 1 })
    const made = theOnlyIssue(hub)
    expect(made.summary).toBe('[Qualys] KB5000001: Vendor update for QID 900001 and 1 more (2 hosts)')
    expect(JSON.stringify(made.description)).toContain('host-101.example.com')
    expect(JSON.stringify(made.description)).toContain('2 of 2 hosts still open')

    nextDay(hub)
    fix(hub, '101', '900001')
    fix(hub, '101', '900002')
    expect(await hub.day()).toMatchObject({ updated: 1, commented: 1, closed: 0 })
    expect(JSON.stringify(theOnlyIssue(hub).comments)).toContain('1 host fixed')
    expect(theOnlyIssue(hub).status.category).not.toBe('done')

    nextDay(hub)
    fix(hub, '102', '900001')
    expect(await hub.day()).toMatchObject({ updated: 1, closed: 1 })
    expect(theOnlyIssue(hub).status.category).toBe('done')

    nextDay(hub)
    hub.estate.override('102', { detections: [{ match: { qid: '900001' }, change: 'reopen' }] })
    expect(await hub.day()).toMatchObject({ reopened: 1, updated: 1, created: 0 })
    expect(theOnlyIssue(hub).status.category).not.toBe('done')
    expect(JSON.stringify(theOnlyIssue(hub).comments)).toContain('1 host open again')
  })
})

test("closing one host's finding never closes a ticket with open members", async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    nextDay(hub)
    fix(hub, '101', '900001')
    expect(await hub.day()).toMatchObject({ closed: 0 })
    nextDay(hub)
    fix(hub, '102', '900001')
    // 900002 on host 101 is the last open member.
    expect(await hub.day()).toMatchObject({ closed: 0 })
    expect(theOnlyIssue(hub).status.category).not.toBe('done')
  })
})

test('T37: a score that drifts is kept, and neither the history nor a ticket speaks of it', async ({
  db,
}) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    for (const qds of [38, 71, 95]) {
      nextDay(hub)
      for (const id of ['101', '102'])
        hub.estate.override(id, { detections: [{ match: {}, change: { qds } }] })
      const nothing = { created: 0, updated: 0, commented: 0, closed: 0 }
      expect(await hub.day()).toMatchObject(nothing)
      expect((await db.query('select distinct qds from finding')).rows).toEqual([{ qds }])
    }
    expect((await db.query('select 1 from event')).rowCount).toBe(0)
  })
})

test('T36: potential findings and information make no ticket by the built-in rule, until one is confirmed', async ({
  db,
}) => {
  const detections = ['Potential', 'Info', 'Potential'].map((type, index) => ({
    qid: '900001',
    type,
    severity: 5,
    port: 8000 + index,
  }))
  const estate = { hosts: [{ id: '101', detections }], kb: [entry('900001')] }
  await withTickets({ pool: db, estate }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 0 })
    const types = await db.query('select type from finding order by port')
    expect(types.rows.map(({ type }) => type)).toEqual(['Potential', 'Info', 'Potential'])
    nextDay(hub)
    hub.estate.override('101', { detections: [{ match: { port: 8002 }, change: { type: 'Confirmed' } }] })
    expect(await hub.day()).toMatchObject({ created: 1 })
    expect((await db.query('select 1 from ticket_finding')).rowCount).toBe(1)
  })
})

test('a purged host closes no ticket', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    fix(hub, '101', '900001')
    fix(hub, '101', '900002')
    hub.estate.override('102', { purged: true })
    for (let day = 0; day < 4; day += 1) {
      nextDay(hub)
      expect(await hub.day()).toMatchObject({ closed: 0 })
    }
    const { rows } = await db.query(
      `select distinct f.state from finding f join host h on h.id = f.place_id where h.host_id = 102`,
    )
    expect(rows).toEqual([{ state: 'host_removed' }])
    expect(theOnlyIssue(hub).status.category).not.toBe('done')
    expect(JSON.stringify(theOnlyIssue(hub).description)).toContain('host removed')
  })
})

test('T18: a changed role or tag closes no ticket, and what is hidden comes back without loss', async ({
  db,
}) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    hub.estate.override('101', { hiddenFrom: ['Manager'] })
    hub.estate.override('102', { hiddenFrom: ['Manager'], tags: ['moved'] })
    for (let day = 0; day < 4; day += 1) {
      nextDay(hub)
      expect(await hub.day()).toMatchObject({ closed: 0 })
    }
    expect(theOnlyIssue(hub).status.category).not.toBe('done')
    hub.estate.override('101', { hiddenFrom: [] })
    hub.estate.override('102', { hiddenFrom: [] })
    nextDay(hub)
    await hub.day('full')
    expect(JSON.stringify(theOnlyIssue(hub).description)).toContain('2 of 2 hosts still open')
  })
})

test('a missing page closes no ticket', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    nextDay(hub)
    fix(hub, '101', '900001')
    fix(hub, '101', '900002')
    hub.fake.faults.add({ match: { endpoint: 'detection', times: 10 }, kind: 'drop-hosts', ids: ['102'] })
    expect(await hub.day('full')).toMatchObject({ closed: 0 })
    const { rows } = await db.query(
      `select distinct f.state from finding f join host h on h.id = f.place_id where h.host_id = 102`,
    )
    expect(rows).toEqual([{ state: 'stale' }])
    hub.fake.faults.clear()
    nextDay(hub)
    expect(await hub.day('full')).toMatchObject({ closed: 0 })
    expect(JSON.stringify(theOnlyIssue(hub).description)).toContain('1 of 2 hosts still open')
  })
})

test('a host that is owed keeps only its own tickets open', async ({ db }) => {
  const estate: EstateOptions = {
    hosts: [
      { id: '101', detections: [{ qid: '900001' }] },
      { id: '102', detections: [{ qid: '900004' }] },
    ],
    kb: [entry('900001'), entry('900004', { vendorReferences: [{ ...PATCH, id: 'KB5000004' }] })],
  }
  await withTickets({ pool: db, estate }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 2 })
    nextDay(hub)
    fix(hub, '101', '900001')
    fix(hub, '102', '900004')
    // A record of host 102 that nobody can read is owed.
    hub.estate.override('102', { addDetections: [{ qid: '900009', status: 'Perhaps' }] })
    expect(await hub.day('full')).toMatchObject({ closed: 1 })
    const closed = hub.jira.issues().filter((issue) => issue.status.category === 'done')
    expect(closed.map((issue) => issue.summary)).toEqual([expect.stringContaining('KB5000001')])
    hub.estate.override('102', { detections: [{ match: { qid: '900009' }, change: 'remove' }] })
    nextDay(hub)
    expect(await hub.day('full')).toMatchObject({ closed: 1 })
  })
})

test('an answer that was lost after the ticket was made never makes a second one', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    hub.jira.setSearchLag(60_000)
    hub.jira.faults.add({ on: 'createIssue', fault: { kind: 'drop_after' } })
    await hub.day('full')
    const states: unknown[] = []
    for (let minute = 0; minute < 12; minute += 1) {
      hub.clock.advance(30_000)
      await hub.send()
      states.push((await db.query('select state from ticket')).rows[0].state)
    }
    expect(states.at(-1)).toBe('open')
    expect(hub.jira.faults.unused).toBe(0)
    theOnlyIssue(hub)
  })
})

test('hostile names stand in a ticket as they are, and as nothing else', async ({ db }) => {
  const evil = '[~admin] {code} !x.png! <img src=x onerror=alert(1)> " OR project = X'
  const estate: EstateOptions = {
    hosts: [{ id: '101', dns: evil, os: `${evil}\n\n`, detections: [{ qid: '900001' }] }],
    kb: [
      entry('900001', {
        title: `${evil}\n${'long '.repeat(80)}`,
        solution: `<script>alert(1)</script><p onclick="x()">Do <a href="javascript:alert(1)">this</a> ${evil.replaceAll('<', '&lt;')}</p>`,
      }),
    ],
  }
  await withTickets({ pool: db, estate }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 1 })
    const issue = theOnlyIssue(hub)
    expect(issue.summary.length).toBeLessThanOrEqual(255)
    const description = JSON.stringify(issue.description)
    expect(description).toContain(JSON.stringify(evil).slice(1, -1))
    expect(description).not.toContain('javascript:')
    expect(description).not.toContain('alert(1)</script>')
  })
})
