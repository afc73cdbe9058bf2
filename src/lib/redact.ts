const MARK = '[redacted]'
/** Shorter words are too common to be hunted through every text; no system accepts them as passwords. */
const SECRET_CHARS_MIN = 4
const NEEDLE_CHARS_MIN = 4
const PASSES_MAX = 8
const DEPTH_MAX = 12
const ENTRIES_MAX = 1_000

/** Names whose values are never shown, whatever they hold. */
const SENSITIVE_NAME =
  /^(authorization|proxy-authorization|cookie|set-cookie|x-api-key|api-?_?key|passw(or)?d|secret|client-?_?secret|token|access-?_?token|refresh-?_?token|activation-?_?id|api-?_?token|(database|proxy)-?_?url|connection-?_?string)$/i
const CREDENTIALS = /\b(Basic|Bearer)\s+[A-Za-z0-9+/_.~-]{20,}=*/gi
const URL_USER_INFO = /\/\/[^/\s@]+@/g

/** Takes known secrets out of whatever is about to be logged, shown or stored as an error. */
export interface Redactor {
  text: (text: string) => string
  /** A copy made of plain objects, arrays and scalars, safe for JSON; errors keep name, message, stack and cause. */
  value: (value: unknown) => unknown
}

/**
 * A redactor for these secrets in the forms they travel in: as they are, inside JSON, URL, form, XML, hexadecimal and
 * base64 (also as a part of a longer base64, as in Basic authorization). Secrets under 4 characters are left alone.
 */
export function createRedactor(secrets: readonly string[]): Redactor {
  const needles = [...new Set(secrets.filter((secret) => secret.length >= SECRET_CHARS_MIN).flatMap(formsOf))]
    .filter((needle) => needle.length >= NEEDLE_CHARS_MIN)
    .toSorted((a, b) => b.length - a.length)
  const pattern = needles.length === 0 ? null : new RegExp(needles.map(escapeRegExp).join('|'), 'gu')
  // A secret that is a part of the mark would come back with every mark.
  const mark = pattern !== null && MARK.search(pattern) !== -1 ? '' : MARK

  const text = (input: string): string => {
    let output = input.replaceAll(CREDENTIALS, `$1 ${mark}`).replaceAll(URL_USER_INFO, `//${mark}@`)
    if (pattern === null) return output
    // Cutting one secret out can bring the halves of another together.
    for (let pass = 0; pass < PASSES_MAX; pass += 1) {
      if (output.search(pattern) === -1) return output
      output = output.replaceAll(pattern, mark)
    }
    return mark
  }
  return { text, value: (value) => copy(value, { text, mark, seen: new Set() }) }
}

const CAUSES_MAX = 8
/** Where errors keep what somebody else wrote. */
const ERROR_TEXTS = ['message', 'stack', 'hint', 'code'] as const

/**
 * Takes the secrets out of an error and its causes in place, so that it stays the error that it is, and returns it.
 * What is not an error is returned as it came.
 */
export function redactError<Thrown>(thrown: Thrown, redactor: Redactor): Thrown {
  let error: unknown = thrown
  for (let depth = 0; depth < CAUSES_MAX && error instanceof Error; depth += 1) {
    for (const name of ERROR_TEXTS) {
      const text: unknown = Reflect.get(error, name)
      const shown = typeof text === 'string' ? redactor.text(text) : text
      if (shown !== text) Reflect.set(error, name, shown)
    }
    error = error.cause
  }
  return thrown
}

interface Walk {
  text: (input: string) => string
  mark: string
  seen: Set<object>
}

function copy(value: unknown, walk: Walk): unknown {
  switch (typeof value) {
    case 'string':
      return walk.text(value)
    case 'number':
    case 'bigint': {
      const shown = walk.text(String(value))
      if (shown !== String(value)) return shown
      return typeof value === 'bigint' ? shown : value
    }
    case 'object':
      return value === null ? null : copyObject(value, walk)
    case 'boolean':
      return value
    case 'undefined':
    case 'function':
    case 'symbol':
      return undefined
  }
}

function copyObject(value: object, walk: Walk): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof URL) return walk.text(value.href)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (walk.seen.has(value)) return '[circular]'
  if (walk.seen.size >= DEPTH_MAX) return '[too deep]'
  walk.seen.add(value)
  try {
    if (Array.isArray(value) || value instanceof Set) {
      return [...(value as Iterable<unknown>)].slice(0, ENTRIES_MAX).map((item) => copy(item, walk))
    }
    return copyEntries(entriesOf(value), walk)
  } finally {
    walk.seen.delete(value)
  }
}

function copyEntries(entries: readonly [string, unknown][], walk: Walk): unknown {
  const copied = entries.slice(0, ENTRIES_MAX).map(([name, item]): [string, unknown] => {
    const isHidden = SENSITIVE_NAME.test(name) && item !== undefined && item !== null
    return [walk.text(name), isHidden ? walk.mark : copy(item, walk)]
  })
  return Object.fromEntries(copied)
}

function entriesOf(value: object): [string, unknown][] {
  if (value instanceof Map)
    return [...(value as Map<unknown, unknown>)].map(([key, item]) => [String(key), item])
  const own = Object.entries(value)
  if (!(value instanceof Error)) return own
  const { name, message, stack, cause } = value
  const errors: [string, unknown][] =
    value instanceof AggregateError ? [['errors', value.errors as unknown]] : []
  const core: [string, unknown][] = [
    ['name', name],
    ['message', message],
    ['stack', stack],
    ['cause', cause],
  ]
  return [...core, ...errors, ...own.filter(([key]) => key !== 'cause' && key !== 'name')]
}

function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret, 'utf8')
  const uri = encodeSafely(secret)
  const plain = [
    secret,
    JSON.stringify(secret).slice(1, -1),
    uri,
    uri.replaceAll('%20', '+'),
    uri.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    new URLSearchParams({ a: secret }).toString().slice(2),
    escapeXml(secret),
    escapeXml(secret).replaceAll('"', '&quot;').replaceAll("'", '&apos;'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
  ]
  const packed = [0, 1, 2].map((offset) => base64Within(bytes, offset))
  return [...plain, ...packed, ...packed.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))]
}

/** The characters that these bytes give in any base64 text in which they start at `offset` modulo 3. */
function base64Within(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  const start = Math.ceil((offset * 8) / 6)
  const end = Math.floor(((offset + bytes.length) * 8) / 6)
  return text.slice(start, end)
}

function encodeSafely(secret: string): string {
  return encodeURIComponent(secret.toWellFormed())
}

function escapeXml(secret: string): string {
  return secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)
}
