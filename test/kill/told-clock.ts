import type { Clock } from '../../src/lib/clock.ts'

/**
 * A clock that shows what it was told last, so that all processes agree on the time and a run can be compared with
 * another one to the second. A sleeper wakes after the real time, or as soon as the clock is told to be past its hour.
 */
export class ToldClock implements Clock {
  #nowMs: number
  readonly #sleepers = new Set<{ dueMs: number; wake: () => void }>()

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  tell(nowMs: number): void {
    this.#nowMs = nowMs
    for (const sleeper of this.#sleepers) if (sleeper.dueMs <= nowMs) sleeper.wake()
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sleeper = { dueMs: this.#nowMs + durationMs, wake: resolve }
    const timer = setTimeout(resolve, durationMs)
    const onAbort = () => reject(signal?.reason as Error)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#sleepers.add(sleeper)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#sleepers.delete(sleeper)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}
