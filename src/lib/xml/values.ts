import { isSpace } from './bytes.ts'
import type { XmlScanner } from './scanner.ts'

const MS_PER_DAY = 86_400_000
const INT32_MAX = 2_147_483_647
/** The largest signed number of 64 bits. */
const ID_MAX = '9223372036854775807'

/**
 * Reads the text of the current leaf as what it should be, from the bytes where that is possible. Nothing is coerced:
 * what is not of the kind asked for gives `null`, as an empty text does, and sets `isUnreadable`. White space around a
 * value is passed.
 */
export class XmlValues {
  /** Whether a value was asked for that the text does not hold; stays until it is set back. */
  isUnreadable = false

  readonly #scanner: XmlScanner
  readonly #strings = new ShortStrings()
  #bytes: Buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  constructor(scanner: XmlScanner) {
    this.#scanner = scanner
  }

  /** The text as it is, white space included. */
  text(): string {
    return this.#scanner.text()
  }

  /** The text as it is; a short one is shared, which pays for words that come again and again. */
  word(): string {
    const scanner = this.#scanner
    if (!scanner.isAscii) return scanner.text()
    return this.#strings.get(scanner.bytes, scanner.textStart, scanner.textEnd)
  }

  /** A decimal number without sign, exponent or needless zeros, of up to 32 bits unless less is wanted. */
  integer(max = INT32_MAX): number | null {
    if (!this.#locate()) return null
    const value = readDigits(this.#bytes, this.#start, this.#end)
    return value < 0 || value > max ? this.#refuse() : value
  }

  /** Like `integer`, with an optional fraction. */
  decimal(): number | null {
    if (!this.#locate()) return null
    const whole = readDigits(this.#bytes, this.#start, this.#end)
    if (whole >= 0) return whole
    const text = this.#bytes.toString('latin1', this.#start, this.#end)
    return /^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?$/.test(text) ? Number(text) : this.#refuse()
  }

  /** An id: digits that do not start with 0, up to the largest number of 64 bits; it stays a string. */
  id(): string | null {
    if (!this.#locate()) return null
    const bytes = this.#bytes
    if (this.#end - this.#start > 19 || bytes[this.#start] === 0x30) return this.#refuse()
    for (let at = this.#start; at < this.#end; at += 1) {
      if (bytes[at]! < 0x30 || bytes[at]! > 0x39) return this.#refuse()
    }
    const id = this.#strings.get(bytes, this.#start, this.#end)
    return id.length === ID_MAX.length && id > ID_MAX ? this.#refuse() : id
  }

  /** `0` or `1`. */
  flag(): boolean | null {
    if (!this.#locate()) return null
    if (this.#end - this.#start !== 1) return this.#refuse()
    const byte = this.#bytes[this.#start]!
    return byte === 0x31 ? true : byte === 0x30 ? false : this.#refuse()
  }

  /** `YYYY-MM-DDTHH:MM:SSZ` as milliseconds since the epoch. */
  instant(): number | null {
    if (!this.#locate()) return null
    const value = readInstant(this.#bytes, this.#start, this.#end)
    return Number.isNaN(value) ? this.#refuse() : value
  }

  #refuse(): null {
    this.isUnreadable = true
    return null
  }

  /** Finds the bytes of the text without the white space around it; false when nothing is left. */
  #locate(): boolean {
    const scanner = this.#scanner
    if (scanner.isVerbatim) {
      this.#bytes = scanner.bytes
      this.#start = scanner.textStart
      this.#end = scanner.textEnd
    } else {
      this.#bytes = Buffer.from(scanner.text())
      this.#start = 0
      this.#end = this.#bytes.length
    }
    while (this.#start < this.#end && isSpace(this.#bytes[this.#start]!)) this.#start += 1
    while (this.#start < this.#end && isSpace(this.#bytes[this.#end - 1]!)) this.#end -= 1
    return this.#start < this.#end
  }
}

/** The number that the digits in `bytes[start, end)` say; -1 when they are not the shortest form of one. */
function readDigits(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (length === 0 || length > 15 || (length > 1 && bytes[start] === 0x30)) return -1
  let value = 0
  for (let at = start; at < end; at += 1) {
    const digit = bytes[at]! - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** The instant `YYYY-MM-DDTHH:MM:SSZ` in `bytes[start, end)` in milliseconds; NaN for any other form or no such time. */
function readInstant(bytes: Uint8Array, start: number, end: number): number {
  if (!isInstantForm(bytes, start, end)) return Number.NaN
  const year = twoDigits(bytes, start) * 100 + twoDigits(bytes, start + 2)
  const month = twoDigits(bytes, start + 5)
  const day = twoDigits(bytes, start + 8)
  const hour = twoDigits(bytes, start + 11)
  const minute = twoDigits(bytes, start + 14)
  const second = twoDigits(bytes, start + 17)
  if (!(hour < 24 && minute < 60 && second < 60 && month >= 1 && month <= 12)) return Number.NaN
  if (!(year >= 1 && day >= 1 && day <= daysInMonth(year, month))) return Number.NaN
  return daysSinceEpoch(year, month, day) * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1_000
}

function isInstantForm(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end - start === 20 &&
    bytes[start + 4] === 0x2d &&
    bytes[start + 7] === 0x2d &&
    bytes[start + 10] === 0x54 &&
    bytes[start + 13] === 0x3a &&
    bytes[start + 16] === 0x3a &&
    bytes[start + 19] === 0x5a
  )
}

function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - 0x30
  const ones = bytes[at + 1]! - 0x30
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Days of the Gregorian calendar, counted in years that start in March, so that the leap day is the last one. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

const SHORT_BYTES_MAX = 24
const SHORT_SLOTS = 4_096

/** Strings that come again and again (QIDs, states, protocols) are made once; the newest of a slot stays. */
class ShortStrings {
  readonly #slots: string[] = Array.from({ length: SHORT_SLOTS }, () => '')

  /** The ASCII bytes `bytes[start, end)` as a string. */
  get(bytes: Buffer, start: number, end: number): string {
    const length = end - start
    if (length === 0) return ''
    if (length > SHORT_BYTES_MAX) return bytes.toString('latin1', start, end)
    let hash = length
    for (let at = start; at < end; at += 1) hash = (Math.imul(hash, 31) + bytes[at]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (SHORT_SLOTS - 1)
    const known = this.#slots[slot]!
    if (known.length === length) {
      let index = 0
      while (index < length && known.charCodeAt(index) === bytes[start + index]) index += 1
      if (index === length) return known
    }
    const text = bytes.toString('latin1', start, end)
    this.#slots[slot] = text
    return text
  }
}
