import { HubError } from '../model/errors.ts'
import type { QuarantinedRecord } from '../model/source.ts'
import type { TagRecord } from '../model/vm.ts'
import type { Tx } from '../store/db.ts'
import { type NewGap, insertQuarantine, openGaps, settleTagGaps } from '../store/queries/gaps.ts'
import { mergeTagList } from '../store/queries/tags.ts'
import { shortId } from './gap-key.ts'
import { type PatientWait, withPatience } from './patience.ts'
import { type RunContext, keepWait } from './run-context.ts'
import { isStorableId } from './storable-id.ts'

const QUARANTINED_TAGS_MAX = 10_000

export interface TagList {
  tags: TagRecord[]
  quarantined: QuarantinedRecord[]
}

/** The tags of the subscription, by id; hosts carry them, and rules will name them. */
export async function readTags(context: RunContext): Promise<TagList> {
  const { deps, source, signal } = context
  const onWait = (wait: PatientWait) => keepWait(context, wait)
  return withPatience(deps, { what: 'The list of tags', signal, onWait }, async () => {
    const byId = new Map<string, TagRecord>()
    const quarantined: QuarantinedRecord[] = []
    for await (const message of source.tags.read({}, signal)) {
      if (message.type === 'quarantine') quarantined.push(message.what)
      else if (message.type === 'records')
        for (const tag of message.records)
          if (isStorable(tag)) byId.set(tag.id, tag)
          else quarantined.push(unstorable(tag))
      if (quarantined.length > QUARANTINED_TAGS_MAX)
        throw new HubError('contract', `More than ${QUARANTINED_TAGS_MAX} tags could not be understood.`)
    }
    return { tags: [...byId.values()], quarantined }
  })
}

/** Brings the list in. A tag that could not be understood is owed, and settled by a list in which it can be. */
export async function bringInTags(
  tx: Tx,
  key: { integrationId: string; runId: string; now: Date },
  list: TagList,
): Promise<void> {
  await mergeTagList(tx, key.integrationId, list.tags)
  await insertQuarantine(tx, { ...key, batchId: null, records: list.quarantined })
  const gaps = list.quarantined.map(toGap)
  await settleTagGaps(tx, { ...key, keptKeys: gaps.map((gap) => gap.key) })
  await openGaps(tx, { ...key, gaps })
}

function isStorable(tag: TagRecord): boolean {
  return isStorableId(tag.id) && (tag.parentId === null || isStorableId(tag.parentId))
}

function unstorable(tag: TagRecord): QuarantinedRecord {
  const reason = 'The id of a tag, or that of its parent, is not a number that can be kept.'
  return { hostId: null, qid: null, reason, raw: JSON.stringify(tag) }
}

/** No host is owed by it: hosts carry their tags with them. */
function toGap({ raw, reason }: QuarantinedRecord): NewGap {
  return { kind: 'record', key: `tag ${shortId(idOf(raw))}`, placeId: null, reason }
}

/** What was put aside is JSON, if it was not cut; its id may be anything. */
function idOf(raw: string): string | null {
  const id = /^\{(?:.*?,)?"id":"?([^",}]*)/s.exec(raw)?.[1]
  return id === undefined ? null : id
}
