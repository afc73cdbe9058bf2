import fc from 'fast-check'
import { expect, test } from 'vitest'

import { createRedactor } from './redact.ts'

const secret = fc
  .string({ unit: 'grapheme', minLength: 4, maxLength: 40 })
  .filter((text) => text.isWellFormed())

function carriersOf(text: string, user: string): readonly string[] {
  return [
    text,
    JSON.stringify({ note: text }),
    encodeURIComponent(text),
    new URLSearchParams({ password: text }).toString(),
    `https://${encodeURIComponent(user)}:${encodeURIComponent(text)}@example.com/`,
    `Basic ${Buffer.from(`${user}:${text}`).toString('base64')}`,
    Buffer.from(text).toString('base64'),
    Buffer.from(text).toString('base64url'),
    Buffer.from(text).toString('hex'),
  ]
}

test('no secret survives in any nested value, in any form it travels in', () => {
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 4 }),
      fc.string(),
      fc.json(),
      (secrets, user, noise) => {
        const redactor = createRedactor(secrets)
        const carried = secrets.flatMap((one) => carriersOf(one, user))
        const error = Object.assign(
          new Error(`failed: ${carried[0]}`, { cause: new Error(carried.join(' ')) }),
          {
            hint: carried.at(-1),
          },
        )
        const nested = {
          carried,
          error,
          noise,
          [carried[0] ?? '']: new Map([[carried[1], new Set(carried)]]),
        }
        const strings = stringsOf(redactor.value(nested))
        for (const one of secrets) {
          for (const text of strings) {
            expect(text).not.toContain(one)
            expect(decodes(text)).not.toContain(one)
          }
        }
      },
    ),
  )
})

function stringsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, item]) => [name, ...stringsOf(item)])
}

/** What somebody who copies the text could read out of it. */
function decodes(text: string): readonly string[] {
  const token = text.replace(/^Basic /, '')
  const forms = [Buffer.from(token, 'base64').toString('utf8')]
  try {
    forms.push(decodeURIComponent(text))
  } catch {
    // Not a URL form.
  }
  return forms
}

test('a password inside Basic authorization is found wherever it starts', () => {
  const redactor = createRedactor(['correct horse'])
  for (const user of ['a', 'ab', 'abc', 'abcd']) {
    const token = Buffer.from(`${user}:correct horse`).toString('base64')
    expect(redactor.text(`header ${token} end`)).not.toContain(token)
    const shown = redactor.text(`header ${token} end`)
    expect(shown).toContain('[redacted]')
    expect(shown.endsWith(' end')).toBe(true)
  }
})

test('names such as authorization and cookie hide their values, in any letter case', () => {
  const { value } = createRedactor([])
  expect(value({ Authorization: 'x', COOKIE: ['y'], password: 1, url: 'z', token: null })).toEqual({
    Authorization: '[redacted]',
    COOKIE: '[redacted]',
    password: '[redacted]',
    url: 'z',
    token: null,
  })
})

test('credentials that nobody registered are still taken out of authorization texts and URLs', () => {
  const { text } = createRedactor([])
  expect(text('sent Bearer abcdefghijklmnopqrstuvwxyz.0123')).toBe('sent Bearer [redacted]')
  expect(text('see https://me:pass@example.com/x')).toBe('see https://[redacted]@example.com/x')
  expect(text('Basic authentication failed')).toBe('Basic authentication failed')
})

test('a number that is a secret does not survive as a number', () => {
  expect(createRedactor(['123456']).value({ pin: 123456, other: 7, big: 10n })).toEqual({
    pin: '[redacted]',
    other: 7,
    big: '10',
  })
})

test('cycles, depth, bytes and hostile keys do no harm', () => {
  const cycle: Record<string, unknown> = { date: new Date(0), bytes: Buffer.from('abc') }
  cycle['self'] = cycle
  const hostile = JSON.parse('{"__proto__":{"polluted":true},"a":1}') as unknown
  const { value } = createRedactor(['abcdef'])
  expect(value(cycle)).toEqual({ date: '1970-01-01T00:00:00.000Z', bytes: '[3 bytes]', self: '[circular]' })
  expect(Object.keys(value(hostile) as object)).toEqual(['__proto__', 'a'])
  let deep: unknown = 'abcdef'
  for (let i = 0; i < 10_000; i += 1) deep = { deep }
  expect(JSON.stringify(value(deep))).not.toContain('abcdef')
})

test('a secret that is a part of the mark does not come back with it', () => {
  const { text } = createRedactor(['redacted', 'other-secret'])
  expect(text('my redacted other-secret')).not.toMatch(/redacted|other-secret/)
})

test('a value is hidden by the name it is kept under, however the name is written', () => {
  const names = [
    'apiToken',
    'api_token',
    'databaseUrl',
    'DATABASE_URL',
    'proxyUrl',
    'proxy-url',
    'connectionString',
  ]
  const { value } = createRedactor([])
  for (const name of names) expect(value({ [name]: 'as it is' })).toEqual({ [name]: '[redacted]' })
  expect(value({ baseUrl: 'as it is', tokens: 3 })).toEqual({ baseUrl: 'as it is', tokens: 3 })
})
