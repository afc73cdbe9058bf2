import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { generateAll } from '../tools/generated.ts'
import { test } from './support/database.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

test('generated files are what `npm run generate` writes', async ({ db }) => {
  const files = await generateAll(db)
  for (const [path, text] of files) {
    const stored = await readFile(join(ROOT, path), 'utf8').catch(() => 'There is no such file.')
    // The formatter lays out JSON in its own way.
    if (path.endsWith('.json'))
      expect({ path, text: JSON.parse(stored) }).toEqual({ path, text: JSON.parse(text) })
    else expect({ path, text: stored }).toEqual({ path, text })
  }
})

test('no page is left of a module that is gone', async ({ db }) => {
  const files = await generateAll(db)
  for (const name of await readdir(join(ROOT, 'docs/modules')))
    expect([...files.keys()]).toContain(`docs/modules/${name}`)
})
