import { z } from 'zod'

/** Which findings a rule is about. Absent means: not restricted. */
export const RuleFilter = z.strictObject({
  types: z.array(z.string()).min(1).optional(),
  severityMin: z.number().int().min(1).max(5).optional(),
  patchable: z.boolean().optional(),
})
export type RuleFilter = z.infer<typeof RuleFilter>

/** What makes one ticket. */
export const GroupBy = z.array(z.enum(['patch', 'qid'])).length(1)
export type GroupBy = z.infer<typeof GroupBy>

/** How tickets live. */
export const RulePolicy = z.strictObject({
  /** A group that is open again within this time reopens its ticket; later it gets a new, linked one. */
  reopenWithinDays: z.number().int().min(0).max(365).default(30),
  /** At most so many tickets are created per rule and day (UTC); the rest waits for the next. */
  dailyCreatesMax: z.number().int().min(1).max(10_000).default(200),
})
export type RulePolicy = z.infer<typeof RulePolicy>

/** The whitepaper's rule for vulnerabilities: confirmed, severity 4–5, patch available; one ticket per patch. */
export const VM_PATCH_RULE = {
  kind: 'vm',
  filter: { types: ['Confirmed'], severityMin: 4, patchable: true },
  groupBy: ['patch'],
  policy: { reopenWithinDays: 30, dailyCreatesMax: 200 },
} as const satisfies { kind: 'vm'; filter: RuleFilter; groupBy: ['patch']; policy: RulePolicy }

/** Rows of the host table in a ticket; more hosts are counted, not listed. */
export const TICKET_HOSTS_SHOWN_MAX = 50
