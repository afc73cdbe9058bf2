import type { Answer, Call, Endpoint } from '../call.ts'
import type { Host } from '../estate/types.ts'
import { isoSeconds } from '../estate/time.ts'
import { HOSTS_PER_PAGE_DEFAULT, page, warning } from '../paging.ts'
import type { PageState } from '../paging.ts'
import { HOST_LIST_RULES } from '../param-rules.ts'
import { parseParams } from '../params.ts'
import type { Params } from '../params.ts'
import { hostXml, idSetLines } from '../render/hosts.ts'
import { chunk, frameFoot, frameHead } from '../render/xml.ts'
import type { Chunk } from '../render/xml.ts'
import { selectHosts } from '../selection.ts'

const LINES_PER_CHUNK = 500

export const hostList: Endpoint = {
  name: 'host-list',
  family: 'fo',
  pattern: /^\/api\/(\d\.\d)\/fo\/asset\/host\/?$/,
  versions: ['2.0', '3.0', '4.0', '5.0'],
  methods: ['GET', 'POST'],
  answer: (call) => {
    const params = parseParams(call.pairs, HOST_LIST_RULES)
    const hosts = selectHosts(call.estate, params, call.user)
    return { status: 200, contentType: 'application/xml', chunks: body(call, params, hosts) } satisfies Answer
  },
}

function* body(call: Call, params: Params, hosts: Iterable<Host>): Generator<Chunk> {
  const nowMs = call.clock.nowMs()
  const frame = {
    root: 'HOST_LIST_OUTPUT',
    dtdUrl: `${call.baseUrl}/api/${call.version}/fo/asset/host/host_list_output.dtd`,
    datetime: isoSeconds(nowMs),
    year: new Date(nowMs).getUTCFullYear(),
  }
  const limit = params.number('truncation_limit') ?? HOSTS_PER_PAGE_DEFAULT
  const state: PageState = {}
  const shown = page(hosts, { call, limit, idOf: (host) => host.id, state })
  yield* frameHead(frame)
  yield* params.text('details') === 'None' ? idSet(shown) : list(call, params, shown)
  yield* warning(call, params, { limit, state })
  yield* frameFoot(frame)
}

function* idSet(hosts: Iterable<Host>): Generator<Chunk> {
  let lines: string[] = []
  let isOpen = false
  for (const line of idSetLines(numbers(hosts))) {
    if (!isOpen) yield chunk('open', '    <ID_SET>\n')
    isOpen = true
    lines.push(line)
    if (lines.length < LINES_PER_CHUNK) continue
    yield chunk('item', lines.join(''))
    lines = []
  }
  if (lines.length > 0) yield chunk('item', lines.join(''))
  if (isOpen) yield chunk('close', '    </ID_SET>\n')
}

function* numbers(hosts: Iterable<Host>): Generator<number> {
  for (const host of hosts) yield Number(host.id)
}

function* list(call: Call, params: Params, hosts: Iterable<Host>): Generator<Chunk> {
  const style = {
    showAssetId: params.flag('show_asset_id'),
    showTags: params.flag('show_tags'),
    all: params.text('details')?.startsWith('All') === true,
  }
  let isOpen = false
  for (const host of hosts) {
    if (!isOpen) yield chunk('open', '    <HOST_LIST>\n')
    isOpen = true
    const item = chunk('item', hostXml(host, style))
    yield item
    if (call.page.isDoubled) yield item
  }
  if (isOpen) yield chunk('close', '    </HOST_LIST>\n')
}
