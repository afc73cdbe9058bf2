import { expect } from 'vitest'
import type { TicketHub } from './tickets.ts'

/**
 * What has to be so of tickets after every run and its push, whatever went wrong: no ticket twice, no finding in two open
 * tickets, and none closed while a finding of it is open or was merely not seen.
 */
export async function expectHonestTickets({ jira, deps }: TicketHub): Promise<void> {
  const { pool } = deps
  const { rows: tickets } = await pool.query<{ label: string; issueKey: string | null }>(
    'select hash_label as label, issue_key as "issueKey" from ticket',
  )
  const issueOf = new Map(tickets.map(({ label, issueKey }) => [label, issueKey]))
  const strangers: string[] = []
  for (const { key, labels } of jira.issues()) {
    const own = labels.filter((label) => issueOf.get(label) === key)
    if (own.length !== 1) strangers.push(`${key}: ${labels.join(', ')}`)
  }
  // Each issue is the one of its ticket; a second one for the same ticket would be a stranger.
  expect(strangers).toEqual([])

  const { rows: doubled } = await pool.query(
    `select rule_id, group_key from ticket where state <> 'closed' group by 1, 2 having count(*) > 1`,
  )
  expect(doubled).toEqual([])
  const { rows: shared } = await pool.query(
    `select f.place_id, f.finding_id from ticket_finding f join ticket t on t.id = f.ticket_id
      where t.state <> 'closed' group by 1, 2 having count(*) > 1`,
  )
  expect(shared).toEqual([])

  const done = jira.issues().filter((issue) => issue.status.category === 'done')
  const { rows: unproven } = await pool.query(
    `select t.issue_key, f.issue_key as qid, f.state
       from ticket t
       join ticket_finding m on m.ticket_id = t.id
       join finding f on f.place_id = m.place_id and f.id = m.finding_id
      where t.issue_key = any ($1) and f.state in ('open', 'stale')`,
    [done.map(({ key }) => key)],
  )
  expect(unproven).toEqual([])
}

/** After a clean run and its push every ticket is as the plan wants it: another day would change nothing. */
export async function expectSettledTickets(hub: TicketHub): Promise<void> {
  const { rows: left } = await hub.deps.pool.query(
    `select o.op, o.state, o.error from outbox o join ticket t on t.id = o.ticket_id
      where o.state <> 'done' and t.state <> 'review'`,
  )
  expect(left).toEqual([])
  const plan = await hub.preview()
  expect(plan.planned.filter(({ decision }) => decision.action !== 'keep')).toEqual([])
}
