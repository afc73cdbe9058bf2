import { rm, stat } from 'node:fs/promises'
import type pg from 'pg'
import type { Vault } from '../api/deps.ts'
import {
  type KeyRing,
  type SealedSecret,
  SecretsError,
  createKeyFile,
  loadKeyRing,
  open,
  seal,
} from '../lib/secrets.ts'
import { HubError } from '../model/errors.ts'
import { listSecrets, putSecret } from '../store/queries/integrations.ts'
import { lockKeyRing, readKeyIds, recordKeyId } from '../store/queries/key-ring.ts'
import { inTransaction } from '../store/transaction.ts'
import type { KnownSecrets } from './log.ts'

const PUT_BACK =
  'Put the key file of the server there (a copy of it from a backup, if it is lost), or name its place with PATCHBAY_KEY_FILE.'
const KEY_FILE_CODES = new Set<string>(['key_file_missing', 'key_file_bad', 'key_file_foreign'])

export interface KeyRingOptions {
  keyFile: string
  /** False for processes that share the database of a server: they take its key, and never make one. */
  mayCreate: boolean
  /** Others may have sealed with the recorded key, or be about to, even where no secret is stored yet. */
  isShared: boolean
}

/**
 * The key ring, made on the very first start. Where a key is in use already a missing key file is never replaced: a new
 * key could not open what is stored, and what it seals others could not open.
 * @throws HubError `config` when the key file lacks a key that the database asks for.
 */
export async function ensureKeyRing(pool: pg.Pool, options: KeyRingOptions): Promise<KeyRing> {
  const { keyFile, mayCreate, isShared } = options
  return inTransaction(pool, async (db) => {
    await lockKeyRing(db)
    const ids = await readKeyIds(db)
    const { used } = ids
    const recorded = isShared ? ids.recorded : null
    try {
      if (mayCreate && used.length === 0) await createUnlessThere(keyFile, recorded)
      const ring = await loadKeyRing(keyFile)
      const wanted = recorded === null ? used : [...new Set([recorded, ...used])]
      const missing = wanted.filter((id) => !ring.keys.some((key) => key.id === id))
      if (missing.length > 0) throw wrongKey(keyFile, missing)
      await recordKeyId(db, ring.keys[0]!.id)
      return ring
    } catch (error) {
      throw toHubError(error)
    }
  })
}

/** A file that a start which was killed left empty holds no key, so nothing is lost with it. */
async function createUnlessThere(keyFile: string, recorded: string | null): Promise<void> {
  const found = await stat(keyFile).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return null
    throw cannotWrite(keyFile, cause)
  })
  if (recorded !== null || (found !== null && found.size > 0)) return
  try {
    if (found !== null) await rm(keyFile)
    await createKeyFile(keyFile)
  } catch (cause) {
    // Somebody else was faster; its key is taken.
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return
    throw cannotWrite(keyFile, cause)
  }
}

function cannotWrite(keyFile: string, cause: unknown): HubError {
  return new HubError('config', `The key file ${keyFile} cannot be written.`, {
    cause,
    hint: 'Correct the permissions of its folder, or choose another place with PATCHBAY_KEY_FILE.',
  })
}

function wrongKey(keyFile: string, missing: readonly string[]): HubError {
  const message = `The key file ${keyFile} lacks the key ${missing.join(', ')}, which this database is used with.`
  return new HubError('config', message, { code: 'wrong_key', hint: PUT_BACK })
}

/** Seals and opens the secrets of integrations; what is opened is kept out of the log from then on. */
export function createVault(keyRing: KeyRing, known: KnownSecrets): Vault {
  return {
    async put(db, { integrationId, field, value }) {
      known.add(value)
      const sealed = JSON.stringify(seal(keyRing, value, { integrationId, field }))
      await putSecret(db, { integrationId, field, sealed })
    },
    async openAll(db, integrationId) {
      const secrets: Record<string, string> = {}
      for (const { field, sealed } of await listSecrets(db, integrationId)) {
        const value = openOne(keyRing, sealed, { integrationId, field })
        known.add(value)
        secrets[field] = value
      }
      return secrets
    },
  }
}

function openOne(
  keyRing: KeyRing,
  sealed: string,
  context: { integrationId: string; field: string },
): string {
  try {
    return open(keyRing, JSON.parse(sealed) as SealedSecret, context)
  } catch (error) {
    throw toHubError(error)
  }
}

function toHubError(error: unknown): unknown {
  if (!(error instanceof SecretsError)) return error
  const hint = KEY_FILE_CODES.has(error.code) ? { hint: PUT_BACK } : {}
  return new HubError('config', error.message, { code: error.code, cause: error, ...hint })
}
