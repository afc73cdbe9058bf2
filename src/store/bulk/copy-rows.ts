import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { COPY_HEADER, COPY_TRAILER } from './copy-buffer.ts'

/** Copies rows (binary, without header and trailer) into a table. Names come from this folder's constants only. */
export async function copyRows(
  client: pg.ClientBase,
  table: string,
  columns: readonly string[],
  chunks: readonly Buffer[],
): Promise<void> {
  const stream = client.query(copyFrom(`copy ${table} (${columns.join(', ')}) from stdin (format binary)`))
  await pipeline(async function* () {
    yield COPY_HEADER
    yield* chunks
    yield COPY_TRAILER
  }, stream)
}
