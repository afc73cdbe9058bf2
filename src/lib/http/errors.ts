/**
 * Why a call through the door failed. `refused_url`, `refused_address` and `redirect` are the door's own decisions;
 * `truncated` is a body that ended early, `too_large` one that broke a limit, `encoding` one that cannot be decoded.
 */
export type HttpDoorErrorCode =
  | 'refused_url'
  | 'refused_address'
  | 'dns'
  | 'connect'
  | 'timeout'
  | 'reset'
  | 'too_large'
  | 'tls'
  | 'redirect'
  | 'truncated'
  | 'encoding'
  | 'aborted'

/** The one error of `lib/http`. Its message names scheme, host and path, never a query, a header or a body. */
export class HttpDoorError extends Error {
  override readonly name = 'HttpDoorError'
  readonly code: HttpDoorErrorCode
  /**
   * False only when it is certain that no byte of the request left this machine. After `true` a request that
   * changes something may have been carried out.
   */
  readonly sent: boolean

  constructor(code: HttpDoorErrorCode, message: string, options: { sent: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.sent = options.sent
  }
}
