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
    openInRule: fields.open ?? 2,
    severityChanges: [],
    toldGroupKey: 'ref:KB1',
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

const WORSE = { qid: '900001', from: 5, to: 3, at: '2026-10-28T08:00:00+00:00', isCustomized: false }

test.each<[string, Partial<GroupFacts>, string]>([
  [
    'a severity that changed',
    { severityChanges: [WORSE] },
    'QID 900001: severity 5 → 3 by the knowledge base of 2026-10-28.',
  ],
  [
    'a severity that a user edited',
    { severityChanges: [{ ...WORSE, isCustomized: true }], fixedHosts: 1 },
    '1 host fixed. QID 900001: severity 5 → 3 by the knowledge base (edited by a user) of 2026-10-28.',
  ],
  [
    'a severity below the bound of the rule',
    { severityChanges: [{ ...WORSE, at: null }], openMatching: 0, openInRule: 0 },
    'QID 900001: severity 5 → 3 by the knowledge base. Nothing of it is what its rule is about any more; it stays open until everything is fixed or a person closes it.',
  ],
  [
    'seven severities that changed',
    {
      severityChanges: Array.from({ length: 7 }, (_, index) => ({
        ...WORSE,
        qid: String(index + 1),
        at: null,
      })),
    },
    [1, 2, 3, 4, 5].map((qid) => `QID ${qid}: severity 5 → 3 by the knowledge base. `).join('') +
      'The severity of 2 more QIDs has changed.',
  ],
  [
    'another patch, even if nothing else changed',
    { toldGroupKey: 'ref:KB0', toldInputsHash: 'now' },
    'The patch is KB1 now; it was KB0 before the knowledge base changed.',
  ],
])('a ticket is told of %s', (_name, given, comment) => {
  expect(decide(facts(given), POLICY, NOW_MS)).toMatchObject({ action: 'update', comment })
})

test('a change that concerns no host is written without a comment', () => {
  expect(decide(facts({}), POLICY, NOW_MS)).toMatchObject({ action: 'update', comment: null })
})
