import type { RateLimitReason } from './limits.ts'

/** What goes wrong. `…_after` carries the request out first: the caller cannot know. */
export type Fault =
  | { kind: 'drop_before' }
  | { kind: 'drop_after' }
  /** Headers and half of the body, then the connection is gone. */
  | { kind: 'cut_answer' }
  | { kind: 'status_before'; status: number; retryAfterSec?: number }
  | { kind: 'status_after'; status: number; retryAfterSec?: number }
  /** The edge in front of Jira refuses with a page of its own. */
  | { kind: 'html'; status: number }
  /** Answers late, by the injected clock. */
  | { kind: 'slow'; delayMs: number }
  /** Never answers; `after` carries the request out. */
  | { kind: 'hang'; after?: boolean }
  | { kind: 'rate_limit'; reason: RateLimitReason; retryAfterSec: number }
  /** The list of transitions is empty, or the transition is refused. */
  | { kind: 'deny_transition' }
  | { kind: 'redirect'; location: string }
  /** The credentials are not accepted, and the request is served as that of nobody, who may see nothing. */
  | { kind: 'anonymous' }

export interface FaultRule {
  /** The operations it hits; default all. */
  on?: string | readonly string[]
  /** How often; default once. */
  times?: number
  /** How many matching requests pass first. */
  skip?: number
  /** Only requests whose raw body this accepts. */
  when?: (body: string) => boolean
  fault: Fault
}

/** The switchboard: rules are used up in the order they were added. */
export class Faults {
  #rules: (FaultRule & { left: number; toSkip: number })[] = []

  add(rule: FaultRule): void {
    this.#rules.push({ ...rule, left: rule.times ?? 1, toSkip: rule.skip ?? 0 })
  }

  clear(): void {
    this.#rules = []
  }

  /** Rules that have not hit as often as they were meant to. */
  get unused(): number {
    return this.#rules.filter((rule) => rule.left > 0 && rule.left !== Infinity).length
  }

  take(operation: string, body: string): Fault | undefined {
    for (const rule of this.#rules) {
      const on = rule.on ?? operation
      const hit =
        (typeof on === 'string' ? on === operation : on.includes(operation)) && (rule.when?.(body) ?? true)
      if (!hit || rule.left <= 0) continue
      if (rule.toSkip > 0) {
        rule.toSkip -= 1
        continue
      }
      rule.left -= 1
      return rule.fault
    }
    return undefined
  }
}
