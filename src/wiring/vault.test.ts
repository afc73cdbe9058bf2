import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { test as base } from '../../test/support/database.ts'
import { createKeyFile } from '../lib/secrets.ts'
import { insertIntegration } from '../store/queries/integrations.ts'
import { KnownSecrets } from './log.ts'
import { createVault, ensureKeyRing } from './vault.ts'

const test = base.extend<{ folder: string }>({
  // oxlint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'patchbay-vault-'))
    await use(folder)
    await rm(folder, { recursive: true })
  },
})

test('of two first starts on one database one makes the key; the other is refused until it has it', async ({
  db,
  folder,
}) => {
  const files = ['a', 'b'].map((name) => join(folder, name, 'master.key'))
  const starts = files.map((keyFile) => ensureKeyRing(db, { keyFile, mayCreate: true, isShared: true }))
  const ends = await Promise.allSettled(starts)
  expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  const [made = '', other = ''] = ends[0]?.status === 'fulfilled' ? files : files.toReversed()
  expect(await readdir(join(made, '..'))).toEqual(['master.key'])
  await mkdir(join(other, '..'), { recursive: true })
  await writeFile(other, await readFile(made), { mode: 0o600 })
  await ensureKeyRing(db, { keyFile: other, mayCreate: true, isShared: true })
})

test('a key file without the key in use is refused, with a new key before it it is taken', async ({
  db,
  folder,
}) => {
  const keyFile = join(folder, 'master.key')
  const ring = await ensureKeyRing(db, { keyFile, mayCreate: true, isShared: true })
  const { id } = await insertIntegration(db, { type: 'vaplugin', subtype: 'qualys', name: 'x', config: {} })
  await createVault(ring, new KnownSecrets()).put(db, {
    integrationId: id,
    field: 'password',
    value: 'secret',
  })
  const before = await readFile(keyFile, 'utf8')
  await rm(keyFile)
  await createKeyFile(keyFile)
  const wrong = ensureKeyRing(db, { keyFile, mayCreate: true, isShared: true })
  await expect(wrong).rejects.toMatchObject({
    kind: 'config',
    code: 'wrong_key',
    message: expect.stringContaining(ring.keys[0]!.id),
    hint: expect.stringContaining('PATCHBAY_KEY_FILE'),
  })
  await writeFile(keyFile, `${await readFile(keyFile, 'utf8')}${before}`)
  const both = await ensureKeyRing(db, { keyFile, mayCreate: true, isShared: true })
  expect(both.keys[1]).toEqual(ring.keys[0])
  await writeFile(keyFile, before)
  await expect(ensureKeyRing(db, { keyFile, mayCreate: true, isShared: true })).rejects.toMatchObject({
    code: 'wrong_key',
  })
})

test('a worker never makes a key', async ({ db, folder }) => {
  const keyFile = join(folder, 'master.key')
  const start = ensureKeyRing(db, { keyFile, mayCreate: false, isShared: true })
  await expect(start).rejects.toMatchObject({ kind: 'config', code: 'key_file_missing' })
  expect(await readdir(folder)).toEqual([])
})

test('an empty key file is replaced as long as no secret is sealed, and refused with a hint then', async ({
  db,
  folder,
}) => {
  const keyFile = join(folder, 'master.key')
  await writeFile(keyFile, '', { mode: 0o600 })
  const ring = await ensureKeyRing(db, { keyFile, mayCreate: true, isShared: true })
  const { id } = await insertIntegration(db, { type: 'vaplugin', subtype: 'qualys', name: 'x', config: {} })
  await createVault(ring, new KnownSecrets()).put(db, {
    integrationId: id,
    field: 'password',
    value: 'secret',
  })
  await writeFile(keyFile, '')
  const start = ensureKeyRing(db, { keyFile, mayCreate: true, isShared: false })
  await expect(start).rejects.toMatchObject({ code: 'key_file_bad', hint: expect.stringContaining('backup') })
  expect(await readFile(keyFile, 'utf8')).toBe('')
})
