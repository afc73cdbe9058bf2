import type pg from 'pg'
import type { Tx } from './db.ts'

/**
 * Runs `work` in one transaction on one connection: committed when it returns, rolled back when it throws. Whatever
 * must be in the transaction has to use the `db` it is given.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (db: Tx) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await commit(client)
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => (broken = failure))
    throw error
  } finally {
    // A connection that cannot even roll back is closed, not given back.
    client.release(broken)
  }
}

/** After a failed statement PostgreSQL answers COMMIT with ROLLBACK and no error; that must not pass for success. */
async function commit(client: Tx): Promise<void> {
  const { command } = await client.query('COMMIT')
  if (command !== 'COMMIT') {
    throw new Error(
      'A statement of this transaction failed and its error was swallowed; nothing was committed.',
    )
  }
}
