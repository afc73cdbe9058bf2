import { z } from 'zod'
import type { CheckContext, ReadContext, SourceMessage, SourceModule } from '../../../model/source.ts'
import type { VulnerabilityRecord } from '../../../model/vm.ts'
import type { QualysClient } from '../client.ts'
import { ID_SET_NAMES, IdSetReader } from '../fo-id-set.ts'
import { readFoPages } from '../fo-read.ts'
import { toFoInstant, toIdRanges } from '../fo-requests.ts'
import { NAMES, VulnerabilityReader } from './parse.ts'
import { ROOT } from './schema.ts'

const ENDPOINT = 'fo/knowledge_base/vuln'
const VERSION = '4.0'
/** QIDs in one POST: beyond, the one lane that the server has grows slow for everybody. */
const POST_QIDS_MAX = 350
/** QIDs between `id_min` and `id_max` when the whole knowledge base is read. */
const WINDOW_QIDS = 2_000

const Config = z.object({
  /** The version of the knowledge base API; 4.0 is what this module was written for. */
  apiVersion: z
    .string()
    .regex(/^[2-9]\.[0-9]$/)
    .default(VERSION),
})
export type KnowledgeBaseConfig = z.infer<typeof Config>

type Context = ReadContext<KnowledgeBaseConfig, QualysClient>
type Message = SourceMessage<VulnerabilityRecord>

/** The knowledge base: what each QID is, how severe, and how it is solved. */
export const knowledgeBase = {
  id: 'qualys.knowledge-base',
  title: 'Knowledge base',
  description:
    'Vulnerabilities by QID with severity, CVEs, vendor references, scores, threat intelligence and solution.',
  produces: ['vulnerability'],
  dependsOn: [],
  // A QID that is not in an answer may be retired, or not licensed: nothing follows from its absence.
  coverage: 'partial',
  endpoints: [{ name: 'Knowledge base', path: toPath(VERSION), version: VERSION }],
  permissions: [
    'API access',
    'A role that reads the knowledge base: Manager, Unit Manager, Scanner or Reader',
    'The knowledge base download, which Qualys enables for a subscription',
  ],
  config: Config,
  check,
  read,
} satisfies SourceModule<VulnerabilityRecord, KnowledgeBaseConfig, QualysClient>

function toPath(version: string): string {
  return `/api/${version}/fo/knowledge_base/vuln/`
}

/**
 * With ids: in posts of at most 350. With neither ids nor an instant: the list of all QIDs first, then windows of them;
 * the answer that closes a window says up to which QID all is told, and `afterId` goes on from there.
 * QIDs that the knowledge base does not know simply do not come. One call runs at a time.
 */
async function* read(context: Context): AsyncGenerator<Message> {
  const { ids, changedSinceMs, afterId } = context.request
  const since = changedSinceMs === undefined ? {} : { last_modified_after: toFoInstant(changedSinceMs) }
  if (ids !== undefined) {
    // An empty list is refused where the ranges are made.
    for (let start = 0; start === 0 || start < ids.length; start += POST_QIDS_MAX) {
      const part = toIdRanges(ids.slice(start, start + POST_QIDS_MAX))
      yield* readVulnerabilities(context, { ...since, ids: part })
    }
  } else if (changedSinceMs === undefined) {
    const qids = (await readQids(context)).filter(
      (qid) => afterId === undefined || compareIds(qid, afterId) > 0,
    )
    for (let start = 0; start < qids.length; start += WINDOW_QIDS)
      yield* readWindow(context, qids.slice(start, start + WINDOW_QIDS))
  } else {
    yield* readVulnerabilities(context, since)
  }
}

/** A window may come in several answers; only the last one closes it. */
async function* readWindow(context: Context, qids: readonly string[]): AsyncGenerator<Message> {
  const upToId = qids.at(-1)!
  let held: Extract<Message, { type: 'answer' }> | null = null
  for await (const message of readVulnerabilities(context, { id_min: qids[0]!, id_max: upToId })) {
    if (held !== null) yield held
    held = message.type === 'answer' ? message : null
    if (held === null) yield message
  }
  if (held !== null) yield { type: 'answer', answer: { ...held.answer, upToId } }
}

function readVulnerabilities(
  { client, signal, config }: Omit<Context, 'request'>,
  selection: Readonly<Record<string, string>>,
): AsyncGenerator<Message> {
  return readFoPages<VulnerabilityRecord>({
    client,
    signal,
    endpoint: ENDPOINT,
    path: toPath(config.apiVersion),
    params: { action: 'list', details: 'All', show_disabled_flag: '1', ...selection },
    expectRoot: ROOT,
    names: NAMES,
    createReader: () => new VulnerabilityReader(),
  })
}

/** All QIDs, ascending. */
async function readQids({ client, signal, config }: Context): Promise<string[]> {
  const qids: string[] = []
  const messages = readFoPages<string>({
    client,
    signal,
    endpoint: ENDPOINT,
    path: toPath(config.apiVersion),
    params: { action: 'list', details: 'None' },
    expectRoot: ROOT,
    names: ID_SET_NAMES,
    createReader: () => new IdSetReader(),
  })
  for await (const message of messages) if (message.type === 'records') qids.push(...message.records)
  return qids.toSorted(compareIds)
}

function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : Number(a > b))
}

async function check({ client, config, signal }: CheckContext<KnowledgeBaseConfig, QualysClient>) {
  let isKnown = false
  // QID 6, "DNS Host Name", is as old as the knowledge base.
  const context = { client, config, signal, integrationId: 'check' }
  for await (const message of readVulnerabilities(context, { ids: '6' })) {
    if (message.type === 'records') isKnown = true
  }
  return {
    message: isKnown
      ? 'The knowledge base can be read.'
      : 'The knowledge base answers, but does not know QID 6.',
  }
}
