import { expect, test } from 'vitest'

import { parseDurationSec, parseLimitHeaders, parseWaitMs } from './limits.ts'

test('limit headers are read in both spellings, and nonsense is nothing', () => {
  const recorded = {
    'x-ratelimit-limit': '300',
    'x-ratelimit-window-sec': '3600',
    'x-concurrency-limit-limit': '2',
    'x-concurrency-limit-running': '0',
    'x-ratelimit-towait-sec': '0',
    'x-ratelimit-remaining': '298',
  }
  const limits = { callsMax: 300, windowSec: 3600, callsRemaining: 298, toWaitSec: 0, concurrencyMax: 2 }
  expect(parseLimitHeaders(recorded)).toEqual(limits)
  const { 'x-concurrency-limit-limit': _, ...others } = recorded
  expect(parseLimitHeaders({ ...others, 'x-concurrencylimit-limit': '5' }).concurrencyMax).toBe(5)
  const nothing = {
    callsMax: null,
    windowSec: null,
    callsRemaining: null,
    toWaitSec: null,
    concurrencyMax: null,
  }
  expect(parseLimitHeaders({})).toEqual(nothing)
  expect(parseLimitHeaders({ 'x-ratelimit-limit': '-1', 'x-ratelimit-remaining': 'many' })).toEqual(nothing)
})

test.each([
  ['This API cannot be run again for another 23 hours, 57 minutes and 54 seconds.', 86_274],
  ['for another 1 hour, 1 minute and 1 second', 3_661],
  ['another 5 minutes', 300],
  ['another 1 day and 2 hours', 93_600],
  ['cannot be run again until 2 currently running API instances have finished', null],
  ['', null],
])('a duration is read out of a text: %s', (text, seconds) => {
  expect(parseDurationSec(text)).toBe(seconds)
})

test('the longest of header, item and text is the wait, and no more than two days', () => {
  const wait = (towait: string, item: string, text: string) =>
    parseWaitMs({ headers: { 'x-ratelimit-towait-sec': towait }, items: { SECONDS_TO_WAIT: item }, text })
  expect(wait('10', '20', 'another 5 seconds')).toBe(20_000)
  expect(wait('30', '20', 'another 5 seconds')).toBe(30_000)
  expect(wait('0', '', 'another 1 minute')).toBe(60_000)
  expect(wait('999999999', '', '')).toBe(172_800_000)
  expect(wait('0', 'soon', '')).toBeNull()
})
