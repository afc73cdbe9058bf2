import fc from 'fast-check'
import { expect } from 'vitest'
import { test } from '../../../test/support/database.ts'
import { CopyBuffer } from './copy-buffer.ts'
import { copyRows } from './copy-rows.ts'

const COLUMNS = ['n', 'id', 'i4', 'i2', 'flag', 'at', 'hash', 'word', 'extra', 'letter'] as const

const maybe = <T>(arb: fc.Arbitrary<T>) => fc.option(arb, { nil: null, freq: 6 })
/** PostgreSQL keeps neither U+0000 nor half a character in a text. */
const text = fc
  .string({ unit: 'binary', maxLength: 60 })
  .map((value) => value.replaceAll('\0', '').toWellFormed())
const rowArb = fc.record({
  id: maybe(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
  i4: maybe(fc.integer()),
  i2: maybe(fc.integer({ min: -32_768, max: 32_767 })),
  flag: maybe(fc.boolean()),
  at: maybe(fc.date({ min: new Date('0100-01-01'), max: new Date('2250-01-01'), noInvalidDate: true })),
  hash: maybe(fc.uint8Array({ minLength: 16, maxLength: 16 })),
  word: maybe(text),
  extra: maybe(fc.dictionary(text, text, { maxKeys: 4 })),
  letter: fc.constantFrom('n', 'c', 'm', 'v'),
})

test('whatever is written in binary is read back as it was', async ({ emptyDb }) => {
  await emptyDb.query(
    `create table copied (n integer, id bigint, i4 integer, i2 smallint, flag boolean, at timestamptz, hash uuid,
                          word text, extra jsonb, letter "char")`,
  )
  await fc.assert(
    fc.asyncProperty(fc.array(rowArb, { minLength: 1, maxLength: 60 }), fc.nat(1), async (rows, small) => {
      await emptyDb.query('truncate copied')
      const copy = new CopyBuffer(small === 0 ? 8 : undefined)
      for (const [index, row] of rows.entries()) {
        copy.startRow(COLUMNS.length)
        copy.int4(index)
        copy.id(row.id)
        copy.int4(row.i4)
        copy.int2(row.i2)
        copy.bool(row.flag)
        copy.instant(row.at?.getTime() ?? null)
        copy.uuid(row.hash && Buffer.from(row.hash))
        copy.text(row.word)
        copy.jsonb(row.extra)
        copy.char(row.letter)
      }
      expect(copy.rows).toBe(rows.length)
      const client = await emptyDb.connect()
      try {
        await copyRows(client, 'copied', COLUMNS, [copy.take()])
      } finally {
        client.release()
      }
      expect([copy.rows, copy.bytes]).toEqual([0, 0])
      const stored = await emptyDb.query(
        'select id, i4, i2, flag, at, hash, word, extra, letter from copied order by n',
      )
      expect(stored.rows).toEqual(
        rows.map((row) => ({
          ...row,
          hash: row.hash && uuidText(row.hash),
          extra: row.extra && { ...row.extra },
        })),
      )
    }),
    { numRuns: 60 },
  )
})

test('jsonb that PostgreSQL would refuse, with U+0000 or half a character, is repaired', async ({
  emptyDb,
}) => {
  await emptyDb.query('create table copied (extra jsonb)')
  const copy = new CopyBuffer()
  const values = ['a\0b', 'half \ud83d', '\udc00 half', 'back\\u0000slash', '🦄']
  for (const value of values) {
    copy.startRow(1)
    copy.jsonb({ value })
  }
  const client = await emptyDb.connect()
  try {
    await copyRows(client, 'copied', ['extra'], [copy.take()])
  } finally {
    client.release()
  }
  const { rows } = await emptyDb.query<{ extra: { value: string } }>('select extra from copied')
  expect(rows.map((row) => row.extra.value)).toEqual([
    'a\ufffdb',
    'half \ufffd',
    '\ufffd half',
    'back\\u0000slash',
    '🦄',
  ])
})

test('a copy that fails leaves the connection usable and no row behind', async ({ emptyDb }) => {
  await emptyDb.query('create table copied (n integer not null)')
  const copy = new CopyBuffer()
  for (const value of [1, null]) {
    copy.startRow(1)
    copy.int4(value)
  }
  const client = await emptyDb.connect()
  try {
    await expect(copyRows(client, 'copied', ['n'], [copy.take()])).rejects.toThrow(/null value/)
    expect((await client.query('select 1 from copied')).rows).toEqual([])
  } finally {
    client.release()
  }
})

function uuidText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
