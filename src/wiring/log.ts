import { type DestinationStream, pino } from 'pino'
import { type Redactor, createRedactor } from '../lib/redact.ts'

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug'
export type HubLog = ReturnType<typeof pino>

/** The secrets that this process has in hand; none of them reaches a log line. */
export class KnownSecrets {
  readonly #secrets = new Set<string>()
  #redactor: Redactor = createRedactor([])

  add(secret: string): void {
    if (this.#secrets.has(secret)) return
    this.#secrets.add(secret)
    this.#redactor = createRedactor([...this.#secrets])
  }

  get redactor(): Redactor {
    return this.#redactor
  }
}

/** JSON lines. Every line goes through the redactor as a whole, whatever its parts came from. */
export function createLog(options: {
  level: LogLevel
  destination: DestinationStream
  secrets: KnownSecrets
}): HubLog {
  const { level, destination, secrets } = options
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (details) => secrets.redactor.value(details) as Record<string, unknown>,
      },
      hooks: { streamWrite: (line) => secrets.redactor.text(line) },
    },
    destination,
  )
}
