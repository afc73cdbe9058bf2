import { whenText } from '../estate/time.ts'
import type { Host } from '../estate/types.ts'
import { cdata, elements, escapeXml } from './xml.ts'

export interface HostListStyle {
  showAssetId: boolean
  showTags: boolean
  all: boolean
}

/** One HOST of the host list. */
export function hostXml(host: Host, style: HostListStyle): string {
  const scanned = whenText(host.scanned)
  const auth = host.authScanned === undefined ? undefined : whenText(host.authScanned)
  const body = elements(
    '        ',
    [
      ['ID', host.id],
      ['ASSET_ID', style.showAssetId ? host.assetId : undefined],
      ['IP', host.ip],
      ['IPV6', host.ipv6],
      ['TRACKING_METHOD', host.trackingMethod],
      ['NETWORK_ID', host.networkId],
      ['DNS', optional(host.dns)],
      ['DNS_DATA', dnsData(host.dns, '          ')],
      ...cloud(host),
      ['NETBIOS', optional(host.netbios)],
      ['OS', optional(host.os)],
      ['QG_HOSTID', optional(host.qgHostId)],
      ['SERIAL_NUMBER', style.all ? optional(host.serialNumber) : undefined],
      ['HARDWARE_UUID', style.all ? optional(host.hardwareUuid) : undefined],
      ['FIRST_FOUND_DATE', whenText(host.firstFound)],
      ['LAST_ACTIVITY', whenText(host.processed)],
      ['TAGS', style.showTags ? tagsXml(host, '          ') : undefined],
      ['LAST_VULN_SCAN_DATETIME', whenText(host.processed)],
      ['LAST_VM_SCANNED_DATE', scanned],
      ['LAST_VM_SCANNED_DURATION', host.scanSeconds],
      ['LAST_VM_AUTH_SCANNED_DATE', auth],
      ['LAST_VM_AUTH_SCANNED_DURATION', auth === undefined ? undefined : host.scanSeconds],
      ['OWNER', style.all ? 'qualys_fake' : undefined],
    ],
    host.raw,
  )
  return `      <HOST>\n${body}      </HOST>\n`
}

/** `<ID>` for a lone id and `<ID_RANGE>` for neighbours: the cheap answer of `details=None`. */
export function* idSetLines(ids: Iterable<number>): Generator<string> {
  let first: number | undefined
  let last = 0
  for (const id of ids) {
    if (first !== undefined && id === last + 1) {
      last = id
      continue
    }
    if (first !== undefined) yield idLine(first, last)
    first = id
    last = id
  }
  if (first !== undefined) yield idLine(first, last)
}

function idLine(first: number, last: number): string {
  return first === last ? `      <ID>${first}</ID>\n` : `      <ID_RANGE>${first}-${last}</ID_RANGE>\n`
}

export function optional(text: string | undefined): string | undefined {
  return text === undefined ? undefined : cdata(text)
}

export function dnsData(dns: string | undefined, indent: string): string | undefined {
  const dot = dns?.indexOf('.') ?? -1
  if (dns === undefined || dot < 0) return undefined
  const fields = [
    ['HOSTNAME', cdata(dns.slice(0, dot))],
    ['DOMAIN', cdata(dns.slice(dot + 1))],
    ['FQDN', cdata(dns)],
  ] as const
  return `\n${elements(indent, fields)}${indent.slice(2)}`
}

export function cloud(host: Host) {
  return [
    ['CLOUD_PROVIDER', optional(host.cloudProvider)],
    ['CLOUD_SERVICE', optional(host.cloudService)],
    ['CLOUD_RESOURCE_ID', optional(host.cloudResourceId)],
    ['EC2_INSTANCE_ID', optional(host.ec2InstanceId)],
  ] as const
}

export function tagsXml(host: Host, indent: string): string | undefined {
  if (host.tags.length === 0) return undefined
  const tags = host.tags.map(
    (tag) =>
      `${indent}<TAG>\n${indent}  <TAG_ID>${escapeXml(tag.id)}</TAG_ID>\n${indent}  <NAME>${cdata(tag.name)}</NAME>\n${indent}</TAG>\n`,
  )
  return `\n${tags.join('')}${indent.slice(2)}`
}
