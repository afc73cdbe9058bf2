import type { Call, Endpoint } from '../call.ts'
import { isoSeconds } from '../estate/time.ts'
import type { Detection, Host } from '../estate/types.ts'
import { HOSTS_PER_PAGE_DEFAULT, page, warning } from '../paging.ts'
import type { PageState } from '../paging.ts'
import { DETECTION_RULES } from '../param-rules.ts'
import { parseParams } from '../params.ts'
import type { Params } from '../params.ts'
import { detectionXml, HOST_FOOT_XML, hostHeadXml } from '../render/detections.ts'
import type { DetectionStyle } from '../render/detections.ts'
import { chunk, frameFoot, frameHead } from '../render/xml.ts'
import type { Chunk, Frame } from '../render/xml.ts'
import { detectionTest, selectHosts } from '../selection.ts'
import { seesDetections } from '../users.ts'

const ITEM_BYTES = 32 * 1024

export const detection: Endpoint = {
  name: 'detection',
  family: 'fo',
  pattern: /^\/api\/(\d\.\d)\/fo\/asset\/host\/vm\/detection\/?$/,
  versions: ['2.0', '3.0', '4.0', '5.0'],
  methods: ['GET', 'POST'],
  answer: (call) => {
    const params = parseParams(call.pairs, DETECTION_RULES)
    const hosts = selectHosts(call.estate, params, call.user)
    const found = seesDetections(call.user) ? withDetections(call, params, hosts) : []
    const answer = { status: 200, contentType: 'application/xml', chunks: body(call, params, found) }
    const gzipped = call.rendered?.answer(detectionFrame(call), params, call)
    return gzipped === undefined ? answer : { ...answer, gzipped }
  },
}

/** A host that has at least one matching detection; the others are left out of the answer. */
interface Found {
  host: Host
  first: Detection
  rest: Iterator<Detection>
}

function* withDetections(call: Call, params: Params, hosts: Iterable<Host>): Generator<Found> {
  const test = detectionTest(call.estate, params)
  const options = { results: params.flag('show_results', true) }
  const withInformation = params.flag('show_igs')
  const all = function* (hostId: string): Generator<Detection> {
    for (const found of call.estate.detections(hostId, options)) if (test(found)) yield found
    if (!withInformation) return
    for (const found of call.estate.informationGathered(hostId, options)) if (test(found)) yield found
  }
  for (const host of hosts) {
    const rest = all(host.id)
    const first = rest.next()
    if (first.done !== true) yield { host, first: first.value, rest }
  }
}

function detectionFrame(call: Pick<Call, 'clock' | 'baseUrl' | 'version'>): Frame {
  const nowMs = call.clock.nowMs()
  return {
    root: 'HOST_LIST_VM_DETECTION_OUTPUT',
    dtdUrl: `${call.baseUrl}/api/${call.version}/fo/asset/host/vm/detection/host_list_vm_detection_output.dtd`,
    datetime: isoSeconds(nowMs),
    year: new Date(nowMs).getUTCFullYear(),
  }
}

function* body(call: Call, params: Params, found: Iterable<Found>): Generator<Chunk> {
  const frame = detectionFrame(call)
  const limit = params.number('truncation_limit') ?? HOSTS_PER_PAGE_DEFAULT
  const state: PageState = {}
  const style = styleOf(params)
  let isOpen = false
  yield* frameHead(frame)
  for (const item of page(found, { call, limit, idOf: ({ host }) => host.id, state })) {
    if (!isOpen) yield chunk('open', '    <HOST_LIST>\n')
    isOpen = true
    if (call.page.isDoubled) {
      const whole = [...hostChunks(item, style)]
      yield* whole
      yield* whole
    } else yield* hostChunks(item, style)
  }
  if (isOpen) yield chunk('close', '    </HOST_LIST>\n')
  yield* warning(call, params, { limit, state })
  yield* frameFoot(frame)
}

/** One host, in pieces of bounded size, so that one with a million detections takes no more memory than any other. */
export function* hostChunks(found: Found, style: DetectionStyle): Generator<Chunk> {
  let kind: Chunk['kind'] = 'item'
  let text = hostHeadXml(found.host, style) + detectionXml(found.first, style)
  for (let next = found.rest.next(); next.done !== true; next = found.rest.next()) {
    text += detectionXml(next.value, style)
    if (text.length < ITEM_BYTES) continue
    yield chunk(kind, text)
    kind = 'item-part'
    text = ''
  }
  yield chunk(kind, text + HOST_FOOT_XML)
}

export function styleOf(params: Params): DetectionStyle {
  return {
    showAssetId: params.flag('show_asset_id'),
    showTags: params.flag('show_tags'),
    showResults: params.flag('show_results', true),
    showReopenedInfo: params.flag('show_reopened_info'),
    showQds: params.flag('show_qds'),
    showQdsFactors: params.flag('show_qds_factors'),
    showKernel: params.has('arf_kernel_filter'),
    showService: params.has('arf_service_filter'),
    showConfig: params.has('arf_config_filter'),
  }
}
