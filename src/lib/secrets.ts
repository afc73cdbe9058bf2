import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import { type Stats, constants } from 'node:fs'
import { link, mkdir, open as openFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const RECORD_VERSION = 1
const SECRET_BYTES_MAX = 64 * 1024
/** Read, write or execute for the group or for others. */
const SHARED_MODE_BITS = 0o077
/** Write for the group or for others. */
const WRITABLE_MODE_BITS = 0o022

/** What a person can do about it stands in the message; no key and no secret does. */
export class SecretsError extends Error {
  override readonly name = 'SecretsError'
  readonly code:
    | 'key_file_missing'
    | 'key_file_shared'
    | 'key_file_foreign'
    | 'key_file_bad'
    | 'wrong_key'
    | 'damaged'
    | 'too_large'

  constructor(code: SecretsError['code'], message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.code = code
  }
}

/** Which secret it is. It is bound into the record, so that a record moved to another row or field cannot be opened. */
export interface SecretContext {
  integrationId: string
  field: string
}

/**
 * What is stored: the secret under a data key of its own, and that key under the key of the ring named by `keyId`.
 * Nonce, ciphertext and tag stand one after the other, base64.
 */
export interface SealedSecret {
  version: number
  keyId: string
  wrappedKey: string
  sealed: string
}

/** The key-encryption keys. The first seals; all of them open. */
export interface KeyRing {
  readonly keys: readonly { readonly id: string; readonly key: Buffer }[]
}

/** Seals a secret (UTF-8): a fresh 256-bit data key, AES-256-GCM, bound to its context. */
export function seal(keyRing: KeyRing, plaintext: string, context: SecretContext): SealedSecret {
  const text = Buffer.from(plaintext, 'utf8')
  if (text.length > SECRET_BYTES_MAX) {
    throw new SecretsError('too_large', `A secret must not be larger than ${SECRET_BYTES_MAX} bytes.`)
  }
  const [current] = keyRing.keys
  if (current === undefined) throw new Error('A key ring holds at least one key.')
  const dataKey = randomBytes(KEY_BYTES)
  return {
    version: RECORD_VERSION,
    keyId: current.id,
    wrappedKey: encrypt(current.key, dataKey, associatedData('key', context, current.id)),
    sealed: encrypt(dataKey, text, associatedData('secret', context, current.id)),
  }
}

/**
 * Opens what `seal` made.
 * @throws SecretsError `wrong_key` when the ring lacks the key, `damaged` when record or context were changed.
 */
export function open(keyRing: KeyRing, record: SealedSecret, context: SecretContext): string {
  const place = `The stored secret "${context.field}" of integration ${context.integrationId}`
  if (record.version !== RECORD_VERSION) {
    throw new SecretsError('damaged', `${place} was written by a newer version of Patchbay. Update Patchbay.`)
  }
  const entry = keyRing.keys.find(({ id }) => id === record.keyId)
  if (entry === undefined) {
    throw new SecretsError(
      'wrong_key',
      `${place} was sealed with the key ${record.keyId}, which the key file does not hold. ` +
        'Put the key file back that was in use, or enter the secret again.',
    )
  }
  try {
    const dataKey = decrypt(entry.key, record.wrappedKey, associatedData('key', context, record.keyId))
    return decrypt(dataKey, record.sealed, associatedData('secret', context, record.keyId)).toString('utf8')
  } catch (cause) {
    const message = `${place} was changed after it was stored, or belongs elsewhere. Enter the secret again.`
    throw new SecretsError('damaged', message, { cause })
  }
}

/**
 * Writes a fresh key, readable by its owner only; an existing file is never overwritten (`EEXIST`). It gets its name
 * when it is complete, so that a start which is killed leaves no half of one.
 */
export async function createKeyFile(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const unfinished = `${path}.${randomBytes(6).toString('hex')}`
  const file = await openFile(unfinished, 'wx', 0o600)
  try {
    await file.writeFile(`${randomBytes(KEY_BYTES).toString('base64')}\n`)
    await file.sync()
    await link(unfinished, path)
  } finally {
    await file.close()
    await rm(unfinished, { force: true })
  }
}

/** Reads a key file: base64 keys of 32 bytes, one a line, the one that seals first. */
export async function loadKeyRing(path: string): Promise<KeyRing> {
  const file = await openFile(path, constants.O_RDONLY).catch((cause: unknown) => {
    const message = `The key file ${path} cannot be read. Put it back: without it the stored secrets cannot be opened.`
    throw new SecretsError('key_file_missing', message, { cause })
  })
  try {
    const stats = await file.stat()
    const { mode, size } = stats
    if (isForeign(stats)) {
      const message = `The key file ${path} belongs to another user (uid ${stats.uid}), who knows its keys. Put your own there.`
      throw new SecretsError('key_file_foreign', message)
    }
    if ((mode & SHARED_MODE_BITS) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0')
      const message = `The key file ${path} can be used by others (mode ${shown}). Run: chmod 600 ${path}`
      throw new SecretsError('key_file_shared', message)
    }
    if (size > SECRET_BYTES_MAX)
      throw new SecretsError('key_file_bad', `The file ${path} is no key file: it is too large.`)
    return parseKeyRing(await file.readFile('utf8'), `The key file ${path}`)
  } finally {
    await file.close()
  }
}

/** As `loadKeyRing`, from the text itself; `origin` names it in messages. */
export function parseKeyRing(text: string, origin: string): KeyRing {
  const keys = text.split(/\s+/).filter((line) => line !== '')
  const ring = keys.map((line) => {
    const key = Buffer.from(line, 'base64')
    const isKey = /^[A-Za-z0-9+/]{43}=$/.test(line) && key.length === KEY_BYTES
    if (!isKey)
      throw new SecretsError(
        'key_file_bad',
        `${origin} holds something that is not a key (32 bytes, base64).`,
      )
    return { id: keyIdOf(key), key }
  })
  if (ring.length === 0) throw new SecretsError('key_file_bad', `${origin} holds no key.`)
  return { keys: ring }
}

/** Shows that one knows a token, without showing the token: HMAC-SHA256 over what the asker made up, base64url. */
export function proveToken(token: string, nonce: string): string {
  return createHmac('sha256', token).update(nonce).digest('base64url')
}

/** What another user could have put or changed there, and so must not be believed; null when it is ours alone. */
export function whyUntrusted(stats: Stats): string | null {
  if (isForeign(stats)) return `belongs to another user (uid ${stats.uid})`
  if ((stats.mode & WRITABLE_MODE_BITS) === 0) return null
  return `can be changed by other users (mode ${(stats.mode & 0o777).toString(8).padStart(4, '0')})`
}

/** Where the system has no user ids, it has no such bits either. */
function isForeign({ uid }: Stats): boolean {
  return process.getuid !== undefined && uid !== process.getuid()
}

/** The first 64 bits of a hash of the key: names it without telling it. */
function keyIdOf(key: Buffer): string {
  return createHash('sha256').update('patchbay key id\0').update(key).digest('hex').slice(0, 16)
}

/** Every part with its length before it, so that no two contexts give the same bytes. */
function associatedData(what: 'key' | 'secret', context: SecretContext, keyId: string): Buffer {
  const parts = ['patchbay', String(RECORD_VERSION), what, keyId, context.integrationId, context.field]
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, 'utf8')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}

function encrypt(key: Buffer, plaintext: Buffer, associated: Buffer): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(associated)
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString(
    'base64',
  )
}

function decrypt(key: Buffer, text: string, associated: Buffer): Buffer {
  const bytes = Buffer.from(text, 'base64')
  // Base64 tolerates junk and spare bits; a record is only ever what was written.
  if (bytes.length < NONCE_BYTES + TAG_BYTES || bytes.toString('base64') !== text)
    throw new Error('Not as written.')
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const tag = bytes.subarray(bytes.length - TAG_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(associated).setAuthTag(tag)
  return Buffer.concat([
    decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES)),
    decipher.final(),
  ])
}
