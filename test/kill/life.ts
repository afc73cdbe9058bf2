import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { Crew } from './crew.ts'
import type { Database } from './databases.ts'
import { Day } from './day.ts'
import { type EndState, readEndState } from './end-state.ts'
import { type Random, seededRandom } from './random.ts'
import { setUp } from './set-up.ts'
import { View } from './view.ts'
import { type World, startWorld } from './world.ts'

export interface LifeOptions {
  folder: string
  database: (home: string) => Database
  seed: number
  /** How many kills; 0 for a life that nothing disturbs, which then lasts `days`. */
  kills: number
  days?: number
  /** The hub brings its own database. */
  isAlone?: boolean
  say?: (line: string) => void
}

export interface Life {
  days: number
  /** How often what was killed, e.g. "hub, writing event". */
  kills: Map<string, number>
  /** How often a process stood still until its claims had run out, and woke up. */
  pauses: number
  /** Processes that ended although nobody killed them: the database's death must not be theirs. */
  lost: string[]
  /** Starts that failed, with why: they have to find a database. */
  failedStarts: string[]
  /** Runs that failed, with their sentences, and were started anew. */
  failedRuns: string[]
  end: EndState
}

const KILLS_PER_DAY = { min: 5, max: 10 }

/** Lives through days with a whole hub, its processes killed again and again, and tells what the end is like. */
export async function live(options: LifeOptions): Promise<Life> {
  const world = await startWorld({ seed: options.seed })
  const started = new RunningLife(options, world)
  try {
    return await started.run()
  } finally {
    await started.close()
    await world.close()
  }
}

class RunningLife {
  readonly #options: LifeOptions
  readonly #world: World
  readonly #random: Random
  readonly #crew: Crew
  readonly #database: Database
  readonly #view: View
  readonly #clock: Clock
  readonly #kills = new Map<string, number>()
  readonly #failedRuns: string[] = []
  #killed = 0
  #pauses = 0
  #integrationId = ''

  constructor(options: LifeOptions, world: World) {
    this.#options = options
    this.#world = world
    this.#random = seededRandom(options.seed)
    const { folder } = options
    this.#database = options.database(`${folder}/home`)
    this.#crew = new Crew({
      folder,
      databaseUrlOf: (pid) => this.#database.urlFor(pid),
      nowMs: () => world.nowMs(),
    })
    this.#view = new View(this.#database, () => this.#crew.ensureHub())
    this.#clock = { ...systemClock, nowMs: () => world.nowMs() }
  }

  async run(): Promise<Life> {
    this.#integrationId = await setUp(this.#crew, this.#world)
    const { kills, days: daysWanted = 0 } = this.#options
    let days = 0
    for (; days < daysWanted || this.#killed < kills; days += 1) await this.#liveDay(days)
    const end = await this.#view.withPool((pool) => readEndState(pool, this.#world))
    return {
      days,
      kills: this.#kills,
      pauses: this.#pauses,
      failedRuns: this.#failedRuns,
      lost: this.#crew.lost,
      failedStarts: this.#crew.failedStarts,
      end,
    }
  }

  async close(): Promise<void> {
    this.#world.qualys.faults.clear()
    await this.#crew.close()
    await this.#view.close()
  }

  async #liveDay(day: number): Promise<void> {
    this.#world.startDay(day)
    this.#crew.tellTime()
    await this.#view.makeBatchesSmall(this.#integrationId)
    // Depends on the day alone, so that two lives agree.
    const mode = day === 0 || day % 4 === 3 ? 'full' : 'delta'
    const { kills } = this.#options
    const wanted = Math.min(kills - this.#killed, this.#random.between(KILLS_PER_DAY.min, KILLS_PER_DAY.max))
    const startedMs = Date.now()
    const today = new Day({
      ...this.#tools(),
      mode,
      kills: kills === 0 ? 0 : wanted,
      onKill: (name) => {
        this.#options.say?.(`  ${((Date.now() - startedMs) / 1000).toFixed(1)} s: ${name}`)
        this.#killed += 1
        this.#kills.set(name, (this.#kills.get(name) ?? 0) + 1)
      },
      onPause: () => (this.#pauses += 1),
      onFailedRun: (message) => this.#failedRuns.push(`day ${day}: ${message}`),
    })
    await today.live()
    const seconds = ((Date.now() - startedMs) / 1000).toFixed(1)
    this.#options.say?.(`day ${day} (${mode}) is over after ${seconds} s, ${this.#killed} kills so far`)
  }

  #tools() {
    return {
      world: this.#world,
      view: this.#view,
      crew: this.#crew,
      database: this.#database,
      random: this.#random,
      clock: this.#clock,
      integrationId: this.#integrationId,
      isAlone: this.#options.isAlone === true,
    }
  }
}
