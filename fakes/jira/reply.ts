export interface Reply {
  status: number
  /** Undefined: no body at all. */
  body?: unknown
  headers?: Record<string, string>
}

/** An answer that is not a success, in Jira's own shape. */
export class ApiError extends Error {
  readonly reply: Reply

  constructor(reply: Reply) {
    super(`answer ${reply.status}`)
    this.reply = reply
  }
}

export function badRequest(said: { messages?: string[]; fields?: Record<string, string> }): ApiError {
  return new ApiError({
    status: 400,
    body: { errorMessages: said.messages ?? [], errors: said.fields ?? {} },
  })
}

export function refused(status: number, message: string): ApiError {
  return new ApiError({ status, body: { errorMessages: [message], errors: {} } })
}

export const notFound = (message: string): ApiError => refused(404, message)
export const forbidden = (message: string): ApiError => refused(403, message)
