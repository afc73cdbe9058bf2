import { expect } from 'vitest'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import type { EstateOptions } from '../../fakes/qualys/estate/types.ts'
import type { FaultMatch } from '../../fakes/qualys/faults.ts'
import { type TestHub, type TestHubOptions, withHub } from './hub.ts'
import { type TicketHub, withTickets } from './tickets.ts'

/** Busy days: much is found, fixed and reopened, and every host is scanned, so that a fault always hits news. */
const BUSY: EstateOptions = {
  seed: 11,
  hosts: 8,
  detectionsPerHost: 6,
  scanShare: 1,
  newShare: 0.1,
  fixShare: 0.15,
  reopenShare: 0.4,
  purgeShare: 0,
  mergeShare: 0,
  hostGrowth: 0,
}

export const DETECTIONS: FaultMatch = { endpoint: 'detection' }
export const ID_LIST: FaultMatch = { endpoint: 'host-list', params: { details: 'None' } }
export const DESCRIPTIONS: FaultMatch = { endpoint: 'host-list', params: { details: 'All' } }
export const KNOWLEDGE_BASE: FaultMatch = { endpoint: 'knowledge-base' }

/** A hub that has pulled day 0 of a busy estate, on its day 1. */
export async function onDayOne(
  options: TestHubOptions,
  use: (hub: TestHub, hostIds: string[]) => Promise<void>,
): Promise<void> {
  await withHub({ ...options, estate: { ...BUSY, ...options.estate } }, (hub) => liveDayZero(hub, use))
}

/** The same with the built-in rule switched on: tickets follow every run that did not fail, as they do in life. */
export async function onDayOneWithTickets(
  options: TestHubOptions,
  use: (hub: TestHub & { tickets: TicketHub }, hostIds: string[]) => Promise<void>,
): Promise<void> {
  await withTickets({ ...options, estate: { ...BUSY, ...options.estate } }, async (tickets) => {
    const sync: TestHub['sync'] = async (mode) => {
      const run = await tickets.sync(mode)
      if (run.state === 'FAILED') return run
      await tickets.plan()
      await tickets.send()
      return run
    }
    const hub = { ...tickets, tickets, sync }
    await liveDayZero(hub, async (_hub, hostIds) => {
      expect(tickets.jira.issues().length).toBeGreaterThan(0)
      await use(hub, hostIds)
    })
  })
}

async function liveDayZero(
  hub: TestHub,
  use: (hub: TestHub, hostIds: string[]) => Promise<void>,
): Promise<void> {
  const first = await hub.sync('full')
  expect(first.message).toBe('Everything that was expected came.')
  nextDay(hub)
  await use(
    hub,
    [...hub.estate.hosts()].map((host) => host.id),
  )
}

export function nextDay(hub: TestHub, days = 1): void {
  hub.clock.advance(days * DAY_MS)
  for (let day = 0; day < days; day += 1) hub.estate.advanceDay()
}

/** How many calls of an endpoint the fake has seen since `from`, an index into its log. */
export function callsSince(hub: TestHub, from: number, match: FaultMatch): number {
  return hub.fake.requests.slice(from).filter(({ endpoint, params }) => {
    if (endpoint !== match.endpoint) return false
    return Object.entries(match.params ?? {}).every(([name, value]) => params[name] === value)
  }).length
}
