import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import { withTickets } from '../../../test/support/tickets.ts'
import { DAY_MS } from '../../../fakes/qualys/estate/time.ts'

test('one ticket stands for each patch, and the preview says so before', async ({ db }) => {
  await withTickets({ pool: db, estate: { hosts: 25, detectionsPerHost: 12 } }, async (hub) => {
    await hub.sync('full')
    const preview = await hub.preview()
    expect(hub.jira.issues()).toHaveLength(0)
    const plan = await hub.plan()
    expect(plan).toEqual(preview)
    const counts = await hub.send()
    expect(counts.created).toBe(plan.planned.length)
    expect(plan.planned.length).toBeGreaterThan(3)
    const issues = hub.jira.issues()
    expect(issues.map((issue) => issue.summary).toSorted()).toEqual(
      plan.planned.map((planned) => planned.text?.summary ?? '').toSorted(),
    )
    expect(new Set(plan.planned.map((planned) => planned.groupKey)).size).toBe(plan.planned.length)
    // Nothing is left to say.
    hub.clock.advance(DAY_MS)
    const again = await hub.plan()
    expect(again.planned.filter((planned) => planned.decision.action !== 'keep')).toEqual([])
  })
})
