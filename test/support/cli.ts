import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../../bin/patchbay.js', import.meta.url))

export interface CliResult {
  code: number | null
  stdout: string
  stderr: string
}

/** A data folder of its own, and the real program on it. */
export class CliWorld {
  readonly home: string
  readonly #environment: Record<string, string>
  readonly #running = new Set<ChildProcess>()
  /** Everything that any command has said. */
  said = ''

  private constructor(home: string, environment: Record<string, string>) {
    this.home = home
    this.#environment = environment
  }

  static async open(environment: Record<string, string> = {}): Promise<CliWorld> {
    // A path with a space, as people have them.
    return new CliWorld(await mkdtemp(join(tmpdir(), 'patchbay cli ')), environment)
  }

  /** Runs a command to its end. */
  async run(
    args: readonly string[],
    options: { input?: string; env?: Record<string, string> } = {},
  ): Promise<CliResult> {
    const child = this.start(args, options.env)
    child.process.stdin?.end(options.input ?? '')
    return child.ended
  }

  /** The answer of a command under `--json`. */
  async json<Data>(args: readonly string[]): Promise<Data> {
    const { stdout, stderr, code } = await this.run([...args, '--json'])
    if (stdout === '') throw new Error(`patchbay ${args.join(' ')} ended with ${code}: ${stderr}`)
    return (JSON.parse(stdout) as { data: Data }).data
  }

  start(args: readonly string[], env: Record<string, string> = {}): StartedCli {
    const { PATH = '', HOME = '' } = process.env
    const child = spawn(process.execPath, [BIN, ...args], {
      cwd: this.home,
      env: { PATH, HOME, PATCHBAY_HOME: this.home, PATCHBAY_PORT: '0', ...this.#environment, ...env },
      stdio: 'pipe',
    })
    this.#running.add(child)
    const result: CliResult = { code: null, stdout: '', stderr: '' }
    const heard = (stream: 'stdout' | 'stderr') => (chunk: Buffer) => {
      result[stream] += chunk.toString('utf8')
      this.said += chunk.toString('utf8')
    }
    child.stdout.on('data', heard('stdout'))
    child.stderr.on('data', heard('stderr'))
    const ended = new Promise<CliResult>((resolve) => {
      child.once('close', (code) => {
        this.#running.delete(child)
        resolve({ ...result, code })
      })
    })
    return { process: child, ended, result }
  }

  /** Starts a server and returns when it is ready. */
  async serve(env: Record<string, string> = {}): Promise<StartedCli> {
    const server = this.start(['serve'], env)
    await until(server, 'Patchbay is ready')
    return server
  }

  async serverPid(): Promise<number> {
    const text = await readFile(join(this.home, 'server.json'), 'utf8')
    return (JSON.parse(text) as { pid: number }).pid
  }

  /** Ends what still runs, in the order that lets the database stop well. */
  async close(): Promise<void> {
    for (const child of this.#running) child.kill('SIGTERM')
    await Promise.all(
      [...this.#running].map((child) => new Promise((resolve) => child.once('close', resolve))),
    )
    await rm(this.home, { recursive: true, force: true })
  }
}

export interface StartedCli {
  process: ChildProcess
  ended: Promise<CliResult>
  /** What has been heard so far. */
  result: CliResult
}

/** Resolves when the program has said this; rejects when it ends without. */
export async function until(started: StartedCli, text: string): Promise<void> {
  const heard = () => `${started.result.stdout}${started.result.stderr}`.includes(text)
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (heard()) resolve()
    }
    started.process.stdout?.on('data', look)
    started.process.stderr?.on('data', look)
    void started.ended.then(({ code, stderr }) =>
      heard() ? resolve() : reject(new Error(`It ended with ${code} before it said "${text}": ${stderr}`)),
    )
    look()
  })
}
