import type { Tx } from '../store/db.ts'
import {
  clampReused,
  forgetInherited,
  inheritFirstFound,
  listDueHosts,
  markHeirs,
  settleHosts,
} from '../store/queries/effective-first-found.ts'
import {
  type LineageKey,
  endLinksOfReturned,
  gatherCandidates,
  linkClear,
  tellUnclear,
} from '../store/queries/lineage.ts'
import { type RunContext, fenced } from './run-context.ts'

/** Hosts whose findings are rewritten in one transaction. */
const HOSTS_PER_TRANSACTION = 200

/**
 * Traces which host goes on as which, once all descriptions and findings of the run are in, and lets the first-found of
 * findings follow. Everything is found again when it is repeated; a driver that takes over goes on where this one ended.
 */
export async function traceLineage(context: RunContext): Promise<void> {
  const { deps, run } = context
  const key: LineageKey = {
    integrationId: run.integrationId,
    runId: run.id,
    now: new Date(deps.clock.nowMs()),
  }
  await fenced(context, async (tx) => {
    await endLinksOfReturned(tx, key)
    await gatherCandidates(tx, key)
    await linkClear(tx, key)
    await tellUnclear(tx, key)
    await markHeirs(tx, key.integrationId)
  })
  let isOver = false
  while (!isOver) isOver = await fenced(context, (tx) => settleDue(tx, key.integrationId))
  let afterId: string | null = '0'
  while (afterId !== null) afterId = await clampPage(context, afterId)
}

/** A part of the hosts whose lineage has changed; true when there are no more. */
async function settleDue(tx: Tx, integrationId: string): Promise<boolean> {
  const due = await listDueHosts(tx, integrationId, HOSTS_PER_TRANSACTION)
  if (due.length === 0) return true
  const placeIds = due.map((host) => host.placeId)
  const reset = due.filter((host) => host.isReset).map((host) => host.placeId)
  await forgetInherited(tx, reset)
  await inheritFirstFound(tx, { placeIds, onlyOfRunId: null })
  await settleHosts(tx, placeIds)
  return false
}

function clampPage(context: RunContext, afterId: string): Promise<string | null> {
  const { integrationId } = context.run
  return fenced(context, (tx) => clampReused(tx, { integrationId, afterId, limit: HOSTS_PER_TRANSACTION }))
}
