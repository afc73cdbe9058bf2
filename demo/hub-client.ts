/** The hub's API as a program of its own would use it: HTTP with the token from the data folder. */
export class HubClient {
  readonly #url: string
  readonly #token: string

  constructor(url: string, token: string) {
    this.#url = url
    this.#token = token
  }

  async get<T>(path: string): Promise<T> {
    return this.#call<T>('GET', path)
  }

  async post<T>(path: string, body?: object): Promise<T> {
    return this.#call<T>('POST', path, body)
  }

  /** All pages of a list. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = []
    let after: string | null = null
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const query: string = `${path}${path.includes('?') ? '&' : '?'}limit=200${after === null ? '' : `&after=${after}`}`
      const answer: { data: T[]; next: string | null } = await this.get(query)
      items.push(...answer.data)
      if (answer.next === null) return items
      after = answer.next
    }
    throw new Error(`${path} has more than ${PAGES_MAX} pages.`)
  }

  /** Resolves when the run and the tickets that follow from it are through. */
  async untilEnd(runId: string): Promise<void> {
    const response = await fetch(`${this.#url}/api/v3/runs/${runId}/events`, { headers: this.#headers() })
    if (!response.ok || response.body === null)
      throw new Error(`The run cannot be watched: ${response.status}.`)
    let text = ''
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text = (text + chunk).slice(-EVENT_TAIL_CHARS)
      if (/^event: ?end$/m.test(text)) return
    }
    throw new Error('The hub stopped telling about the run before its end.')
  }

  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${this.#url}/api/v3${path}`, {
      method,
      headers: { ...this.#headers(), ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`)
    return JSON.parse(text) as T
  }

  #headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#token}` }
  }
}

const PAGES_MAX = 100
const EVENT_TAIL_CHARS = 64_000
