import type pg from 'pg'
import { expect } from 'vitest'
import { DAY_MS } from '../../../fakes/qualys/estate/time.ts'
import type { EstateOptions } from '../../../fakes/qualys/estate/types.ts'
import type { KbSpec } from '../../../fakes/qualys/knowledge-base.ts'
import { test } from '../../../test/support/database.ts'
import { DAY_0_NOON_MS } from '../../../test/support/hub.ts'
import { type TicketHub, withTickets } from '../../../test/support/tickets.ts'

function entry(qid: string, references: readonly string[], fields: Partial<KbSpec> = {}): KbSpec {
  return {
    qid,
    title: `Update ${qid}`,
    severity: 5,
    vulnType: 'Vulnerability',
    patchable: true,
    vendorReferences: references.map((id) => ({ id, url: `https://vendor.example.com/${id}` })),
    ...fields,
  }
}

/** So long ago that no delta asks for the host again. */
const processed = DAY_0_NOON_MS - DAY_MS / 2

const ONE: EstateOptions = {
  hosts: [
    { id: '101', processed, detections: [{ qid: '900001' }] },
    { id: '102', processed, detections: [{ qid: '900001' }] },
  ],
  kb: [entry('900001', ['KB1'])],
}

/** The vendor changes an entry; no detection changes, and no host is scanned. */
function learn(hub: TicketHub, spec: KbSpec): void {
  hub.clock.advance(DAY_MS)
  hub.estate.advanceDay()
  hub.estate.setKb({ lastServiceModification: hub.clock.nowMs() - 1_000, ...spec })
}

function comments(hub: TicketHub, issue = 0): string[] {
  return hub.jira.issues()[issue]!.comments.map((comment) => textOf(comment.body))
}

/** The texts of an ADF document, one after the other. */
function textOf(node: unknown): string {
  if (typeof node !== 'object' || node === null) return ''
  if ('text' in node && typeof node.text === 'string') return node.text
  return 'content' in node && Array.isArray(node.content) ? node.content.map(textOf).join('') : ''
}

async function detectionBatches(db: pg.Pool): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(*)::int as count from batch
      where run_id = (select max(id) from run) and module = 'qualys.detections'`,
  )
  return rows[0]!.count
}

test('T32: a severity that falls in the knowledge base is told to the ticket in that run, and is no fix', async ({
  db,
}) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 1 })
    learn(hub, entry('900001', ['KB1'], { severity: 3 }))
    expect(await hub.day('delta')).toMatchObject({ updated: 1, commented: 1, closed: 0, created: 0 })
    expect(await detectionBatches(db)).toBe(0)
    expect(comments(hub)).toEqual([
      'QID 900001: severity 5 → 3 by the knowledge base of 2026-10-02. Nothing of it is what its rule is about any more; it stays open until everything is fixed or a person closes it.',
    ])
    expect((await db.query('select 1 from event')).rows).toEqual([])
    expect(hub.jira.issues()[0]!.status.category).not.toBe('done')

    // Told once, and back again when it rises.
    hub.clock.advance(DAY_MS)
    expect(await hub.day('delta')).toMatchObject({ updated: 0, commented: 0 })
    learn(hub, entry('900001', ['KB1'], { severity: 4 }))
    expect(await hub.day('delta')).toMatchObject({ updated: 1, commented: 1, created: 0 })
    expect(comments(hub).at(-1)).toBe('QID 900001: severity 3 → 4 by the knowledge base of 2026-10-04.')

    // What is proven to be fixed closes it, whatever its severity was.
    learn(hub, entry('900001', ['KB1'], { severity: 2 }))
    for (const host of ['101', '102'])
      hub.estate.override(host, { detections: [{ match: {}, change: 'fix' }] })
    expect(await hub.day('delta')).toMatchObject({ closed: 1 })
  })
})

test('T32: a severity that rises in the knowledge base makes a ticket of findings that no run has asked for again', async ({
  db,
}) => {
  const estate = { ...ONE, kb: [entry('900001', ['KB1'], { severity: 2 })] }
  await withTickets({ pool: db, estate }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 0 })
    learn(hub, entry('900001', ['KB1'], { severity: 4 }))
    expect(await hub.day('delta')).toMatchObject({ created: 1 })
    expect(await detectionBatches(db)).toBe(0)
    expect(hub.jira.issues()[0]!.summary).toContain('(2 hosts)')
  })
})

test('T35: a severity that a user has edited counts, and the one of the vendor is kept beside it', async ({
  db,
}) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    const lastCustomization = { datetime: hub.clock.nowMs() + DAY_MS - 1_000, userLogin: 'jo' }
    learn(hub, entry('900001', ['KB1'], { severity: 2, lastServiceModification: 0, lastCustomization }))
    expect(await hub.day('delta')).toMatchObject({ updated: 1, commented: 1, closed: 0 })
    expect(comments(hub)[0]).toContain(
      'severity 5 → 2 by the knowledge base (edited by a user) of 2026-10-02.',
    )
    const stored = () =>
      db.query('select severity, vendor_severity, customized_by from vulnerability').then(({ rows }) => rows)
    expect(await stored()).toEqual([{ severity: 2, vendor_severity: 5, customized_by: 'jo' }])

    // The edit is taken back: the vendor's severity counts again.
    learn(hub, entry('900001', ['KB1'], { severity: 5, lastCustomization: undefined }))
    expect(await hub.day('delta')).toMatchObject({ updated: 1, commented: 1 })
    expect(await stored()).toEqual([{ severity: 5, vendor_severity: 5, customized_by: null }])
  })
})

test('T39: QIDs with the same set of references are one ticket, and overlapping sets are two', async ({
  db,
}) => {
  const estate: EstateOptions = {
    hosts: [{ id: '101', detections: ['900001', '900002', '900003'].map((qid) => ({ qid })) }],
    kb: [entry('900001', ['KB1', 'kb 2']), entry('900002', ['KB2', 'KB1']), entry('900003', ['KB2'])],
  }
  await withTickets({ pool: db, estate }, async (hub) => {
    expect(await hub.day('full')).toMatchObject({ created: 2 })
    const summaries = hub.jira.issues().map(({ summary }) => summary)
    expect(summaries.toSorted()).toEqual([
      '[Qualys] KB1, KB2: Update 900001 and 1 more (1 host)',
      '[Qualys] KB2: Update 900003 (1 host)',
    ])
  })
})

test('T39: a ticket follows its patch when the vendor names another one, and says so', async ({ db }) => {
  await withTickets({ pool: db, estate: ONE }, async (hub) => {
    await hub.day('full')
    learn(hub, entry('900001', ['KB2']))
    expect(await hub.day('delta')).toMatchObject({ created: 0, updated: 1, commented: 1 })
    expect(comments(hub)).toEqual(['The patch is KB2 now; it was KB1 before the knowledge base changed.'])
    expect(hub.jira.issues()[0]!.summary).toBe('[Qualys] KB2: Update 900001 (2 hosts)')

    // Closed, it follows as well, so that it is this ticket that is opened again.
    for (const host of ['101', '102'])
      hub.estate.override(host, { detections: [{ match: {}, change: 'fix' }] })
    expect(await hub.day('full')).toMatchObject({ closed: 1 })
    learn(hub, entry('900001', ['KB3']))
    hub.estate.override('101', { detections: [{ match: {}, change: 'reopen' }] })
    expect(await hub.day('full')).toMatchObject({ reopened: 1, created: 0 })
    expect(hub.jira.issues()).toHaveLength(1)
    expect(hub.jira.issues()[0]!.summary).toContain('KB3')
  })
})

test('T39: a finding that found another ticket does not come back with the ticket that it was in', async ({
  db,
}) => {
  const estate: EstateOptions = {
    hosts: [
      { id: '101', detections: [{ qid: '900001' }] },
      { id: '102', detections: [{ qid: '900002' }] },
    ],
    kb: [entry('900001', ['KB1']), entry('900002', ['KB1'])],
  }
  await withTickets({ pool: db, estate }, async (hub) => {
    await hub.day('full')
    for (const host of ['101', '102'])
      hub.estate.override(host, { detections: [{ match: {}, change: 'fix' }] })
    hub.clock.advance(DAY_MS)
    expect(await hub.day('full')).toMatchObject({ closed: 1 })
    learn(hub, entry('900001', ['KB2']))
    hub.estate.override('101', { detections: [{ match: {}, change: 'reopen' }] })
    expect(await hub.day('full')).toMatchObject({ created: 1, reopened: 0 })
    hub.clock.advance(DAY_MS)
    hub.estate.override('102', { detections: [{ match: {}, change: 'reopen' }] })
    expect(await hub.day('full')).toMatchObject({ created: 0, reopened: 1 })
    const { rows } = await db.query(
      `select finding_id from ticket t join ticket_finding m on m.ticket_id = t.id where t.state <> 'closed'
        group by finding_id having count(*) > 1`,
    )
    expect(rows).toEqual([])
  })
})
