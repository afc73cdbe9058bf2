/** How often and how many at once one subscription may call one endpoint; the defaults are the Standard service level. */
export interface Limit {
  rate: number
  windowSeconds: number
  concurrency: number
}

export interface LimitOptions extends Partial<Limit> {
  endpoints?: Readonly<Record<string, Partial<Limit>>>
}

export type Entry =
  | { kind: 'open'; leave: () => void }
  | { kind: 'busy'; callsToFinish: number }
  | { kind: 'spent'; secondsToWait: number }

const STANDARD: Limit = { rate: 300, windowSeconds: 3600, concurrency: 2 }
/** The knowledge base answers one call at a time, whatever the concurrency limit says. */
const ALONE = new Set(['knowledge-base'])

/** The limits of one subscription: a window that slides over the calls let through, and the calls running now. */
export class Limits {
  readonly #options: LimitOptions
  readonly #nowMs: () => number
  readonly #calls = new Map<string, number[]>()
  readonly #running = new Map<string, number>()

  constructor(options: LimitOptions, nowMs: () => number) {
    this.#options = options
    this.#nowMs = nowMs
  }

  /** Concurrency is judged first. A call that is turned away does not count. */
  enter(endpoint: string): Entry {
    const limit = this.limitOf(endpoint)
    const running = this.#running.get(endpoint) ?? 0
    const concurrency = ALONE.has(endpoint) ? 1 : limit.concurrency
    if (running >= concurrency) return { kind: 'busy', callsToFinish: running - concurrency + 1 }
    const calls = this.#recent(endpoint, limit)
    const oldest = calls[calls.length - limit.rate]
    if (oldest !== undefined) return { kind: 'spent', secondsToWait: this.#secondsUntil(oldest, limit) }
    calls.push(this.#nowMs())
    this.#running.set(endpoint, running + 1)
    let isInside = true
    const leave = () => {
      if (!isInside) return
      isInside = false
      this.#running.set(endpoint, (this.#running.get(endpoint) ?? 1) - 1)
    }
    return { kind: 'open', leave }
  }

  /** As recorded, `Running` does not count the call that is being answered. */
  headers(endpoint: string, isInside: boolean): Record<string, string> {
    const limit = this.limitOf(endpoint)
    const calls = this.#recent(endpoint, limit)
    const oldest = calls[calls.length - limit.rate]
    const running = (this.#running.get(endpoint) ?? 0) - (isInside ? 1 : 0)
    return {
      'X-RateLimit-Limit': String(limit.rate),
      'X-RateLimit-Window-Sec': String(limit.windowSeconds),
      'X-Concurrency-Limit-Limit': String(limit.concurrency),
      'X-Concurrency-Limit-Running': String(Math.max(0, running)),
      'X-RateLimit-ToWait-Sec': String(oldest === undefined ? 0 : this.#secondsUntil(oldest, limit)),
      'X-RateLimit-Remaining': String(Math.max(0, limit.rate - calls.length)),
    }
  }

  limitOf(endpoint: string): Limit {
    return { ...STANDARD, ...this.#options, ...this.#options.endpoints?.[endpoint] }
  }

  /** Spends calls without making them, as another integration of the same subscription does. */
  spend(endpoint: string, calls: number): void {
    const recent = this.#recent(endpoint, this.limitOf(endpoint))
    for (let n = 0; n < calls; n++) recent.push(this.#nowMs())
  }

  #recent(endpoint: string, limit: Limit): number[] {
    const since = this.#nowMs() - limit.windowSeconds * 1000
    const calls = (this.#calls.get(endpoint) ?? []).filter((at) => at > since)
    this.#calls.set(endpoint, calls)
    return calls
  }

  #secondsUntil(oldestMs: number, limit: Limit): number {
    return Math.max(1, Math.ceil((oldestMs + limit.windowSeconds * 1000 - this.#nowMs()) / 1000))
  }
}

/** "23 hours, 57 minutes and 54 seconds", the form in which 1965 tells the wait in its text. */
export function waitText(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'hour'],
    [Math.floor(seconds / 60) % 60, 'minute'],
    [seconds % 60, 'second'],
  ] as const
  const said = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}${n === 1 ? '' : 's'}`)
  const last = said.pop() ?? '0 seconds'
  return said.length === 0 ? last : `${said.join(', ')} and ${last}`
}
