/** The only way to ask for the time or to wait: tests and the demo pass a clock of their own, so no test sleeps. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number
  /** Resolves after `durationMs`, or rejects with the signal's reason as soon as the signal aborts. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal?.reason as Error)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, durationMs)
      signal?.addEventListener('abort', onAbort, { once: true })
    }),
}

/**
 * A clock that moves only when told to. A sleeper wakes when `advance` passes its due time; with `skipSleeps`, a
 * sleep moves the clock itself and returns at once, for code whose waits nobody else steps through.
 */
export class ManualClock implements Clock {
  #nowMs: number
  readonly #skipSleeps: boolean
  #sleepers: { dueMs: number; wake: () => void }[] = []

  constructor(startMs: number, options: { skipSleeps?: boolean } = {}) {
    this.#nowMs = startMs
    this.#skipSleeps = options.skipSleeps ?? false
  }

  nowMs(): number {
    return this.#nowMs
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#skipSleeps) {
      this.#nowMs += durationMs
      return
    }
    await new Promise<void>((resolve, reject) => {
      const sleeper = { dueMs: this.#nowMs + durationMs, wake: resolve }
      this.#sleepers.push(sleeper)
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
          reject(signal.reason as Error)
        },
        { once: true },
      )
    })
  }

  advance(durationMs: number): void {
    this.#nowMs += durationMs
    const due = this.#sleepers.filter((sleeper) => sleeper.dueMs <= this.#nowMs)
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.dueMs > this.#nowMs)
    for (const sleeper of due) sleeper.wake()
  }
}
