import type pg from 'pg'
import { type FakeJira, startFakeJira } from '../../fakes/jira/fake-jira.ts'
import { createJiraCloud } from '../../src/destinations/jira/cloud.ts'
import { JiraConfig } from '../../src/destinations/jira/config.ts'
import { pushTickets } from '../../src/engine/push.ts'
import type { PushCounts, PushDeps } from '../../src/engine/push-types.ts'
import { type Plan, planTickets, previewRule } from '../../src/engine/tickets/plan.ts'
import { createHttpDoor } from '../../src/lib/http/index.ts'
import { insertIntegration } from '../../src/store/queries/integrations.ts'
import {
  ensureBuiltInRules,
  getRule,
  listRules,
  setRuleEnabled,
  type RuleRow,
} from '../../src/store/queries/rules.ts'
import { type TestHub, type TestHubOptions, SILENT, withHub } from './hub.ts'
import { jiraSpec } from './jira-spec.ts'

/** A hub with the built-in rule switched on, and a fake Jira that checks every exchange where the specification is there. */
export interface TicketHub extends TestHub {
  jira: FakeJira
  push: PushDeps
  rule(): Promise<RuleRow>
  preview(): Promise<Plan>
  plan(): Promise<Plan>
  send(): Promise<PushCounts>
  /** A run, a plan and a push: what a day does. */
  day(mode?: 'full' | 'delta'): Promise<PushCounts>
}

export async function withTickets(
  options: TestHubOptions,
  use: (hub: TicketHub) => Promise<void>,
): Promise<void> {
  await withHub(options, async (hub) => {
    const spec = jiraSpec()
    const jira = await startFakeJira({ clock: hub.clock, ...(spec !== undefined && { validate: spec }) })
    const door = createHttpDoor({ userAgent: 'Patchbay/test', allowedCidrs: ['127.0.0.0/8'] })
    try {
      await use(await connect(options.pool, hub, { jira, door }))
      if (jira.violations.length > 0)
        throw new Error(`Jira was not spoken to as specified: ${JSON.stringify(jira.violations.slice(0, 3))}`)
    } finally {
      await door.close()
      await jira.close()
    }
  })
}

async function connect(
  pool: pg.Pool,
  hub: TestHub,
  world: { jira: FakeJira; door: ReturnType<typeof createHttpDoor> },
): Promise<TicketHub> {
  const { jira, door } = world
  const target = await insertIntegration(pool, {
    type: 'ticketing',
    subtype: 'jira',
    name: 'jira',
    config: {},
  })
  await ensureBuiltInRules(pool)
  const [built] = await listRules(pool)
  if (built === undefined) throw new Error('The built-in rule was not made.')
  await setRuleEnabled(pool, built.id, true)
  const config = JiraConfig.parse({
    name: 'jira',
    url: jira.url,
    email: jira.email,
    apiToken: jira.apiToken,
    projectKey: 'VULN',
    issueType: 'Task',
  })
  const push: PushDeps = {
    pool,
    clock: hub.clock,
    log: SILENT,
    worker: 'test worker',
    destination: createJiraCloud({ config, door, clock: hub.clock }),
    target: { integrationId: target.id, projectKey: config.projectKey, issueType: { name: 'Task' } },
  }
  const rule = async () => (await getRule(pool, built.id))!
  const input = () => ({ runId: null, now: new Date(hub.clock.nowMs()) })
  const send = () => pushTickets(push, new AbortController().signal)
  const plan = async () => planTickets(pool, await rule(), input())
  return {
    ...hub,
    jira,
    push,
    rule,
    plan,
    send,
    preview: async () => previewRule(pool, await rule(), input().now),
    day: async (mode) => {
      const run = await hub.sync(mode)
      if (run.state === 'FAILED') throw new Error(`The run failed: ${run.message}`)
      await plan()
      return send()
    },
  }
}
