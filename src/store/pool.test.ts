import { createServer, type AddressInfo, type Server } from 'node:net'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { expect } from 'vitest'
import { test as base } from '../../test/support/database.ts'
import { HubError } from '../model/errors.ts'
import { openStore } from './pool.ts'

const SECRET = 'hunter2-hunter2'

interface Facts {
  version: string
  version_number: string
  encoding: string
  is_standby: string
}

const PRESENT: Facts = { version: '18.4', version_number: '180004', encoding: 'UTF8', is_standby: 'f' }

type Answer =
  | { facts: Facts }
  | { error: { code: string; message: string } }
  | { silence: true }
  | { hangUp: true }

/** A server of the past or of ill health: just enough of PostgreSQL's protocol to be connected to and asked. */
const test = base.extend<{ serverThat: (answer: Answer) => Promise<string> }>({
  // oxlint-disable-next-line no-empty-pattern
  serverThat: async ({}, use) => {
    const servers: Server[] = []
    await use(async (answer) => {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.on('data', (data) => {
          if ('silence' in answer) return
          if ('hangUp' in answer) return void socket.destroy()
          // A question about TLS is eight bytes long; N says that there is none.
          if (data.length === 8) return void socket.write('N')
          if ('error' in answer) return void socket.end(errorResponse(answer.error))
          socket.write(data[0] === 0x51 ? factsResponse(answer.facts) : welcome())
        })
      })
      servers.push(server)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return `postgresql://alice:${SECRET}@127.0.0.1:${(server.address() as AddressInfo).port}/hub`
    })
    for (const server of servers) server.close()
  },
})

function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

function welcome(): Buffer {
  return Buffer.concat([message('R', int32(0)), message('Z', text('I').subarray(0, 1))])
}

function factsResponse(facts: Facts): Buffer {
  const names = Object.keys(facts)
  const columns = names.map((name) =>
    Buffer.concat([
      text(name),
      int32(0),
      int16(0),
      int32(name === 'is_standby' ? 16 : 25),
      int16(-1),
      int32(-1),
      int16(0),
    ]),
  )
  const values = Object.values(facts).map((value: string) =>
    Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]),
  )
  return Buffer.concat([
    message('T', int16(names.length), ...columns),
    message('D', int16(names.length), ...values),
    message('C', text('SELECT 1')),
    message('Z', text('I').subarray(0, 1)),
  ])
}

function errorResponse(error: { code: string; message: string }): Buffer {
  return message(
    'E',
    text('SFATAL'),
    text('VFATAL'),
    text(`C${error.code}`),
    text(`M${error.message}`),
    Buffer.from('\0'),
  )
}

/** What opening fails with; checked to be a sentence with a remedy and without the password. */
async function failureOf(databaseUrl: string): Promise<HubError> {
  const error: unknown = await openStore({ databaseUrl }).then(
    async (pool) => {
      await pool.end()
      return new Error('it opened')
    },
    (reason: unknown) => reason,
  )
  if (!(error instanceof HubError)) throw error
  expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('hunter2')
  expect(error.message).toMatch(/^[A-Z].*\.$/s)
  expect(error.hint).toMatch(/^[A-Z].*\.$/s)
  return error
}

test('the store opens on a real database by its URL, and its connections say who they are', async ({
  databaseUrl,
}) => {
  const pool = await openStore({ databaseUrl })
  const { rows } = await pool.query(
    `select current_setting('application_name') as name, current_setting('statement_timeout') as timeout,
            9007199254740993::bigint as id, 1.10::numeric as score, date '2026-03-01' as day,
            timestamptz '2026-03-01 12:00:00+02' as at`,
  )
  expect(rows).toEqual([
    {
      name: 'patchbay',
      timeout: '10min',
      id: '9007199254740993',
      score: '1.10',
      day: '2026-03-01',
      at: new Date('2026-03-01T10:00:00Z'),
    },
  ])
  await pool.end()
})

test('a server older than PostgreSQL 15 is refused with its version', async ({ serverThat }) => {
  const url = await serverThat({ facts: { ...PRESENT, version: '14.11 (Debian)', version_number: '140011' } })
  const error = await failureOf(url)
  expect(error).toMatchObject({ kind: 'config', code: 'server_too_old' })
  expect(error.message).toMatch(
    /^The database at 127\.0\.0\.1:\d+\/hub is PostgreSQL 14\.11 \(Debian\); Patchbay needs 15 or newer\.$/,
  )
})

test('the oldest supported server passes the version check', async ({ serverThat }) => {
  const url = await serverThat({ facts: { ...PRESENT, version: '15.0', version_number: '150000' } })
  const pool = await openStore({ databaseUrl: url })
  await pool.end()
})

test('a standby and a database without UTF-8 are refused', async ({ serverThat }) => {
  const standby = await failureOf(await serverThat({ facts: { ...PRESENT, is_standby: 't' } }))
  expect(standby).toMatchObject({ kind: 'config' })
  expect(standby.message).toContain('is a standby')
  const latin = await failureOf(await serverThat({ facts: { ...PRESENT, encoding: 'LATIN1' } }))
  expect(latin).toMatchObject({ kind: 'config' })
  expect(latin.message).toContain('has the encoding LATIN1')
})

test('a server that nobody listens for is a transient failure that names the address', async ({
  serverThat,
}) => {
  const gone = createServer()
  gone.listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port } = gone.address() as AddressInfo
  await new Promise((resolve) => gone.close(resolve))
  const error = await failureOf(`postgresql://alice:${SECRET}@127.0.0.1:${port}/hub`)
  expect(error).toMatchObject({ kind: 'transient', code: 'ECONNREFUSED' })
  expect(error.message).toContain(`The database at 127.0.0.1:${port}/hub cannot be reached`)
  expect(await failureOf(await serverThat({ hangUp: true }))).toMatchObject({ kind: 'transient' })
})

test('each answer of a server that does not let us in gets its sentence', async ({ serverThat }) => {
  const cases = [
    {
      code: '28P01',
      message: 'password authentication failed for user "alice"',
      kind: 'config',
      says: 'refuses this user or password',
    },
    {
      code: '28000',
      message: 'no pg_hba.conf entry for host "192.0.2.1"',
      kind: 'config',
      says: 'refuses this user or password',
    },
    {
      code: '3D000',
      message: 'database "hub" does not exist',
      kind: 'config',
      says: 'does not exist on that server',
    },
    {
      code: '42501',
      message: 'permission denied for database "hub"',
      kind: 'config',
      says: 'has no permission to connect',
    },
    {
      code: '53300',
      message: 'sorry, too many clients already',
      kind: 'transient',
      says: 'takes no connections at the moment',
    },
    {
      code: '57P03',
      message: 'the database system is starting up',
      kind: 'transient',
      says: 'takes no connections at the moment',
    },
  ]
  for (const { code, message: text, kind, says } of cases) {
    const error = await failureOf(await serverThat({ error: { code, message: text } }))
    expect(error).toMatchObject({ kind, code })
    expect(error.message).toContain(says)
  }
})

test('a server without TLS is refused when the URL asks for it', async ({ serverThat }) => {
  const error = await failureOf(`${await serverThat({ facts: PRESENT })}?sslmode=require`)
  expect(error).toMatchObject({ kind: 'config' })
  expect(error.message).toContain('No trusted encrypted connection')
})

test('a certificate file that is not there is named', async () => {
  const error = await failureOf(`postgresql://alice:${SECRET}@127.0.0.1/hub?sslrootcert=/no/such/root.pem`)
  expect(error).toMatchObject({ kind: 'config' })
  expect(error.message).toContain('/no/such/root.pem')
})

test('a wrong password and a missing database are told apart on a real server', async ({ databaseUrl }) => {
  const wrongPassword = new URL(databaseUrl)
  wrongPassword.password = SECRET
  const refused = await failureOf(wrongPassword.href)
  expect(refused).toMatchObject({ kind: 'config', code: '28P01' })
  const wrongDatabase = new URL(databaseUrl)
  wrongDatabase.pathname = '/no_such_database'
  expect(await failureOf(wrongDatabase.href)).toMatchObject({ kind: 'config', code: '3D000' })
})

test('what is no PostgreSQL URL is refused without being quoted', async () => {
  const texts = [
    '',
    'localhost',
    `mysql://alice:${SECRET}@127.0.0.1/hub`,
    `postgresql://alice:${SECRET}@[::1/hub`,
  ]
  for (const databaseUrl of texts) {
    expect((await failureOf(databaseUrl)).message).toBe('DATABASE_URL is not a PostgreSQL URL.')
  }
})

test('an idle connection that the server ends is replaced, and told in the log', async ({
  databaseUrl,
  db,
}) => {
  const warnings: string[] = []
  const pool = await openStore({ databaseUrl, log: { warn: (warning) => warnings.push(warning) } })
  const removed = new Promise((resolve) => pool.once('remove', resolve))
  await db.query(`select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()`)
  await removed
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(warnings.join()).toContain('An idle database connection broke')
  await pool.end()
})
