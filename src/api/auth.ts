import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i

/**
 * Lets only calls through that are meant for us: a web page that gets its name to resolve to 127.0.0.1 (DNS rebinding)
 * still sends its own name as Host.
 */
export function checkHost(allowedHosts: readonly string[]): MiddlewareHandler {
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase()))
  return async (context, next) => {
    const host = context.req.header('host') ?? ''
    const name = host.toLowerCase()
    if (!LOOPBACK_HOST.test(host) && !allowed.has(name) && !allowed.has(name.replace(/:\d{1,5}$/, '')))
      throw new HTTPException(403, {
        message:
          'This name is not one of the API. Use 127.0.0.1, or allow the name with PATCHBAY_ALLOWED_HOSTS.',
      })
    await next()
  }
}

export function checkToken(token: string): MiddlewareHandler {
  const expected = digest(token)
  return async (context, next) => {
    const given = /^Bearer ([\w-]{1,200})$/.exec(context.req.header('authorization') ?? '')?.[1]
    // Digests have one length, so the comparison takes the same time whatever was given.
    if (given === undefined || !timingSafeEqual(digest(given), expected))
      throw new HTTPException(401, {
        message: 'The bearer token is missing or wrong; it is in the file api-token in the data folder.',
      })
    await next()
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
