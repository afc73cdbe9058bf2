import type pg from 'pg'
import { createPool } from '../../src/store/pool.ts'

export interface MergeStatement {
  /** Counted from 1 over all merges of the pool: the statements between the fence of a batch and its COMMIT. */
  number: number
  text: string
  /** The first of its merge, after which the rows of run and batch are held. */
  isFence: boolean
  /** The process is gone from here on: this connection breaks, and nothing that it says reaches the database any more. */
  die(): void
}

export interface MergeHooks {
  before?(statement: MergeStatement): unknown
  /** Awaited, as `before` is: the database has carried it out; the process has not heard of it. */
  after?(statement: MergeStatement): unknown
}

export interface HookedPool {
  pool: pg.Pool
  readonly isDead: boolean
}

class ProcessIsDead extends Error {
  constructor() {
    super('This process is dead.')
  }
}

/** What the fence of a batch says, and nothing else. */
const FENCE =
  /join lease l on l\.integration_id = r\.integration_id and l\.epoch = r\.epoch\s+where r\.id = \(select run_id/
const END = /^(?:COMMIT|ROLLBACK)$/

type Query = (...args: unknown[]) => unknown

/** A pool of a process that is stopped or killed at an exact statement of the transactions that merge batches. */
export function hookedPool(databaseUrl: string, hooks: MergeHooks): HookedPool {
  const pool = createPool({ connectionString: databaseUrl })
  const state = { isDead: false, number: 0 }
  const die = () => {
    state.isDead = true
    for (const client of clients) breakConnection(client)
  }
  const clients = new Set<pg.PoolClient>()
  pool.on('remove', (client) => clients.delete(client as pg.PoolClient))
  pool.on('connect', (client) => {
    clients.add(client)
    let isMerging = false
    const query = client.query.bind(client) as unknown as Query
    const hooked = async (args: unknown[], text: string) => {
      const statement = { number: (state.number += 1), text, isFence: FENCE.test(text), die }
      await hooks.before?.(statement)
      if (state.isDead) throw new ProcessIsDead()
      const result = await query(...args)
      await hooks.after?.(statement)
      if (state.isDead) throw new ProcessIsDead()
      return result
    }
    const patched: Query = (...args) => {
      const text = textOf(args[0])
      if (FENCE.test(text)) isMerging = true
      const wasMerging = isMerging
      if (END.test(text)) isMerging = false
      // The pool's own `query` comes with a callback, and no merge does.
      if (!wasMerging || typeof args.at(-1) === 'function' || state.isDead) return query(...args)
      return hooked(args, text)
    }
    client.query = patched as unknown as typeof client.query
    if (state.isDead) breakConnection(client)
  })
  return {
    pool,
    get isDead() {
      return state.isDead
    },
  }
}

function textOf(statement: unknown): string {
  if (typeof statement === 'string') return statement
  const { text } = statement as { text?: unknown }
  return typeof text === 'string' ? text : ''
}

/** As the kernel does it for a process that was killed: without a word to the other side. */
function breakConnection(client: pg.PoolClient): void {
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
  stream.destroy()
}
