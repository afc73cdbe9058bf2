import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Which folders of `src` each folder may import, beside itself. What is not listed here may import everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  model: ['lib'],
  sources: ['model', 'lib'],
  destinations: ['model', 'lib'],
  store: ['model', 'lib'],
  engine: ['store', 'model', 'lib'],
  jobs: ['engine', 'store', 'model', 'lib'],
  api: ['jobs', 'engine', 'store', 'model', 'lib'],
  cli: ['model', 'lib'],
  'config.ts': ['model', 'lib'],
}

/** The packages of a folder that has few. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { model: ['zod'] }

/** The command line is a client of the API and knows the shapes of its answers, as types only. */
const TYPES_MAY_CROSS = [
  { from: 'cli', to: 'src/api/resources.ts' },
  { from: 'cli', to: 'src/api/report-resources.ts' },
  { from: 'cli', to: 'src/api/vulnerability-resources.ts' },
  { from: 'cli', to: 'src/api/run-resources.ts' },
  { from: 'cli', to: 'src/api/host-resources.ts' },
]

interface SourceFile {
  /** From the root, e.g. `src/lib/clock.ts`. */
  path: string
  text: string
}

const IMPORT =
  /^\s*(?:import|export)\s(?<what>[^'";]*?)\s?from\s+'(?<from>[^']+)'|^\s*import\s+'(?<bare>[^']+)'|\bimport\('(?<late>[^']+)'\)/gmu

function violationsOf(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(IMPORT)].flatMap(({ groups = {} }) => {
      const target = groups['from'] ?? groups['bare'] ?? groups['late'] ?? ''
      const reason = refuse(path, target, /^type\b/.test(groups['what'] ?? ''))
      return reason === null ? [] : [`${path} imports ${target}: ${reason}`]
    }),
  )
}

function refuse(path: string, target: string, isTypeOnly: boolean): string | null {
  const [, folder = ''] = path.split('/')
  if (!target.startsWith('.')) {
    const packages = PACKAGES[folder]
    return packages === undefined || packages.includes(target) || target.startsWith('node:')
      ? null
      : `${folder} uses only ${packages.join(', ')}`
  }
  const to = relative(ROOT, resolve(ROOT, dirname(path), target))
  const [area, toFolder = ''] = to.split('/')
  if (area !== 'src') return `src knows nothing of ${area}`
  const allowed = MAY_IMPORT[folder]
  if (allowed === undefined) return null
  if (folder !== toFolder && !allowed.includes(toFolder)) {
    const crosses = TYPES_MAY_CROSS.some((one) => one.from === folder && one.to === to)
    return crosses && isTypeOnly ? null : `${folder} may import only ${allowed.join(', ')}`
  }
  return refuseSibling(path, to)
}

/** `sources/qualys/hosts` knows neither `sources/nvd` nor `sources/qualys/tags`; what they share lies above them. */
function refuseSibling(path: string, to: string): string | null {
  const [, folder, vendor, module, ...rest] = path.split('/')
  const [, toFolder, toVendor, toModule, ...toRest] = to.split('/')
  if (folder !== toFolder || (folder !== 'sources' && folder !== 'destinations')) return null
  if (vendor !== toVendor) return 'vendors do not know each other'
  const isInModule = rest.length > 0
  const isOfModule = toRest.length > 0
  return isInModule && isOfModule && module !== toModule ? 'modules do not know each other' : null
}

async function readSources(): Promise<SourceFile[]> {
  const entries = await readdir(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(ROOT, path), 'utf8') })))
}

test('every folder imports only what its layer may', async () => {
  const files = await readSources()
  expect(files.length).toBeGreaterThan(100)
  expect(violationsOf(files)).toEqual([])
})

test('the layer rules bite', () => {
  const bad: [path: string, text: string][] = [
    ['src/lib/clock.ts', `import { HubError } from '../model/errors.ts'`],
    ['src/model/vm.ts', `import pg from 'pg'`],
    ['src/model/vm.ts', `import type { Db } from '../store/db.ts'`],
    ['src/store/pool.ts', `import {\n  sync,\n} from '../engine/sync.ts'`],
    ['src/engine/sync.ts', `import { hosts } from '../sources/qualys/hosts/index.ts'`],
    ['src/sources/qualys/client.ts', `import type { Db } from '../../store/db.ts'`],
    ['src/sources/qualys/hosts/index.ts', `import { tags } from '../tags/index.ts'`],
    ['src/sources/nvd/index.ts', `export { PLATFORMS } from '../qualys/platforms.ts'`],
    ['src/destinations/jira/cloud.ts', `import { x } from '../csv/index.ts'`],
    ['src/api/app.ts', `import { createProgram } from '../cli/program.ts'`],
    ['src/cli/client.ts', `import { Run } from '../api/resources.ts'`],
    ['src/cli/client.ts', `import type { ApiDeps } from '../api/deps.ts'`],
    ['src/main.ts', `import { startFakeQualys } from '../fakes/qualys/server.ts'`],
    ['src/engine/sync.ts', `const fake = await import('../../fakes/qualys/server.ts')`],
  ]
  expect(bad.filter(([path, text]) => violationsOf([{ path, text }]).length !== 1)).toEqual([])
})

test('the layer rules let through what is allowed', () => {
  const good: [path: string, text: string][] = [
    ['src/lib/http/index.ts', `import { request } from 'undici'`],
    ['src/model/rule.ts', `import { z } from 'zod'`],
    ['src/sources/qualys/hosts/index.ts', `import { readFoPages } from '../fo-read.ts'`],
    ['src/sources/qualys/probe.ts', `import { tags } from './tags/index.ts'`],
    ['src/cli/client.ts', `import type { Run } from '../api/resources.ts'`],
    ['src/main.ts', `import { createApp } from './api/app.ts'`],
  ]
  expect(violationsOf(good.map(([path, text]) => ({ path, text })))).toEqual([])
})
