import type { ReportedLimits } from '../../model/quota.ts'

const SECONDS_BY_UNIT: Readonly<Record<string, number>> = { day: 86_400, hour: 3_600, minute: 60, second: 1 }
/** The longest window that Qualys has is a day; whatever asks for more is a mistake. */
const WAIT_SEC_MAX = 2 * 86_400
const COUNT_MAX = 1_000_000

/** The limit headers of an answer. Qualys spells the concurrency header in two ways. */
export function parseLimitHeaders(headers: Readonly<Record<string, string>>): ReportedLimits {
  return {
    callsMax: countOf(headers['x-ratelimit-limit']),
    windowSec: countOf(headers['x-ratelimit-window-sec']),
    callsRemaining: countOf(headers['x-ratelimit-remaining']),
    toWaitSec: boundedWait(countOf(headers['x-ratelimit-towait-sec'])),
    concurrencyMax: countOf(headers['x-concurrency-limit-limit'] ?? headers['x-concurrencylimit-limit']),
  }
}

export interface WaitHints {
  headers: Readonly<Record<string, string>>
  /** ITEM_LIST of a SIMPLE_RETURN. */
  items: Readonly<Record<string, string>>
  text: string
}

/** How long the far side asks to be left alone, in milliseconds: the longest of header, item and text; null when none says. */
export function parseWaitMs({ headers, items, text }: WaitHints): number | null {
  const seconds = [
    countOf(headers['x-ratelimit-towait-sec']),
    countOf(headers['retry-after']),
    countOf(items['SECONDS_TO_WAIT']),
    parseDurationSec(text),
  ].filter((value): value is number => value !== null && value > 0)
  return seconds.length === 0 ? null : Math.min(Math.max(...seconds), WAIT_SEC_MAX) * 1_000
}

/** "another 23 hours, 57 minutes and 54 seconds" in seconds; null when no duration stands in the text. */
export function parseDurationSec(text: string): number | null {
  const parts = [...text.slice(0, 2_000).matchAll(/\b(\d{1,6})\s+(day|hour|minute|second)s?\b/gi)]
  if (parts.length === 0) return null
  return parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (SECONDS_BY_UNIT[(unit ?? '').toLowerCase()] ?? 0),
    0,
  )
}

function boundedWait(seconds: number | null): number | null {
  return seconds === null ? null : Math.min(seconds, WAIT_SEC_MAX)
}

function countOf(text: string | undefined): number | null {
  if (text === undefined || !/^\s*\d{1,9}\s*$/.test(text)) return null
  return Math.min(Number(text), COUNT_MAX)
}
