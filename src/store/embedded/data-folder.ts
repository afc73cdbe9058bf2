import { randomBytes } from 'node:crypto'
import { chown, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Account } from './account.ts'
import { embeddedFailure } from './failure.ts'

const INITDB_PREFIX = 'postgres.initdb-'
const WRITE_TEST_BYTES = 4096

/** What lies where under the data folder (`PATCHBAY_HOME`). Only `cluster` ever belongs to another user than ours. */
export interface DataFolder {
  root: string
  /** The cluster, PostgreSQL's "data directory". */
  cluster: string
  passwordFile: string
  logFile: string
  /** A copy of the server's programs, if the installed ones cannot be used as they are. */
  binaries: string
}

/** Makes the data folder if need be (0700: it holds passwords and customers' data) and sees that it can be written. */
export async function openDataFolder(path: string): Promise<DataFolder> {
  const root = resolve(path)
  try {
    await mkdir(root, { recursive: true, mode: 0o700 })
    const probe = join(root, `.write-test-${randomBytes(6).toString('hex')}`)
    try {
      await writeDurably(probe, 'x'.repeat(WRITE_TEST_BYTES))
    } finally {
      await rm(probe, { force: true })
    }
  } catch (error) {
    throw embeddedFailure(`use the data folder ${root}`, error)
  }
  return {
    root,
    cluster: join(root, 'postgres'),
    passwordFile: join(root, 'postgres.password'),
    logFile: join(root, 'postgres.log'),
    binaries: join(root, 'binaries'),
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}

/** The password of the database, or undefined if there is none yet (or no more). */
export async function readPassword(folder: DataFolder): Promise<string | undefined> {
  const text = await readFile(folder.passwordFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw embeddedFailure(`read ${folder.passwordFile}`, error)
  })
  return text.trim() || undefined
}

export async function createPassword(folder: DataFolder): Promise<string> {
  const password = randomBytes(24).toString('base64url')
  const unfinished = `${folder.passwordFile}.new`
  await rm(unfinished, { force: true })
  await writeDurably(unfinished, `${password}\n`)
  await rename(unfinished, folder.passwordFile)
  return password
}

/** An empty folder for `initdb`, which is renamed to `cluster` once it is complete. */
export async function makeInitdbFolder(folder: DataFolder, account: Account | undefined): Promise<string> {
  const path = join(folder.root, `${INITDB_PREFIX}${randomBytes(6).toString('hex')}`)
  await mkdir(path, { mode: 0o700 })
  if (account) await chown(path, account.uid, account.gid)
  return path
}

/** What starts that were killed in the middle of `initdb` have left. */
export async function listInitdbFolders(folder: DataFolder): Promise<string[]> {
  const names = await readdir(folder.root)
  return names.filter((name) => name.startsWith(INITDB_PREFIX)).map((name) => join(folder.root, name))
}

export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A rename outlives a power cut only once the folder that holds the name is written as well. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
