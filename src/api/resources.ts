import { z } from '@hono/zod-openapi'
import { FINDING_STATES } from '../model/finding.ts'

/*
 * What the API says, resource by resource. Ids are strings, instants ISO 8601 in UTC; null means "not known" or "none".
 */

export const id = z.string()
export const instant = z.string().nullable()

export const Run = z
  .object({
    id,
    integrationId: id,
    trigger: z.string(),
    mode: z.enum(['full', 'delta']),
    modeReason: z.string(),
    state: z.enum(['RUNNING', 'COMPLETE', 'PARTIAL', 'FAILED', 'CANCELLED']),
    phase: z.enum(['listing', 'fetching', 'knowledge', 'finishing', 'done']),
    message: z.string().nullable(),
    /** What should be looked at although nothing is owed; the message says it too. */
    warnings: z.array(z.string()),
    scopeDrift: z.string().nullable(),
    visibleHosts: z.number().nullable(),
    expectedHosts: z.number().nullable(),
    watermarkFrom: instant,
    watermarkTo: instant,
    waitingUntil: instant,
    waitingReason: z.string().nullable(),
    startedAt: z.string(),
    finishedAt: instant,
  })
  .openapi('Run')
export type Run = z.infer<typeof Run>

export const Gap = z
  .object({
    id,
    integrationId: id,
    kind: z.enum(['host', 'qid', 'record']),
    key: z.string(),
    reason: z.string(),
    since: z.string(),
    tries: z.number(),
    firstRunId: id.nullable(),
    lastRunId: id.nullable(),
    nextTryAt: instant,
    settledAt: instant,
  })
  .openapi('Gap')
export type Gap = z.infer<typeof Gap>

export const Finding = z
  .object({
    id: z.string().openapi({ example: '12-340001' }),
    integrationId: id,
    kind: z.string(),
    qid: z.string(),
    title: z.string().nullable(),
    type: z.string().nullable(),
    severity: z.number().nullable(),
    qds: z.number().nullable(),
    state: z.enum(FINDING_STATES),
    sourceStatus: z.string().nullable(),
    hostId: id,
    hostName: z.string().nullable(),
    ip: z.string().nullable(),
    port: z.number().nullable(),
    protocol: z.string().nullable(),
    ssl: z.boolean().nullable(),
    instance: z.string().nullable(),
    firstFoundAt: instant,
    openedAt: instant,
    fixedAt: instant,
    timesReopened: z.number(),
    lastFoundAt: instant,
  })
  .openapi('Finding')
export type Finding = z.infer<typeof Finding>

export const FindingReport = Finding.extend({
  sourceKey: z.string().nullable(),
  ignored: z.boolean().nullable(),
  disabled: z.boolean().nullable(),
  missingSince: instant,
  service: z.string().nullable(),
  lastTestAt: instant,
  /** The last test of an open finding whose host was scanned after it, as without a login: it was not found again. */
  notTestedSince: instant,
  lastProcessedAt: instant,
  timesFound: z.number().nullable(),
  firstRunId: id,
  changedRunId: id,
  lastRunId: id,
  /** What the scanner said, hostile text like everything from outside. */
  evidence: z.string().nullable(),
  /** `firstFoundAt` is the effective one, which outlives a host that was made anew; this is what the source says. */
  sourceFirstFoundAt: instant,
  /** Oldest first; the last one is the current one. */
  episodes: z.array(
    z.object({
      /** Counts from the first opening that the source knows. */
      number: z.number(),
      openedAt: instant,
      /** From when its time counts: the effective first-found for the first one, the reopening for a later one. */
      startAt: instant,
      fixedAt: instant,
      /** Null while it goes on. */
      end: z.enum(['fixed', 'fixed_unseen']).nullable(),
      /** Up to now for the one that goes on; null when a date is missing, 0 when the dates contradict each other. */
      durationSeconds: z.number().nullable(),
      isClamped: z.boolean(),
      /** The run that saw the fix and when, as far as events are kept. */
      endRunId: id.nullable(),
      endSeenAt: instant,
    }),
  ),
  /** Episodes that the source counts and that came and went unseen. */
  unseenEpisodes: z.number(),
  /** Older episodes that are kept and not shown. */
  omittedEpisodes: z.number(),
  /** How often it came back within 30 days; 0 when it does not flap. */
  flapping: z.number(),
  /** The newest ones, newest first. */
  events: z.array(
    z.object({
      seenAt: z.string(),
      happenedAt: instant,
      runId: id.nullable(),
      oldState: z.string(),
      newState: z.string(),
      oldSourceStatus: z.string().nullable(),
      newSourceStatus: z.string().nullable(),
      reason: z.string(),
    }),
  ),
  tickets: z.array(
    z.object({ id, issueKey: z.string().nullable(), url: z.string().nullable(), state: z.string() }),
  ),
}).openapi('FindingReport')
export type FindingReport = z.infer<typeof FindingReport>

export const Ticket = z
  .object({
    id,
    ruleId: id,
    state: z.enum(['planned', 'creating', 'unknown', 'open', 'closed', 'review']),
    issueKey: z.string().nullable(),
    url: z.string().nullable(),
    summary: z.string(),
    groupKey: z.string(),
    generation: z.number(),
    reviewReason: z.string().nullable(),
    createdAt: z.string(),
    pushedAt: instant,
    closedAt: instant,
  })
  .openapi('Ticket')
export type Ticket = z.infer<typeof Ticket>

export const TicketReport = Ticket.extend({
  hashLabel: z.string(),
  previousTicketId: id.nullable(),
  /** What it says, as it was sent last or is about to be. */
  text: z.string().nullable(),
  /** Every change that was decided, with its reason. */
  changes: z.array(
    z.object({
      id,
      op: z.string(),
      reason: z.string(),
      state: z.string(),
      error: z.string().nullable(),
      createdAt: z.string(),
      doneAt: instant,
    }),
  ),
}).openapi('TicketReport')
export type TicketReport = z.infer<typeof TicketReport>

export const Rule = z
  .object({
    id,
    name: z.string(),
    kind: z.string(),
    sourceIntegrationId: id,
    targetIntegrationId: id,
    filter: z.record(z.string(), z.unknown()),
    groupBy: z.array(z.string()),
    policy: z.record(z.string(), z.unknown()),
    isEnabled: z.boolean(),
    lastError: z.string().nullable(),
  })
  .openapi('Rule')
export type Rule = z.infer<typeof Rule>

export const RulePreview = z
  .object({
    ruleId: id,
    ruleName: z.string(),
    counts: z.object({
      create: z.number(),
      update: z.number(),
      reopen: z.number(),
      close: z.number(),
      keep: z.number(),
    }),
    /** Groups that would get a ticket but for the daily cap. */
    heldBack: z.number(),
    /** The first ones, changes before what is kept. */
    planned: z.array(
      z.object({
        groupKey: z.string(),
        name: z.string(),
        issueKey: z.string().nullable(),
        action: z.enum(['create', 'update', 'reopen', 'close', 'keep']),
        reason: z.string(),
        openHosts: z.number(),
        summary: z.string().nullable(),
        /** The ticket as readable text. */
        text: z.string().nullable(),
      }),
    ),
  })
  .openapi('RulePreview')
export type RulePreview = z.infer<typeof RulePreview>

export const Diagnosis = z
  .object({
    lines: z.array(
      z.object({
        name: z.string(),
        level: z.enum(['ok', 'warn', 'fail']),
        message: z.string(),
        remedy: z.string().nullable(),
      }),
    ),
  })
  .openapi('Diagnosis')
export type Diagnosis = z.infer<typeof Diagnosis>

export const MigrationState = z
  .object({ applied: z.array(z.string()), pending: z.array(z.string()), newer: z.array(z.string()) })
  .openapi('MigrationState')
export type MigrationState = z.infer<typeof MigrationState>

/** The integration resource keeps the document's shapes: the id is a number, and answers say `success`. */
export const Integration = z
  .object({
    id: z.number(),
    type: z.string(),
    subtype: z.string(),
    /** Without what is sealed. */
    config: z.record(z.string(), z.unknown()),
    /** `status` 0 is well, 1 running, 2 finished in part, 3 failed or in need of a person. */
    state: z
      .object({
        status: z.number(),
        message: z.string(),
        newAssets: z.number(),
        lastScanTime: instant,
      })
      .nullable(),
    isEnabled: z.boolean(),
  })
  .openapi('Integration')
export type Integration = z.infer<typeof Integration>

export const IntegrationPage = z
  .object({
    page: z.number(),
    pagelen: z.number(),
    previous: z.string().nullable(),
    next: z.string().nullable(),
    size: z.number(),
    values: z.array(Integration),
  })
  .openapi('IntegrationPage')
export type IntegrationPage = z.infer<typeof IntegrationPage>

const Check = z.object({
  name: z.string(),
  ok: z.boolean(),
  message: z.string(),
  hint: z.string().nullable(),
})

export const Success = z.object({ success: z.literal(true), message: z.string() }).openapi('Success')
export const Saved = z
  .object({ success: z.literal(true), message: z.string(), data: z.object({ id: z.number() }) })
  .openapi('Saved')
export type Saved = z.infer<typeof Saved>

export const Tested = z
  .object({ success: z.literal(true), message: z.string(), checks: z.array(Check) })
  .openapi('Tested')
export type Tested = z.infer<typeof Tested>

export const TestFailed = z
  .object({
    success: z.literal(false),
    message: z.string(),
    hints: z.array(z.string()),
    checks: z.array(Check),
  })
  .openapi('TestFailed')
export type TestFailed = z.infer<typeof TestFailed>

/** `run` is null when no worker has taken the call yet. */
export const SyncStarted = z
  .object({ success: z.literal(true), message: z.string(), data: z.object({ run: Run.nullable() }) })
  .openapi('SyncStarted')
export type SyncStarted = z.infer<typeof SyncStarted>

export const Refused = z
  .object({
    success: z.literal(false),
    message: z.string(),
    hints: z.array(z.string()),
    kind: z.string(),
    code: z.string().nullable(),
    requestId: z.string(),
  })
  .openapi('Refused')

export const Problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    kind: z.string(),
    code: z.string().nullable(),
    hint: z.string().nullable(),
    requestId: z.string(),
  })
  .openapi('Problem')
