import type { Call } from './call.ts'
import type { Params } from './params.ts'
import { warningChunk } from './render/xml.ts'
import type { Chunk } from './render/xml.ts'

export const HOSTS_PER_PAGE_DEFAULT = 1000
/** A page that is put in another order must be held; no test reorders more than this. */
const REORDERED_HOSTS_MAX = 50_000

export interface PageState {
  firstId?: number
  /** The id from which the next page starts; undefined when there is none. */
  nextId?: number
}

/** The first `limit` items (0: all); where the next page starts is left in `state`. Then the page faults of the call. */
export function* page<T>(
  items: Iterable<T>,
  options: { call: Call; limit: number; idOf: (item: T) => string; state: PageState },
): Generator<T> {
  const { call, idOf } = options
  const faults = call.page
  const kept: T[] = []
  let position = 0
  for (const item of truncated(items, options)) {
    position++
    if (faults.isDropped(idOf(item), position)) continue
    if (faults.isReversed) {
      if (kept.length >= REORDERED_HOSTS_MAX) throw new RangeError('The page is too big to be reordered.')
      kept.push(item)
    } else yield item
  }
  yield* kept.toReversed()
}

function* truncated<T>(
  items: Iterable<T>,
  { limit, idOf, state }: { limit: number; idOf: (item: T) => string; state: PageState },
): Generator<T> {
  let count = 0
  for (const item of items) {
    const id = Number(idOf(item))
    state.firstId ??= id
    if (limit > 0 && count === limit) {
      state.nextId = id
      return
    }
    count++
    yield item
  }
}

/** The truncation warning of a page that has a successor, or that a fault makes believe it has one. */
export function* warning(
  call: Call,
  params: Params,
  options: { limit: number; state: PageState },
): Generator<Chunk> {
  const fault = call.page.warning
  const { nextId, firstId = 1 } = options.state
  const current = params.number('id_min') ?? firstId
  let next: number | string | undefined = nextId
  if (fault?.idMin === 'same') next = current
  else if (fault?.idMin === 'smaller') next = Math.max(1, current - 1)
  else if (fault?.idMin !== undefined) next = fault.idMin
  else if (fault !== undefined) next ??= current + 1
  if (next === undefined) return
  yield warningChunk(options.limit, nextUrl(call, params, { idMin: String(next), origin: fault?.origin }))
}

function nextUrl(call: Call, params: Params, to: { idMin: string; origin: string | undefined }): string {
  const query = new URLSearchParams(params.entries().filter(([name]) => name !== 'id_min'))
  query.set('id_min', to.idMin)
  return `${to.origin ?? call.baseUrl}${call.path}?${query.toString()}`
}
