import { type FileHandle, open } from 'node:fs/promises'
import type { z } from 'zod'
import { HubError } from '../../model/errors.ts'
import {
  End,
  FORMAT,
  FORMAT_VERSION,
  FRAME,
  FRAME_BYTES_MAX,
  FRAME_HEAD_BYTES,
  type FrameKind,
  HEADER_BYTES_MAX,
  Header,
  TableEnd,
  sha256,
} from './format.ts'

const READ_BYTES = 1024 * 1024

/** What comes after the header, in the order of its tables. */
export type BackupItem =
  | { kind: 'data'; table: number; payload: Buffer }
  | { kind: 'tableEnd'; table: number; end: TableEnd }
  | { kind: 'end'; end: End }

/**
 * A backup file. Whoever wrote it may be anybody: all that is believed of it is what its own lengths and hashes bear out,
 * and that is no proof of where it comes from.
 */
export class BackupFile {
  readonly path: string
  readonly header: Header
  readonly bytes: number
  readonly #file: FileHandle

  private constructor(path: string, file: FileHandle, known: { header: Header; bytes: number }) {
    this.path = path
    this.#file = file
    this.header = known.header
    this.bytes = known.bytes
  }

  /** @throws HubError when there is no such file, or when it is no backup that this program can read. */
  static async open(path: string): Promise<BackupFile> {
    const file = await open(path, 'r').catch((cause: unknown) => {
      throw unreadable(path, cause)
    })
    try {
      const stats = await file.stat()
      if (!stats.isFile()) throw notABackup(path)
      const header = parseHeader(path, await readLine(path, file))
      return new BackupFile(path, file, { header, bytes: stats.size })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  /**
   * Everything behind the header, seen to be whole: the tables in their order, nothing missing, nothing behind the end,
   * every byte as it was hashed. What comes out before the end is only as good as that end, so a first reading that keeps
   * nothing goes before the one that counts.
   */
  async *items(onBytes: (bytes: number) => void = () => undefined): AsyncGenerator<BackupItem> {
    const { header } = this
    const hash = sha256()
    const bytes = new ByteSource(this.#file, this.path)
    hash.update(await bytes.takeLine())
    let table = 0
    let rows = 0
    for (;;) {
      const { kind, head, payload } = await bytes.takeFrame()
      onBytes(head.length + payload.length)
      if (kind === FRAME.end) {
        const end = this.#parse(End, payload)
        const isAll = end.tables === header.tables.length && table === end.tables && rows === end.rows
        if (!isAll || end.sha256 !== hash.digest('hex'))
          throw damaged(this.path, 'what it holds is not what was written')
        await bytes.requireEnd()
        return yield { kind: 'end', end }
      }
      hash.update(head).update(payload)
      if (table >= header.tables.length) throw damaged(this.path, 'it goes on after its last table')
      if (kind === FRAME.data) {
        yield { kind: 'data', table, payload }
        continue
      }
      const end = this.#parse(TableEnd, payload)
      if (end.name !== header.tables[table]?.name) throw damaged(this.path, 'its tables are out of order')
      yield { kind: 'tableEnd', table, end }
      rows += end.rows
      table += 1
    }
  }

  #parse<T>(schema: z.ZodType<T>, payload: Buffer): T {
    const parsed = schema.safeParse(parseJson(payload))
    if (!parsed.success) throw damaged(this.path, 'the account of what it holds cannot be read')
    return parsed.data
  }
}

/** Takes exact pieces out of a file, from its beginning. */
class ByteSource {
  readonly #file: FileHandle
  readonly #path: string
  #position = 0
  #buffer: Buffer = Buffer.alloc(0)

  constructor(file: FileHandle, path: string) {
    this.#file = file
    this.#path = path
  }

  async takeLine(): Promise<Buffer> {
    for (let end = -1; ;) {
      end = this.#buffer.indexOf(10)
      if (end !== -1) return this.#cut(end + 1)
      if (this.#buffer.length > HEADER_BYTES_MAX || !(await this.#fill())) throw notABackup(this.#path)
    }
  }

  async takeFrame(): Promise<{ kind: FrameKind; head: Buffer; payload: Buffer }> {
    const head = await this.#take(FRAME_HEAD_BYTES)
    const kind = head.toString('latin1', 0, 1)
    const length = head.readUInt32BE(1)
    const isKnown = kind === FRAME.data || kind === FRAME.tableEnd || kind === FRAME.end
    if (!isKnown || length > FRAME_BYTES_MAX)
      throw damaged(
        this.#path,
        `at byte ${this.#offset() - FRAME_HEAD_BYTES} there is something else than expected`,
      )
    return { kind, head, payload: await this.#take(length) }
  }

  async requireEnd(): Promise<void> {
    if (this.#buffer.length > 0 || (await this.#fill()))
      throw damaged(this.#path, 'something stands behind its end')
  }

  async #take(bytes: number): Promise<Buffer> {
    while (this.#buffer.length < bytes)
      if (!(await this.#fill())) throw damaged(this.#path, 'its end is missing')
    return this.#cut(bytes)
  }

  #cut(bytes: number): Buffer {
    const piece = this.#buffer.subarray(0, bytes)
    this.#buffer = this.#buffer.subarray(bytes)
    return piece
  }

  #offset(): number {
    return this.#position - this.#buffer.length
  }

  async #fill(): Promise<boolean> {
    const { buffer, bytesRead } = await this.#file
      .read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, this.#position)
      .catch((cause: unknown) => {
        throw unreadable(this.#path, cause)
      })
    this.#position += bytesRead
    this.#buffer = Buffer.concat([this.#buffer, buffer.subarray(0, bytesRead)])
    return bytesRead > 0
  }
}

async function readLine(path: string, file: FileHandle): Promise<Buffer> {
  return new ByteSource(file, path).takeLine()
}

function parseHeader(path: string, line: Buffer): Header {
  const value = parseJson(line) as { format?: unknown; version?: unknown } | undefined
  if (typeof value !== 'object' || value === null || value.format !== FORMAT) throw notABackup(path)
  if (typeof value.version === 'number' && value.version > FORMAT_VERSION)
    throw new HubError('config', `The backup ${path} was made by a newer Patchbay, in a newer format.`, {
      code: 'backup_too_new',
      hint: 'Restore it with the Patchbay that made it, or a newer one.',
    })
  const parsed = Header.safeParse(value)
  if (!parsed.success) throw damaged(path, 'its first line cannot be understood')
  return parsed.data
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function notABackup(path: string): HubError {
  return new HubError('config', `The file ${path} is no backup of Patchbay.`, { code: 'not_a_backup' })
}

function unreadable(path: string, cause: unknown): HubError {
  const { code } = cause as NodeJS.ErrnoException
  const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown reason'})`
  return new HubError(code === 'ENOENT' ? 'not_found' : 'config', `The file ${path} ${why}.`, { cause })
}

export function damaged(path: string, what: string): HubError {
  return new HubError(
    'config',
    `The backup ${path} is cut off or was changed: ${what}. Nothing was restored.`,
    {
      code: 'backup_damaged',
      hint: 'Use another copy of it.',
    },
  )
}
