import { expect } from 'vitest'
import { DAY_MS } from '../../../fakes/qualys/estate/time.ts'
import type { EstateOptions } from '../../../fakes/qualys/estate/types.ts'
import { test } from '../../../test/support/database.ts'
import { type TicketHub, withTickets } from '../../../test/support/tickets.ts'
import { claimOp } from '../../store/queries/outbox.ts'
import { getTicket } from '../../store/queries/tickets.ts'
import { createTicket } from '../push-create.ts'

function entry(qid: string, kb: string) {
  return {
    qid,
    title: `Update ${qid}`,
    severity: 5,
    vulnType: 'Vulnerability',
    patchable: true,
    vendorReferences: [{ id: kb, url: `https://vendor.example.com/${kb}` }],
  }
}

const ONE: EstateOptions = {
  hosts: [{ id: '101', detections: [{ qid: '900001' }] }],
  kb: [entry('900001', 'KB1')],
}

const TWO: EstateOptions = {
  hosts: [
    { id: '101', detections: [{ qid: '900001' }] },
    { id: '102', detections: [{ qid: '900002' }] },
  ],
  kb: [entry('900001', 'KB1'), entry('900002', 'KB2')],
}

function later(hub: TicketHub, days: number): void {
  hub.clock.advance(days * DAY_MS)
  hub.estate.advanceDay()
}

function changeAll(hub: TicketHub, change: 'fix' | 'reopen'): void {
  for (const host of ['101', '102'])
    if (hub.estate.host(host) !== undefined)
      hub.estate.override(host, { detections: [{ match: {}, change }] })
}

test('two tickets whose patches become one never share a finding, and both close', async ({ db }) => {
  await withTickets({ pool: db, estate: TWO }, async (hub) => {
    await hub.day('full')
    await db.query(`update vulnerability set patch_key = 'ref:KB3' where qid in (900001, 900002)`)
    await hub.plan()
    await hub.send()
    const { rows: groups } = await db.query('select group_key from ticket order by id')
    expect(groups.map((row): string => row.group_key).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'ref:KB2',
      'ref:KB3',
    ])
    const { rows: shared } = await db.query(
      'select finding_id from ticket_finding group by finding_id having count(*) > 1',
    )
    expect(shared).toEqual([])
    later(hub, 1)
    changeAll(hub, 'fix')
    expect(await hub.day()).toMatchObject({ closed: 2 })
  })
})

test('a group that the rule is not about any more neither reopens its ticket nor makes an empty one', async ({
  db,
}) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'fix')
    expect(await hub.day()).toMatchObject({ closed: 1 })
    for (const days of [1, 40]) {
      later(hub, days)
      await db.query(`update finding set state = 'open', source_status = 'Re-Opened'`)
      await db.query('update vulnerability set severity = 3')
      await hub.plan()
      expect(await hub.send()).toMatchObject({ created: 0, reopened: 0 })
    }
  })
})

test('a close that has not been sent when the finding is open again is taken back', async ({ db }) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'fix')
    await hub.sync('full')
    // Jira cannot be reached: what was decided waits.
    await hub.plan()
    later(hub, 1)
    changeAll(hub, 'reopen')
    await hub.sync('full')
    await hub.plan()
    expect(await hub.send()).toMatchObject({ closed: 0, updated: 1 })
    expect(hub.jira.issues()[0]!.status.category).not.toBe('done')
  })
})

test('what waits is decided anew as often as it is planned, and sent once', async ({ db }) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'fix')
    await hub.sync('full')
    for (let plan = 0; plan < 3; plan += 1) await hub.plan()
    expect(await hub.send()).toMatchObject({ closed: 1, updated: 1 })
    expect(hub.jira.issues()[0]!.comments).toHaveLength(1)
  })
})

test('a ticket is reopened with its reason, however often that is decided before it is sent', async ({
  db,
}) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'fix')
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'reopen')
    await hub.sync('full')
    for (let plan = 0; plan < 3; plan += 1) await hub.plan()
    expect(await hub.send()).toMatchObject({ reopened: 1 })
    const said = JSON.stringify(hub.jira.issues()[0]!.comments.at(-1)?.body)
    expect(said).toContain('"1 host open again. Reopened by Patchbay."')
  })
})

test('a deleted earlier ticket does not take the new one along', async ({ db }) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'fix')
    await hub.day('full')
    hub.jira.people.delete(hub.jira.issues()[0]!.key)
    later(hub, 40)
    changeAll(hub, 'reopen')
    expect(await hub.day('full')).toMatchObject({ created: 1, reviewed: 0 })
    const { rows } = await db.query('select state from ticket order by id')
    expect(rows.map((row) => row.state)).toEqual(['closed', 'open'])
  })
})

test('a recurrence after the reopen window is a new ticket that is linked to the old one', async ({ db }) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    later(hub, 1)
    changeAll(hub, 'fix')
    await hub.day('full')
    later(hub, 40)
    changeAll(hub, 'reopen')
    expect(await hub.day('full')).toMatchObject({ created: 1, linked: 1, reopened: 0 })
    expect(hub.jira.links()).toHaveLength(1)
    expect(hub.jira.issues().map((issue) => issue.status.category === 'done')).toEqual([true, false])
  })
})

test('a sender that was paused before its request finds its claim gone and sends nothing', async ({ db }) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.sync('full')
    await hub.plan()
    const now = new Date(hub.clock.nowMs())
    const targetIntegrationId = hub.push.target.integrationId
    const item = await claimOp(db, { worker: hub.push.worker, now, targetIntegrationId })
    const ticket = await getTicket(db, item!.ticketId)
    // While it was paused, its claim ran out and another sender took over.
    await db.query(`update outbox set claimed_by = 'another sender'`)
    const signal = new AbortController().signal
    const sent = await createTicket({
      deps: hub.push,
      item: item!,
      ticket: ticket!,
      mayHaveBeenSent: false,
      signal,
    })
    expect(sent).toEqual({ outcome: 'lost' })
    expect(hub.jira.issues()).toHaveLength(0)
  })
})

test('one ticket whose fields Jira refuses holds up no other; many are one message', async ({ db }) => {
  await withTickets({ pool: db, estate: TWO }, async (hub) => {
    await hub.sync('full')
    await hub.plan()
    const refused = (body: string) => body.includes('KB1:')
    hub.jira.faults.add({
      on: 'createIssue',
      times: 50,
      when: refused,
      fault: { kind: 'status_before', status: 400 },
    })
    expect(await hub.send()).toMatchObject({ created: 1, postponed: 1 })
    expect(hub.jira.issues().map((issue) => issue.summary)).toEqual([expect.stringContaining('KB2')])
  })
})
