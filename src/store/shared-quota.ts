import type pg from 'pg'
import type { Clock } from '../lib/clock.ts'
import { HubError } from '../model/errors.ts'
import type { QuotaPermit, QuotaPort, ReportedLimits } from '../model/quota.ts'
import type { Db, Tx } from './db.ts'
import {
  type QuotaKey,
  type QuotaRow,
  SLOT_SECONDS,
  countCalls,
  countRefusal,
  countSlots,
  deleteSlot,
  forgetRefusals,
  insertCall,
  insertSlot,
  lockQuota,
  renewSlot,
  reportLimits,
  setNotBefore,
} from './queries/quota.ts'
import { type WaitCause, countRunCall, noteRunWait } from './queries/run-waits.ts'
import { inTransaction } from './transaction.ts'

export interface SharedQuotaOptions {
  pool: pg.Pool
  clock: Clock
  /** Whose budget this is; integrations of one subscription share it. */
  subscription: string
  /** The integration whose run is told what was called and what was waited for; none when absent. */
  integrationId?: string
  /** Names this process in the slot rows. */
  holder: string
  /** Which share of the calls, in an hour and at the same time, Patchbay may use; the rest is for the others. */
  sharePercent: number
  /** Endpoints that take one call at a time, whatever the far side says. */
  singleLaneEndpoints: ReadonlySet<string>
}

/** Waits of up to this long in all happen here; longer ones are the caller's, who can let go of everything meanwhile. */
const WAIT_HERE_MS_MAX = 60_000
/** A busy slot is looked at again after this long. */
const SLOT_POLL_MS = 200
const SLOT_WAIT_MS_MAX = 10 * 60_000
/** Until a first answer has named the limits. */
const CONCURRENCY_UNTIL_KNOWN = 1
/** So long after a refusal for too many calls at the same time fewer are made, since somebody else is there. */
const CROWDED_MS = 15 * 60_000
/** Refused again and again, we wait twice as long each time, up to this or what the far side asks for. */
const REFUSED_WAIT_MS_MAX = 5 * 60_000
const DOUBLINGS_MAX = 10
const BUDGET_USED_UP = 'Qualys says that the budget of this endpoint is used up'
const TOO_MANY_RUNNING = 'Qualys says that too many calls of this endpoint are running'

/** The budget of one subscription, kept in the database: what one process spends or is refused, all know. */
export class SharedQuota implements QuotaPort {
  readonly #options: SharedQuotaOptions

  constructor(options: SharedQuotaOptions) {
    this.#options = options
  }

  async acquire(endpoint: string, signal: AbortSignal): Promise<QuotaPermit> {
    const key = { subscription: this.#options.subscription, endpoint }
    const { clock } = this.#options
    let slotWaitMs = 0
    let budgetWaitMs = 0
    for (;;) {
      signal.throwIfAborted()
      const turn = await inTransaction(this.#options.pool, (tx) => this.#tryTake(tx, key))
      const isTooLong = slotWaitMs >= SLOT_WAIT_MS_MAX
      if (slotWaitMs > 0 && (turn.kind !== 'busy' || isTooLong)) await this.#noteBusy(endpoint, slotWaitMs)
      if (turn.kind === 'taken') return new Permit(this.#options, key, turn)
      if (turn.kind === 'busy') {
        if (isTooLong) throw busyTooLong(endpoint)
        slotWaitMs += SLOT_POLL_MS
        await clock.sleep(SLOT_POLL_MS, signal)
        continue
      }
      slotWaitMs = 0
      const nowMs = clock.nowMs()
      const waitMs = Math.max(1, turn.untilMs - nowMs)
      const { cause, reason } = turn
      await note(this.#options.pool, this.#options, {
        what: endpoint,
        cause,
        reason,
        sinceMs: nowMs,
        untilMs: turn.untilMs,
      })
      budgetWaitMs += waitMs
      if (budgetWaitMs > WAIT_HERE_MS_MAX) throw budgetSpent(endpoint, turn, waitMs)
      await clock.sleep(waitMs, signal)
    }
  }

  async #tryTake(tx: Tx, key: QuotaKey): Promise<Turn> {
    const { clock, holder } = this.#options
    const nowMs = clock.nowMs()
    const quota = await lockQuota(tx, key)
    if (quota.notBefore !== null && quota.notBefore.getTime() > nowMs)
      return {
        kind: 'wait',
        untilMs: quota.notBefore.getTime(),
        cause: quota.notBeforeReason === TOO_MANY_RUNNING ? 'concurrency' : 'rate_limit',
        reason: quota.notBeforeReason ?? 'the far side asked to wait',
      }
    if ((await countSlots(tx, key)) >= this.#slotsMax(key, quota, nowMs)) return { kind: 'busy' }
    const spent = await this.#budgetSpentUntil(tx, key, { quota, nowMs })
    if (spent !== null) return { kind: 'wait', untilMs: spent, cause: 'own_share', reason: OWN_SHARE }
    await insertCall(tx, key, new Date(nowMs))
    const { integrationId } = this.#options
    if (integrationId !== undefined) await countRunCall(tx, { integrationId, endpoint: key.endpoint })
    const slotId = await insertSlot(tx, key, holder)
    return { kind: 'taken', slotId, wasRefused: quota.refusals > 0 }
  }

  async #noteBusy(endpoint: string, waitedMs: number): Promise<void> {
    const nowMs = this.#options.clock.nowMs()
    const wait = { what: endpoint, cause: 'own_slots', reason: OWN_SLOTS } as const
    await note(this.#options.pool, this.#options, { ...wait, sinceMs: nowMs - waitedMs, untilMs: nowMs })
  }

  /** Our share of the calls at the same time, rounded up, since there is no part of a call. */
  #slotsMax(key: QuotaKey, quota: QuotaRow, nowMs: number): number {
    if (this.#options.singleLaneEndpoints.has(key.endpoint)) return 1
    const allowed = quota.concurrencyMax ?? CONCURRENCY_UNTIL_KNOWN
    const share = Math.max(1, Math.ceil((allowed * this.#options.sharePercent) / 100))
    const isCrowded = quota.slotsMaxUntil !== null && quota.slotsMaxUntil.getTime() > nowMs
    return isCrowded ? Math.min(share, quota.slotsMax ?? 1) : share
  }

  /** Until when the share is used up, or null: the window slides, so the oldest call is the first to be free again. */
  async #budgetSpentUntil(
    tx: Tx,
    key: QuotaKey,
    state: { quota: QuotaRow; nowMs: number },
  ): Promise<number | null> {
    const { callsMax, windowSec } = state.quota
    if (callsMax === null || windowSec === null) return null
    const windowMs = windowSec * 1000
    const share = Math.max(1, Math.floor((callsMax * this.#options.sharePercent) / 100))
    const calls = await countCalls(tx, key, new Date(state.nowMs - windowMs))
    if (calls.count < share || calls.oldest === null) return null
    return calls.oldest.getTime() + windowMs
  }
}

type Turn = Taken | { kind: 'busy' } | { kind: 'wait'; untilMs: number; cause: WaitCause; reason: string }

const OWN_SHARE = 'our share of the hourly budget is spent'
const OWN_SLOTS = 'other calls of ours are running'

/** So that the run can tell a person afterwards what it waited for. */
async function note(
  db: Db,
  { integrationId }: SharedQuotaOptions,
  wait: { what: string; cause: WaitCause; reason: string; sinceMs: number; untilMs: number },
): Promise<void> {
  if (integrationId !== undefined) await noteRunWait(db, { integrationId, ...wait })
}

interface Taken {
  kind: 'taken'
  slotId: string
  /** The call before this one was. */
  wasRefused: boolean
}

class Permit implements QuotaPermit {
  readonly #options: SharedQuotaOptions
  readonly #key: QuotaKey
  readonly #taken: Taken
  readonly #renewal: NodeJS.Timeout
  #isAnswered = false
  #isRefused = false
  #released = false

  constructor(options: SharedQuotaOptions, key: QuotaKey, taken: Taken) {
    this.#options = options
    this.#key = key
    this.#taken = taken
    // A call can take minutes; the slot of a process that died must not.
    this.#renewal = setInterval(
      () => void renewSlot(options.pool, taken.slotId).catch(() => undefined),
      (SLOT_SECONDS * 1000) / 3,
    )
    this.#renewal.unref()
  }

  /** With the last call that is allowed comes how long there will be none. */
  async report(limits: ReportedLimits): Promise<void> {
    const { pool, clock } = this.#options
    const nowMs = clock.nowMs()
    this.#isAnswered = true
    await reportLimits(pool, this.#key, limits, new Date(nowMs))
    const { callsRemaining, toWaitSec } = limits
    if (callsRemaining !== 0 || toWaitSec === null || toWaitSec === 0) return
    await setNotBefore(pool, this.#key, new Date(nowMs + toWaitSec * 1_000), BUDGET_USED_UP)
  }

  async refuse(refusal: { kind: 'rate_limit' | 'concurrency'; waitMs: number }): Promise<void> {
    const { kind: cause } = refusal
    const isCrowded = cause === 'concurrency'
    const reason = isCrowded ? TOO_MANY_RUNNING : BUDGET_USED_UP
    const { endpoint } = this.#key
    this.#isRefused = true
    await inTransaction(this.#options.pool, async (tx) => {
      const nowMs = this.#options.clock.nowMs()
      const { refusals } = await lockQuota(tx, this.#key)
      const growingMs = Math.min(refusal.waitMs * 2 ** Math.min(refusals, DOUBLINGS_MAX), REFUSED_WAIT_MS_MAX)
      const untilMs = nowMs + Math.max(refusal.waitMs, growingMs)
      await setNotBefore(tx, this.#key, new Date(untilMs), reason)
      await countRefusal(tx, this.#key, { isCrowded, crowdedUntil: new Date(nowMs + CROWDED_MS) })
      await note(tx, this.#options, { what: endpoint, cause, reason, sinceMs: nowMs, untilMs })
    })
  }

  async release(): Promise<void> {
    if (this.#released) return
    this.#released = true
    clearInterval(this.#renewal)
    const { pool } = this.#options
    if (this.#taken.wasRefused && this.#isAnswered && !this.#isRefused) await forgetRefusals(pool, this.#key)
    await deleteSlot(pool, this.#taken.slotId)
  }
}

function busyTooLong(endpoint: string): HubError {
  return new HubError(
    'concurrency',
    `No slot for ${endpoint} became free within ${SLOT_WAIT_MS_MAX / 60_000} minutes; the call is tried again later.`,
    { retryAfterMs: 60_000 },
  )
}

function budgetSpent(endpoint: string, turn: { untilMs: number; reason: string }, waitMs: number): HubError {
  const until = new Date(turn.untilMs).toISOString()
  return new HubError('rate_limit', `${endpoint} may not be called before ${until}: ${turn.reason}.`, {
    retryAfterMs: waitMs,
  })
}
