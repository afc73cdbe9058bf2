import type { Clock } from '../lib/clock.ts'

/** What the command line is given: streams, signals, and what only the composition root can start. */
export interface CliContext {
  stdin: NodeJS.ReadStream
  stdout: Output
  stderr: Output
  clock: Clock
  /** Throws `HubError('config')`. */
  loadConfig(flags: ConfigFlags): CliConfig
  /** The server that runs on a data folder. */
  findServer(home: string): Promise<{ url: string; token: string } | null>
  startHub(config: CliConfig, role: 'server' | 'command' | 'worker', signal: AbortSignal): Promise<CliHub>
  migrate(config: CliConfig, options: { isDryRun: boolean }): Promise<Migrations>
  backUp(config: CliConfig, order: BackupOrder): Promise<BackupReport>
  restore(config: CliConfig, order: RestoreOrder): Promise<RestoreReport>
  diagnoseQualys(config: CliConfig, access: QualysAccount, signal: AbortSignal): Promise<readonly Check[]>
  readFile(path: string): Promise<string>
  /** Runs the demo as a program of its own; resolves with its exit code. */
  runDemo(args: readonly string[]): Promise<number>
  onSignal(handler: (signal: 'SIGINT' | 'SIGTERM') => void): void
  /** Ends the process at once. */
  exitNow(code: number): never
}

export interface Output {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

export interface ConfigFlags {
  home?: string | undefined
  host?: string | undefined
  port?: string | undefined
  logLevel?: string | undefined
}

/** What commands look at themselves; everything else of the configuration passes through. */
export interface CliConfig {
  home: string
  qualysPassword?: string | undefined
  jiraApiToken?: string | undefined
}

export interface CliHub {
  url: string
  token: string
  database: string
  /** Resolves with how the database ended when it ended by itself. */
  ended: Promise<Error | undefined>
  close(): Promise<void>
}

export interface Migrations {
  database: string
  applied: readonly string[]
  pending: readonly string[]
  newer: readonly string[]
}

export interface BackupOrder {
  file: string
  mayReplace: boolean
  signal: AbortSignal
  onProgress(progress: { table: string; tableNumber: number; tables: number; bytes: number }): void
}

export interface BackupReport {
  file: string
  bytes: number
  takenAt: string
  /** The last migration of the database. */
  schema: string
  database: string
  rows: number
  tables: readonly { name: string; rows: number }[]
  /** Where the key lies that is not in the backup, and the ids of those that its secrets are sealed with. */
  keyFile: string
  keyIds: readonly string[]
}

export interface RestoreOrder {
  file: string
  withoutSecrets: boolean
  signal: AbortSignal
  /** Told before the rows are loaded which keys the key file lacks. */
  onMissingKeys(keyIds: readonly string[], keyFile: string): void
  onProgress(progress: { step: 'check' | 'load' | 'finish'; bytes: number; bytesInAll: number }): void
}

export interface RestoreReport extends Omit<BackupReport, 'bytes'> {
  migrated: readonly string[]
  missingKeyIds: readonly string[]
}

export interface QualysAccount {
  url: string
  username: string
  password: string
  privatePlatform: boolean
}

export interface Check {
  name: string
  ok: boolean
  message: string
  hint: string | null
}

/** The options that every command has. */
export interface GlobalOptions {
  json?: boolean
  home?: string
  logLevel?: string
  debug?: boolean
}

/** Somebody pressed Ctrl-C, or asked the process to end. */
export class Interrupted extends Error {
  constructor() {
    super('Interrupted.')
  }
}

/** One call of the program. */
export interface CliRun {
  context: CliContext
  /** Aborted when somebody presses Ctrl-C. */
  signal: AbortSignal
  exitCode: number
}
