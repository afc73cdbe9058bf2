import pg from 'pg'
import { HubError } from '../model/errors.ts'
import { connectionFailure, describeTarget } from './connection-failure.ts'

const APPLICATION_NAME = 'patchbay'
const POOL_CONNECTIONS_MAX = 10
const CONNECT_TIMEOUT_MS = 10_000
const CONNECTION_IDLE_MS_MAX = 60_000
/** No statement of ours takes this long; one that does has lost its client or its plan. */
const STATEMENT_TIMEOUT_MS = 10 * 60_000
/** A transaction that nobody works on holds locks and old row versions. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5 * 60_000
const SERVER_MAJOR_MIN = 15

export interface PoolOptions {
  connectionsMax?: number
  statementTimeoutMs?: number
  applicationName?: string
  /** Told about connections that break while nobody uses them; the pool replaces them by itself. */
  log?: { warn(message: string): void }
}

export type StoreOptions = PoolOptions &
  ({ databaseUrl: string } | { embedded: { clientConfig: pg.ClientConfig } })

/**
 * The pool on a database that has been seen to answer and to be one we can work with. End it with `pool.end()`.
 *
 * @throws HubError `config` (a person has to do something) or `transient` (not reachable now), never with the password.
 */
export async function openStore(options: StoreOptions): Promise<pg.Pool> {
  const config = 'databaseUrl' in options ? fromUrl(options.databaseUrl) : options.embedded.clientConfig
  const target = describeTarget(config)
  const pool = createPool(config, options)
  try {
    await checkServer(pool, target)
    return pool
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** A pool with the house's settings, without looking whether anybody answers. */
export function createPool(config: pg.ClientConfig, options: PoolOptions = {}): pg.Pool {
  const pool = new pg.Pool({
    ...config,
    application_name: options.applicationName ?? APPLICATION_NAME,
    max: options.connectionsMax ?? POOL_CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: CONNECTION_IDLE_MS_MAX,
    statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser },
  })
  // Without listeners a connection that breaks, idle or in use, would end the process. Who uses it gets the error from
  // the statement.
  pool.on('error', (error) => options.log?.warn(`An idle database connection broke: ${error.message}`))
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/**
 * int8 stays a string (ids do not fit into a number), numeric as well; timestamptz becomes a Date. A date stays the text
 * that it is: as a Date it would be midnight of this machine's time zone.
 */
const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: 'text' | 'binary') => {
  if (format !== 'binary' && TEXT_TYPES.has(oid)) return (text: string) => text
  return pg.types.getTypeParser(oid, format as 'text')
}

const TEXT_TYPES: ReadonlySet<number> = new Set([
  pg.types.builtins.INT8,
  pg.types.builtins.NUMERIC,
  pg.types.builtins.DATE,
])

function fromUrl(databaseUrl: string): pg.ClientConfig {
  // The errors of URL parsers quote the URL, with the password, so none of them is passed on.
  const isUrl = URL.canParse(databaseUrl) && /^postgres(ql)?:$/.test(new URL(databaseUrl).protocol)
  if (isUrl) return { connectionString: databaseUrl }
  throw new HubError('config', 'DATABASE_URL is not a PostgreSQL URL.', {
    hint: 'Write it as postgresql://user:password@host:5432/database, with special characters percent-encoded.',
  })
}

async function checkServer(pool: pg.Pool, target: string): Promise<void> {
  const found = await askServer(pool).catch((error: unknown) => {
    throw connectionFailure(error, target)
  })
  if (Number(found.version_number) < SERVER_MAJOR_MIN * 10_000) {
    throw new HubError(
      'config',
      `The database at ${target} is PostgreSQL ${found.version}; Patchbay needs 15 or newer.`,
      {
        code: 'server_too_old',
        hint: 'Upgrade that server, or unset DATABASE_URL to use the embedded PostgreSQL.',
      },
    )
  }
  if (found.is_standby) {
    throw new HubError('config', `The database at ${target} is a standby, which cannot be written.`, {
      hint: 'Let DATABASE_URL name the primary server.',
    })
  }
  if (found.encoding !== 'UTF8') {
    throw new HubError(
      'config',
      `The database at ${target} has the encoding ${found.encoding}; Patchbay needs UTF8.`,
      {
        hint: "Create a new one: CREATE DATABASE patchbay ENCODING 'UTF8' TEMPLATE template0.",
      },
    )
  }
}

interface ServerFacts {
  version: string
  version_number: string
  encoding: string
  is_standby: boolean
}

async function askServer(pool: pg.Pool): Promise<ServerFacts> {
  const { rows } = await pool.query<ServerFacts>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS version_number,
            current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby`,
  )
  return rows[0] as ServerFacts
}
