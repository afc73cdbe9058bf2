import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { inTransaction } from './transaction.ts'

test('a transaction keeps its work when the function returns', async ({ db }) => {
  await db.query('CREATE TABLE note (id bigint)')
  const result = await inTransaction(db, async (transaction) => {
    await transaction.query('INSERT INTO note VALUES (9007199254740993)')
    return 'done'
  })
  expect(result).toBe('done')
  expect((await db.query('SELECT id FROM note')).rows).toEqual([{ id: '9007199254740993' }])
})

test('a transaction undoes its work when the function throws, and gives its connection back', async ({
  db,
}) => {
  await db.query('CREATE TABLE note (id bigint)')
  const failed = inTransaction(db, async (transaction) => {
    await transaction.query('INSERT INTO note VALUES (1)')
    throw new Error('stop')
  })
  await expect(failed).rejects.toThrow('stop')
  expect((await db.query('SELECT id FROM note')).rows).toEqual([])
  expect(db.idleCount).toBe(db.totalCount)
})

test('a transaction whose failed statement was swallowed does not pass for committed', async ({ db }) => {
  await db.query('CREATE TABLE note (id bigint)')
  const swallowed = inTransaction(db, async (transaction) => {
    await transaction.query('INSERT INTO note VALUES (1)')
    await transaction.query('SELECT 1/0').catch(() => {})
  })
  await expect(swallowed).rejects.toThrow('nothing was committed')
})

test('a connection that is lost inside a transaction is thrown away', async ({ db }) => {
  const lost = inTransaction(db, async (transaction) => {
    await transaction.query('SELECT pg_terminate_backend(pg_backend_pid())')
  })
  await expect(lost).rejects.toThrow('terminat')
  expect((await db.query<{ one: number }>('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
})
