import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { VulnerabilityRecord } from '../model/vm.ts'
import { normaliseReference, patchKeyOf, unstorableVulnerability } from './knowledge.ts'
import { patchName } from './tickets/text.ts'

test.each([
  ['KB5034441', 'KB5034441'],
  [' kb 5034441 ', 'KB5034441'],
  ['KB: 5034441', 'KB5034441'],
  ['rhsa-2026:0001', 'RHSA-2026:0001'],
  ['USN-1-1  and\nmore', 'USN-1-1 AND MORE'],
  ['   ', null],
])('the vendor reference %j is the same patch as %j', (given, expected) => {
  expect(normaliseReference(given)).toBe(expected)
})

test('T39: equal sets of references are one patch, whatever their order', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 60 }),
      (references) => {
        const shuffled = [...references, ...references].toReversed()
        expect(patchKeyOf('1', true, references)).toBe(patchKeyOf('2', true, shuffled))
      },
    ),
  )
})

test('T39: without a patch, or without a reference, the QID stands alone', () => {
  expect(patchKeyOf('7', false, ['KB1'])).toBe('qid:7')
  expect(patchKeyOf('7', null, ['KB1'])).toBe('qid:7')
  expect(patchKeyOf('7', true, [])).toBe('qid:7')
})

test('T39: sets that only overlap are different patches', () => {
  expect(patchKeyOf('1', true, ['KB1', 'KB2'])).not.toBe(patchKeyOf('1', true, ['KB1']))
})

test('a patch with hundreds of references has a short key that still tells sets apart', () => {
  const many = Array.from({ length: 300 }, (_, index) => `RHSA-2026:${1000 + index}`)
  const key = patchKeyOf('1', true, many)
  expect(key.length).toBeLessThan(500)
  expect(patchKeyOf('2', true, many.toReversed())).toBe(key)
  expect(patchKeyOf('1', true, many.slice(1))).not.toBe(key)
  expect(patchName(key)).toBe('RHSA-2026:1000, RHSA-2026:1001, RHSA-2026:1002, …')
})

test.each<[Partial<VulnerabilityRecord>, RegExp | null]>([
  [{ qid: '9223372036854775807', severity: 5 }, null],
  [{ qid: '9223372036854775808' }, /"9223372036854775808" is not a number/],
  [{ qid: 'many' }, /"many" is not a number/],
  [{ severity: 70_000 }, /SEVERITY_LEVEL is 70000/],
  [{ severity: -1 }, /SEVERITY_LEVEL is -1/],
  [{ severity: 2.5 }, /SEVERITY_LEVEL is 2\.5/],
  [{ publishedMs: 8_640_000_000_000_000 }, /date of the record is out of range/],
])('of a vulnerability with %j it is said whether it can be kept', (fields, sentence) => {
  const record = { qid: '1', severity: null, publishedMs: null, ...fields } as VulnerabilityRecord
  const said = unstorableVulnerability({
    ...record,
    lastModifiedMs: null,
    codeModifiedMs: null,
    patchPublishedMs: null,
    customizedMs: null,
  })
  if (sentence === null) expect(said).toBeNull()
  else expect(said).toMatch(sentence)
})
