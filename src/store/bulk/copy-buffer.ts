import { toJsonbText } from '../jsonb-text.ts'

/**
 * Rows in PostgreSQL's binary COPY format, written into one growing buffer: no string of the row, no garbage per value.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
 */
export class CopyBuffer {
  #buffer: Buffer
  #length = 0
  #rows = 0

  constructor(initialBytes = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  get bytes(): number {
    return this.#length
  }

  get rows(): number {
    return this.#rows
  }

  startRow(columns: number): void {
    this.#reserve(2)
    this.#length = this.#buffer.writeInt16BE(columns, this.#length)
    this.#rows += 1
  }

  null(): void {
    this.#reserve(4)
    this.#length = this.#buffer.writeInt32BE(-1, this.#length)
  }

  /** int8 from a decimal string, as ids are kept. */
  id(value: string | null): void {
    if (value === null) return this.null()
    this.#reserve(12)
    this.#length = this.#buffer.writeInt32BE(8, this.#length)
    // 15 digits are exact as a number, and much cheaper than a BigInt.
    if (value.length <= 15) this.#int64(Number(value))
    else this.#length = this.#buffer.writeBigInt64BE(BigInt(value), this.#length)
  }

  /** int8 from its eight bytes. */
  int8Bytes(value: Buffer): void {
    this.#bytes(value)
  }

  int4(value: number | null): void {
    if (value === null) return this.null()
    this.#reserve(8)
    this.#length = this.#buffer.writeInt32BE(4, this.#length)
    this.#length = this.#buffer.writeInt32BE(value, this.#length)
  }

  int2(value: number | null): void {
    if (value === null) return this.null()
    this.#reserve(6)
    this.#length = this.#buffer.writeInt32BE(2, this.#length)
    this.#length = this.#buffer.writeInt16BE(value, this.#length)
  }

  bool(value: boolean | null): void {
    if (value === null) return this.null()
    this.#reserve(5)
    this.#length = this.#buffer.writeInt32BE(1, this.#length)
    this.#length = this.#buffer.writeUInt8(value ? 1 : 0, this.#length)
  }

  /** timestamptz from milliseconds since the epoch; PostgreSQL counts microseconds from 2000-01-01. */
  instant(valueMs: number | null): void {
    if (valueMs === null) return this.null()
    this.#reserve(12)
    this.#length = this.#buffer.writeInt32BE(8, this.#length)
    this.#int64((valueMs - POSTGRES_EPOCH_MS) * 1000)
  }

  /** uuid from its 16 bytes. */
  uuid(value: Buffer | null): void {
    if (value === null) return this.null()
    this.#bytes(value)
  }

  text(value: string | null): void {
    if (value === null) return this.null()
    // At most three bytes of UTF-8 come from one UTF-16 unit.
    this.#reserve(4 + value.length * 3)
    const written = this.#buffer.write(value, this.#length + 4)
    this.#buffer.writeInt32BE(written, this.#length)
    this.#length += 4 + written
  }

  /** jsonb: one byte of version, then the text. What PostgreSQL refuses in it is replaced. */
  jsonb(value: Readonly<Record<string, unknown>> | null): void {
    if (value === null) return this.null()
    const text = toJsonbText(value)
    this.#reserve(5 + text.length * 3)
    const written = this.#buffer.write(text, this.#length + 5)
    this.#buffer.writeInt32BE(written + 1, this.#length)
    this.#buffer.writeUInt8(1, this.#length + 4)
    this.#length += 5 + written
  }

  /** A single ASCII character, PostgreSQL's `"char"`. */
  char(value: string): void {
    this.#reserve(5)
    this.#length = this.#buffer.writeInt32BE(1, this.#length)
    this.#length = this.#buffer.writeUInt8(value.charCodeAt(0), this.#length)
  }

  /** The rows written so far, whose ownership passes to the caller; the buffer starts anew. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    // The next rows will be about as many; a buffer that doubles for a little more would be kept half empty.
    this.#buffer = Buffer.allocUnsafe(Math.max(64 * 1024, this.#length + (this.#length >> 2)))
    this.#length = 0
    this.#rows = 0
    return taken
  }

  #bytes(value: Buffer): void {
    this.#reserve(4 + value.length)
    this.#length = this.#buffer.writeInt32BE(value.length, this.#length)
    this.#length += value.copy(this.#buffer, this.#length)
  }

  #int64(value: number): void {
    const high = Math.floor(value / 2 ** 32)
    this.#length = this.#buffer.writeInt32BE(high, this.#length)
    this.#length = this.#buffer.writeUInt32BE(value - high * 2 ** 32, this.#length)
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, needed))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}

const POSTGRES_EPOCH_MS = 946_684_800_000

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')

/** What stands before the first row: the signature, no flags, no extension. */
export const COPY_HEADER = Buffer.concat([SIGNATURE, Buffer.alloc(8)])

/** What stands after the last row. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff])
