import type { RulePolicy } from '../../model/rule.ts'
import type { GroupFacts } from '../../store/queries/ticket-groups.ts'
import { changeText, hostsWord } from './text.ts'

/** What should happen to the ticket of one group, and why. */
export type Decision =
  | { action: 'create'; reason: string; linkToPrevious: boolean }
  | { action: 'reopen'; reason: string }
  | { action: 'update'; reason: string; comment: string | null }
  | { action: 'close'; reason: string }
  | { action: 'keep'; reason: string }

type Facts = GroupFacts & {
  /** Why the ticket was to be reopened when it was decided last, if that was taken back before it was sent. */
  reopenReason?: string | undefined
}

/** To be decided again as soon as what is on its way has arrived. */
export const BEING_SENT = 'Earlier changes are still being sent.'

const DAY_MS = 24 * 60 * 60_000

/**
 * Pure: from what is true of a group to what its ticket should become. A ticket closes only when every member has
 * evidence of a fix and nothing is owed of any of their places; whatever is merely missing keeps it open.
 */
export function decide(facts: Facts, policy: RulePolicy, nowMs: number): Decision {
  if (facts.opsOpen > 0) return { action: 'keep', reason: BEING_SENT }
  switch (facts.ticketState) {
    case null:
      return create(facts)
    case 'closed':
      return recur(facts, policy, nowMs)
    case 'review':
      return {
        action: 'keep',
        reason: 'The ticket waits for a person: it was deleted, or is no longer visible.',
      }
    case 'planned':
    case 'creating':
    case 'unknown':
    case 'open':
      return follow(facts)
  }
}

function create(facts: GroupFacts): Decision {
  if (facts.openMatching === 0) return { action: 'keep', reason: 'Nothing is open.' }
  return {
    action: 'create',
    reason: `${hostsWord(facts.joinedHosts)} open, no ticket yet.`,
    linkToPrevious: false,
  }
}

function recur(facts: Facts, policy: RulePolicy, nowMs: number): Decision {
  if (facts.openMatching === 0)
    return { action: 'keep', reason: 'The ticket is closed, and nothing that the rule is about is open.' }
  const closedForMs = nowMs - (facts.closedAt?.getTime() ?? nowMs)
  if (closedForMs <= policy.reopenWithinDays * DAY_MS)
    return { action: 'reopen', reason: changeText(facts) ?? facts.reopenReason ?? 'Open again.' }
  return {
    action: 'create',
    reason: `Open again, but the last ticket was closed more than ${policy.reopenWithinDays} days ago.`,
    linkToPrevious: true,
  }
}

function follow(facts: GroupFacts): Decision {
  const isTold = facts.inputsHash === facts.toldInputsHash && facts.toldGroupKey === facts.groupKey
  if (facts.fixed === facts.members) {
    if (facts.owedPlaces === 0)
      return { action: 'close', reason: `All ${facts.members} findings are reported fixed by the source.` }
    const owed = `All members are fixed, but something is still owed of ${hostsWord(facts.owedPlaces)}; it stays open.`
    return isTold
      ? { action: 'keep', reason: owed }
      : { action: 'update', reason: owed, comment: changeText(facts) }
  }
  if (isTold) return { action: 'keep', reason: 'Nothing has changed.' }
  const comment = changeText(facts)
  const reason = comment ?? 'What is known of its hosts or vulnerabilities has changed.'
  return { action: 'update', reason, comment }
}
