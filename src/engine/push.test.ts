import { expect } from 'vitest'
import type { EstateOptions } from '../../fakes/qualys/estate/types.ts'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { test } from '../../test/support/database.ts'
import { withTickets } from '../../test/support/tickets.ts'

function patch(qid: string) {
  return {
    qid,
    title: `Update ${qid}`,
    severity: 5,
    vulnType: 'Vulnerability',
    patchable: true,
    vendorReferences: [{ id: `KB${qid}`, url: `https://vendor.example.com/${qid}` }],
  }
}

const QIDS = ['900001', '900002', '900003', '900004', '900005', '900006']
const ESTATE: EstateOptions = {
  hosts: [{ id: '101', detections: QIDS.map((qid) => ({ qid })) }],
  kb: QIDS.map(patch),
}

test('a wrong token is one message and one request, not one for each ticket', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    await hub.plan()
    hub.jira.faults.add({ on: 'createIssue', times: 100, fault: { kind: 'anonymous' } })
    const counts = await hub.send()
    expect(counts.created).toBe(0)
    expect(hub.jira.requests.filter((request) => request.method === 'POST').length).toBeLessThanOrEqual(8)
    const { rows } = await db.query('select status, status_message from integration where id = $1', [
      hub.push.target.integrationId,
    ])
    expect(rows[0].status).toBe('NEEDS_ATTENTION')
    hub.jira.faults.clear()
    hub.clock.advance(16 * 60_000)
    expect(await hub.send()).toMatchObject({ created: QIDS.length })
    const after = await db.query('select status from integration where id = $1', [
      hub.push.target.integrationId,
    ])
    expect(after.rows[0].status).toBe('OK')
  })
})

test('a transition that is refused for one ticket holds up no other ticket', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    hub.clock.advance(DAY_MS)
    hub.estate.advanceDay()
    hub.estate.override('101', { detections: [{ match: {}, change: 'fix' }] })
    hub.jira.faults.add({ on: ['getTransitions', 'doTransition'], fault: { kind: 'deny_transition' } })
    expect(await hub.day()).toMatchObject({ closed: QIDS.length - 1, postponed: 1 })
    hub.clock.advance(DAY_MS)
    expect(await hub.send()).toMatchObject({ closed: 1 })
    expect(hub.jira.issues().every((issue) => issue.status.category === 'done')).toBe(true)
  })
})

test('a ticket that a person deleted is never made again by itself', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    const [first] = hub.jira.issues()
    hub.jira.people.delete(first!.key)
    hub.clock.advance(DAY_MS)
    hub.estate.advanceDay()
    hub.estate.override('101', { detections: [{ match: {}, change: 'fix' }] })
    expect(await hub.day()).toMatchObject({ reviewed: 1, closed: QIDS.length - 1 })
    hub.clock.advance(DAY_MS)
    expect(await hub.day('full')).toMatchObject({ created: 0 })
    expect(hub.jira.issues()).toHaveLength(QIDS.length - 1)
  })
})

test('what people write around our text, and what they change, stays as it is', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.day('full')
    const [first] = hub.jira.issues()
    const theirs = { type: 'paragraph', content: [{ type: 'text', text: 'We patch on Sunday. — Jane' }] }
    hub.jira.people.editDescription(first!.key, (description) => {
      const doc = description as { content: unknown[] }
      return { ...doc, content: [theirs, ...doc.content, theirs] }
    })
    hub.jira.people.editSummary(first!.key, 'Our own words')
    hub.clock.advance(DAY_MS)
    hub.estate.advanceDay()
    hub.estate.addHost({ id: '102', detections: QIDS.map((qid) => ({ qid })) })
    expect(await hub.day()).toMatchObject({ updated: QIDS.length })
    const after = hub.jira.issue(first!.key)
    const content = (after.description as { content: unknown[] }).content
    expect(content[0]).toEqual(theirs)
    expect(content.at(-1)).toEqual(theirs)
    expect(after.summary).toBe('Our own words')
    expect(JSON.stringify(content)).toContain('2 of 2 hosts still open')
  })
})

test('two senders at once make each ticket once and keep its order', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    await hub.plan()
    const { pushTickets } = await import('./push.ts')
    const signal = new AbortController().signal
    const [one, two] = await Promise.all([
      hub.send(),
      pushTickets({ ...hub.push, worker: 'another worker' }, signal),
    ])
    expect(one.created + two.created).toBe(QIDS.length)
    expect(hub.jira.issues()).toHaveLength(QIDS.length)
  })
})

test('a sender that died in the middle of a create leaves no second ticket', async ({ db }) => {
  await withTickets({ pool: db, estate: ESTATE }, async (hub) => {
    await hub.sync('full')
    await hub.plan()
    // It was killed after the request had arrived: the row says "creating", the claim has run out.
    hub.jira.faults.add({ on: 'createIssue', times: QIDS.length, fault: { kind: 'drop_after' } })
    await hub.send()
    await db.query(`update ticket set state = 'creating', unknown_since = null`)
    await db.query(
      `update outbox set state = 'sending', claimed_by = 'the dead', claim_expires_at = now() - interval '1 hour'`,
    )
    expect(await hub.send()).toMatchObject({ adopted: QIDS.length, created: 0 })
    expect(hub.jira.issues()).toHaveLength(QIDS.length)
  })
})
