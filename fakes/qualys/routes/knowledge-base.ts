import type { Call, Endpoint } from '../call.ts'
import { isoSeconds, whenMs } from '../estate/time.ts'
import type { When } from '../estate/time.ts'
import type { KbEntry } from '../knowledge-base.ts'
import { KNOWLEDGE_BASE_RULES } from '../param-rules.ts'
import { inRanges, parseParams } from '../params.ts'
import type { Params } from '../params.ts'
import { idSetLines } from '../render/hosts.ts'
import { kbEntryXml } from '../render/knowledge-base.ts'
import { chunk, frameFoot, frameHead } from '../render/xml.ts'
import type { Chunk } from '../render/xml.ts'

const ROOT = 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT'
const ENTRIES_PER_KEEP_ALIVE = 100

export const knowledgeBase: Endpoint = {
  name: 'knowledge-base',
  family: 'fo',
  pattern: /^\/api\/(\d\.\d)\/fo\/knowledge_base\/vuln\/?$/,
  versions: ['2.0', '3.0', '4.0'],
  methods: ['GET', 'POST'],
  answer: (call) => {
    const params = parseParams(call.pairs, KNOWLEDGE_BASE_RULES)
    const test = entryTest(params)
    const entries = call.estate.kb().filter((entry) => test(entry))
    return { status: 200, contentType: 'text/xml;charset=UTF-8', chunks: body(call, params, entries) }
  },
}

function* body(call: Call, params: Params, entries: readonly KbEntry[]): Generator<Chunk> {
  const nowMs = call.clock.nowMs()
  const frame = {
    root: ROOT,
    dtdUrl: `${call.baseUrl}/api/${call.version}/fo/knowledge_base/vuln/knowledge_base_vuln_list_output.dtd`,
    datetime: isoSeconds(nowMs),
    year: new Date(nowMs).getUTCFullYear(),
  }
  const keepAlive = chunk('comment', `<!-- keep-alive for ${ROOT}  -->\n`)
  yield* frameHead(frame)
  yield keepAlive
  if (params.text('details') === 'None') yield* idSet(entries)
  else if (entries.length > 0) {
    const style = {
      all: params.text('details') === 'All',
      showDisabledFlag: params.flag('show_disabled_flag'),
      showSupportedModules: params.flag('show_supported_modules_info'),
    }
    yield chunk('open', '    <VULN_LIST>\n')
    for (const [n, entry] of entries.entries()) {
      yield chunk('item', kbEntryXml(entry, style))
      if (n % ENTRIES_PER_KEEP_ALIVE === ENTRIES_PER_KEEP_ALIVE - 1) yield keepAlive
    }
    yield chunk('close', '    </VULN_LIST>\n')
  }
  yield* frameFoot(frame)
}

function* idSet(entries: readonly KbEntry[]): Generator<Chunk> {
  if (entries.length === 0) return
  const lines = [...idSetLines(entries.map((entry) => Number(entry.qid)))]
  yield chunk('item', `    <ID_SET>\n${lines.join('')}    </ID_SET>\n`)
}

/** What is not in the knowledge base is simply missing from the answer, as are QIDs that never existed. */
function entryTest(params: Params): (entry: KbEntry) => boolean {
  const tests: ((entry: KbEntry) => boolean)[] = []
  const ids = params.ranges('ids')
  if (ids !== undefined) tests.push((entry) => inRanges(ids, Number(entry.qid)))
  const min = params.number('id_min')
  if (min !== undefined) tests.push((entry) => Number(entry.qid) >= min)
  const max = params.number('id_max')
  if (max !== undefined) tests.push((entry) => Number(entry.qid) <= max)
  if (params.has('is_patchable')) tests.push((entry) => entry.patchable === params.flag('is_patchable'))
  const time = (name: string, of: (entry: KbEntry) => When | undefined) => {
    const after = params.dateMs(`${name}_after`)
    if (after !== undefined) tests.push((entry) => msOf(of(entry)) >= after)
    const before = params.dateMs(`${name}_before`)
    if (before !== undefined) tests.push((entry) => msOf(of(entry)) < before)
  }
  time('last_modified', (entry) =>
    Math.max(msOf(entry.lastServiceModification), msOf(entry.lastCustomization?.datetime, 0)),
  )
  time('last_modified_by_service', (entry) => entry.lastServiceModification)
  time('published', (entry) => entry.published)
  time('code_modified', (entry) => entry.codeModified)
  return (entry) => tests.every((test) => test(entry))
}

function msOf(when: When | undefined, otherwise = Number.NaN): number {
  return when === undefined ? otherwise : whenMs(when)
}
