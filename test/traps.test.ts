import { expect, test } from 'vitest'
import { NOT_YET, TRAPS, findTrapTests, trapRows, trapTestsOf } from '../tools/traps.ts'

const NUMBERS = Array.from({ length: 50 }, (_, index) => index + 1)

test('each of the fifty traps has a test that names it, or stands in the list of what is not there yet', async () => {
  const tested = new Set((await findTrapTests()).flatMap(({ traps }) => traps))
  expect(TRAPS).toHaveLength(NUMBERS.length)
  // One that is missing here needs a test whose name begins with it, or a line in NOT_YET of tools/traps.ts.
  expect(NUMBERS.filter((number) => !tested.has(number) && NOT_YET[number] === undefined)).toEqual([])
  // One that stands here has a test by now: take it out of NOT_YET.
  expect(NUMBERS.filter((number) => tested.has(number) && NOT_YET[number] !== undefined)).toEqual([])
  expect(
    [...tested, ...Object.keys(NOT_YET).map(Number)].filter((number) => !NUMBERS.includes(number)),
  ).toEqual([])
})

test('a trap is found in the name of a test, however the test is written, and not where nothing runs', () => {
  // Written with another letter, or these would be found as tests of the repository.
  const source = [
    `test('#7: a | b', () => {})`,
    `pure(\n  "#8, #9: it's <x>", () => {})`,
    'test.each([[1]])(`#10: ${name} of %s`, (n) => {})',
    `describe('#11: many', () => {})`,
    `test.skip('#12: later', () => {})`,
    `test.todo('#13: later', () => {})`,
    `test('about #14: no', () => {})`,
    `const #15 = '#15: no'`,
  ]
    .join('\n')
    .replaceAll('#', 'T')
  const found = trapTestsOf('x.test.ts', source)
  expect(found.map(({ traps, name }) => [traps, name])).toEqual([
    [[7], 'a | b'],
    [[8, 9], "it's <x>"],
    [[10], '… of …'],
    [[11], 'many'],
  ])
  expect(
    trapRows(found)
      .slice(6, 10)
      .map((row) => row.split(' | ').at(-2)),
  ).toEqual(['a \\| b', "it's &lt;x>", "it's &lt;x>", '… of …'])
})
