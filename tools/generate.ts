import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startEmbeddedServer } from '../src/store/embedded/server.ts'
import { migrate } from '../src/store/migrate.ts'
import { openStore } from '../src/store/pool.ts'
import { generateAll } from './generated.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Writes every generated file; `test/generated.test.ts` sees that they are fresh. */
async function main(): Promise<void> {
  const dataFolder = await mkdtemp(join(tmpdir(), 'patchbay-generate-'))
  const server = await startEmbeddedServer({ dataFolder, log: { info: () => {} }, unsafeNoFsync: true })
  const pool = await openStore({ embedded: server })
  try {
    await migrate(pool)
    for (const [path, text] of await generateAll(pool)) await write(path, text)
  } finally {
    await pool.end()
    await server.stop()
    await rm(dataFolder, { recursive: true, force: true })
  }
  execFileSync(join(ROOT, 'node_modules/.bin/oxfmt'), ['docs/openapi.json'], { cwd: ROOT, stdio: 'ignore' })
}

async function write(path: string, text: string): Promise<void> {
  const file = join(ROOT, path)
  await mkdir(dirname(file), { recursive: true })
  const before = await readFile(file, 'utf8').catch(() => null)
  if (before === text || (before !== null && path.endsWith('.json') && isSameJson(before, text))) return
  await writeFile(file, text)
  console.log(`${before === null ? 'new    ' : 'changed'} ${path}`)
}

/** The formatter lays out JSON in its own way. */
function isSameJson(before: string, text: string): boolean {
  return JSON.stringify(JSON.parse(before)) === JSON.stringify(JSON.parse(text))
}

await main()
