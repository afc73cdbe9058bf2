import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Order, Report } from './hub-process.ts'

const PROGRAM = new URL('./hub-process.ts', import.meta.url)

export type Role = 'server' | 'worker'

/** One process of ours: a hub or a further worker. */
export interface Member {
  role: Role
  pid: number
  isReady: boolean
  isPaused: boolean
  /** Resolves with its API, or with what it says of why it does not start; null when it ends without a word. */
  report: Promise<Report | null>
  ended: Promise<void>
}

interface CrewOptions {
  folder: string
  /** The database that a process is told; undefined where each hub has its own. */
  databaseUrlOf: (pid: number) => string | undefined
  nowMs: () => number
}

/** The processes on one data folder: started, killed, paused, and never more than one hub of them. */
export class Crew {
  readonly home: string
  readonly #options: CrewOptions
  readonly #children = new Map<number, ChildProcess>()
  #members: Member[] = []
  #spare: ChildProcess | undefined
  /** Processes that were up, and ended although nobody killed them, with how they ended. */
  readonly lost: string[] = []
  /** Starts that failed, with why. */
  readonly failedStarts: string[] = []
  readonly #killedPids = new Set<number>()
  /** Of processes that are gone: whatever they hold, time will take from them. */
  readonly deadPids = new Set<number>()

  constructor(options: CrewOptions) {
    this.#options = options
    this.home = join(options.folder, 'home')
  }

  get members(): readonly Member[] {
    return this.#members
  }

  start(role: Role): Member {
    const child = this.#spare ?? this.#spawn()
    this.#spare = this.#spawn()
    const pid = child.pid ?? 0
    this.deadPids.delete(pid)
    const ended = new Promise<void>((resolve) =>
      child.once('exit', (code, signal) => {
        if (!this.#killedPids.delete(pid) && member.isReady)
          this.lost.push(`${role} ${pid} ended with ${signal ?? code}`)
        resolve()
      }),
    )
    const told = new Promise<Report>((resolve) => child.once('message', (report: Report) => resolve(report)))
    const member: Member = {
      role,
      pid,
      isReady: false,
      isPaused: false,
      report: Promise.race([told, ended.then(() => null)]),
      ended,
    }
    void ended.then(() => this.#bury(member))
    void member.report.then((report) => {
      member.isReady = report?.isReady === true
      if (report?.isReady === false) this.failedStarts.push(report.failure)
    })
    this.#members.push(member)
    const { databaseUrlOf, nowMs } = this.#options
    const order = { role, home: this.home, databaseUrl: databaseUrlOf(pid), nowMs: nowMs() }
    this.#send(child, { start: order })
    return member
  }

  ensureHub(): void {
    if (!this.#members.some((member) => member.role === 'server')) this.start('server')
  }

  /** At once; nothing of it runs any more when this returns, though its end is told later. */
  kill(member: Member): void {
    this.#killedPids.add(member.pid)
    this.#children.get(member.pid)?.kill('SIGKILL')
  }

  pause(member: Member): void {
    member.isPaused = true
    this.#children.get(member.pid)?.kill('SIGSTOP')
  }

  wake(member: Member): void {
    member.isPaused = false
    this.#children.get(member.pid)?.kill('SIGCONT')
  }

  tellTime(): void {
    for (const { pid } of this.#members) {
      const child = this.#children.get(pid)
      if (child !== undefined) this.#send(child, { nowMs: this.#options.nowMs() })
    }
  }

  async close(): Promise<void> {
    const all = [...this.#children.values()]
    const ended = all.map((child) => new Promise<void>((resolve) => child.once('exit', () => resolve())))
    for (const child of all) {
      this.#killedPids.add(child.pid ?? 0)
      child.kill('SIGKILL')
    }
    await Promise.all(ended)
  }

  #bury(member: Member): void {
    this.#members = this.#members.filter((other) => other !== member)
    this.deadPids.add(member.pid)
  }

  #spawn(): ChildProcess {
    const { folder } = this.#options
    const log = openSync(join(folder, 'hubs.log'), 'a')
    const { PATH = '', HOME = '' } = process.env
    const child = fork(PROGRAM, {
      env: { PATH, HOME, NODE_COMPILE_CACHE: join(folder, '..', 'compiled') },
      execArgv: [],
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    const pid = child.pid ?? 0
    this.#children.set(pid, child)
    child.once('exit', () => this.#children.delete(pid))
    return child
  }

  /** A process that has just been killed hears nothing, which is as it should be. */
  #send(child: ChildProcess, order: Order): void {
    if (child.connected) child.send(order, () => undefined)
  }
}
