import type { Db } from '../../store/db.ts'
import { FINDING_ID_BLOCK, reserveFindingIds } from '../../store/queries/findings.ts'

/** Hands out finding ids from reserved blocks, so that a row's id is known before it is written. */
export class FindingIds {
  readonly #db: Db
  #next = 0n
  #end = 0n

  constructor(db: Db) {
    this.#db = db
  }

  /** Makes sure that `count` calls of `take` succeed; blocks left half used are dropped, ids are plenty. */
  async reserve(count: number): Promise<void> {
    if (this.#end - this.#next >= BigInt(count)) return
    if (BigInt(count) > FINDING_ID_BLOCK)
      throw new Error(`More than ${FINDING_ID_BLOCK} finding ids were asked for at once.`)
    this.#next = await reserveFindingIds(this.#db)
    this.#end = this.#next + FINDING_ID_BLOCK
  }

  take(): string {
    if (this.#next >= this.#end) throw new Error('Finding ids were taken without being reserved.')
    const id = this.#next
    this.#next += 1n
    return id.toString()
  }
}
