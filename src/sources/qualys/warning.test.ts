import { expect, test } from 'vitest'

import { warningNextId } from './warning.ts'

const expected = { ownHost: 'qualysapi.example.com', previousIdMin: '100' }
const url = (rest: string) => `https://qualysapi.example.com/api/5.0/fo/asset/host/?action=list&${rest}`

test('T42: only id_min is taken from the URL of a warning', () => {
  expect(warningNextId(url('truncation_limit=100&id_min=5641289'), expected)).toBe('5641289')
  expect(
    warningNextId(url('id_min=9007199254740993'), { ...expected, previousIdMin: '9007199254740992' }),
  ).toBe('9007199254740993')
  expect(warningNextId(url('id_min=1'), { ...expected, previousIdMin: null })).toBe('1')
})

test.each([
  ['https://qualysapi.evil.example/api/5.0/fo/asset/host/?id_min=200'],
  ['https://qualysapi.example.com.evil.example/?id_min=200'],
  ['https://qualysapi.example.com@evil.example/?id_min=200'],
  ['//evil.example/?id_min=200'],
  ['not a url'],
  [url('id_min=100')],
  [url('id_min=99')],
  [url('id_min=abc')],
  [url('id_min=-1')],
  [url('id_min=0200')],
  [url('id_min=200&id_min=300')],
  [url('')],
])('T42: a warning that leads elsewhere or nowhere is refused: %s', (text) => {
  expect(() => warningNextId(text, expected)).toThrow(
    expect.objectContaining({ kind: 'contract', code: 'warning_url' }),
  )
})
