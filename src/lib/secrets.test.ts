import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'

import {
  createKeyFile,
  type KeyRing,
  loadKeyRing,
  open,
  parseKeyRing,
  type SealedSecret,
  seal,
  SecretsError,
} from './secrets.ts'

const context = { integrationId: '7', field: 'password' }

function newRing(): KeyRing {
  return parseKeyRing(randomBytes(32).toString('base64'), 'the test')
}

let folder: string | null = null
async function newFolder(): Promise<string> {
  folder = await mkdtemp(join(tmpdir(), 'patchbay-secrets-'))
  return folder
}
afterEach(async () => {
  if (folder !== null) await rm(folder, { recursive: true })
  folder = null
})

test('what is sealed opens again, whatever the text', () => {
  const ring = newRing()
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const record = JSON.parse(JSON.stringify(seal(ring, text, context))) as SealedSecret
      expect(open(ring, record, context)).toBe(text)
    }),
  )
})

test('the same secret never looks the same twice, and never shows', () => {
  const ring = newRing()
  const records = Array.from({ length: 20 }, () => seal(ring, 'correct horse', context))
  expect(new Set(records.map(({ sealed }) => sealed)).size).toBe(20)
  expect(new Set(records.map(({ wrappedKey }) => wrappedKey)).size).toBe(20)
  expect(JSON.stringify(records)).not.toContain('horse')
  expect(JSON.stringify(records)).not.toContain(Buffer.from('correct horse').toString('base64').slice(0, 12))
})

test.each([
  ['another integration', { integrationId: '8', field: 'password' }],
  ['another field', { integrationId: '7', field: 'username' }],
  ['parts shifted between the two', { integrationId: '7p', field: 'assword' }],
])('a record moved to %s cannot be opened', (_where, other) => {
  const ring = newRing()
  expect(() => open(ring, seal(ring, 'x', context), other)).toThrow(
    expect.objectContaining({ code: 'damaged' }),
  )
})

test('parts swapped between two records of the same place cannot be opened', () => {
  const ring = newRing()
  const [one, two] = [seal(ring, 'one', context), seal(ring, 'two', context)]
  expect(() => open(ring, { ...one, sealed: two.sealed }, context)).toThrow(
    expect.objectContaining({ code: 'damaged' }),
  )
  expect(() => open(ring, { ...one, wrappedKey: two.wrappedKey, sealed: one.sealed }, context)).toThrow(
    expect.objectContaining({ code: 'damaged' }),
  )
})

test('every flipped bit of a record is noticed', () => {
  const ring = newRing()
  const record = seal(ring, 'secret', context)
  for (const part of ['wrappedKey', 'sealed'] as const) {
    const bytes = Buffer.from(record[part], 'base64')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const changed = { ...record, [part]: flipped.toString('base64') }
      expect(() => open(ring, changed, context)).toThrow(expect.objectContaining({ code: 'damaged' }))
    }
    expect(() => open(ring, { ...record, [part]: record[part].slice(0, 8) }, context)).toThrow(
      expect.objectContaining({ code: 'damaged' }),
    )
    expect(() => open(ring, { ...record, [part]: `${record[part]} ` }, context)).toThrow(
      expect.objectContaining({ code: 'damaged' }),
    )
  }
})

test('another key is named, and so is what to do', () => {
  const [ours, theirs] = [newRing(), newRing()]
  const record = seal(ours, 'x', context)
  expect(() => open(theirs, record, context)).toThrow(/key file/)
  expect(() => open(theirs, record, context)).toThrow(expect.objectContaining({ code: 'wrong_key' }))
  const forged = { ...record, keyId: theirs.keys[0]?.id ?? '' }
  expect(() => open(theirs, forged, context)).toThrow(expect.objectContaining({ code: 'damaged' }))
})

test('a ring with a new key in front seals with it and still opens what the old one sealed', () => {
  const [oldKey, newKey] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
  const record = seal(parseKeyRing(oldKey, 'the test'), 'x', context)
  const both = parseKeyRing(`${newKey}\n${oldKey}\n`, 'the test')
  expect(open(both, record, context)).toBe('x')
  expect(seal(both, 'x', context).keyId).not.toBe(record.keyId)
})

test('a key file is private, loads, and is never overwritten', async () => {
  const path = join(await newFolder(), 'keys', 'patchbay.key')
  await createKeyFile(path)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const text = await readFile(path, 'utf8')
  const ring = await loadKeyRing(path)
  expect(open(ring, seal(ring, 'x', context), context)).toBe('x')
  await expect(createKeyFile(path)).rejects.toThrow(/EEXIST/)
  expect(await readFile(path, 'utf8')).toBe(text)
})

test.each([0o640, 0o604, 0o660, 0o644])(
  'a key file that others can use is refused with the remedy: mode %o',
  async (mode) => {
    const path = join(await newFolder(), 'patchbay.key')
    await createKeyFile(path)
    await chmod(path, mode)
    await expect(loadKeyRing(path)).rejects.toThrow(/chmod 600/)
  },
)

test.skipIf(process.getuid?.() !== 0)(
  'a key file that belongs to another user is refused [only as root]',
  async () => {
    const path = join(await newFolder(), 'patchbay.key')
    await createKeyFile(path)
    await chown(path, 65_534, 65_534)
    await expect(loadKeyRing(path)).rejects.toMatchObject({ code: 'key_file_foreign' })
  },
)

test('a missing, an empty and a broken key file are each refused with a sentence', async () => {
  const path = join(await newFolder(), 'patchbay.key')
  await expect(loadKeyRing(path)).rejects.toBeInstanceOf(SecretsError)
  await expect(loadKeyRing(path)).rejects.toMatchObject({ code: 'key_file_missing' })
  await writeFile(path, '', { mode: 0o600 })
  await expect(loadKeyRing(path)).rejects.toMatchObject({ code: 'key_file_bad' })
  await writeFile(path, randomBytes(31).toString('base64'), { mode: 0o600 })
  await expect(loadKeyRing(path)).rejects.toMatchObject({ code: 'key_file_bad' })
})
