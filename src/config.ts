import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { HubError } from './model/errors.ts'

/** What is needed to start; integrations, schedules and rules are kept in the database. */
export const Settings = z.strictObject({
  home: z.string().min(1).default('./.patchbay').meta({
    description: 'The data folder: embedded database, API token, and the key file unless it is elsewhere.',
  }),
  databaseUrl: z.string().min(1).optional().meta({
    description:
      'A PostgreSQL 15 or newer of your own, e.g. postgresql://user:password@host:5432/patchbay. Without it the embedded one is started.',
    alias: 'DATABASE_URL',
    secret: true,
  }),
  keyFile: z.string().min(1).optional().meta({
    description:
      'The key that seals the stored secrets. Every process that shares a database needs the same one.',
    defaultText: '<home>/keys/master.key',
  }),
  host: z
    .string()
    .default('127.0.0.1')
    .refine(
      isLoopback,
      'has to be a loopback address: there are no users yet, so nobody else may reach the API',
    )
    .meta({ description: 'The loopback address that the API listens on.' }),
  port: z.coerce.number().int().min(0).max(65_535).default(8088).meta({
    description: 'The port of the API; 0 lets the system choose.',
  }),
  allowedHosts: list().meta({
    description:
      'Further names by which the API may be called (Host header), e.g. that of a reverse proxy on this machine. Comma separated.',
  }),
  logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug']).optional().meta({
    description: 'How much is logged, to stderr, as JSON lines.',
    defaultText: 'info for serve and work, warn for all other commands',
  }),
  allowedCidrs: list().meta({
    description:
      'Private or loopback networks that Patchbay may connect to, e.g. 10.1.2.0/24. Public addresses always may. Comma separated.',
  }),
  caFile: z.string().min(1).optional().meta({
    description: 'Certificates (PEM) that are trusted beside the usual ones.',
  }),
  proxyUrl: z
    .url()
    .optional()
    .meta({ description: 'An HTTP proxy for all calls to the outside.', secret: true }),
  batchesMax: z.coerce.number().int().min(1).max(32).default(2).meta({
    description: 'Batches that this process works on at the same time.',
  }),
  eventMonthsKept: z.coerce.number().int().min(1).max(1_200).default(25).meta({
    description:
      'Whole months of events (every change of state, with its reason) that are kept beside the one that goes on. Episodes and the counts of each day are kept for good. Of several processes on one database each drops by its own setting.',
  }),
  qualysPassword: z.string().min(1).optional().meta({
    description: 'The Qualys password, for commands that ask for one.',
    secret: true,
  }),
  jiraApiToken: z.string().min(1).optional().meta({
    description: 'The Jira API token, for commands that ask for one.',
    secret: true,
  }),
})
type SettingName = keyof z.infer<typeof Settings>

/** Read by the tests, not by the program; so they are not taken for misspelt settings. */
const NAMES_OF_TESTS: ReadonlySet<string> = new Set([
  'PATCHBAY_RECORDINGS',
  'PATCHBAY_SPECS',
  'PATCHBAY_TEST_DATABASE_URL',
])

export type Config = Readonly<
  Omit<z.infer<typeof Settings>, 'keyFile' | 'caFile'> & { keyFile: string; caPem: string | undefined }
>

export type ConfigFlags = Readonly<Partial<Record<SettingName, string | undefined>>>

export interface SettingDescription {
  name: string
  environment: readonly string[]
  description: string
  defaultText: string
  isSecret: boolean
}

/** Every setting, for the generated documentation and for the unknown-name check. */
export function describeSettings(): SettingDescription[] {
  return Object.entries(Settings.shape).map(([name, schema]) => {
    const meta = schema.meta() ?? {}
    const fallback = schema.safeParse(undefined).data
    const isSecret = meta['secret'] === true
    const names = [environmentName(name), ...(typeof meta['alias'] === 'string' ? [meta['alias']] : [])]
    const shown = Array.isArray(fallback) ? fallback.join(',') : String(fallback ?? '')
    return {
      name,
      environment: isSecret ? [...names, `${environmentName(name)}_FILE`] : names,
      description: meta.description ?? '',
      defaultText: typeof meta['defaultText'] === 'string' ? meta['defaultText'] : shown,
      isSecret,
    }
  })
}

/**
 * The configuration of this process: flags before the environment before defaults. One frozen object.
 * @throws HubError `config` that names the setting and what is wrong with it, never the value of a secret.
 */
export function loadConfig(flags: ConfigFlags = {}, environment: NodeJS.ProcessEnv = process.env): Config {
  refuseUnknownNames(environment)
  const given: Record<string, unknown> = {}
  for (const setting of describeSettings()) {
    const value = flags[setting.name as SettingName] ?? fromEnvironment(setting, environment)
    if (value !== undefined) given[setting.name] = value
  }
  const parsed = Settings.safeParse(given)
  if (!parsed.success) throw refuse(parsed.error)
  const { keyFile, caFile, ...settings } = parsed.data
  const home = resolve(expandTilde(settings.home))
  return Object.freeze({
    ...settings,
    home,
    keyFile: keyFile === undefined ? resolve(home, 'keys', 'master.key') : resolve(expandTilde(keyFile)),
    caPem: caFile === undefined ? undefined : readText(resolve(expandTilde(caFile)), 'PATCHBAY_CA_FILE'),
  })
}

function fromEnvironment(setting: SettingDescription, environment: NodeJS.ProcessEnv): string | undefined {
  for (const name of setting.environment) {
    const value = environment[name]
    if (value === undefined || value === '') continue
    if (!name.endsWith('_FILE') || !setting.isSecret) return value
    return readText(resolve(expandTilde(value)), name).replace(/\r?\n$/, '')
  }
  return undefined
}

function refuseUnknownNames(environment: NodeJS.ProcessEnv): void {
  const known = describeSettings().flatMap((setting) => setting.environment)
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('PATCHBAY_') || known.includes(name) || NAMES_OF_TESTS.has(name)) continue
    const near = nearest(name, known)
    throw new HubError('config', `The environment variable ${name} is not a setting of Patchbay.`, {
      code: 'unknown_setting',
      hint: near === null ? 'All settings are listed in docs/config.md.' : `Do you mean ${near}?`,
    })
  }
}

/** Names only: a refused value may be a secret in the wrong place. */
function refuse(error: z.ZodError): HubError {
  const sentences = error.issues.slice(0, 5).map((issue) => {
    const name = environmentName(String(issue.path[0] ?? ''))
    return `${name}: ${issue.message}`
  })
  return new HubError('config', `The configuration cannot be used. ${sentences.join('. ')}.`, {
    code: 'bad_setting',
    hint: 'Correct the environment variable or the flag; all settings are listed in docs/config.md.',
  })
}

function readText(path: string, name: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new HubError('config', `The file ${path}, named by ${name}, cannot be read.`, {
      cause,
      hint: 'Correct the path, or let the user that runs Patchbay read the file.',
    })
  }
}

function environmentName(setting: string): string {
  return `PATCHBAY_${setting.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

function expandTilde(path: string): string {
  return path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path
}

function list() {
  const split = (value: unknown) =>
    typeof value === 'string'
      ? value
          .split(',')
          .map((part) => part.trim())
          .filter(Boolean)
      : value
  return z.preprocess(split, z.array(z.string()).max(100)).default([])
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

const EDITS_MAX = 5

/** The known word that differs in the fewest letters, or null when none is near. */
function nearest(word: string, known: readonly string[]): string | null {
  const scored = known.map((candidate) => ({ candidate, edits: countEdits(word, candidate) }))
  const best = scored.toSorted((a, b) => a.edits - b.edits)[0]
  return best !== undefined && best.edits <= EDITS_MAX ? best.candidate : null
}

function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const cost = from[i - 1] === to[j - 1] ? 0 : 1
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost))
    }
    row = next
  }
  return row[to.length] ?? 0
}
