/** An instant: milliseconds since the epoch, or a text that is shown exactly as it stands (crafted, maybe wrong). */
export type When = number | string

export const DAY_MS = 86_400_000

const TWO_DIGITS = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'))
const DAYS_CACHED_MAX = 5_000
const dayTexts = new Map<number, string>()

/** `2026-03-02T04:05:06Z`. Seconds are all Qualys knows. Much faster than `toISOString`, which the big pages need. */
export function isoSeconds(ms: number): string {
  const day = Math.floor(ms / DAY_MS)
  let date = dayTexts.get(day)
  if (date === undefined) {
    if (dayTexts.size >= DAYS_CACHED_MAX) dayTexts.clear()
    date = new Date(day * DAY_MS).toISOString().slice(0, 11)
    dayTexts.set(day, date)
  }
  const second = Math.floor(ms / 1000) - day * 86_400
  const hour = Math.floor(second / 3600)
  const minute = Math.floor(second / 60) % 60
  return `${date}${TWO_DIGITS[hour]}:${TWO_DIGITS[minute]}:${TWO_DIGITS[second % 60]}Z`
}

export function whenText(when: When): string {
  return typeof when === 'number' ? isoSeconds(when) : when
}

/** NaN for a text that is no date: it then passes no time filter. */
export function whenMs(when: When): number {
  return typeof when === 'number' ? when : Date.parse(when)
}
