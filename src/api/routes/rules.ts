import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type Plan, previewRule } from '../../engine/tickets/plan.ts'
import { enqueue } from '../../jobs/job.ts'
import { planTicketsJob } from '../../jobs/plan-tickets.ts'
import { blocksToText } from '../../model/blocks-text.ts'
import {
  ensureBuiltInRules,
  getRule,
  listRules,
  type RuleRow,
  setRuleEnabled,
} from '../../store/queries/rules.ts'
import type { ApiDeps } from '../deps.ts'
import { Id } from '../paging.ts'
import { Rule, RulePreview } from '../resources.ts'
import { TicketProgress } from '../run-resources.ts'
import { readTicketProgress } from '../ticket-progress.ts'
import { PROBLEMS, json, newRoutes, notFound } from './shared.ts'

const PLANNED_SHOWN_MAX = 200

const Params = z.object({ id: Id })

const listRoute = createRoute({
  method: 'get',
  path: '/rules',
  operationId: 'listRules',
  summary: 'Ticket rules; the built-in ones are there once their integrations are',
  responses: { 200: json(z.object({ data: z.array(Rule), next: z.null() }), 'All rules.'), ...PROBLEMS },
})

const previewRoute = createRoute({
  method: 'get',
  path: '/rules/{id}/preview',
  operationId: 'previewRule',
  summary:
    'What the rule would do now: the same decisions and texts as the real thing, and nothing is written',
  request: { params: Params },
  responses: { 200: json(RulePreview, 'The plan.'), ...PROBLEMS },
})

const actRoute = createRoute({
  method: 'post',
  path: '/rules/{id}',
  operationId: 'actOnRule',
  summary: 'Switch a rule on, after its preview was seen, or off',
  request: { params: Params, query: z.object({ action: z.enum(['enable', 'disable']) }) },
  responses: { 200: json(Rule, 'The rule as it is now.'), ...PROBLEMS },
})

const progressRoute = createRoute({
  method: 'get',
  path: '/rules/{id}/progress',
  operationId: 'watchRule',
  summary: "How far the tickets of the rule's source are",
  request: { params: Params },
  responses: { 200: json(TicketProgress, 'The progress.'), ...PROBLEMS },
})

export function ruleRoutes(deps: ApiDeps): OpenAPIHono {
  const { pool, clock } = deps
  const app = newRoutes()
  app.openapi(listRoute, async (context) => {
    await ensureBuiltInRules(pool)
    const rules = await listRules(pool)
    return context.json({ data: rules.map(toRule), next: null }, 200)
  })
  app.openapi(previewRoute, async (context) => {
    const rule = await requireRule(context.req.valid('param').id)
    return context.json(toPreview(await previewRule(pool, rule, new Date(clock.nowMs()))), 200)
  })
  app.openapi(progressRoute, async (context) => {
    const rule = await requireRule(context.req.valid('param').id)
    const source = { integrationId: rule.sourceIntegrationId, runId: null }
    return context.json(await readTicketProgress(deps, source), 200)
  })
  app.openapi(actRoute, async (context) => {
    const rule = await requireRule(context.req.valid('param').id)
    const isEnabled = context.req.valid('query').action === 'enable'
    await setRuleEnabled(pool, rule.id, isEnabled)
    if (isEnabled)
      await enqueue(pool, planTicketsJob, { integrationId: rule.sourceIntegrationId, runId: null })
    return context.json(toRule({ ...rule, isEnabled }), 200)
  })
  return app

  async function requireRule(id: string): Promise<RuleRow> {
    const rule = await getRule(pool, id)
    if (rule === null) throw notFound(`rule ${id}`)
    return rule
  }
}

function toRule(row: RuleRow): Rule {
  const { filter, policy, groupBy, ...rest } = row
  return { ...rest, filter: { ...filter }, policy: { ...policy }, groupBy: [...groupBy] }
}

function toPreview(plan: Plan): RulePreview {
  const counts = { create: 0, update: 0, reopen: 0, close: 0, keep: 0 }
  for (const { decision } of plan.planned) counts[decision.action] += 1
  const changesFirst = plan.planned.toSorted(
    (a, b) => Number(a.decision.action === 'keep') - Number(b.decision.action === 'keep'),
  )
  return {
    ruleId: plan.ruleId,
    ruleName: plan.ruleName,
    counts,
    heldBack: plan.heldBack,
    planned: changesFirst.slice(0, PLANNED_SHOWN_MAX).map(({ decision, text, hosts, ...planned }) => ({
      groupKey: planned.groupKey,
      name: planned.name,
      issueKey: planned.issueKey,
      action: decision.action,
      reason: decision.reason,
      openHosts: hosts.open,
      summary: text?.summary ?? null,
      text: text === null ? null : blocksToText(text.blocks),
    })),
  }
}
