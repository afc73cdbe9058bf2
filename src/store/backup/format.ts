import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { z } from 'zod'

/**
 * The format of a backup, described in docs/backup-format.md: one line of JSON, then frames of one letter, a length of
 * four bytes (big-endian) and that many bytes.
 */
export const FORMAT = 'patchbay-backup'
export const FORMAT_VERSION = 1

export const HEADER_BYTES_MAX = 1024 * 1024
/** Of COPY's text in one frame, before it is compressed. */
export const CHUNK_BYTES_MAX = 1024 * 1024
/** Text that cannot be compressed grows a little. */
export const FRAME_BYTES_MAX = 2 * CHUNK_BYTES_MAX
export const FRAME_HEAD_BYTES = 5

/** The fastest: the disk and the database are the limit then, and a higher one gains a tenth. */
const COMPRESSION_LEVEL = 1
/** More than a chunk ever needs; what asks for more memory is none of ours. */
const WINDOW_LOG_MAX = 23

export const FRAME = { data: 'd', tableEnd: 't', end: 'e' } as const
export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

const Name = z.string().regex(/^[a-z_][a-z0-9_]{0,62}$/)
const Count = z.int().min(0)
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const Whole = z.string().regex(/^-?\d{1,19}$/)
const LIST_MAX = 10_000

export const Header = z.object({
  format: z.literal(FORMAT),
  version: z.literal(FORMAT_VERSION),
  takenAt: z.iso.datetime(),
  /** Of the program, and of the server it was taken from: for people. */
  patchbay: z.string().max(50),
  postgresql: z.string().max(100),
  migrations: z
    .array(z.object({ number: Count, name: z.string().max(200), checksum: Sha256 }))
    .min(1)
    .max(LIST_MAX),
  /** Ids of the keys that the secrets are sealed with, never the keys. */
  keyIds: z.array(z.string().max(100)).max(LIST_MAX),
  tables: z
    .array(
      z.object({ name: Name, columns: z.array(Name).min(1).max(LIST_MAX), rowsEstimated: z.number().min(0) }),
    )
    .max(LIST_MAX),
  partitions: z
    .array(z.object({ table: Name, name: Name, from: z.iso.datetime(), to: z.iso.datetime() }))
    .max(LIST_MAX),
  sequences: z.array(z.object({ name: Name, value: Whole.nullable() })).max(LIST_MAX),
})
export type Header = z.infer<typeof Header>

/** Stands behind the rows of each table; size and hash are those of COPY's text. */
export const TableEnd = z.object({ name: Name, rows: Count, bytes: Count, sha256: Sha256 })
export type TableEnd = z.infer<typeof TableEnd>

/** Stands at the very end; the hash is that of every byte before this frame. */
export const End = z.object({ tables: Count, rows: Count, sha256: Sha256 })
export type End = z.infer<typeof End>

export function frameOf(kind: FrameKind, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES)
  head.write(kind, 'latin1')
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}

export function jsonFrame(kind: FrameKind, value: unknown): Buffer {
  return frameOf(kind, Buffer.from(JSON.stringify(value)))
}

export function compress(text: Buffer): Promise<Buffer> {
  return promisify(zstdCompress)(text, {
    params: { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL },
  })
}

/** @throws when it is no such frame, or holds more than a chunk. */
export function decompress(payload: Buffer): Promise<Buffer> {
  return promisify(zstdDecompress)(payload, {
    maxOutputLength: CHUNK_BYTES_MAX,
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
  })
}

export function sha256() {
  return createHash('sha256')
}
