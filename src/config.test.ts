import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from './config.ts'
import { HubError } from './model/errors.ts'

function refusal(environment: Record<string, string>): HubError {
  try {
    loadConfig({}, environment)
  } catch (error) {
    if (error instanceof HubError) return error
  }
  throw new Error('The configuration was accepted.')
}

test('flags win over the environment, the environment over defaults', () => {
  expect(loadConfig({}, {}).port).toBe(8088)
  expect(loadConfig({}, { PATCHBAY_PORT: '9000' }).port).toBe(9000)
  expect(loadConfig({ port: '9001' }, { PATCHBAY_PORT: '9000' }).port).toBe(9001)
})

test('the configuration is frozen and its paths are absolute', () => {
  const config = loadConfig({}, { PATCHBAY_HOME: 'data' })
  expect(Object.isFrozen(config)).toBe(true)
  expect(config.home).toBe(join(process.cwd(), 'data'))
  expect(config.keyFile).toBe(join(process.cwd(), 'data', 'keys', 'master.key'))
})

test('a misspelt setting is refused and the right name suggested', () => {
  const error = refusal({ PATCHBAY_PROT: '9000' })
  expect(error.kind).toBe('config')
  expect(error.message).toContain('PATCHBAY_PROT')
  expect(error.hint).toContain('PATCHBAY_PORT')
})

test('names that only tests read are no misspelt settings', () => {
  expect(() => loadConfig({}, { PATCHBAY_RECORDINGS: '/somewhere' })).not.toThrow()
})

test('a wrong value is refused by name, without showing it', () => {
  const error = refusal({ PATCHBAY_PORT: 'canary-value' })
  expect(error.message).toContain('PATCHBAY_PORT')
  expect(`${error.message} ${error.hint}`).not.toContain('canary-value')
})

test('an address that others can reach is refused', () => {
  expect(refusal({ PATCHBAY_HOST: '0.0.0.0' }).message).toContain('loopback')
})

test('a secret may stand in a file, which is named when it cannot be read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'patchbay-config-'))
  writeFileSync(join(folder, 'url'), 'postgresql://user:pw@127.0.0.1/db\n')
  const config = loadConfig({}, { PATCHBAY_DATABASE_URL_FILE: join(folder, 'url') })
  expect(config.databaseUrl).toBe('postgresql://user:pw@127.0.0.1/db')
  expect(refusal({ PATCHBAY_DATABASE_URL_FILE: join(folder, 'none') }).message).toContain('none')
  expect(loadConfig({}, { DATABASE_URL: 'postgresql://x' }).databaseUrl).toBe('postgresql://x')
})

test('lists are comma separated', () => {
  expect(loadConfig({}, { PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8, 10.0.0.0/8' }).allowedCidrs).toEqual([
    '127.0.0.0/8',
    '10.0.0.0/8',
  ])
})
