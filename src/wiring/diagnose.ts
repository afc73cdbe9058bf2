import { access, constants } from 'node:fs/promises'
import type pg from 'pg'
import type { DiagnosisLine, Vault } from '../api/deps.ts'
import { databaseFailure } from '../api/errors.ts'
import type { IntegrationType } from '../api/integration-type.ts'
import { FUTURE_MS_MAX } from '../jobs/plausible.ts'
import type { Clock } from '../lib/clock.ts'
import { SecretsError, loadKeyRing } from '../lib/secrets.ts'
import { HubError } from '../model/errors.ts'
import { migrationStatus } from '../store/migrate.ts'
import { countRunsAfter } from '../store/queries/integration-admin.ts'
import { type IntegrationRow, listIntegrations } from '../store/queries/integrations.ts'
import { getLastGoodRun } from '../store/queries/runs.ts'
import { type QueueHealth, getDatabaseClock, getQueueHealth } from '../store/queries/health.ts'

export interface DiagnoseOptions {
  pool: pg.Pool
  clock: Clock
  vault: Vault
  home: string
  keyFile: string
  database: string
  hasWorker: boolean
  integrationTypes: readonly IntegrationType[]
  signal: AbortSignal
}

const NODE_MAJOR_MIN = 24
const INTEGRATIONS_MAX = 1_000
const INTEGRATION_TIMEOUT_MS = 45_000
const CLOCK_SKEW_MS_MAX = 5_000
const JOB_WAIT_SECONDS_MAX = 120

/** Looks at everything once. Each look stands alone: one that fails does not hide the next. */
export async function diagnose(options: DiagnoseOptions): Promise<DiagnosisLine[]> {
  const lines = [
    ...(await look('Node', () => checkNode())),
    ...(await look('data folder', () => checkFolder(options.home))),
    ...(await look('database', () => checkDatabase(options))),
    ...(await look('schema', () => checkSchema(options.pool))),
    ...(await look('key file', () => checkKeyFile(options))),
    ...(await look('worker', () => checkWorker(options))),
    ...(await look('clock', () => checkClock(options))),
    ...(await look('run times', () => checkRunTimes(options))),
  ]
  return [...lines, ...(await look('integrations', () => checkIntegrations(options)))]
}

async function look(
  name: string,
  check: () => Promise<DiagnosisLine[]> | DiagnosisLine[],
): Promise<DiagnosisLine[]> {
  try {
    return await check()
  } catch (thrown) {
    const error = databaseFailure(thrown) ?? thrown
    const remedy = error instanceof HubError ? (error.hint ?? null) : null
    return [fail(name, error instanceof Error ? error.message : String(error), remedy)]
  }
}

function checkNode(): DiagnosisLine[] {
  const { node } = process.versions
  if (Number(node.split('.')[0]) >= NODE_MAJOR_MIN) return [ok('Node', `Node ${node}.`)]
  return [
    fail(
      'Node',
      `This is Node ${node}.`,
      'Start bin/patchbay.js, which takes the Node 24 that npm ci has installed.',
    ),
  ]
}

async function checkFolder(home: string): Promise<DiagnosisLine[]> {
  try {
    await access(home, constants.R_OK | constants.W_OK)
    return [ok('data folder', `${home} can be written.`)]
  } catch {
    const remedy = 'Correct its permissions, or choose another with PATCHBAY_HOME.'
    return [fail('data folder', `${home} cannot be written.`, remedy)]
  }
}

async function checkDatabase({ pool, database }: DiagnoseOptions): Promise<DiagnosisLine[]> {
  await pool.query('select 1')
  return [ok('database', `${database} answers.`)]
}

async function checkSchema(pool: pg.Pool): Promise<DiagnosisLine[]> {
  const { applied, pending, newer } = await migrationStatus(pool)
  if (pending.length > 0)
    return [fail('schema', `${pending.length} migrations are missing.`, 'Run: patchbay migrate')]
  if (newer.length > 0)
    return [
      warn('schema', `A newer Patchbay has migrated the database (${newer.at(-1)}).`, 'Update this one.'),
    ]
  return [ok('schema', `Up to date (${applied.at(-1)}).`)]
}

/** The key is only right if it opens what is stored. */
async function checkKeyFile({ pool, keyFile, vault }: DiagnoseOptions): Promise<DiagnosisLine[]> {
  try {
    await loadKeyRing(keyFile)
  } catch (error) {
    if (error instanceof SecretsError) return [fail('key file', error.message, 'See the sentence before.')]
    throw error
  }
  const integrations = await listIntegrations(pool, { limit: INTEGRATIONS_MAX })
  for (const { id } of integrations) await vault.openAll(pool, id)
  return [ok('key file', `${keyFile} opens every stored secret.`)]
}

async function checkWorker({ pool, hasWorker }: DiagnoseOptions): Promise<DiagnosisLine[]> {
  const health: QueueHealth = await getQueueHealth(pool)
  const waited = health.oldestWaitSeconds
  if (waited !== null && waited > JOB_WAIT_SECONDS_MAX) {
    const message = `${health.waiting} jobs wait, the oldest for ${Math.round(waited)} s.`
    return [warn('worker', message, 'Start a worker: patchbay serve, or patchbay work beside it.')]
  }
  const here = hasWorker ? 'One runs in this process' : 'None runs in this process'
  return [ok('worker', `${here}; ${health.waiting} jobs wait.`)]
}

async function checkClock({ pool, clock }: DiagnoseOptions): Promise<DiagnosisLine[]> {
  const before = clock.nowMs()
  const database = await getDatabaseClock(pool)
  const skewMs = Math.round(Math.abs(database.getTime() - (before + clock.nowMs()) / 2))
  if (skewMs <= CLOCK_SKEW_MS_MAX)
    return [ok('clock', `This machine and the database agree to ${skewMs} ms.`)]
  const message = `This machine and the database differ by ${Math.round(skewMs / 1000)} s.`
  return [warn('clock', message, 'Set both clocks by NTP: leases and waits are told by the clock.')]
}

/** Only said when there is something to say: a schedule counts from these times. */
async function checkRunTimes({ pool, clock }: DiagnoseOptions): Promise<DiagnosisLine[]> {
  const count = await countRunsAfter(pool, new Date(clock.nowMs() + FUTURE_MS_MAX))
  if (count === 0) return []
  const message = `${count} runs have times in the future: a clock was wrong, or is.`
  return [warn('run times', message, 'Set the clock by NTP. These times do not hold up the schedule.')]
}

async function checkIntegrations(options: DiagnoseOptions): Promise<DiagnosisLine[]> {
  const integrations = await listIntegrations(options.pool, { limit: INTEGRATIONS_MAX })
  if (integrations.length === 0)
    return [warn('integrations', 'There are none.', 'Add one: patchbay integration add qualys --help')]
  const lines: DiagnosisLine[] = []
  for (const integration of integrations)
    lines.push(...(await look(integration.name, () => checkIntegration(options, integration))))
  return lines
}

async function checkIntegration(options: DiagnoseOptions, row: IntegrationRow): Promise<DiagnosisLine[]> {
  const type = options.integrationTypes.find((one) => one.type === row.type && one.subtype === row.subtype)
  if (type === undefined)
    return [warn(row.name, `Its type ${row.type}/${row.subtype} is not known.`, 'Update Patchbay.')]
  if (!row.isEnabled) return [warn(row.name, 'It is disabled.', `Run: patchbay integration enable ${row.id}`)]
  const secrets = await options.vault.openAll(options.pool, row.id)
  const { sensitiveFields: _, ...stored } = row.config
  // One that stays silent leaves time for those after it.
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(INTEGRATION_TIMEOUT_MS)])
  const report = await type.test(type.validate({ ...stored, ...secrets }), signal)
  const lines = report.checks.map((check): DiagnosisLine => ({
    name: `${row.name}: ${check.name}`,
    level: check.ok ? 'ok' : 'fail',
    message: check.message,
    remedy: check.hint,
  }))
  return [...lines, ...(await checkLastRun(options.pool, row))]
}

/** Only said when there is something to say. */
async function checkLastRun(pool: pg.Pool, row: IntegrationRow): Promise<DiagnosisLine[]> {
  const run = await getLastGoodRun(pool, row.id)
  if (run === null) return []
  const remedy = `Look at it: patchbay run show ${run.id}`
  return run.warnings.map((warning) => warn(`${row.name}: last run`, warning, remedy))
}

function ok(name: string, message: string): DiagnosisLine {
  return { name, level: 'ok', message, remedy: null }
}

function warn(name: string, message: string, remedy: string | null): DiagnosisLine {
  return { name, level: 'warn', message, remedy }
}

function fail(name: string, message: string, remedy: string | null): DiagnosisLine {
  return { name, level: 'fail', message, remedy }
}
