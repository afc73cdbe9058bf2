import { HubError } from '../model/errors.ts'
import type { ReadRequest } from '../model/source.ts'
import type { Tx } from '../store/db.ts'
import { type NewBatch, insertBatches, listCancelledHostIds } from '../store/queries/batches.ts'
import { listOwedHostIds } from '../store/queries/gaps.ts'
import { listNewcomers } from '../store/queries/host-presence.ts'
import { fenceByEpoch } from '../store/queries/leases.ts'
import { getModuleState } from '../store/queries/module-state.ts'
import { type RunRow, changeRun, getLastGoodRun } from '../store/queries/runs.ts'
import { inTransaction } from '../store/transaction.ts'
import { type PatientWait, withPatience } from './patience.ts'
import { bringInList } from './presence.ts'
import { bringInTags, readTags } from './read-tags.ts'
import { type RunContext, RunLost, keepWait } from './run-context.ts'
import { describeDrift, scopeFingerprint } from './scope.ts'
import { DETECTIONS_MODULE, HOSTS_MODULE } from './vm-source.ts'

export const BATCH_HOSTS_FIRST = 500
export const BATCH_HOSTS_MIN = 50
export const BATCH_HOSTS_MAX = 5_000
/** Descriptions of hosts are small; their batches need not be. */
const HOSTS_BATCH_HOSTS = 5_000

/**
 * The first phase: which hosts are there, which of them are expected to be pulled, and in what batches. Everything that
 * is asked is asked before; what follows from it is written in one transaction, or not at all.
 */
export async function listExpected(context: RunContext): Promise<void> {
  const { deps, run, source } = context
  const all = await readIds(context, {})
  const changed = run.mode === 'delta' ? await readIds(context, { changedSinceMs: watermarkOf(run) }) : null
  // Not the first call: the portal does not tell an expired account from a missing permission.
  const tags = await readTags(context)
  const last = await getLastGoodRun(deps.pool, run.integrationId)
  const drift = describeDrift(last, { scope: source.scope, visibleHosts: all.hostIds.length })
  const full = changed === null || drift !== null
  const { cursor } = await getModuleState(deps.pool, run.integrationId, DETECTIONS_MODULE)
  const now = new Date(deps.clock.nowMs())

  await inTransaction(deps.pool, async (tx) => {
    if (!(await fenceByEpoch(tx, run))) throw new RunLost()
    await bringInTags(tx, { integrationId: run.integrationId, runId: run.id, now }, tags)
    const expected = full
      ? all.hostIds
      : onlyListed([...changed.hostIds, ...(await listDue(tx, run, { all, last }))], all.hostIds)
    await bringInList(tx, {
      integrationId: run.integrationId,
      runId: run.id,
      scope: scopeFingerprint(source.scope),
      now,
      hostIds: all.hostIds,
      frozen: drift !== null,
    })
    await insertBatches(tx, { runId: run.id, integrationId: run.integrationId }, cut(run, expected, cursor))
    await moveOn(tx, run, {
      drift,
      full,
      visibleHosts: all.hostIds.length,
      expectedHosts: expected.length,
      serverTimeMs: all.serverTimeMs ?? now.getTime(),
    })
  })
}

/** Hosts that a delta asks for although nothing of them is new: owed ones, newcomers, and what a run that ended left over. */
async function listDue(
  tx: Tx,
  { integrationId }: RunRow,
  lists: { all: IdList; last: RunRow | null },
): Promise<string[]> {
  const { hostIds } = lists.all
  const sinceRunId = lists.last?.id ?? '0'
  return [
    ...(await listOwedHostIds(tx, integrationId)),
    ...(await listNewcomers(tx, { integrationId, hostIds })),
    ...(await listCancelledHostIds(tx, { integrationId, sinceRunId })),
  ]
}

interface IdList {
  hostIds: string[]
  serverTimeMs: number | null
}

/** A whole list of ids or an error: a list that is cut off says nothing about who is there. */
async function readIds(context: RunContext, request: ReadRequest): Promise<IdList> {
  const { deps, source, signal } = context
  const what = request.changedSinceMs === undefined ? 'The list of host ids' : 'The list of changed host ids'
  const onWait = (wait: PatientWait) => keepWait(context, wait)
  return withPatience(deps, { what, signal, onWait }, async () => {
    const ids = new Set<string>()
    let serverTimeMs: number | null = null
    for await (const message of source.hostIds.read(request, signal)) {
      if (message.type === 'records') for (const id of message.records) ids.add(id)
      else if (message.type === 'quarantine')
        throw new HubError('contract', `${what}: ${message.what.reason}`)
      else serverTimeMs ??= message.answer.serverTimeMs
    }
    return { hostIds: [...ids].toSorted(byNumber), serverTimeMs }
  })
}

function watermarkOf(run: RunRow): number {
  if (run.watermarkFrom === null) throw new Error('A delta run was started without a watermark.')
  return run.watermarkFrom.getTime()
}

function onlyListed(wanted: readonly string[], listed: readonly string[]): string[] {
  const present = new Set(listed)
  return [...new Set(wanted)].filter((id) => present.has(id)).toSorted(byNumber)
}

/** Ids are decimal strings of any length: the shorter is the smaller. */
function byNumber(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

function cut(run: RunRow, hostIds: readonly string[], cursor: Record<string, unknown>): NewBatch[] {
  const learned = Number(cursor['batchHosts'] ?? BATCH_HOSTS_FIRST)
  const size = Math.min(BATCH_HOSTS_MAX, Math.max(BATCH_HOSTS_MIN, Math.trunc(learned) || BATCH_HOSTS_FIRST))
  return [
    ...slices(hostIds, HOSTS_BATCH_HOSTS).map((ids) => newBatch(HOSTS_MODULE, ids, {})),
    ...slices(hostIds, size).map((ids) => newBatch(DETECTIONS_MODULE, ids, run.options)),
  ]
}

function newBatch(module: string, hostIds: readonly string[], options: NewBatch['options']): NewBatch {
  return { module, purpose: 'expected', hostIds, options }
}

function slices(ids: readonly string[], size: number): (readonly string[])[] {
  return Array.from({ length: Math.ceil(ids.length / size) }, (_, index) =>
    ids.slice(index * size, (index + 1) * size),
  )
}

async function moveOn(
  tx: Tx,
  run: RunRow,
  found: {
    drift: string | null
    full: boolean
    visibleHosts: number
    expectedHosts: number
    serverTimeMs: number
  },
): Promise<void> {
  const moved = await changeRun(
    tx,
    { runId: run.id, epoch: run.epoch },
    {
      phase: 'fetching',
      scopeDrift: found.drift,
      visibleHosts: found.visibleHosts,
      expectedHosts: found.expectedHosts,
      serverStartedAt: new Date(found.serverTimeMs),
      waitingUntil: null,
      waitingReason: null,
      ...(found.full && run.mode === 'delta' && DRIFTED),
    },
  )
  if (!moved) throw new RunLost()
}

const DRIFTED = { mode: 'full', modeReason: 'the scope of the account drifted' } as const
