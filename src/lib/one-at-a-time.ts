/** Lets one piece of work run at a time, in the order in which they came. */
export class OneAtATime {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    // Whoever is next waits for the end, not for success.
    this.#last = done.catch(() => {})
    return done
  }
}
