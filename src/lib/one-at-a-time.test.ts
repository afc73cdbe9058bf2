import { expect, test } from 'vitest'
import { OneAtATime } from './one-at-a-time.ts'

test('work runs one after the other in its order, and a failure is only its own', async () => {
  const turns = new OneAtATime()
  const log: string[] = []
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const done = gates.map((gate, index) =>
    turns.run(async () => {
      log.push(`start ${index}`)
      await gate.promise
      log.push(`end ${index}`)
      return index
    }),
  )
  gates[2]!.resolve()
  gates[0]!.resolve()
  gates[1]!.reject(new Error('no'))
  expect(await Promise.allSettled(done)).toMatchObject([
    { value: 0 },
    { reason: { message: 'no' } },
    { value: 2 },
  ])
  expect(log).toEqual(['start 0', 'end 0', 'start 1', 'start 2', 'end 2'])
})
