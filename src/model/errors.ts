/**
 * What kind of failure this is decides what the engine does: `config`, `auth` and `permission` stop the run and need a
 * person; `rate_limit` and `concurrency` wait; `transient` is tried again; `contract` means that the far side sent
 * something that cannot be understood; `not_found` and `conflict` are answers about one object.
 */
export type HubErrorKind =
  | 'config'
  | 'auth'
  | 'permission'
  | 'rate_limit'
  | 'concurrency'
  | 'transient'
  | 'contract'
  | 'not_found'
  | 'conflict'

export interface HubErrorOptions {
  cause?: unknown
  /** Not before this much time has passed may the same thing be tried again. */
  retryAfterMs?: number
  /** The far side's own code, e.g. Qualys `1965`, or a short stable word such as `timeout`. */
  code?: string
  /** What a person can do about it, a sentence. */
  hint?: string
}

/** The one error class for failures of the outside world. Anything else that is thrown is a bug in Patchbay. */
export class HubError extends Error {
  override readonly name = 'HubError'
  readonly kind: HubErrorKind
  readonly retryAfterMs: number | undefined
  readonly code: string | undefined
  readonly hint: string | undefined

  constructor(kind: HubErrorKind, message: string, options: HubErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.kind = kind
    this.retryAfterMs = options.retryAfterMs
    this.code = options.code
    this.hint = options.hint
  }
}

export function isHubError<Kind extends HubErrorKind = HubErrorKind>(
  error: unknown,
  kind?: Kind,
): error is HubError & { readonly kind: Kind } {
  return error instanceof HubError && (kind === undefined || error.kind === kind)
}
