import { randomBytes } from 'node:crypto'
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { HubError } from '../../model/errors.ts'
import { syncFolder } from '../embedded/data-folder.ts'

const FULL_CODES = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/**
 * Writes a file for its owner alone, which gets its name when it is whole and on the disk; until then, and when it fails,
 * what was there before stays. Returns its size.
 *
 * @throws HubError `conflict` when the name is taken, unless it may be replaced.
 */
export async function writeWhole(
  path: string,
  chunks: AsyncIterable<Buffer>,
  options: { mayReplace: boolean; signal: AbortSignal },
): Promise<number> {
  if (!options.mayReplace) await requireFree(path)
  const unfinished = `${path}.unfinished-${randomBytes(6).toString('hex')}`
  try {
    const file = await open(unfinished, 'wx', 0o600)
    let bytes: number
    try {
      await file.writeFile(chunks, { signal: options.signal })
      await file.sync()
      bytes = (await file.stat()).size
    } finally {
      await file.close()
    }
    if (options.mayReplace) await rename(unfinished, path)
    // A link, unlike a rename, leaves alone what somebody has put there meanwhile.
    else await link(unfinished, path)
    await rm(unfinished, { force: true })
    await syncFolder(dirname(path))
    return bytes
  } catch (error) {
    await rm(unfinished, { force: true })
    if (options.signal.aborted) throw options.signal.reason
    throw whyNotWritten(path, error)
  }
}

async function requireFree(path: string): Promise<void> {
  if ((await stat(path).catch(() => null)) !== null) throw isTaken(path)
}

function isTaken(path: string): HubError {
  return new HubError('conflict', `There is a file ${path} already.`, {
    code: 'file_exists',
    hint: 'Choose another name, or replace it with --force.',
  })
}

/** What the file system says becomes a sentence; what the database says is passed on. */
function whyNotWritten(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error
  const { code = '' } = error as NodeJS.ErrnoException
  if (code === 'EEXIST') return isTaken(path)
  const isFull = FULL_CODES.has(code)
  const why = isFull ? 'the disk is full' : code === 'ENOENT' ? 'its folder does not exist' : code
  return new HubError('config', `The backup ${path} cannot be written: ${why}.`, {
    cause: error,
    ...(isFull && { code: 'disk_full' }),
    hint: isFull ? 'Free space, or name a file on another disk.' : 'Name a file where you may write.',
  })
}
