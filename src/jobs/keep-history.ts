import { z } from 'zod'
import { keepHistory } from '../engine/history/keep-history.ts'
import type { Job } from './job.ts'

const Payload = z.looseObject({})
type Payload = z.infer<typeof Payload>

/** Every hour and at every start: partitions of events, days that are over, and what is too old. */
export const keepHistoryJob: Job<Payload> = {
  name: 'keep-history',
  payload: Payload,
  attemptsMax: 1,
  key: () => 'keep-history',
  run: (deps, _payload, signal) => keepHistory(deps.engine, deps.eventMonthsKept, signal),
}
