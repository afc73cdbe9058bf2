import { XmlError } from '../../lib/xml/error.ts'
import { NameTable } from '../../lib/xml/names.ts'
import { CLOSE, DONE, NEED_BYTES, OPEN, XmlScanner, type XmlToken } from '../../lib/xml/scanner.ts'
import { XmlValues } from '../../lib/xml/values.ts'
import { HubError } from '../../model/errors.ts'
import type { ClosedAnswer } from '../../model/source.ts'

/** Reads the records of one FO body. It is told every tag inside RESPONSE, except DATETIME and WARNING. */
export interface FoRecordReader<Message> {
  onTag(token: XmlToken, scanner: XmlScanner, values: XmlValues): void
  /** What has been read since the last call; asked after each chunk. */
  take(): Iterable<Message>
}

export interface FoBody {
  body: AsyncIterable<Buffer>
  expectRoot: string
  /** Element names that the reader knows by number: the first is 0. */
  names: readonly string[]
  signal: AbortSignal
}

export interface FoBodyEnd extends ClosedAnswer {
  /** The URL of WARNING 1980, which says where the answer was cut; null when it is complete. */
  nextUrl: string | null
}

/** Where the records start: below the root (1) and RESPONSE (2). */
export const RECORDS_DEPTH = 3

/** Elements that say that the server broke off, wherever they stand. */
const FAILURES = new Set(['SIMPLE_RETURN', 'GENERIC_RETURN', 'RETURN', 'ERROR'])
const FAILURE_CHARS_MAX = 300

/**
 * Reads one FO body to the end of the document: yields what the reader made of each chunk, and returns what the answer
 * says about itself. A body that breaks off, that is not well-formed or that holds an error throws.
 */
export async function* readFoBody<Message>(
  source: FoBody,
  reader: FoRecordReader<Message>,
): AsyncGenerator<Message, FoBodyEnd> {
  const names = new NameTable(source.names)
  if (names.size !== source.names.length) throw new Error('A reader names an element twice.')
  const scanner = new XmlScanner(names)
  const envelope = new Envelope(source.expectRoot, scanner)
  const values = new XmlValues(scanner)
  for await (const chunk of source.body) {
    source.signal.throwIfAborted()
    scanner.write(chunk)
    readTags(scanner, values, envelope, reader)
    yield* reader.take()
  }
  scanner.end()
  readTags(scanner, values, envelope, reader)
  yield* reader.take()
  return envelope.finish()
}

/** Hands out tags until the bytes or the document end. */
function readTags(
  scanner: XmlScanner,
  values: XmlValues,
  envelope: Envelope,
  reader: FoRecordReader<unknown>,
): void {
  try {
    for (;;) {
      const token = scanner.next()
      if (token === NEED_BYTES || token === DONE) return
      if (!envelope.passTag(token)) reader.onTag(token, scanner, values)
    }
  } catch (error) {
    if (!(error instanceof XmlError)) throw error
    if (error.code === 'truncated' || error.code === 'no_root') {
      throw new HubError('transient', `The answer of Qualys broke off: ${error.message}`, {
        code: 'truncated',
        cause: error,
        hint: 'It is asked for again; if it keeps breaking off, look for a proxy that cuts long answers.',
      })
    }
    throw new HubError('contract', `The answer of Qualys cannot be read: ${error.message}`, {
      code: `xml_${error.code}`,
      cause: error,
      hint: 'Look for a proxy that changes answers; else report it with the byte position.',
    })
  }
}

/** The part that all FO answers share: root, RESPONSE, DATETIME, WARNING, and errors in the middle of the stream. */
class Envelope {
  readonly #expectRoot: string
  readonly #scanner: XmlScanner
  /** Per name id: 1 for a failure element, 2 for DATETIME, 3 for WARNING; 0 for all others. */
  readonly #roles: Uint8Array
  #serverTimeMs: number | null = null
  #inWarning = false
  #warning: Record<string, string> = {}
  #failure: { depth: number; texts: string[] } | null = null

  constructor(expectRoot: string, scanner: XmlScanner) {
    this.#expectRoot = expectRoot
    this.#scanner = scanner
    for (const name of [...FAILURES, 'DATETIME', 'WARNING']) scanner.names.intern(name)
    this.#roles = new Uint8Array(scanner.names.size)
    for (const name of FAILURES) this.#roles[scanner.names.intern(name)] = 1
    this.#roles[scanner.names.intern('DATETIME')] = 2
    this.#roles[scanner.names.intern('WARNING')] = 3
  }

  /** True when the tag was the envelope's own and the reader must not see it. */
  passTag(token: XmlToken): boolean {
    const { name, depth } = this.#scanner
    const role = name < this.#roles.length ? this.#roles[name]! : 0
    if (this.#failure !== null || role === 1) return this.#passFailure(token)
    if (this.#inWarning) return this.#passWarning(token)
    if (depth < RECORDS_DEPTH) return this.#passFrame(token)
    if (depth !== RECORDS_DEPTH || role === 0) return false
    if (role === 3) {
      this.#inWarning = token === OPEN
    } else if (token === CLOSE) {
      this.#serverTimeMs = new XmlValues(this.#scanner).instant()
    }
    return true
  }

  #passFrame(token: XmlToken): boolean {
    const { depth, names, name } = this.#scanner
    if (token === OPEN && depth === 1 && names.nameOf(name) !== this.#expectRoot) {
      throw new HubError(
        'contract',
        `Qualys answered with ${names.nameOf(name)} where ${this.#expectRoot} was expected.`,
        { code: 'unexpected_root', hint: 'Check that the base URL is that of the Qualys API server.' },
      )
    }
    return true
  }

  #passWarning(token: XmlToken): boolean {
    const { depth, names, name } = this.#scanner
    if (token === CLOSE && depth === RECORDS_DEPTH) this.#inWarning = false
    else if (token === CLOSE) this.#warning[names.nameOf(name)] = this.#scanner.text()
    return true
  }

  /** Collects what the failure says, then throws at its end. */
  #passFailure(token: XmlToken): boolean {
    const { depth } = this.#scanner
    if (this.#failure === null && depth === 1) return this.#passFrame(token)
    this.#failure ??= { depth, texts: [] }
    const text = this.#scanner.text().trim()
    if (token === CLOSE && text !== '') this.#failure.texts.push(text.slice(0, FAILURE_CHARS_MAX))
    if (token === OPEN || depth > this.#failure.depth) return true
    const said = this.#failure.texts.join(' ').slice(0, FAILURE_CHARS_MAX)
    throw new HubError('transient', `Qualys broke off its answer with an error: ${said || 'no text'}`, {
      code: 'error_in_answer',
      hint: 'It is asked for again; if it stays, open a case with Qualys support.',
    })
  }

  finish(): FoBodyEnd {
    const nextUrl = this.#warning['URL']?.trim() ?? ''
    if (nextUrl === '' && this.#warning['CODE']?.trim() === '1980') {
      throw new HubError('contract', 'Qualys cut its answer (WARNING 1980) and did not say where to go on.', {
        code: 'warning_without_url',
      })
    }
    return {
      serverTimeMs: this.#serverTimeMs,
      bytes: this.#scanner.bytesRead,
      repairedChars: this.#scanner.repairedChars,
      nextUrl: nextUrl === '' ? null : nextUrl,
    }
  }
}
