import { whenText } from '../estate/time.ts'
import type { When } from '../estate/time.ts'
import type { Detection, Host } from '../estate/types.ts'
import { cloud, dnsData, optional, tagsXml } from './hosts.ts'
import { cdata, elements } from './xml.ts'

export interface DetectionStyle {
  showAssetId: boolean
  showTags: boolean
  showResults: boolean
  showReopenedInfo: boolean
  showQds: boolean
  showQdsFactors: boolean
  /** `arf_kernel_filter` was given, be it 0: AFFECT_RUNNING_KERNEL is shown. */
  showKernel: boolean
  showService: boolean
  showConfig: boolean
}

/** A HOST of the detection list up to and including the start of its DETECTION_LIST. */
export function hostHeadXml(host: Host, style: DetectionStyle): string {
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
      ['OS', optional(host.os)],
      ['DNS', optional(host.dns)],
      ['DNS_DATA', dnsData(host.dns, '          ')],
      ...cloud(host),
      ['NETBIOS', optional(host.netbios)],
      ['QG_HOSTID', optional(host.qgHostId)],
      ['LAST_SCAN_DATETIME', whenText(host.processed)],
      ['LAST_VM_SCANNED_DATE', whenText(host.scanned)],
      ['LAST_VM_SCANNED_DURATION', host.scanSeconds],
      ['LAST_VM_AUTH_SCANNED_DATE', auth],
      ['LAST_VM_AUTH_SCANNED_DURATION', auth === undefined ? undefined : host.scanSeconds],
      ['TAGS', style.showTags ? tagsXml(host, '          ') : undefined],
    ],
    host.raw,
  )
  return `      <HOST>\n${body}        <DETECTION_LIST>\n`
}

export const HOST_FOOT_XML = '        </DETECTION_LIST>\n      </HOST>\n'

/** One DETECTION, its elements in the order of version 5.0; what does not apply is absent, never empty or 0. */
export function detectionXml(detection: Detection, style: DetectionStyle): string {
  if (detection.rawXml !== undefined) return detection.rawXml
  const { qds } = detection
  const body = elements(
    '            ',
    [
      ['UNIQUE_VULN_ID', detection.uniqueVulnId],
      ['QID', detection.qid],
      ['TYPE', detection.type],
      ['SEVERITY', detection.severity],
      ['PORT', detection.port],
      ['PROTOCOL', detection.protocol],
      ['FQDN', optional(detection.fqdn)],
      ['SSL', detection.ssl],
      ['INSTANCE', optional(detection.instance)],
      ['RESULTS', when(style.showResults, optional(detection.results))],
      ['STATUS', detection.status],
      ['FIRST_FOUND_DATETIME', date(detection.firstFound)],
      ['LAST_FOUND_DATETIME', date(detection.lastFound)],
      ['QDS', when(style.showQds, qds), qds === undefined ? '' : ` severity="${qdsBand(qds)}"`],
      ['QDS_FACTORS', style.showQdsFactors && qds !== undefined ? qdsFactors(qds) : undefined],
      ['TIMES_FOUND', detection.timesFound],
      ['LAST_TEST_DATETIME', date(detection.lastTest)],
      ['LAST_UPDATE_DATETIME', date(detection.lastUpdate)],
      ['LAST_FIXED_DATETIME', date(detection.lastFixed)],
      ['FIRST_REOPENED_DATETIME', when(style.showReopenedInfo, date(detection.firstReopened))],
      ['LAST_REOPENED_DATETIME', when(style.showReopenedInfo, date(detection.lastReopened))],
      ['TIMES_REOPENED', when(style.showReopenedInfo, detection.timesReopened)],
      ['SERVICE', detection.service],
      ['IS_IGNORED', detection.ignored ? 1 : 0],
      ['IS_DISABLED', detection.disabled ? 1 : 0],
      ['AFFECT_RUNNING_KERNEL', when(style.showKernel, detection.affectRunningKernel)],
      ['AFFECT_RUNNING_SERVICE', when(style.showService, detection.affectRunningService)],
      ['AFFECT_EXPLOITABLE_CONFIG', when(style.showConfig, detection.affectExploitableConfig)],
      ['LAST_PROCESSED_DATETIME', date(detection.lastProcessed)],
    ],
    detection.raw,
  )
  return `          <DETECTION>\n${body}          </DETECTION>\n`
}

function when<T>(isShown: boolean, value: T): T | undefined {
  return isShown ? value : undefined
}

function date(when: When | undefined): string | undefined {
  return when === undefined ? undefined : whenText(when)
}

function qdsBand(qds: number): string {
  if (qds >= 90) return 'CRITICAL'
  if (qds >= 70) return 'HIGH'
  return qds >= 40 ? 'MEDIUM' : 'LOW'
}

function qdsFactors(qds: number): string {
  const factors = [
    ['CVSS', (qds / 10).toFixed(1)],
    ['CVSS_version', 'v3.x'],
    ['epss', (qds / 1000).toFixed(5)],
  ]
  const lines = factors.map(
    ([name, value]) => `              <QDS_FACTOR name="${name}">${cdata(value ?? '')}</QDS_FACTOR>\n`,
  )
  return `\n${lines.join('')}            `
}
