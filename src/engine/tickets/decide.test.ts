import { expect, test } from 'vitest'
import type { GroupFacts } from '../../store/queries/ticket-groups.ts'
import { decide } from './decide.ts'

const NOW_MS = Date.UTC(2026, 9, 30)
const POLICY = { reopenWithinDays: 30, dailyCreatesMax: 200 }

function facts(fields: Partial<GroupFacts>): GroupFacts {
  return {
    groupKey: 'ref:KB1',
    ticketId: '1',
    ticketState: 'open',
    issueKey: 'VULN-1',
    closedAt: null,
    opsOpen: 0,
    inputsHash: 'now',
    toldInputsHash: 'before',
    members: 2,
    open: 2,
    openMatching: fields.open ?? 2,
    fixed: 0,
    unproven: 0,
    owedPlaces: 0,
    joinedHosts: 0,
    fixedHosts: 0,
    reopenedHosts: 0,
    unprovenHosts: 0,
    ...fields,
  }
}

const NONE = { ticketId: null, ticketState: null, toldInputsHash: null }
const CLOSED = { ticketState: 'closed', closedAt: new Date(NOW_MS - 5 * 86_400_000) } as const

const cases: [name: string, given: Partial<GroupFacts>, action: string][] = [
  ['open findings without a ticket', { ...NONE }, 'create'],
  ['no open findings and no ticket', { ...NONE, open: 0 }, 'keep'],
  ['nothing has changed', { toldInputsHash: 'now' }, 'keep'],
  ['a host was fixed, another is open', { open: 1, fixed: 1, fixedHosts: 1 }, 'update'],
  ['every member is fixed', { open: 0, fixed: 2, fixedHosts: 1 }, 'close'],
  [
    'every member is fixed and nothing is new about it',
    { open: 0, fixed: 2, toldInputsHash: 'now' },
    'close',
  ],
  ['every member is fixed, but a place is owed', { open: 0, fixed: 2, owedPlaces: 1 }, 'update'],
  ['the same, told already', { open: 0, fixed: 2, owedPlaces: 1, toldInputsHash: 'now' }, 'keep'],
  ['one is fixed, the other merely gone', { open: 0, fixed: 1, unproven: 1, unprovenHosts: 1 }, 'update'],
  ['all are merely gone', { open: 0, fixed: 0, unproven: 2, toldInputsHash: 'now' }, 'keep'],
  ['earlier changes are on their way', { open: 0, fixed: 2, opsOpen: 1 }, 'keep'],
  ['open again after five days', { ...CLOSED, open: 1 }, 'reopen'],
  ['open again on the thirtieth day', { ...CLOSED, closedAt: new Date(NOW_MS - 30 * 86_400_000) }, 'reopen'],
  ['open again after that', { ...CLOSED, closedAt: new Date(NOW_MS - 31 * 86_400_000) }, 'create'],
  ['only what the rule is not about any more is open again', { ...CLOSED, open: 1, openMatching: 0 }, 'keep'],
  ['closed and quiet', { ...CLOSED, open: 0, fixed: 2 }, 'keep'],
  ['the ticket was deleted by a person', { ticketState: 'review' }, 'keep'],
]

test.each(cases)('a ticket where %s', (_name, given, action) => {
  expect(decide(facts(given), POLICY, NOW_MS).action).toBe(action)
})

test('a new ticket after the reopen window is linked to the one before', () => {
  const late = facts({ ...CLOSED, closedAt: new Date(NOW_MS - 31 * 86_400_000) })
  expect(decide(late, POLICY, NOW_MS)).toMatchObject({ action: 'create', linkToPrevious: true })
})

test('a change that concerns no host is written without a comment', () => {
  expect(decide(facts({}), POLICY, NOW_MS)).toMatchObject({ action: 'update', comment: null })
})
