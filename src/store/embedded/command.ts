import { spawn } from 'node:child_process'
import type { Account } from './account.ts'

const OUTPUT_BYTES_MAX = 64 * 1024

/** PostgreSQL's programs see nothing of our environment: a stray PGDATA or LD_PRELOAD must not change what they do. */
export const CHILD_ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/local/bin:/usr/bin:/bin' }

export interface Command {
  file: string
  args: string[]
  /** Entered before the user is changed, so it may be a folder which `account` could not reach by its path. */
  cwd: string
  account: Account | undefined
  timeoutMs: number
  /** Handed to the program as file descriptor 3. */
  extraFd?: number
  input?: string
}

export interface CommandResult {
  ok: boolean
  /** Both output streams, cut at `OUTPUT_BYTES_MAX`. */
  output: string
}

/** Runs one of PostgreSQL's short-lived programs. Rejects only if it could not be started at all. */
export function runCommand(command: Command): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.file, command.args, {
      cwd: command.cwd,
      env: CHILD_ENVIRONMENT,
      timeout: command.timeoutMs,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'pipe', 'pipe', ...(command.extraFd === undefined ? [] : [command.extraFd])],
      ...(command.account && { uid: command.account.uid, gid: command.account.gid }),
    })
    let output = ''
    const collect = (chunk: Buffer) => {
      if (output.length < OUTPUT_BYTES_MAX) output += chunk.toString('utf8')
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    // A program that ends before it has read its input is judged by its exit code, not by the broken pipe.
    child.stdin?.on('error', () => {})
    child.stdin?.end(command.input ?? '')
    child.on('error', reject)
    child.on('close', (code) => resolve({ ok: code === 0, output: output.slice(0, OUTPUT_BYTES_MAX) }))
  })
}
