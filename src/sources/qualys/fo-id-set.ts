import { CLOSE, type XmlScanner, type XmlToken } from '../../lib/xml/scanner.ts'
import { HubError } from '../../model/errors.ts'
import type { SourceMessage } from '../../model/source.ts'
import { type FoRecordReader, RECORDS_DEPTH } from './fo-body.ts'

/** Ids that one list may hold, ranges expanded; a subscription with more needs more than one integration. */
const IDS_MAX = 10_000_000
/** Ids in one message, so that a range of millions is never a list of millions. */
const MESSAGE_IDS_MAX = 10_000

const ID_SET = 'ID_SET'
const ID = 'ID'
const ID_RANGE = 'ID_RANGE'
export const ID_SET_NAMES: readonly string[] = [ID_SET, ID, ID_RANGE]

/** The largest number that the store can keep as an id. */
const ID_MAX = 2n ** 63n - 1n
const RANGE = /^\s*([1-9][0-9]{0,18})(?:-([1-9][0-9]{0,18}))?\s*$/

/**
 * Reads `<ID_SET><ID>1</ID><ID_RANGE>2-9</ID_RANGE></ID_SET>`, the answer to `details=None`. Such a list is the only
 * truth about what is there, so anything in it that cannot be understood throws.
 */
export class IdSetReader implements FoRecordReader<SourceMessage<string>> {
  #ranges: { first: bigint; last: bigint }[] = []
  #idCount = 0n

  onTag(token: XmlToken, scanner: XmlScanner): void {
    if (scanner.depth === RECORDS_DEPTH || token !== CLOSE) return
    const name = scanner.names.nameOf(scanner.name)
    const match = scanner.depth === RECORDS_DEPTH + 1 && scanner.isLeaf ? RANGE.exec(scanner.text()) : null
    const first = match?.[1]
    const last = name === ID_RANGE ? match?.[2] : first
    const isOne = name === ID && match?.[2] === undefined
    if (first === undefined || last === undefined || !(isOne || name === ID_RANGE)) throw unreadable()
    this.#add(BigInt(first), BigInt(last))
  }

  #add(first: bigint, last: bigint): void {
    if (last < first || last > ID_MAX) throw unreadable()
    this.#idCount += last - first + 1n
    if (this.#idCount > BigInt(IDS_MAX)) {
      throw new HubError('contract', `A list of ids names more than ${IDS_MAX} of them.`, {
        code: 'too_many_ids',
      })
    }
    this.#ranges.push({ first, last })
  }

  *take(): Generator<SourceMessage<string>> {
    const ranges = this.#ranges
    this.#ranges = []
    let ids: string[] = []
    for (const { first, last } of ranges) {
      for (let id = first; id <= last; id += 1n) {
        ids.push(String(id))
        if (ids.length < MESSAGE_IDS_MAX) continue
        yield { type: 'records', records: ids }
        ids = []
      }
    }
    if (ids.length > 0) yield { type: 'records', records: ids }
  }
}

function unreadable(): HubError {
  return new HubError('contract', 'A list of ids holds something that is neither an id nor a range of ids.', {
    code: 'unreadable_id',
    hint: 'Without a complete list nothing can be said about what is missing; report it.',
  })
}
