import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** The faults of the ingest path; 2 and 3 and the rest are about tickets and about other destinations. */
const CASES = [1, ...Array.from({ length: 18 }, (_, index) => index + 4)]

test('every fault case of the ingest path has a test that names its number', async () => {
  const folder = import.meta.dirname
  const named = new Set<number>()
  for (const file of await readdir(folder))
    for (const [, first, last = first] of (await readFile(join(folder, file), 'utf8')).matchAll(
      /['`]fault (\d+)(?: to (\d+))?[:,]/g,
    ))
      for (let number = Number(first); number <= Number(last); number += 1) named.add(number)
  expect(CASES.filter((number) => !named.has(number))).toEqual([])
})
