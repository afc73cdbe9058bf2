import type { z } from 'zod'

/** The kinds of record that modules produce. */
export type RecordKind = 'host_id' | 'host' | 'detection' | 'vulnerability' | 'tag'

/**
 * What a module yields. Records count only once the `answer` that closes their body has been yielded: when the iteration
 * throws, everything since the last `answer` has to be forgotten.
 */
export type SourceMessage<Item> =
  | { type: 'records'; records: readonly Item[] }
  /** Something that came but could not be understood; it is owed and becomes a gap. */
  | { type: 'quarantine'; what: QuarantinedRecord }
  | { type: 'answer'; answer: ClosedAnswer }

export interface QuarantinedRecord {
  /** The host or QID it belongs to, as far as that could be read. */
  hostId: string | null
  qid: string | null
  reason: string
  /** What came, cut to `QUARANTINE_RAW_CHARS_MAX`. */
  raw: string
  /** A better record with the same identity came in the same answer and was passed on: this one is told, not owed. */
  isCollision?: true
}

export const QUARANTINE_RAW_CHARS_MAX = 8_192

/** A body that ended with its closing root element. */
export interface ClosedAnswer {
  /** The server's own DATETIME; null where the answer has none. */
  serverTimeMs: number | null
  /** Bytes of XML after decompression. */
  bytes: number
  /** Characters that XML forbids and that were replaced by U+FFFD. */
  repairedChars: number
  /** Everything up to this id has been told: a later read may go on `afterId`. */
  upToId?: string
}

/** What to read: all, some ids, or what changed. A module refuses what it does not offer with a `config` error. */
export interface ReadRequest {
  /** Ascending ids; sent as ranges where they are contiguous. Never empty. */
  ids?: readonly string[]
  changedSinceMs?: number
  /** Of everything only what comes after this id. */
  afterId?: string
  /** Module-specific switches, e.g. `showIgs`, `showResults`. */
  options?: Readonly<Record<string, boolean>>
  /** What was read before, by host id: what is the same need not be read again. */
  fingerprints?: ReadonlyMap<string, Buffer>
}

export interface ReadContext<Config, Client> {
  integrationId: string
  config: Config
  client: Client
  signal: AbortSignal
  request: ReadRequest
}

export interface CheckContext<Config, Client> {
  config: Config
  client: Client
  signal: AbortSignal
}

/** The answer of a module's probe; a failed one is thrown as a `HubError` whose hint says what to ask for. */
export interface CheckResult {
  /** One sentence of what was seen, e.g. "1,234 hosts are visible". */
  message: string
}

/**
 * A source module: the face of one remote API. It knows nothing of retries, limits, tables or other modules; its
 * metadata generates docs/modules.
 */
export interface SourceModule<Item, Config, Client> {
  /** Dotted and stable, e.g. `qualys.detections`. */
  id: string
  title: string
  description: string
  produces: readonly RecordKind[]
  dependsOn: readonly string[]
  /** `partial`: what an answer does not hold must not be read as gone. */
  coverage: 'full' | 'partial'
  endpoints: readonly { name: string; path: string; version: string }[]
  /** What the API user needs, in the words of the Qualys administration. */
  permissions: readonly string[]
  config: z.ZodType<Config>
  check(context: CheckContext<Config, Client>): Promise<CheckResult>
  read(context: ReadContext<Config, Client>): AsyncIterable<SourceMessage<Item>>
}
