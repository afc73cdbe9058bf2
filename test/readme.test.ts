import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** A test's name in the README stands in double quotes, may go over line ends, and is no word or flag. */
const QUOTED_NAME = /"([a-z0-9][^"]{25,})"/gi

test('every test that the README names is there', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const names = [...readme.matchAll(QUOTED_NAME)].map(([, name = '']) => name.replaceAll(/\s+/g, ' '))
  expect(names.length).toBeGreaterThan(20)
  const tests = await readTests()
  expect(names.filter((name) => !tests.includes(name))).toEqual([])
})

async function readTests(): Promise<string> {
  const paths = (
    await Promise.all(
      ['src', 'test', 'fakes'].map(async (folder) => {
        const files = await readdir(join(ROOT, folder), { recursive: true })
        return files.filter((file) => file.endsWith('.test.ts')).map((file) => join(ROOT, folder, file))
      }),
    )
  ).flat()
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')))
  return texts.join('\n')
}
