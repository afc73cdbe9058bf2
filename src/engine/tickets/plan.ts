import { createHash } from 'node:crypto'
import type pg from 'pg'
import { type Block, paragraph } from '../../model/blocks.ts'
import { TICKET_HOSTS_SHOWN_MAX } from '../../model/rule.ts'
import type { Tx } from '../../store/db.ts'
import { type OutboxOp, insertOps, takeBackWaiting } from '../../store/queries/outbox.ts'
import { type RuleRow, listEnabledRulesOf } from '../../store/queries/rules.ts'
import {
  type GroupFacts,
  countGroupHosts,
  followPatches,
  gatherGroups,
  listGroupHosts,
  listGroupVulnerabilities,
  listGroups,
  releaseMembers,
  tellMembers,
} from '../../store/queries/ticket-groups.ts'
import { changeTicket, countCreatedSince, insertTicket, nextGeneration } from '../../store/queries/tickets.ts'
import { inTransaction } from '../../store/transaction.ts'
import { BEING_SENT, type Decision, decide } from './decide.ts'
import { type TicketText, patchName, ticketText } from './text.ts'

/** What is decided about one group, with the text that its ticket would get. */
export interface PlannedTicket {
  groupKey: string
  name: string
  ticketId: string | null
  issueKey: string | null
  decision: Decision
  hosts: { open: number; fixed: number; unproven: number }
  /** Null for a ticket that stays as it is. */
  text: TicketText | null
}

export interface Plan {
  ruleId: string
  ruleName: string
  planned: PlannedTicket[]
  /** Groups that would get a ticket but for the daily cap. */
  heldBack: number
  /** Tickets about which nothing was decided, because earlier changes are being sent: plan again soon. */
  undecided: number
}

const VULNERABILITIES_SHOWN_MAX = 30
/** Groups are few beside findings; more than this and the rule is not a rule but a flood. */
const PLANNED_MAX = 100_000

/**
 * Decides for every group of a rule and writes what follows: tickets, members, outbox. One transaction, one planner at a
 * time per rule. Nothing is sent here.
 */
export async function planTickets(
  pool: pg.Pool,
  rule: RuleRow,
  input: { runId: string | null; now: Date },
): Promise<Plan> {
  return inTransaction(pool, async (tx) => {
    const plan = await decideAll(tx, rule, input.now)
    for (const { planned, facts } of plan.entries) await write(tx, rule, { planned, facts, ...input })
    return toPlan(rule, plan)
  })
}

/** The same decisions and the same text, and nothing is written: the transaction is rolled back. */
export async function previewRule(pool: pg.Pool, rule: RuleRow, now: Date): Promise<Plan> {
  let plan: Plan | undefined
  const rollback = new Error('A preview writes nothing.')
  await inTransaction(pool, async (tx) => {
    plan = toPlan(rule, await decideAll(tx, rule, now))
    throw rollback
  }).catch((error: unknown) => {
    if (error !== rollback) throw error
  })
  if (plan === undefined) throw new Error('The preview ended without a plan.')
  return plan
}

/** Every enabled rule of a source, after a run of it. */
export async function planAllRules(
  pool: pg.Pool,
  input: { sourceIntegrationId: string; runId: string | null; now: Date },
): Promise<Plan[]> {
  const plans: Plan[] = []
  for (const rule of await listEnabledRulesOf(pool, input.sourceIntegrationId))
    plans.push(await planTickets(pool, rule, input))
  return plans
}

/** The identity of a ticket on the far side, the same whenever it is computed. */
export function dedupeKey(ruleId: string, originalKey: string, generation: number): string {
  return `rule:${ruleId}|${originalKey}|${generation}`
}

function hashLabelOf(key: string): string {
  return `patchbay-${createHash('sha256').update(key).digest('hex').slice(0, 20)}`
}

interface Entries {
  entries: { planned: PlannedTicket; facts: GroupFacts }[]
  heldBack: number
}

function toPlan(rule: RuleRow, { entries, heldBack }: Entries): Plan {
  return {
    ruleId: rule.id,
    ruleName: rule.name,
    planned: entries.map((entry) => entry.planned),
    heldBack,
    undecided: entries.filter(({ planned }) => planned.decision.reason === BEING_SENT).length,
  }
}

async function decideAll(tx: Tx, rule: RuleRow, now: Date): Promise<Entries> {
  await tx.query('select 1 from ticket_rule where id = $1 for update', [rule.id])
  const reopenReasons = await takeBackWaiting(tx, rule.id)
  await followPatches(tx, rule, now)
  await gatherGroups(tx, rule)
  const groups = await listGroups(tx)
  if (groups.length > PLANNED_MAX)
    throw new Error(
      `The rule "${rule.name}" makes ${groups.length} groups; at most ${PLANNED_MAX} are planned.`,
    )
  const midnight = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()))
  let creates = rule.policy.dailyCreatesMax - (await countCreatedSince(tx, rule.id, midnight))
  const result: Entries = { entries: [], heldBack: 0 }
  for (const facts of groups) {
    const reopenReason = reopenReasons.get(facts.ticketId ?? '')
    const decision = decide({ ...facts, reopenReason }, rule.policy, now.getTime())
    if (decision.action === 'create') {
      creates -= 1
      if (creates < 0) {
        result.heldBack += 1
        continue
      }
    }
    result.entries.push({ planned: await describe(tx, facts, decision), facts })
  }
  return result
}

async function describe(tx: Tx, facts: GroupFacts, decision: Decision): Promise<PlannedTicket> {
  const { groupKey, ticketId, issueKey } = facts
  const planned = { groupKey, name: patchName(groupKey), ticketId, issueKey, decision }
  // A new ticket starts with what is open now; an earlier one of the same group keeps its own members.
  const selection = { groupKey, onlyMatching: decision.action === 'create' }
  const hosts = await countGroupHosts(tx, selection)
  if (decision.action === 'keep') return { ...planned, hosts, text: null }
  const text = ticketText({
    groupKey,
    hostCounts: hosts,
    hosts: await listGroupHosts(tx, selection, TICKET_HOSTS_SHOWN_MAX),
    vulnerabilities: await listGroupVulnerabilities(tx, selection, VULNERABILITIES_SHOWN_MAX),
  })
  return { ...planned, hosts, text }
}

interface Writing {
  planned: PlannedTicket
  facts: GroupFacts
  runId: string | null
  now: Date
}

async function write(tx: Tx, rule: RuleRow, writing: Writing): Promise<void> {
  const { planned, facts, now } = writing
  const { decision, text } = planned
  if (decision.action === 'keep' || text === null) return
  const ticketId =
    decision.action === 'create' ? await writeTicket(tx, rule, writing, text) : existingTicket(facts)
  const { groupKey, inputsHash } = facts
  if (decision.action === 'reopen') await releaseMembers(tx, { ticketId, groupKey })
  await tellMembers(tx, { ticketId, groupKey, now })
  if (decision.action !== 'create')
    await changeTicket(tx, ticketId, { summary: text.summary, inputsHash, toldGroupKey: groupKey })
  const ops = toOps(decision, text, facts)
  await insertOps(tx, { ticketId, runId: writing.runId, now, reason: decision.reason, ops })
}

async function writeTicket(tx: Tx, rule: RuleRow, writing: Writing, text: TicketText): Promise<string> {
  const { facts, now } = writing
  const generation = await nextGeneration(tx, rule.id, facts.groupKey)
  return insertTicket(tx, {
    ruleId: rule.id,
    groupKey: facts.groupKey,
    generation,
    hashLabel: hashLabelOf(dedupeKey(rule.id, facts.groupKey, generation)),
    summary: text.summary,
    inputsHash: facts.inputsHash,
    previousTicketId: facts.ticketId,
    createdAt: now,
  })
}

function existingTicket(facts: GroupFacts): string {
  if (facts.ticketId === null) throw new Error(`The group ${facts.groupKey} has no ticket to change.`)
  return facts.ticketId
}

function toOps(
  decision: Exclude<Decision, { action: 'keep' }>,
  text: TicketText,
  facts: GroupFacts,
): OutboxOp[] {
  const content = { summary: text.summary, blocks: text.blocks }
  const say = (line: string): { blocks: Block[] } => ({ blocks: [paragraph(line)] })
  switch (decision.action) {
    case 'create':
      return decision.linkToPrevious && facts.ticketId !== null
        ? [
            { op: 'create', payload: content },
            { op: 'link', payload: { toTicketId: facts.ticketId } },
          ]
        : [{ op: 'create', payload: content }]
    case 'update':
      return decision.comment === null
        ? [{ op: 'update', payload: content }]
        : [
            { op: 'update', payload: content },
            { op: 'comment', payload: say(decision.comment) },
          ]
    case 'close':
      return [
        { op: 'update', payload: content },
        { op: 'close', payload: say(`${decision.reason} Closed by Patchbay.`) },
      ]
    case 'reopen':
      return [
        { op: 'reopen', payload: say(`${decision.reason} Reopened by Patchbay.`) },
        { op: 'update', payload: content },
      ]
  }
}
