import { setTimeout as delay } from 'node:timers/promises'
import { enqueue } from '../../src/jobs/job.ts'
import { resumeRunsJob } from '../../src/jobs/resume-runs.ts'
import { startSync } from '../../src/jobs/start-sync.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { isHubError } from '../../src/model/errors.ts'
import type { Crew, Member } from './crew.ts'
import type { Database } from './databases.ts'
import {
  type Moment,
  type Stage,
  type Striking,
  type Victim,
  atJira,
  atQualys,
  atRandom,
  atTable,
} from './moments.ts'
import type { Random } from './random.ts'
import { type View, isLocked } from './view.ts'
import type { World } from './world.ts'

export interface DayOptions {
  world: World
  view: View
  crew: Crew
  database: Database
  random: Random
  clock: Clock
  integrationId: string
  isAlone: boolean
  mode: 'full' | 'delta'
  kills: number
  onKill: (name: string) => void
  onPause: () => void
  onFailedRun: (message: string) => void
}

const POLL_MS = 15
/** When nothing has moved for so long, time passes: leases run out, minutes strike, waits end. */
const STILL_MS = 250
/** More than the search for a ticket is given, so that a lost making is settled at once. */
const JUMP_MS_MIN = 6 * 60_000
/** A process that stands still may hold a row that all others need. */
const PAUSED_STILL_MS = 1_500
/** A moment that has not come by then will not, today: another one is chosen. */
const MOMENT_MS_MAX = 1_200
/** One that has just been started is waited for, so that there is somebody to stand still. */
const READY_MS_MAX = 5_000
/** An order that has not become a run by then never will; a second one before would become a second run. */
const ORDER_LOST_MS = 1_500
/** Nothing is sent for so long: whoever has something in hand will not send it any more. */
const SENDS_LOST_MS = 3_000
/** Not a limit of what is tested: two busy cores take their time. */
const DAY_MS_MAX = 5 * 60_000
/** How often a second process helps, and how often the hub is the one that is killed then. */
const WORKER_SHARE = 0.35
const HUB_SHARE = 0.5

/** One day: a run is started, processes die, others take over, until the run has ended and the outbox is empty. */
export class Day {
  readonly #options: DayOptions
  readonly #startedMs = Date.now()
  /** Another one than this is the run of the day. */
  #lastRunId = '0'
  #isDone = false
  #wasDone = false
  #isBusy = false
  #isRunning = true
  #hasRun = false
  #text = ''
  #movedMs = Date.now()
  #helpedMs = 0
  #struck: Member[] | undefined

  constructor(options: DayOptions) {
    this.#options = options
  }

  async live(): Promise<void> {
    const { kills, random, crew, view } = this.#options
    this.#lastRunId = (await view.progress()).newestRun?.id ?? '0'
    // Each process has its connections, and the server only so many.
    for (const member of crew.members) if (!isHub(member)) crew.kill(member)
    if (kills > 0 && !this.#options.isAlone && random.next() < WORKER_SHARE) crew.start('worker')
    await this.#startRun()
    for (let left = kills; left > 0 && !this.#isDone;) if (await this.#killOnce()) left -= 1
    this.#wakeAll()
    while (!this.#isDone) await this.#step()
    this.#wakeAll()
  }

  async #killOnce(): Promise<boolean> {
    const { random } = this.#options
    const share = random.next()
    if (share < 0.04) return this.#killPostmaster()
    if (share < 0.08) return this.#pauseOne()
    const arm = this.#chooseMoment()
    this.#struck = undefined
    const stage = this.#isRunning ? 'run' : 'tickets'
    const moment = arm({ ...this.#options, stage, strike: (victim) => this.#strike(victim) })
    const armedMs = Date.now()
    try {
      while (!this.#isDone && !this.#isStruck() && Date.now() - armedMs < MOMENT_MS_MAX)
        await this.#step(moment)
    } finally {
      // Requests that the dead have sent are carried out before anybody looks what became of them.
      await delay(POLL_MS)
      await moment.end()
    }
    return this.#replaceDead(moment.name)
  }

  #chooseMoment(): (striking: Striking & { stage: Stage }) => Moment {
    const { random, isAlone } = this.#options
    const share = random.next()
    if (share < 0.45) return atRandom
    if (share < 0.7 && !isAlone) return atTable
    return this.#isRunning && share < 0.9 ? atQualys : atJira
  }

  #isStruck(): boolean {
    return this.#struck !== undefined
  }

  #strike(victim: Victim): void {
    const { crew, random } = this.#options
    if (this.#struck !== undefined) return
    const alive = crew.members.filter((member) => !member.isPaused)
    if (crew.members.length === 0 || (victim === 'one' && alive.length === 0)) return
    const struck =
      victim === 'all'
        ? [...crew.members]
        : victim === 'one'
          ? [random.next() < HUB_SHARE ? (alive.find(isHub) ?? random.pick(alive)) : random.pick(alive)]
          : alive.filter(({ pid }) => pid === victim.pid)
    if (struck.length === 0) return
    for (const member of struck) crew.kill(member)
    this.#struck = struck
  }

  async #replaceDead(momentName: string): Promise<boolean> {
    const { crew, onKill } = this.#options
    const struck = this.#struck
    if (struck === undefined) return false
    this.#struck = undefined
    await Promise.all(struck.map((member) => member.ended))
    const who = [...new Set(struck.map((member) => (member.role === 'server' ? 'hub' : 'worker')))].join(
      ' and ',
    )
    onKill(`${who}, ${momentName}`)
    await this.#expireFor(struck.map(({ pid }) => pid))
    crew.ensureHub()
    const isHelperGone = struck.some((member) => !isHub(member))
    if (isHelperGone && crew.members.every(isHub)) crew.start('worker')
    this.#movedMs = Date.now()
    return true
  }

  /** What the database of all does; hubs that share it have to live on, one that has it for itself starts anew. */
  async #killPostmaster(): Promise<boolean> {
    const { database, random, onKill } = this.#options
    await delay(random.between(0, 500))
    await database.killPostmaster()
    onKill('postmaster, at random')
    await delay(random.between(0, 200))
    await database.restart()
    this.#movedMs = Date.now()
    return true
  }

  /** Stands still for the life of a claim on a batch, while others go on, and wakes up. Counts as no kill. */
  async #pauseOne(): Promise<boolean> {
    const { crew, random, isAlone, onPause } = this.#options
    if (isAlone || crew.members.some((member) => member.isPaused)) return false
    const isReady = () => crew.members.some((member) => member.isReady)
    const soughtMs = Date.now()
    while (!this.#isDone && !isReady() && Date.now() - soughtMs < READY_MS_MAX) await this.#step()
    const ready = crew.members.filter((member) => member.isReady)
    if (this.#isDone || ready.length === 0) return false
    const victim = random.pick(ready)
    crew.pause(victim)
    onPause()
    if (!crew.members.some((member) => member.role === 'worker' && !member.isPaused)) crew.start('worker')
    return false
  }

  #wakeAll(): void {
    for (const member of this.#options.crew.members) if (member.isPaused) this.#options.crew.wake(member)
  }

  /** Looks how far the day is, and helps it on where it stands still. */
  async #step(moment?: Moment): Promise<void> {
    const { crew } = this.#options
    await delay(POLL_MS)
    if (Date.now() - this.#startedMs > DAY_MS_MAX)
      throw new Error(`The day does not end. ${await this.#describe()}`)
    crew.ensureHub()
    await this.#lookAtRun()
    if (this.#isDone || this.#isStruck()) return
    await moment?.look()
    // Whoever was to go on meanwhile did not start.
    if (crew.members.every((member) => member.isPaused)) this.#wakeAll()
    const stillMs = Date.now() - Math.max(this.#movedMs, this.#helpedMs)
    const isAnybodyThere = crew.members.some((member) => member.isReady && !member.isPaused)
    const isWorking = this.#isBusy && stillMs < PAUSED_STILL_MS
    if (stillMs < STILL_MS || isWorking || this.#isStruck() || !isAnybodyThere) return
    this.#helpedMs = Date.now()
    if (this.#helpedMs - this.#movedMs > PAUSED_STILL_MS) this.#wakeAll()
    await moment?.letGo()
    await this.#letTimePass()
  }

  async #lookAtRun(): Promise<void> {
    const { newestRun, isDone, isRunning, isBusy, text } = await this.#options.view.progress()
    const isToday = newestRun !== null && newestRun.id !== this.#lastRunId
    if (text !== this.#text) this.#movedMs = Date.now()
    this.#text = text
    this.#hasRun = isToday
    // Twice, since between two of its statements a process does not look busy.
    this.#isDone = isToday && isDone && this.#wasDone
    this.#wasDone = isDone
    this.#isBusy = isBusy
    this.#isRunning = !isToday || isRunning
    if (!isToday || newestRun.state !== 'FAILED') return
    this.#options.onFailedRun(newestRun.message ?? '')
    this.#lastRunId = newestRun.id
    this.#hasRun = false
    await this.#startRun()
  }

  async #letTimePass(): Promise<void> {
    const { view, crew, world } = this.#options
    try {
      await this.#expireFor([...crew.deadPids])
      for (const member of crew.members) if (member.isPaused) await view.letExpire(member.pid, false)
      // What a push had in hand when the database failed stays in its hand.
      if (Date.now() - this.#movedMs > SENDS_LOST_MS) await view.letSendsExpire()
      const hourMs = await view.nextHourMs(world.nowMs())
      if (hourMs !== null) {
        world.jump(Math.max(hourMs - world.nowMs() + 1_000, JUMP_MS_MIN))
        crew.tellTime()
      }
      await view.hurryJobs()
      await view.withPool((pool) => enqueue(pool, resumeRunsJob, {}))
      // A process that took the order and died before its run was in the books has taken the order with it.
      if (!this.#hasRun && Date.now() - this.#movedMs > ORDER_LOST_MS) await this.#orderRun()
    } catch (error) {
      // One that stands still holds a row; it is woken before long.
      if (!isLocked(error)) throw error
    }
  }

  async #expireFor(pids: readonly number[]): Promise<void> {
    try {
      for (const pid of pids) await this.#options.view.letExpire(pid, true)
    } catch (error) {
      // One that stands still holds a row; it is woken before long, and this is done again.
      if (!isLocked(error)) throw error
    }
  }

  async #startRun(): Promise<void> {
    while (!(await this.#orderRun())) await delay(POLL_MS)
    this.#movedMs = Date.now()
  }

  /** False while the run before has ended, but whoever drove it has not let go of it yet. */
  async #orderRun(): Promise<boolean> {
    const { view, crew, clock, integrationId, mode } = this.#options
    const request = { integrationId, trigger: 'manual', mode, force: true } as const
    await this.#expireFor([...crew.deadPids])
    try {
      await view.ageJobs()
      await view.withPool((pool) => startSync(pool, clock, request))
      return true
    } catch (error) {
      if (!isHubError(error, 'conflict') && !isLocked(error)) throw error
      return false
    }
  }

  async #describe(): Promise<string> {
    const { view, crew } = this.#options
    const members = crew.members.map(({ role, pid, isReady, isPaused }) => ({ role, pid, isReady, isPaused }))
    const leases = await view.ask('select holder, epoch, expires_at, now() from lease')
    const jobs = await view.ask(
      `select task_identifier, key, locked_at, run_at, attempts, max_attempts, last_error from graphile_worker.jobs`,
    )
    const batches = await view.ask(
      `select id, module, state, claimed_by, claim_expires_at, not_before, error from batch
        where state in ('waiting', 'claimed')`,
    )
    const ops = await view.ask(
      `select id, op, state, tries, not_before, claimed_by, claim_expires_at, error from outbox
        where state in ('waiting', 'sending') order by id limit 10`,
    )
    return JSON.stringify({ text: this.#text, members, leases, jobs, batches, ops }, null, 1)
  }
}

function isHub({ role }: Member): boolean {
  return role === 'server'
}
