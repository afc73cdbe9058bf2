import type { FakeIssueType, FakeProject, FakeStatus, FakeUser, RateLimits } from './types.ts'

const TO_DO: FakeStatus = { id: '10000', name: 'To Do', category: 'new' }
const IN_PROGRESS: FakeStatus = { id: '10001', name: 'In Progress', category: 'indeterminate' }
const DONE: FakeStatus = { id: '10002', name: 'Done', category: 'done' }
const CLOSED: FakeStatus = { id: '10003', name: 'Closed', category: 'done' }
const REOPENED: FakeStatus = { id: '10004', name: 'Reopened', category: 'new' }
const WONT_DO: FakeStatus = { id: '10005', name: "Won't Do", category: 'done' }

/** Jira's simplified workflow: from everywhere to everywhere. */
export const TASK: FakeIssueType = {
  id: '10101',
  name: 'Task',
  statuses: [TO_DO, IN_PROGRESS, DONE, WONT_DO],
  initial: TO_DO.id,
  transitions: [
    { id: '11', name: 'To Do', from: '*', to: TO_DO.id },
    { id: '21', name: 'In Progress', from: '*', to: IN_PROGRESS.id },
    { id: '51', name: "Won't do", from: '*', to: WONT_DO.id },
    { id: '31', name: 'Done', from: '*', to: DONE.id },
  ],
}

/** A workflow with steps, other transition ids, and a screen that asks for a resolution. */
export const BUG: FakeIssueType = {
  id: '10102',
  name: 'Bug',
  statuses: [TO_DO, IN_PROGRESS, CLOSED, REOPENED],
  initial: TO_DO.id,
  transitions: [
    { id: '4', name: 'Start work', from: [TO_DO.id, REOPENED.id], to: IN_PROGRESS.id },
    { id: '5', name: 'Close', from: [IN_PROGRESS.id], to: CLOSED.id, screen: { resolution: 'required' } },
    { id: '3', name: 'Reopen', from: [CLOSED.id], to: REOPENED.id },
  ],
}

export const PROJECT: FakeProject = {
  id: '10200',
  key: 'VULN',
  name: 'Vulnerabilities',
  issueTypes: [TASK, BUG],
  components: [{ id: '10300', name: 'Servers' }],
}

/** Signs in with `patchbay@example.com` and `token-of-the-fake`. */
export const API_USER: FakeUser = {
  accountId: '5b10ac8d82e05b22cc7d4ef5',
  displayName: 'Patchbay',
  email: 'patchbay@example.com',
  apiToken: 'token-of-the-fake',
}

export const PERSON: FakeUser = { accountId: '5b10a2844c20165700ede21g', displayName: 'Jane Doe' }

export const PRIORITIES = ['Highest', 'High', 'Medium', 'Low', 'Lowest'].map((name, index) => ({
  id: String(index + 1),
  name,
}))
export const DEFAULT_PRIORITY_ID = '3'

export const RESOLUTIONS = ['Fixed', "Won't Do", 'Duplicate', 'Cannot Reproduce', 'Done'].map(
  (name, index) => ({
    id: String(10_000 + index),
    name,
  }),
)

export const LINK_TYPES = [
  { id: '10400', name: 'Duplicate', inward: 'is duplicated by', outward: 'duplicates' },
  { id: '10401', name: 'Relates', inward: 'relates to', outward: 'relates to' },
  { id: '10402', name: 'Blocks', inward: 'is blocked by', outward: 'blocks' },
]

export const PERMISSION_KEYS = [
  'BROWSE_PROJECTS',
  'CREATE_ISSUES',
  'EDIT_ISSUES',
  'TRANSITION_ISSUES',
  'ADD_COMMENTS',
  'LINK_ISSUES',
  'SCHEDULE_ISSUES',
  'ASSIGN_ISSUES',
  'CREATE_ATTACHMENTS',
  'DELETE_ISSUES',
] as const
export type PermissionKey = (typeof PERMISSION_KEYS)[number]

/** Jira Cloud's own numbers (Jira reference: rate limits). */
export const RATE_LIMITS: RateLimits = {
  burstReadPost: 100,
  burstPutDelete: 50,
  issueWritesPer2s: 20,
  issueWritesPer30s: 100,
}
