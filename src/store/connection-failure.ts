import pg from 'pg'
import { HubError } from '../model/errors.ts'

/** "host:port/database", which is all of a connection that may be shown. */
export function describeTarget(config: pg.ClientConfig): string {
  const { host, port, database } = parse(config)
  return `${host.startsWith('/') ? host : `${host}:${port}`}/${database ?? ''}`
}

/** `pg` takes the URL apart, and reads the certificates that it names. */
function parse(config: pg.ClientConfig): pg.Client {
  try {
    return new pg.Client(config)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // Only what the file system says is passed on; what a URL parser says may quote the URL.
    const detail = code === 'ENOENT' || code === 'EACCES' ? `: ${message}` : ''
    throw new HubError('config', `DATABASE_URL cannot be used${detail}.`, {
      hint: 'Correct it: postgresql://user:password@host:5432/database, and the paths of certificates if it names any.',
    })
  }
}

interface Known {
  kind: 'config' | 'transient'
  says: (target: string) => string
  hint: string
}

const DOWN: Known = {
  kind: 'transient',
  says: (target) => `The database at ${target} cannot be reached`,
  hint: 'See that the server runs, that it listens on that address and port, and that no firewall is in between.',
}

const REFUSED: Known = {
  kind: 'config',
  says: (target) => `The database at ${target} refuses this user or password`,
  hint: "Correct user and password in DATABASE_URL, or the server's pg_hba.conf.",
}

const TLS: Known = {
  kind: 'config',
  says: (target) => `No trusted encrypted connection to the database at ${target} could be made`,
  hint: 'Correct sslmode in DATABASE_URL, or name the certificate authority with sslrootcert.',
}

const BUSY: Known = {
  kind: 'transient',
  says: (target) => `The database at ${target} takes no connections at the moment`,
  hint: 'It is starting, stopping or has no connection free; try again, or raise its max_connections.',
}

/** By PostgreSQL's own code (SQLSTATE) or by Node's. */
const BY_CODE: Record<string, Known> = {
  ECONNREFUSED: DOWN,
  ECONNRESET: DOWN,
  ETIMEDOUT: DOWN,
  EHOSTUNREACH: DOWN,
  ENETUNREACH: DOWN,
  EAI_AGAIN: DOWN,
  ENOENT: DOWN,
  EPIPE: DOWN,
  EACCES: {
    kind: 'config',
    says: (target) => `The socket of the database at ${target} may not be opened by this user`,
    hint: 'Run Patchbay as a user who may, or connect over TCP.',
  },
  ENOTFOUND: {
    kind: 'config',
    says: (target) => `The host name of the database at ${target} is unknown`,
    hint: 'Correct the host in DATABASE_URL.',
  },
  '28P01': REFUSED,
  '28000': REFUSED,
  '3D000': {
    kind: 'config',
    says: (target) => `The database at ${target} does not exist on that server`,
    hint: 'Create it (CREATE DATABASE), or correct its name in DATABASE_URL.',
  },
  '42501': {
    kind: 'config',
    says: (target) => `This user has no permission to connect to the database at ${target}`,
    hint: 'GRANT CONNECT ON DATABASE … TO … on that server.',
  },
  '53300': BUSY,
  '57P03': BUSY,
  '57P01': BUSY,
  '57P02': BUSY,
}

/** How `pg`, without a code, says that there is no connection or no more. */
const LOST_WORDS =
  /^Connection (?:terminated|ended)|^timeout (?:expired|exceeded when trying to connect)|not queryable/i

/** For what `pg` says without a code while it connects. */
const BY_MESSAGE: { pattern: RegExp; known: Known }[] = [
  { pattern: LOST_WORDS, known: DOWN },
  { pattern: /timeout/i, known: DOWN },
  { pattern: /does not support SSL|certificate|self[- ]signed|wrong version number|SSL|TLS/i, known: TLS },
  { pattern: /password must be a string|SASL|password/i, known: REFUSED },
]

/**
 * Whether our own database is gone for now, be it that a connection broke or that none is to be had, and has not
 * answered with an error of its own.
 */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof HubError) return false
  const { code, message, syscall } = firstOf(error)
  // Without a server there is no socket; other files that are missing tell nothing about it.
  if (code === 'ENOENT') return syscall === 'connect'
  const known = BY_CODE[code]
  if (known !== undefined) return known === DOWN || known === BUSY
  return code === '' ? LOST_WORDS.test(message) : CONNECTION_EXCEPTION.test(code)
}

/** A class of SQLSTATE. */
const CONNECTION_EXCEPTION = /^08[0-9A-Z]{3}$/

/** Says the loss of a connection as `connectionFailure` does; every other error is returned as it came. */
export function sayConnectionLost(error: unknown, config: pg.ClientConfig): unknown {
  return isConnectionLost(error) ? connectionFailure(error, describeTarget(config)) : error
}

/** Turns what `pg` threw while connecting into a sentence. PostgreSQL's messages name the user, never the password. */
export function connectionFailure(error: unknown, target: string): HubError {
  const { code, message } = firstOf(error)
  const byWords = BY_MESSAGE.find(({ pattern }) => pattern.test(code) || pattern.test(message))
  const known = BY_CODE[code] ?? byWords?.known ?? DOWN
  const detail = message === '' ? '' : `: ${message.replace(/\.$/, '')}`
  return new HubError(known.kind, `${known.says(target)}${detail}.`, {
    hint: known.hint,
    cause: error,
    ...(code !== '' && { code }),
  })
}

/** A name with several addresses gives an AggregateError with one error for each and no message of its own. */
function firstOf(error: unknown): { code: string; message: string; syscall: string } {
  const single = error instanceof AggregateError ? ((error.errors as unknown[])[0] ?? error) : error
  const { code = '', message = '', syscall = '' } = single as Partial<NodeJS.ErrnoException>
  return { code: String(code), message, syscall }
}
