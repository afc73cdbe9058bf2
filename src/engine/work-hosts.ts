import { HubError } from '../model/errors.ts'
import type { QuarantinedRecord } from '../model/source.ts'
import type { HostRecord } from '../model/vm.ts'
import {
  type BatchClaim,
  type BatchLedger,
  type ClaimedBatch,
  fenceBatch,
  finishBatch,
  insertBatches,
} from '../store/queries/batches.ts'
import { type NewGap, insertQuarantine, openGaps, settleGaps } from '../store/queries/gaps.ts'
import { describeHosts, getPlaces, lockHosts } from '../store/queries/hosts.ts'
import { inTransaction } from '../store/transaction.ts'
import type { EngineDeps } from './deps.ts'
import { descriptionKey } from './gap-key.ts'
import { noteDescriptions } from './note-descriptions.ts'
import type { VmSource } from './vm-source.ts'

export interface Work {
  batch: ClaimedBatch
  claim: BatchClaim
  signal: AbortSignal
}

interface HostsAnswer {
  hosts: HostRecord[]
  quarantined: QuarantinedRecord[]
  bytes: number
  repairedChars: number
}

/**
 * Fetches and merges the descriptions of a batch of hosts. They are few and small beside detections, so a batch is kept
 * whole until its answer is closed. False when the claim was lost.
 */
export async function workOnHosts(deps: EngineDeps, source: VmSource, work: Work): Promise<boolean> {
  const { batch, claim } = work
  const startedMs = deps.clock.nowMs()
  const answer = await readHosts(source, work)
  const places = await getPlaces(deps.pool, batch)
  const received = new Set(answer.hosts.map((host) => host.hostId))
  const missing = batch.hostIds.filter((hostId) => !received.has(hostId))
  const expected = settleTags(answer.hosts.filter((host) => places.has(host.hostId)))
  const now = new Date(deps.clock.nowMs())
  const ledger: BatchLedger = {
    ...NOTHING,
    receivedHosts: received.size,
    receivedRecords: answer.hosts.length,
    unexpectedHosts: answer.hosts.length - expected.length,
    quarantinedRecords: answer.quarantined.length,
    missingRecords: missing.length,
    repairedChars: answer.repairedChars,
    bytes: answer.bytes,
    durationMs: Math.max(0, now.getTime() - startedMs),
  }
  return inTransaction(deps.pool, async (tx) => {
    if (!(await fenceBatch(tx, claim))) return false
    const key = { integrationId: batch.integrationId, runId: batch.runId }
    await lockHosts(tx, batch)
    await noteDescriptions(tx, { ...key, now }, await describeHosts(tx, batch.integrationId, expected))
    await insertQuarantine(tx, { ...key, batchId: batch.id, now, records: answer.quarantined })
    const gaps = owedOf(batch, places, { missing, answer })
    const owed = new Set(gaps.map((gap) => gap.key))
    const keys = expected.map((host) => descriptionKey(host.hostId)).filter((name) => !owed.has(name))
    await settleGaps(tx, { ...key, now, kind: 'record', keys })
    await openGaps(tx, { ...key, now, gaps })
    if (batch.purpose === 'expected' && missing.length > 0)
      await insertBatches(tx, key, [
        { module: batch.module, purpose: 'asked_again', hostIds: missing, options: {}, parentId: batch.id },
      ])
    await finishBatch(tx, claim, ledger, now)
    return true
  })
}

async function readHosts(source: VmSource, { batch, signal }: Work): Promise<HostsAnswer> {
  const answer: HostsAnswer = { hosts: [], quarantined: [], bytes: 0, repairedChars: 0 }
  for await (const message of source.hosts.read({ ids: batch.hostIds }, signal)) {
    signal.throwIfAborted()
    if (message.type === 'records') answer.hosts.push(...message.records)
    else if (message.type === 'quarantine') answer.quarantined.push(message.what)
    else {
      answer.bytes += message.answer.bytes
      answer.repairedChars += message.answer.repairedChars
    }
    if (answer.hosts.length > batch.hostIds.length * 2)
      throw new HubError('contract', 'The host list sent more hosts than were asked for.')
  }
  return answer
}

/**
 * Tags are always asked for, and a host without TAGS has none, or the account sees no tags at all. Where the same answer
 * shows tags of another host it is the first: the host has lost its last tag.
 */
export function settleTags(hosts: readonly HostRecord[]): readonly HostRecord[] {
  if (!hosts.some((host) => host.tags !== null)) return hosts
  return hosts.map((host) =>
    host.tags === null && host.extra?.['TAGS'] === undefined ? { ...host, tags: [] } : host,
  )
}

/** What is owed after this batch: descriptions that did not come although they were asked for twice, or made no sense. */
function owedOf(
  batch: ClaimedBatch,
  places: ReadonlyMap<string, string>,
  came: { missing: readonly string[]; answer: HostsAnswer },
): NewGap[] {
  const gaps: NewGap[] = came.answer.quarantined.map((record) => ({
    kind: 'record',
    key: descriptionKey(record.hostId),
    placeId: places.get(record.hostId ?? '') ?? null,
    reason: record.reason,
  }))
  if (batch.purpose === 'expected') return gaps
  for (const hostId of came.missing)
    gaps.push({
      kind: 'record',
      key: descriptionKey(hostId),
      placeId: places.get(hostId) ?? null,
      reason:
        'The list of ids has this host, but its description did not come, although it was asked for twice.',
    })
  return gaps
}

const NOTHING = {
  emptyHosts: 0,
  newRecords: 0,
  changedRecords: 0,
  seenRecords: 0,
  unchangedRecords: 0,
  olderRecords: 0,
  staleRecords: 0,
  collidedRecords: 0,
}
