import type pg from 'pg'
import type { FaultMatch } from '../../fakes/qualys/faults.ts'
import type { Random } from './random.ts'
import type { View } from './view.ts'
import type { World } from './world.ts'

/** Who is killed at a moment: the one that is there, or all at once, as when a machine dies. */
export type Victim = { pid: number } | 'one' | 'all'

/** A moment to kill at. It strikes by itself once, or is looked for with every `look`; `end` takes it back. */
export interface Moment {
  name: string
  look(): Promise<void>
  /** Until the next look it stands in nobody's way. */
  letGo(): Promise<void>
  end(): Promise<void>
}

export interface Striking {
  world: World
  view: View
  random: Random
  strike: (victim: Victim) => void
}

/** Some time after the last start: often in the middle of a start, of a listing, of anything. */
export function atRandom({ random, strike }: Striking): Moment {
  const timer = setTimeout(() => strike('one'), random.between(0, RANDOM_MS_MAX))
  return { name: 'at random', look: nothing, letGo: nothing, end: async () => clearTimeout(timer) }
}

const nothing = async () => undefined

const RANDOM_MS_MAX = 600

/** When a statement is about to touch this table, so in the middle of its transaction. Where it stands still then. */
export function atTable(striking: Striking & { stage: Stage }): Moment {
  const { view, random, strike, stage } = striking
  const table = random.pick(TABLES[stage])
  let locked: pg.PoolClient | undefined
  const unlock = async () => {
    const client = locked
    locked = undefined
    // Ends with its connection, whatever the server makes of it.
    client?.release(true)
  }
  return {
    name: `writing ${table}`,
    look: async () => {
      locked ??= await view.lock(table)
      if (locked === undefined) return
      const pid = await view.whoWaitsFor(table)
      if (pid !== null) strike({ pid })
    },
    letGo: unlock,
    end: unlock,
  }
}

/** What a day is busy with: first with pulling, then with tickets. */
export type Stage = 'run' | 'tickets'

const TABLES: Readonly<Record<Stage, readonly string[]>> = {
  run: [
    'batch',
    'evidence',
    'evidence_staging',
    'event',
    'finding',
    'finding_staging',
    'gap',
    'graphile_worker._private_jobs',
    'host',
    'host_tag',
    'integration',
    'lease',
    'module_state',
    'observation',
    'quota',
    'run',
    'slot',
    'tag',
    'vulnerability',
    'vulnerability_cve',
  ],
  tickets: ['graphile_worker._private_jobs', 'outbox', 'run', 'ticket', 'ticket_finding', 'ticket_rule'],
}

/** When Qualys is asked for something, or has answered half of it. */
export function atQualys({ world, random, strike }: Striking): Moment {
  const match: FaultMatch = { ...random.pick(CALLS), nth: random.between(1, 2) }
  const isHalf = random.next() < 0.5
  const fault = isHalf
    ? world.qualys.faults.add({ match, kind: 'stall', atByte: random.between(100, 4_000) })
    : world.qualys.faults.add({ match, kind: 'estate', run: () => strike('all') })
  return {
    name: `${isHalf ? 'amid the answer of' : 'asking'} Qualys ${String(match.endpoint)}`,
    look: async () => {
      if (isHalf && fault.hits > 0) strike('all')
    },
    letGo: nothing,
    end: async () => fault.remove(),
  }
}

const CALLS: readonly FaultMatch[] = [
  { endpoint: 'detection' },
  { endpoint: 'host-list', params: { details: 'None' } },
  { endpoint: 'host-list', params: { details: 'All' } },
  { endpoint: 'knowledge-base' },
]

/** When Jira has carried out a request and its answer is not heard any more, or just before it carries it out. */
export function atJira({ world, random, strike }: Striking): Moment {
  const on = random.pick(OPERATIONS)
  const isDone = random.next() < 0.6
  world.jira.faults.add({
    on,
    skip: random.between(0, 3),
    fault: { kind: 'hang', after: isDone },
  })
  return {
    name: `${isDone ? 'after' : 'before'} Jira ${on}`,
    look: async () => {
      if (world.jira.faults.unused === 0) strike('all')
    },
    letGo: nothing,
    end: async () => world.jira.faults.clear(),
  }
}

const OPERATIONS = ['createIssue', 'createIssue', 'editIssue', 'addComment', 'doTransition'] as const
