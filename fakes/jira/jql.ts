import { badRequest } from './reply.ts'
import type { FakeIssue } from './types.ts'

const JQL_CHARS_MAX = 10_000
const LABELS_MAX = 100

export interface ParsedJql {
  projectKey: string
  /** One of them is enough; undefined: any. */
  labels: readonly string[] | undefined
  orderBy: 'created' | 'key'
  descending: boolean
}

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_][\w-]*)|([=(),]))/uy

/**
 * The small part of JQL that Patchbay uses: `project = X [AND labels in ("…") | AND labels = "…"] [ORDER BY created|key
 * [ASC|DESC]]`. All else is refused, as the real one refuses what it cannot parse.
 */
export function parseJql(jql: string): ParsedJql {
  if (jql.length > JQL_CHARS_MAX) throw bad('it is too long')
  const reader = new TokenReader(tokenize(jql))
  let projectKey: string | undefined
  let labels: string[] | undefined
  do {
    const field = reader.word()
    if (field === 'project' && projectKey === undefined) {
      reader.symbol('=')
      projectKey = reader.value()
    } else if (field === 'labels' && labels === undefined) labels = readLabels(reader)
    else throw bad(`field '${field}' is not expected here`)
  } while (reader.skip('and'))
  if (projectKey === undefined) throw bad('unbounded queries are not allowed here')
  return { projectKey, labels, ...readOrder(reader) }
}

function readLabels(reader: TokenReader): string[] {
  if (reader.skip('=')) return [reader.value()]
  if (!reader.skip('in')) throw bad("expecting '=' or 'in' after labels")
  reader.symbol('(')
  const labels = [reader.value()]
  while (reader.skip(',') && labels.length < LABELS_MAX) labels.push(reader.value())
  reader.symbol(')')
  return labels
}

function readOrder(reader: TokenReader): Pick<ParsedJql, 'orderBy' | 'descending'> {
  if (reader.done()) return { orderBy: 'created', descending: true }
  if (!reader.skip('order') || !reader.skip('by')) throw bad("expecting 'AND' or 'ORDER BY'")
  const orderBy = reader.word()
  if (orderBy !== 'created' && orderBy !== 'key') throw bad(`cannot order by '${orderBy}'`)
  const descending = reader.skip('desc')
  if (!descending) reader.skip('asc')
  if (!reader.done()) throw bad('something follows the order')
  return { orderBy, descending }
}

export function matches(issue: FakeIssue, query: ParsedJql): boolean {
  if (issue.projectKey !== query.projectKey.toUpperCase()) return false
  if (query.labels === undefined) return true
  // Search does not tell upper from lower case.
  const wanted = new Set(query.labels.map((label) => label.toLowerCase()))
  return issue.labels.some((label) => wanted.has(label.toLowerCase()))
}

interface Token {
  kind: 'string' | 'word' | 'symbol'
  value: string
}

function tokenize(jql: string): Token[] {
  const tokens: Token[] = []
  const trimmed = jql.trimEnd()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < trimmed.length) {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(trimmed)
    if (match === null) throw bad(`it cannot be read from character ${at + 1} on`)
    const [, quoted, word, symbol] = match
    if (quoted !== undefined)
      tokens.push({ kind: 'string', value: quoted.slice(1, -1).replaceAll(/\\(.)/gu, '$1') })
    else if (word !== undefined) tokens.push({ kind: 'word', value: word })
    else tokens.push({ kind: 'symbol', value: symbol ?? '' })
  }
  return tokens
}

class TokenReader {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  done(): boolean {
    return this.#at >= this.#tokens.length
  }

  word(): string {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'word') throw bad('expecting a field')
    this.#at += 1
    return token.value.toLowerCase()
  }

  value(): string {
    const token = this.#tokens[this.#at]
    if (token === undefined || token.kind === 'symbol') throw bad('expecting a value')
    this.#at += 1
    return token.value
  }

  symbol(symbol: string): void {
    if (!this.skip(symbol)) throw bad(`expecting '${symbol}'`)
  }

  skip(value: string): boolean {
    const token = this.#tokens[this.#at]
    if (token === undefined || token.kind === 'string' || token.value.toLowerCase() !== value) return false
    this.#at += 1
    return true
  }
}

function bad(why: string): Error {
  return badRequest({ messages: [`Error in the JQL Query: ${why}.`] })
}
