import { type Clock, ManualClock } from '../../src/lib/clock.ts'

const TICK_MS = 10
/** While something is being done, time passes in such steps at most; otherwise from one sleeper to the next. */
const BUSY_STEP_MS = 200

/**
 * A clock that all share, on which hours pass in seconds: at every tick it goes on to whoever wakes up next. `isBusy`
 * is asked at every tick.
 */
export class PassingClock implements Clock {
  readonly #inner: ManualClock
  readonly #dues = new Set<{ atMs: number }>()
  readonly #timer: NodeJS.Timeout

  constructor(startMs: number, isBusy: () => boolean) {
    this.#inner = new ManualClock(startMs)
    this.#timer = setInterval(() => this.#tick(isBusy()), TICK_MS)
  }

  nowMs(): number {
    return this.#inner.nowMs()
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    const due = { atMs: this.nowMs() + durationMs }
    this.#dues.add(due)
    try {
      await this.#inner.sleep(durationMs, signal)
    } finally {
      this.#dues.delete(due)
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #tick(isBusy: boolean): void {
    if (this.#dues.size === 0) return
    const waitMs = Math.min(...[...this.#dues].map(({ atMs }) => atMs)) - this.nowMs()
    this.#inner.advance(Math.max(1, isBusy ? Math.min(waitMs, BUSY_STEP_MS) : waitMs))
  }
}
