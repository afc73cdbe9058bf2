import { randomBytes, timingSafeEqual } from 'node:crypto'
import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { proveToken, whyUntrusted } from '../lib/secrets.ts'
import { HubError } from '../model/errors.ts'

/** Where a running server of this data folder is, for the commands that are its clients. */
export interface ServerFile {
  pid: number
  /** A loopback one. */
  url: string
  /** Tells this server's file from that of a server that took the folder since. */
  instance: string
  /** A command that started what it needed by itself; it will be gone soon. */
  isCommand: boolean
}

const HEALTH_TIMEOUT_MS = 2_000
const HEALTH_BYTES_MAX = 4 * 1024
const FILE_BYTES_MAX = 4 * 1024
const TOKEN_BYTES = 32
const NONCE_BYTES = 32
const LOOPBACK_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * Makes the data folder, for its owner alone; one that is there must be ours and closed to the pens of others, or
 * somebody may have laid it out for us.
 */
export async function ensureHome(home: string): Promise<void> {
  try {
    const made = await mkdir(home, { recursive: true, mode: 0o700 })
    if (made !== undefined) await chmod(home, 0o700)
  } catch (cause) {
    throw cannotWrite(home, cause)
  }
  await seeTrusted(home)
}

/** Whether the folder is there; refuses one that others could have filled. */
async function seeTrusted(home: string): Promise<boolean> {
  const stats = await stat(home).catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') return null
    throw cannotRead(home, cause)
  })
  const why = stats === null ? null : whyUntrusted(stats)
  if (why !== null) throw untrusted(`The data folder ${home}`, home, why)
  return stats !== null
}

/** The bearer token of this data folder, made on the first start; for its owner alone. */
export async function ensureToken(home: string): Promise<string> {
  const known = await readToken(home)
  if (known !== null) return known
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  await writePrivately(join(home, 'api-token'), `${token}\n`)
  return token
}

async function readToken(home: string): Promise<string | null> {
  const text = await readTrusted(join(home, 'api-token'))
  return text.trim() === '' ? null : text.trim()
}

/** The start of a small file of our own; empty when there is none. */
async function readTrusted(path: string): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const why = whyUntrusted(await file.stat())
      if (why !== null) throw untrusted(`The file ${path}`, path, why)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(FILE_BYTES_MAX), 0, FILE_BYTES_MAX, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return ''
    throw cause instanceof HubError ? cause : cannotRead(path, cause)
  }
}

export async function writeServerFile(home: string, server: ServerFile): Promise<void> {
  await writePrivately(join(home, 'server.json'), `${JSON.stringify(server)}\n`)
}

/** Only our own: another server may have taken the folder since. */
export async function removeServerFile(home: string, instance: string): Promise<void> {
  if ((await readServerFile(home))?.instance === instance)
    await rm(join(home, 'server.json'), { force: true })
}

/**
 * The server that runs on this data folder, or null. A killed server leaves its file behind, and anybody may have taken
 * its port since: so nothing is told to whoever listens there before it has proved that it knows the token.
 * @throws HubError `config` when the folder or a file in it may be the work of another user.
 */
export async function findServer(home: string): Promise<{ url: string; token: string } | null> {
  if (!(await seeTrusted(home))) return null
  const file = await readServerFile(home)
  const token = await readToken(home)
  if (file === null || token === null || !isLoopback(file.url)) return null
  return (await knowsToken(file.url, token)) ? { url: file.url, token } : null
}

async function knowsToken(url: string, token: string): Promise<boolean> {
  const nonce = randomBytes(NONCE_BYTES).toString('base64url')
  try {
    const answer = await fetch(new URL(`/healthz?nonce=${nonce}`, url), {
      redirect: 'error',
      signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
    })
    const { proof } = JSON.parse(await readBounded(answer)) as { proof?: unknown }
    const expected = Buffer.from(proveToken(token, nonce))
    const given = Buffer.from(typeof proof === 'string' ? proof : '')
    return given.length === expected.length && timingSafeEqual(given, expected)
  } catch {
    return false
  }
}

async function readBounded(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length
    if (bytes > HEALTH_BYTES_MAX) throw new Error('This is no answer of ours.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname } = new URL(url)
  return protocol === 'http:' && LOOPBACK_NAME.test(hostname)
}

async function readServerFile(home: string): Promise<ServerFile | null> {
  const text = await readTrusted(join(home, 'server.json'))
  try {
    return JSON.parse(text) as ServerFile | null
  } catch {
    return null
  }
}

async function writePrivately(path: string, text: string): Promise<void> {
  const unfinished = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = await open(unfinished, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await chmod(unfinished, 0o600)
    await rename(unfinished, path)
  } catch (cause) {
    await rm(unfinished, { force: true })
    throw cannotWrite(path, cause)
  }
}

function cannotWrite(path: string, cause: unknown): HubError {
  return new HubError('config', `${path} cannot be written (${codeOf(cause)}).`, {
    cause,
    hint: 'Free space, correct the permissions, or choose another data folder with PATCHBAY_HOME.',
  })
}

function cannotRead(path: string, cause: unknown): HubError {
  return new HubError('config', `${path} cannot be read (${codeOf(cause)}).`, {
    cause,
    hint: 'Correct the permissions, or choose another data folder with PATCHBAY_HOME.',
  })
}

function untrusted(what: string, path: string, why: string): HubError {
  return new HubError('config', `${what} ${why}, so what it holds cannot be trusted.`, {
    code: 'folder_untrusted',
    hint: `If you know what is in it, run: chown "$(id -u)" '${path}' && chmod go-w '${path}'. Otherwise choose another data folder with PATCHBAY_HOME.`,
  })
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown reason'
}
