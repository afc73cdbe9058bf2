import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { HubError } from '../../model/errors.ts'

export interface FolderLock {
  release(): void
}

const SQLITE_BUSY = 5

/**
 * Takes the data folder for this process, or refuses with a sentence that names the process which has it.
 *
 * The lock is the kernel's: Node offers no file locks, but SQLite, which is built into it, takes one on the (always
 * empty) file `lock` while a transaction is open. So it goes away with its process, however that ends; of two starters
 * exactly one wins; and it also holds between containers that share the folder, where process ids mean nothing. The
 * file `owner` beside it only serves the sentence.
 */
export function lockFolder(folder: string): FolderLock {
  const ownerFile = join(folder, 'owner')
  const lock = new DatabaseSync(join(folder, 'lock'))
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error
    throw inUse(folder, ownerFile)
  }
  writeFileSync(ownerFile, `${process.pid}\n`, { mode: 0o600 })
  let isHeld = true
  return {
    release() {
      if (!isHeld) return
      isHeld = false
      rmSync(ownerFile, { force: true })
      lock.close()
    },
  }
}

function inUse(folder: string, ownerFile: string): HubError {
  const owner = readOwner(ownerFile)
  const holder = owner === undefined ? 'another Patchbay process' : `the Patchbay process with pid ${owner}`
  return new HubError('conflict', `The data folder ${folder} is in use by ${holder}.`, {
    code: 'folder_in_use',
    hint: 'Stop that process first, or choose another data folder with PATCHBAY_HOME.',
  })
}

function readOwner(ownerFile: string): string | undefined {
  try {
    return /^\d{1,10}$/m.exec(readFileSync(ownerFile, 'utf8'))?.[0]
  } catch {
    return undefined
  }
}
