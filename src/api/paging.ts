import { z } from '@hono/zod-openapi'

const PAGE_ROWS_DEFAULT = 100
const PAGE_ROWS_MAX = 1_000

/** An id in a URL: digits that fit into a bigint. */
export const Id = z
  .string()
  .regex(/^[1-9]\d{0,17}$/, 'is not an id')
  .openapi({ example: '1' })

/** `after` is the `next` of the page before. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).default(PAGE_ROWS_DEFAULT),
  after: Id.optional(),
})

/** The answer of every list but that of integrations. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    data: z.array(item),
    /** Give it as `after` for the next page; null on the last one. */
    next: z.string().nullable(),
  })
}

/** A page of at most `limit` items from the `limit + 1` that were asked for. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  to: { item: (row: Row) => Item; cursor: (row: Row) => string },
): { data: Item[]; next: string | null } {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    data: shown.map(to.item),
    next: rows.length > limit && last !== undefined ? to.cursor(last) : null,
  }
}
