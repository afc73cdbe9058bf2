import type { Clock } from '../lib/clock.ts'
import { HubError } from '../model/errors.ts'
import { isConnectionLost } from '../store/connection-failure.ts'
import type { Log } from './deps.ts'

/** Tries of one write or one phase before a database that keeps failing is given up. */
const TRIES_MAX = 8
const FIRST_DELAY_MS = 1_000
/** With doubling waits up to this, a restart of the database of two minutes is survived. */
const DELAY_MS_MAX = 60_000

/** Class 40, "transaction rollback": nothing was written, so it is done again. */
const ROLLBACK_CODE = /^40[0-9A-Z]{3}$/
/** What passes by itself as well, beside a lost connection. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  '53200', // out of memory
  '55P03', // lock not available
  '57P05', // idle session
  '25P03', // idle in transaction
])
const FULL_CODES: ReadonlySet<string> = new Set(['53100', 'ENOSPC'])

/** Whether an error is a failure of our own database that passes by itself, a full disk, or something else. */
function databaseTrouble(error: unknown): 'passing' | 'full' | null {
  if (!(error instanceof Error) || error instanceof HubError) return null
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (FULL_CODES.has(code)) return 'full'
  const isPassing = PASSING_CODES.has(code) || ROLLBACK_CODE.test(code) || isConnectionLost(error)
  return isPassing ? 'passing' : null
}

/** Says a failure of our own database as what it is; every other error is returned as it came. */
export function sayDatabaseTrouble(error: unknown): unknown {
  switch (databaseTrouble(error)) {
    case 'full':
      return new HubError('config', 'The disk of the database is full, so the run had to stop.', {
        code: 'disk_full',
        hint: 'Make room on it, or move the database to a larger one, then sync again. Nothing is lost: the next run goes on from what is stored.',
        cause: error,
      })
    case 'passing':
      return new HubError('transient', `The database failed: ${(error as Error).message}.`, {
        code: 'database',
        hint: 'See in its log why. Nothing is lost: the next run goes on from what is stored.',
        cause: error,
      })
    case null:
      return error
  }
}

/** Does something again while the database fails in a way that passes by itself; throws what else happens, as it came. */
export async function withDatabase<T>(
  deps: { clock: Clock; log: Log },
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (databaseTrouble(error) !== 'passing' || tries >= TRIES_MAX || signal?.aborted) throw error
      const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), DELAY_MS_MAX)
      deps.log.warn({ error: (error as Error).message, delayMs }, 'The database failed; it is tried again.')
      await deps.clock.sleep(delayMs, signal)
    }
  }
}
