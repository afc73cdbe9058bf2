import type { z } from '@hono/zod-openapi'
import { HubError } from '../model/errors.ts'
import {
  deleteSecretsExcept,
  hasHosts,
  lockIntegration,
  lockNames,
  updateIntegration,
} from '../store/queries/integration-admin.ts'
import {
  type IntegrationRow,
  getIntegration,
  getIntegrationByName,
  insertIntegration,
} from '../store/queries/integrations.ts'
import { ensureBuiltInRules } from '../store/queries/rules.ts'
import type { Db } from '../store/db.ts'
import { inTransaction } from '../store/transaction.ts'
import type { ApiDeps } from './deps.ts'
import type { IntegrationType } from './integration-type.ts'
import type { SaveRequest } from './routes/integrations.ts'

type Config = Record<string, unknown>

const UNIQUE_NAME_TRIES_MAX = 1_000

/** Creates an integration, or replaces the configuration of one; its secrets are sealed in the same transaction. */
export async function saveIntegration(deps: ApiDeps, request: z.infer<typeof SaveRequest>): Promise<string> {
  const type = requireType(deps, request)
  return inTransaction(deps.pool, async (tx) => {
    await lockNames(tx)
    const id = request.id === undefined ? null : String(request.id)
    const given = await withKept(deps, tx, { type, id, config: request.config })
    const { sensitiveFields, ...entered } = given
    const sealed = sealedFields(type, sensitiveFields, keptFields(entered, request.config))
    const name = await nameOf(tx, { type, id, given: entered['name'] })
    const config = type.validate({ ...entered, name })
    if (id !== null) await refuseOtherOwner(deps, tx, { type, id, config })
    const open = Object.fromEntries(Object.entries(config).filter(([field]) => !sealed.includes(field)))
    const stored = { ...open, sensitiveFields: sealed }
    const savedId = await write(tx, { type, id, name, config: stored })
    await deleteSecretsExcept(tx, savedId, sealed)
    for (const field of sealed) {
      const value = config[field]
      if (typeof value === 'string') await deps.vault.put(tx, { integrationId: savedId, field, value })
    }
    await ensureBuiltInRules(tx)
    return savedId
  })
}

export function requireType(
  { integrationTypes }: Pick<ApiDeps, 'integrationTypes'>,
  wanted: { type: string; subtype: string },
): IntegrationType {
  const found = integrationTypes.find(
    ({ type, subtype }) => type === wanted.type && subtype === wanted.subtype,
  )
  if (found !== undefined) return found
  const known = integrationTypes.map(({ type, subtype }) => `${type}/${subtype}`).join(', ')
  throw new HubError('config', `There is no type of integration ${wanted.type}/${wanted.subtype}.`, {
    code: 'unknown_type',
    hint: `Known are ${known}.`,
  })
}

async function write(
  tx: Db,
  input: { type: IntegrationType; id: string | null; name: string; config: Config },
): Promise<string> {
  const { id, name, config } = input
  if (id !== null) {
    await updateIntegration(tx, id, { name, config })
    return id
  }
  const { type, subtype } = input.type
  return (await insertIntegration(tx, { type, subtype, name, config })).id
}

/** What was entered for a stored integration or a new one, with the secrets that it keeps. */
async function withKept(
  deps: ApiDeps,
  tx: Db,
  input: { type: IntegrationType; id: string | null; config: Config },
): Promise<Config> {
  const { type, id, config } = input
  if (id === null) return config
  const stored = await lockIntegration(tx, id)
  if (stored === null) throw new HubError('not_found', `There is no integration ${id}.`)
  return withStored(deps, tx, { type, stored, config })
}

/** Secrets that were not entered again stay, unless they would then be sent to another place. */
export async function withStored(
  deps: Pick<ApiDeps, 'vault'>,
  db: Db,
  input: { type: IntegrationType; stored: IntegrationRow; config: Config },
): Promise<Config> {
  const { type, stored, config } = input
  if (stored.type !== type.type || stored.subtype !== type.subtype)
    throw new HubError(
      'config',
      `Integration ${stored.id} is ${stored.type}/${stored.subtype}; its type stays.`,
    )
  const secrets = await deps.vault.openAll(db, stored.id)
  const before: Config = { ...stored.config, ...secrets }
  const after: Config = { ...secrets, ...config }
  const isMoved = type.targetFields.some((field) => after[field] !== before[field])
  const kept = isMoved ? [] : Object.entries(secrets).filter(([field]) => !(field in config))
  if (isMoved && type.secretFields.some((field) => !(field in config)))
    throw new HubError(
      'config',
      `The address changes, so these are needed again: ${type.secretFields.join(', ')}.`,
      {
        code: 'secret_needed',
        hint: 'Enter them: a stored secret is never sent to another place than the one it was entered for.',
      },
    )
  const { sensitiveFields } = stored.config
  return { name: stored.name, sensitiveFields, ...config, ...Object.fromEntries(kept) }
}

/** The same id names another host in another subscription: the two may not be mixed. */
async function refuseOtherOwner(
  deps: ApiDeps,
  tx: Db,
  { type, id, config }: { type: IntegrationType; id: string; config: Config },
): Promise<void> {
  const stored = await getIntegration(tx, id)
  if (type.ownerOfIds === undefined || stored === null || !(await hasHosts(tx, id))) return
  const { sensitiveFields: _, ...before } = stored.config
  const whole = { ...before, name: stored.name, ...(await deps.vault.openAll(tx, id)) }
  if (type.ownerOfIds(whole) === type.ownerOfIds(config)) return
  throw new HubError('conflict', `"${stored.name}" holds the hosts of another platform or company.`, {
    code: 'other_subscription',
    hint: 'Add a second integration for this one: patchbay integration add. Host ids mean other hosts there.',
  })
}

/** What was sealed and is not entered again stays sealed, or a change could bring it to light. */
function keptFields(complete: Config, entered: Config): string[] {
  return Object.keys(complete).filter((field) => field !== 'name' && !(field in entered))
}

function sealedFields(type: IntegrationType, sensitiveFields: unknown, kept: readonly string[]): string[] {
  const wanted = Array.isArray(sensitiveFields) ? sensitiveFields.map(String) : []
  const unknown = wanted.find((field) => !type.sealableFields.includes(field))
  if (unknown !== undefined)
    throw new HubError('config', `"${unknown.slice(0, 50)}" cannot be a sensitive field.`, {
      code: 'bad_config',
      hint: `Possible are ${type.sealableFields.join(', ')}.`,
    })
  return [...new Set([...type.secretFields, ...wanted, ...kept])]
}

/** A name is how people call an integration, so there is always one, and no two are the same. */
async function nameOf(
  tx: Db,
  input: { type: IntegrationType; id: string | null; given: unknown },
): Promise<string> {
  const { type, id, given } = input
  if (typeof given === 'string' && given.trim() !== '') {
    const name = given.trim()
    const other = await getIntegrationByName(tx, name)
    if (other === null || other.id === id) return name
    throw new HubError('conflict', `There is an integration "${name.slice(0, 100)}" already.`, {
      code: 'name_taken',
      hint: 'Choose another name, or give the id to change that one.',
    })
  }
  for (let number = 1; number <= UNIQUE_NAME_TRIES_MAX; number += 1) {
    const name = number === 1 ? type.subtype : `${type.subtype}-${number}`
    if ((await getIntegrationByName(tx, name)) === null) return name
  }
  throw new HubError('config', 'The field "name" is missing.')
}
