/** Clocks differ by seconds; an instant that lies further ahead was written while a clock was wrong. */
export const FUTURE_MS_MAX = 5 * 60_000

/** Whether an instant of the past, as it should be, cannot be believed. */
export function isFuture(instant: Date, nowMs: number): boolean {
  return instant.getTime() - nowMs > FUTURE_MS_MAX
}
