import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CliWorld } from '../support/cli.ts'

let world: CliWorld

beforeEach(async () => {
  world = await CliWorld.open()
})

afterEach(async () => {
  await world.close()
})

/** What a hub that did not close leaves behind. */
async function leftovers(): Promise<string[]> {
  const names = [...(await readdir(world.home)), ...(await readdir(join(world.home, 'postgres')))]
  return names.filter((name) => ['server.json', 'owner', 'postmaster.pid'].includes(name))
}

test('a terminal that is closed ends a server as it is asked to; SIGUSR2 means nothing to it', async () => {
  const server = await world.serve()
  expect(await leftovers()).toContain('postmaster.pid')
  server.process.kill('SIGUSR2')
  expect(await world.run(['run', 'list'])).toMatchObject({ code: 0 })
  server.process.kill('SIGHUP')
  expect((await server.ended).code).toBe(0)
  expect(await leftovers()).toEqual([])
})

test('a reader that has enough ends a command without a word, and the hub it started is closed', async () => {
  const started = world.start(['run', 'list', '--json'])
  started.process.stdin?.end()
  started.process.stdout?.destroy()
  const [code] = (await once(started.process, 'exit')) as [number | null]
  expect(code).toBe(0)
  expect(started.result.stderr).toBe('')
  expect(await leftovers()).toEqual([])
})

test('settings of PostgreSQL in the environment do not reach the embedded database', async () => {
  const env = {
    PGSSLMODE: 'require',
    PGSSLNEGOTIATION: 'direct',
    PGOPTIONS: '-c search_path=nowhere',
    PGHOST: '192.0.2.1',
    PGPORT: '1',
    PGUSER: 'somebody',
    PGDATABASE: 'elsewhere',
    PGCLIENT_ENCODING: 'LATIN1',
    PGREPLICATION: 'true',
  }
  expect(await world.run(['run', 'list'], { env })).toMatchObject({ code: 0, stderr: '' })
})
