import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { expect } from 'vitest'
import { type TestApi, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { engineDeps } from '../../test/support/hub.ts'
import { sync } from '../engine/sync.ts'
import { createPool } from '../store/pool.ts'
import { diagnose } from './diagnose.ts'

/** A pool on a port where nobody listens. */
async function withDeadPool(use: (pool: pg.Pool) => Promise<void>): Promise<void> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  const pool = createPool({ host: '127.0.0.1', port, user: 'nobody', database: 'none' })
  try {
    await use(pool)
  } finally {
    await pool.end()
  }
}

async function look(api: TestApi, pool: pg.Pool, signal = new AbortController().signal) {
  const home = await mkdtemp(join(tmpdir(), 'patchbay-diagnose-'))
  const { vault, integrationTypes, clock } = api.deps
  const keyFile = join(home, 'master.key')
  const place = { home, keyFile, database: 'the database', hasWorker: false }
  try {
    return await diagnose({ ...place, pool, clock, vault, integrationTypes, signal })
  } finally {
    await rm(home, { recursive: true })
  }
}

test('a diagnosis goes on line by line when the database is gone', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    await withDeadPool(async (pool) => {
      const lines = await look(api, pool)
      expect(lines.find(({ name }) => name === 'data folder')).toMatchObject({ level: 'ok' })
      for (const name of ['database', 'schema', 'worker', 'clock', 'integrations'])
        expect(lines.find((line) => line.name === name)).toMatchObject({
          level: 'fail',
          message: 'The database cannot be reached at the moment.',
          remedy: expect.stringContaining('server runs') as string,
        })
    })
  })
})

test('a database that goes away while serving is no bug, neither is a full disk', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    await withDeadPool(async (pool) => {
      const alive = api.deps.pool
      api.deps.pool = pool
      const gone = await api.call('/integrations/1')
      api.deps.pool = alive
      expect(gone).toMatchObject({ status: 502, body: { kind: 'transient', code: 'database_gone' } })
    })
    api.deps.diagnose = async () => {
      await db.query('select pg_terminate_backend(pg_backend_pid())')
      return { lines: [] }
    }
    expect((await api.call('/doctor')).body).toMatchObject({ kind: 'transient', code: 'database_gone' })
    const said = async (message: string, code?: string) => {
      api.deps.diagnose = async () => {
        throw Object.assign(new Error(message), code === undefined ? {} : { code })
      }
      return (await api.call('/doctor')).body
    }
    for (const message of ['Connection terminated unexpectedly', 'timeout exceeded when trying to connect'])
      expect(await said(message)).toMatchObject({ kind: 'transient' })
    expect(await said('x', '08006')).toMatchObject({ kind: 'transient' })
    expect(await said('No space left', '53100')).toMatchObject({ kind: 'config', code: 'disk_full' })
    expect(await said('division by zero', '22012')).toMatchObject({ kind: 'bug' })
  })
})

test('a far side that accepts and stays silent has failed its check, in a sentence', async ({ db }) => {
  await withApi({ pool: db }, async (api) => {
    const silent = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as AddressInfo
    const late = new AbortController()
    const sockets: Socket[] = []
    silent.on('connection', (socket) => {
      sockets.push(socket)
      // As `AbortSignal.timeout` does it, once there is something to be broken off.
      late.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
    })
    try {
      const config = api.qualysConfig({ url: `http://127.0.0.1:${port}` })
      const body = { type: 'vaplugin', subtype: 'qualys', config }
      expect((await api.call('/integrations', { body })).status).toBe(200)
      const lines = await look(api, db, late.signal)
      const ofEstate = lines.filter((line) => line.name.startsWith('estate: '))
      expect(ofEstate.every((line) => line.level === 'fail')).toBe(true)
      expect(ofEstate[0]?.message).toBe(
        'Qualys did not answer within the time that all checks have together.',
      )
      expect(ofEstate.at(-1)?.message).toBe('Not tried, since an earlier check failed.')
    } finally {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => silent.close(resolve))
    }
  })
})

test('T3: a diagnosis repeats what the last good run warned of', async ({ db }) => {
  const twins = [{ qid: '38100' }, { qid: '38100' }]
  await withApi({ pool: db, estate: { hosts: [{ id: '7', detections: twins }] } }, async (api) => {
    const { body } = await api.call<{ data: { id: number } }>('/integrations', {
      body: { type: 'vaplugin', subtype: 'qualys', config: api.qualysConfig() },
    })
    const integrationId = String(body.data.id)
    const engine = engineDeps({ pool: db }, { clock: api.clock, url: api.fake.url })
    const request = { integrationId, trigger: 'manual', mode: 'full' } as const
    const run = await sync(engine, request, new AbortController().signal)
    const lines = await look(api, db)
    expect(lines.filter(({ name }) => name === 'estate: last run')).toEqual([
      {
        name: 'estate: last run',
        level: 'warn',
        message: expect.stringMatching(/^1 of 2 detections came twice/) as string,
        remedy: `Look at it: patchbay run show ${run.id}`,
      },
    ])
  })
})
