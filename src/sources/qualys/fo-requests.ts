import { HubError } from '../../model/errors.ts'

/** Ids in one request; more would make bodies and requests that servers and proxies refuse. */
const REQUEST_IDS_MAX = 100_000
/** Answers that one read may consist of when Qualys cuts them. */
export const PAGES_MAX = 20_000

const ID = /^[1-9][0-9]{0,18}$/

/**
 * Ascending ids as Qualys reads them: `190-195,200`. An empty list is refused, since an empty `ids` means all.
 */
export function toIdRanges(ids: readonly string[]): string {
  if (ids.length === 0) throw new HubError('config', 'A list of ids to ask Qualys for is empty.')
  if (ids.length > REQUEST_IDS_MAX) {
    throw new HubError('config', `More than ${REQUEST_IDS_MAX} ids are asked for in one request.`)
  }
  const ranges: string[] = []
  let first = toId(ids[0]!)
  let last = first
  for (const text of ids.slice(1)) {
    const id = toId(text)
    if (id <= last) throw new HubError('config', `The ids to ask Qualys for are not ascending at ${text}.`)
    if (id !== last + 1n) {
      ranges.push(toRange(first, last))
      first = id
    }
    last = id
  }
  ranges.push(toRange(first, last))
  return ranges.join(',')
}

/** These ids, in one answer: without a limit of our own Qualys cuts it after 1,000 hosts. */
export function toIdParams(ids: readonly string[]): Record<string, string> {
  return { ids: toIdRanges(ids), truncation_limit: String(ids.length) }
}

function toId(text: string): bigint {
  if (!ID.test(text)) throw new HubError('config', `"${text.slice(0, 40)}" is not an id of Qualys.`)
  return BigInt(text)
}

function toRange(first: bigint, last: bigint): string {
  return first === last ? String(first) : `${first}-${last}`
}

/** An instant as FO parameters want it, to the second and never later than what was meant. */
export function toFoInstant(instantMs: number): string {
  return `${new Date(Math.floor(instantMs / 1_000) * 1_000).toISOString().slice(0, 19)}Z`
}
