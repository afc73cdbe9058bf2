import { z } from 'zod'

import { HubError } from '../../../model/errors.ts'
import {
  QUARANTINE_RAW_CHARS_MAX,
  type ReadContext,
  type SourceMessage,
  type SourceModule,
} from '../../../model/source.ts'
import type { TagRecord } from '../../../model/vm.ts'
import type { QpsAnswer, QpsRequest } from '../qps.ts'
import type { QualysClient } from '../client.ts'
import { toTagRecord } from './map.ts'
import { Tag, TagData } from './schema.ts'

const PATH = '/qps/rest/2.0/search/am/tag'
const ENDPOINT = 'qps/search/am/tag'
const PAGE_TAGS_MAX = 1_000
const PAGES_MAX = 1_000

const Config = z.object({})
type Config = z.infer<typeof Config>

export const tags = {
  id: 'qualys.tags',
  title: 'Asset tags',
  description:
    'The tags of the subscription with their parents; what findings can be filtered and routed by.',
  produces: ['tag'],
  dependsOn: [],
  coverage: 'full',
  endpoints: [{ name: ENDPOINT, path: PATH, version: '2.0' }],
  permissions: ['API access', 'Asset Management (Tagging): read tags, for the tags of the user’s scope'],
  config: Config,
  async check({ client, signal }) {
    const { count } = await search(client, { limitResults: 1 }, signal)
    return { message: count > 0 ? 'Tags are visible.' : 'The user sees no tags.' }
  },
  read,
} satisfies SourceModule<TagRecord, Config, QualysClient>

async function* read({
  client,
  request,
  signal,
}: ReadContext<Config, QualysClient>): AsyncGenerator<SourceMessage<TagRecord>> {
  if (request.ids !== undefined || request.changedSinceMs !== undefined) {
    throw new HubError('config', 'Tags can only be read as a whole.', { code: 'bad_request' })
  }
  let lastId: string | null = null
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: QpsAnswer = await search(client, pageAfter(lastId), signal)
    const data = TagData.safeParse(answer.data ?? {})
    if (!data.success)
      throw new HubError('contract', 'Qualys sent a list of tags of an unknown shape.', { code: 'tag_shape' })
    yield* messagesOf(data.data.Tag)
    yield {
      type: 'answer',
      answer: { serverTimeMs: null, bytes: answer.bytes, repairedChars: 0 },
    }
    if (!answer.hasMoreRecords) return
    lastId = growing(answer.lastId, lastId)
  }
  throw new HubError('contract', `Qualys lists more than ${PAGES_MAX * PAGE_TAGS_MAX} tags.`, {
    code: 'too_many_pages',
  })
}

function search(client: QualysClient, request: QpsRequest, signal: AbortSignal): Promise<QpsAnswer> {
  return client.qps({ endpoint: ENDPOINT, method: 'POST', path: PATH, request, arrays: ['Tag'], signal })
}

function pageAfter(lastId: string | null): QpsRequest {
  const after = { field: 'id', operator: 'GREATER' as const, value: lastId ?? '' }
  return { limitResults: PAGE_TAGS_MAX, ...(lastId === null ? {} : { criteria: [after] }) }
}

function growing(lastId: string | null, previousId: string | null): string {
  if (lastId !== null && (previousId === null || BigInt(lastId) > BigInt(previousId))) return lastId
  throw new HubError('contract', 'The pages of tags do not get further.', { code: 'page_loop' })
}

function* messagesOf(items: readonly unknown[]): Generator<SourceMessage<TagRecord>> {
  const records: TagRecord[] = []
  for (const item of items) {
    const tag = Tag.safeParse(item)
    if (tag.success) {
      records.push(toTagRecord(tag.data))
      continue
    }
    const raw = JSON.stringify(item).slice(0, QUARANTINE_RAW_CHARS_MAX)
    yield {
      type: 'quarantine',
      what: { hostId: null, qid: null, reason: 'A tag has no usable id or name.', raw },
    }
  }
  if (records.length > 0) yield { type: 'records', records }
}
