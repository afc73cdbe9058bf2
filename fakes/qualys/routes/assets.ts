import type { Answer, Call, Endpoint } from '../call.ts'
import type { Host, Tag } from '../estate/types.ts'
import { isoSeconds, whenText } from '../estate/time.ts'
import { QpsError, matches, readServiceRequest } from '../qps.ts'
import type { CriteriaKinds, ServiceRequest } from '../qps.ts'
import { serviceResponse } from '../render/returns.ts'
import { cdata, elements } from '../render/xml.ts'

const TAG_CRITERIA: CriteriaKinds = {
  id: 'number',
  name: 'text',
  parent: 'number',
  ruleType: 'text',
  color: 'text',
}
const HOST_ASSET_CRITERIA: CriteriaKinds = {
  id: 'number',
  qwebHostId: 'number',
  name: 'text',
  os: 'text',
  dnsHostName: 'text',
  netbiosName: 'text',
  address: 'text',
  trackingMethod: 'text',
  tagId: 'number',
  tagName: 'text',
}

export const tag: Endpoint = {
  name: 'tag',
  family: 'qps',
  pattern: /^\/qps\/rest\/(2\.0)\/(?:search|count)\/am\/tag\/?$/,
  versions: ['2.0'],
  methods: ['POST'],
  answer: (call) =>
    listAnswer(call, { xsd: '2.0/am/tag', kinds: TAG_CRITERIA, items: call.estate.tags(), ...tagFace(call) }),
}

export const hostAsset: Endpoint = {
  name: 'host-asset',
  family: 'qps',
  pattern: /^\/qps\/rest\/(2\.0)\/(?:search|count)\/am\/hostasset\/?$/,
  versions: ['2.0'],
  methods: ['POST'],
  answer: (call) =>
    listAnswer(call, {
      xsd: '2.0/am/hostasset',
      kinds: HOST_ASSET_CRITERIA,
      items: visibleHosts(call),
      idOf: (host) => host.assetId,
      values: hostAssetValues,
      toXml: hostAssetXml,
    }),
}

interface Listing<T> {
  xsd: string
  kinds: CriteriaKinds
  /** By ascending id. */
  items: Iterable<T>
  idOf: (item: T) => string
  values: (item: T, field: string) => readonly (string | undefined)[]
  toXml: (item: T) => string
}

function listAnswer<T>(call: Call, listing: Listing<T>): Answer {
  const envelope = { baseUrl: call.baseUrl, xsd: listing.xsd }
  const answer = (chunks: Answer['chunks']): Answer => ({
    status: 200,
    contentType: 'application/xml',
    chunks,
  })
  try {
    const request = readServiceRequest(call.body, listing.kinds)
    const isCount = call.path.includes('/count/')
    const body = isCount ? countBody(listing, request) : searchBody(listing, request)
    return answer(serviceResponse({ ...envelope, responseCode: 'SUCCESS', body }))
  } catch (error) {
    if (!(error instanceof QpsError)) throw error
    const details = { message: error.message, resolution: error.resolution }
    return answer(serviceResponse({ ...envelope, responseCode: error.responseCode, error: details }))
  }
}

function countBody<T>(listing: Listing<T>, request: ServiceRequest): string {
  let count = 0
  for (const item of listing.items) if (matches(request, (field) => listing.values(item, field))) count++
  return `  <count>${count}</count>\n`
}

/** One record more than asked for is looked at, to know whether there are more. */
function searchBody<T>(listing: Listing<T>, request: ServiceRequest): string {
  const found: T[] = []
  for (const item of listing.items) {
    if (!matches(request, (field) => listing.values(item, field))) continue
    found.push(item)
    if (found.length > request.offset + request.limit) break
  }
  const shown = found.slice(request.offset, request.offset + request.limit)
  const hasMore = found.length > request.offset + request.limit
  const last = shown.at(-1)
  if (last === undefined) return '  <count>0</count>\n'
  return (
    `  <count>${shown.length}</count>\n  <hasMoreRecords>${hasMore}</hasMoreRecords>\n` +
    (hasMore ? `  <lastId>${listing.idOf(last)}</lastId>\n` : '') +
    `  <data>\n${shown.map((item) => listing.toXml(item)).join('')}  </data>\n`
  )
}

function tagFace(call: Call) {
  const created = isoSeconds(call.estate.dayStartMs(0))
  return {
    idOf: (item: Tag) => item.id,
    values: (item: Tag, field: string) => [
      field === 'id' ? item.id : field === 'name' ? item.name : undefined,
    ],
    toXml: (item: Tag) => {
      const fields = [
        ['id', item.id],
        ['name', cdata(item.name)],
        ['created', created],
        ['modified', created],
        ['color', '#FFFFFF'],
        ['ruleType', 'STATIC'],
      ] as const
      return `    <Tag>\n${elements('      ', fields)}    </Tag>\n`
    },
  }
}

function* visibleHosts(call: Call): Generator<Host> {
  for (const host of call.estate.hosts()) {
    if (call.estate.isVisible(host.id, call.user) && call.user.canSee?.(host) !== false) yield host
  }
}

function hostAssetValues(host: Host, field: string): readonly (string | undefined)[] {
  switch (field) {
    case 'id':
      return [host.assetId]
    case 'qwebHostId':
      return [host.id]
    case 'address':
      return [host.ip]
    case 'trackingMethod':
      return [host.trackingMethod]
    case 'os':
      return [host.os]
    case 'netbiosName':
      return [host.netbios]
    case 'tagId':
      return host.tags.map((item) => item.id)
    case 'tagName':
      return host.tags.map((item) => item.name)
    default:
      return [host.dns]
  }
}

function hostAssetXml(host: Host): string {
  const tags = host.tags.map(
    (item) =>
      `          <TagSimple>\n            <id>${item.id}</id>\n            <name>${cdata(item.name)}</name>\n          </TagSimple>\n`,
  )
  const text = (value: string | undefined) => (value === undefined ? undefined : cdata(value))
  const fields = [
    ['id', host.assetId],
    ['name', text(host.dns ?? host.ip)],
    ['created', whenText(host.firstFound)],
    ['modified', whenText(host.processed)],
    ['type', 'HOST'],
    ['tags', tags.length === 0 ? undefined : `\n        <list>\n${tags.join('')}        </list>\n      `],
    ['sourceInfo', '\n        <list>\n          <AssetSource/>\n        </list>\n      '],
    ['qwebHostId', host.id],
    ['lastVulnScan', whenText(host.scanned)],
    ['fqdn', text(host.dns)],
    ['os', text(host.os)],
    ['dnsHostName', text(host.dns)],
    ['netbiosName', text(host.netbios)],
    ['address', host.ip],
    ['trackingMethod', host.trackingMethod],
    ['isDockerHost', 'false'],
  ] as const
  return `    <HostAsset>\n${elements('      ', fields)}    </HostAsset>\n`
}
