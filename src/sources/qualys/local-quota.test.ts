import { expect, test } from 'vitest'

import { ManualClock } from '../../lib/clock.ts'
import { createLocalQuota } from './local-quota.ts'

const never = new AbortController().signal

test('the local budget lets one call at a time through to each endpoint, in turn', async () => {
  const quota = createLocalQuota(new ManualClock(0))
  const order: string[] = []
  const first = await quota.acquire('a', never)
  const second = quota.acquire('a', never).then((permit) => {
    order.push('second')
    return permit
  })
  const third = quota.acquire('a', never).then((permit) => {
    order.push('third')
    return permit
  })
  const other = await quota.acquire('b', never)
  order.push('other')
  await other.release()
  await first.release()
  await first.release()
  await (await second).release()
  await (await third).release()
  expect(order).toEqual(['other', 'second', 'third'])
})

test('who gives up waiting for the local budget does not keep the others out', async () => {
  const quota = createLocalQuota(new ManualClock(0))
  const first = await quota.acquire('a', never)
  const stop = new AbortController()
  const second = quota.acquire('a', stop.signal)
  const third = quota.acquire('a', never)
  stop.abort(new Error('stopped'))
  await expect(second).rejects.toThrow('stopped')
  await first.release()
  await (await third).release()
})

test('the local budget waits for short refusals and throws at long ones', async () => {
  const clock = new ManualClock(0, { skipSleeps: true })
  const quota = createLocalQuota(clock)
  const first = await quota.acquire('a', never)
  await first.refuse({ kind: 'rate_limit', waitMs: 10_000 })
  await first.release()
  const second = await quota.acquire('a', never)
  expect(clock.nowMs()).toBe(10_000)
  await second.report({
    callsMax: 300,
    windowSec: 3600,
    callsRemaining: 0,
    toWaitSec: 600,
    concurrencyMax: 2,
  })
  await second.release()
  await expect(quota.acquire('a', never)).rejects.toMatchObject({ kind: 'rate_limit', retryAfterMs: 600_000 })
})
