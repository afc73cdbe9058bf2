import { badCombination, invalidValue, missing } from './api-error.ts'
import { DAY_MS, whenMs } from './estate/time.ts'
import type { When } from './estate/time.ts'
import type { Detection, Estate, Host, Tag, Viewer } from './estate/types.ts'
import { inRanges } from './params.ts'
import type { Params } from './params.ts'

export type Watcher = Viewer & { canSee?: (host: Host) => boolean }

/**
 * Hosts by ascending id that the caller may see and the parameters select, before any truncation. Throws ApiError at
 * once for parameters that cannot be; the hosts come one by one.
 */
export function selectHosts(estate: Estate, params: Params, viewer: Watcher): Generator<Host> {
  return walk(estate, params, { viewer, test: hostTest(estate, params) })
}

function* walk(
  estate: Estate,
  params: Params,
  by: { viewer: Watcher; test: (host: Host) => boolean },
): Generator<Host> {
  const { viewer, test } = by
  const idMin = params.number('id_min') ?? 0
  const idMax = params.number('id_max') ?? Number.MAX_SAFE_INTEGER
  const ranges = params.ranges('ids') ?? [{ min: 0, max: Number.MAX_SAFE_INTEGER }]
  for (const range of ranges) {
    const within = { idMin: Math.max(range.min, idMin), idMax: Math.min(range.max, idMax) }
    if (within.idMin > within.idMax) continue
    for (const host of estate.hosts(within)) {
      if (!estate.isVisible(host.id, viewer) || viewer.canSee?.(host) === false) continue
      if (test(host)) yield host
    }
  }
}

function hostTest(estate: Estate, params: Params): (host: Host) => boolean {
  const tests: ((host: Host) => boolean)[] = []
  const time = (name: string, of: (host: Host) => When | undefined, keep: 'since' | 'before') => {
    const limit = params.dateMs(name)
    if (limit !== undefined) tests.push((host) => isWithin(of(host), limit, keep))
  }
  time('vm_scan_since', (host) => host.scanned, 'since')
  time('no_vm_scan_since', (host) => host.scanned, 'before')
  time('vm_processed_after', (host) => host.processed, 'since')
  time('vm_processed_before', (host) => host.processed, 'before')
  time('vm_scan_date_after', (host) => host.scanned, 'since')
  time('vm_scan_date_before', (host) => host.scanned, 'before')
  time('vm_auth_scan_date_after', (host) => host.authScanned, 'since')
  time('vm_auth_scan_date_before', (host) => host.authScanned, 'before')
  const days = params.number('max_days_since_last_vm_scan')
  if (days !== undefined)
    tests.push((host) => isWithin(host.scanned, estate.nowMs() - days * DAY_MS, 'since'))
  const networks = params.ranges('network_ids')
  if (networks !== undefined) tests.push((host) => inRanges(networks, Number(host.networkId ?? 0)))
  const ips = params.list('ips')
  if (ips !== undefined) {
    const isIn = ipTest(ips)
    tests.push((host) => host.ip !== undefined && isIn(host.ip))
  }
  const osPattern = params.text('os_pattern')
  if (osPattern !== undefined) {
    const pattern = patternOf(osPattern)
    tests.push((host) => pattern.test(host.os ?? ''))
  }
  tests.push(...tagTests(estate, params))
  return (host) => tests.every((test) => test(host))
}

function tagTests(estate: Estate, params: Params): ((host: Host) => boolean)[] {
  const include = params.list('tag_set_include')
  const exclude = params.list('tag_set_exclude')
  if (!params.flag('use_tags')) {
    const given = params.entries().find(([name]) => name.startsWith('tag_'))
    if (given !== undefined) throw badCombination([`use_tags=0`, `${given[0]}=${given[1]}`])
    return []
  }
  if (include === undefined && exclude === undefined) throw missing(['tag_set_include', 'tag_set_exclude'])
  const by = params.text('tag_set_by') === 'name' ? 'name' : 'id'
  const has = (wanted: readonly string[], selector: string | undefined) => {
    const one = (host: Host) => (value: string) => host.tags.some((tag) => tag[by] === value)
    return (host: Host) => (selector === 'all' ? wanted.every(one(host)) : wanted.some(one(host)))
  }
  const tests: ((host: Host) => boolean)[] = []
  if (include !== undefined) {
    checkTags('tag_set_include', include, { by, known: estate.tags() })
    tests.push(has(include, params.text('tag_include_selector')))
  }
  if (exclude !== undefined) {
    checkTags('tag_set_exclude', exclude, { by, known: estate.tags() })
    const isExcluded = has(exclude, params.text('tag_exclude_selector'))
    tests.push((host) => !isExcluded(host))
  }
  return tests
}

function checkTags(
  name: string,
  values: readonly string[],
  tags: { by: 'id' | 'name'; known: readonly Tag[] },
): void {
  for (const value of values) {
    if (tags.known.some((tag) => tag[tags.by] === value)) continue
    throw invalidValue(name, value, `no such tag ${tags.by}`)
  }
}

/** Detections of a host that the parameters select; STATUS without Fixed unless it was asked for, as ever. */
export function detectionTest(estate: Estate, params: Params): (detection: Detection) => boolean {
  const statuses = new Set(params.list('status') ?? ['New', 'Active', 'Re-Opened'])
  const tests: ((detection: Detection) => boolean)[] = [
    (detection) =>
      detection.type === 'Info' ||
      detection.status === undefined ||
      isStatusWanted(detection.status, statuses),
  ]
  if (!params.flag('include_ignored')) tests.push((detection) => !detection.ignored)
  if (!params.flag('include_disabled')) tests.push((detection) => !detection.disabled)
  const severities = params.ranges('severities')
  if (severities !== undefined) tests.push((detection) => inRanges(severities, detection.severity ?? 0))
  const qids = params.ranges('qids')
  if (qids !== undefined) tests.push((detection) => inRanges(qids, Number(detection.qid)))
  const vulnType = params.text('include_vuln_type')
  if (vulnType !== undefined) {
    const wanted = vulnType === 'confirmed' ? 'Confirmed' : 'Potential'
    tests.push((detection) => detection.type === 'Info' || detection.type === wanted)
  }
  const qdsMin = params.number('qds_min')
  if (qdsMin !== undefined) tests.push((detection) => (detection.qds ?? 0) >= qdsMin)
  const qdsMax = params.number('qds_max')
  if (qdsMax !== undefined) tests.push((detection) => (detection.qds ?? 0) <= qdsMax)
  tests.push(...detectionTimeTests(estate, params), ...runningTests(params))
  return (detection) => tests.every((test) => test(detection))
}

/** A status that Qualys never documented is crafted by a test, which wants to see it arrive. */
function isStatusWanted(status: string, statuses: ReadonlySet<string>): boolean {
  return statuses.has(status) || !['New', 'Active', 'Re-Opened', 'Fixed'].includes(status)
}

function detectionTimeTests(estate: Estate, params: Params): ((detection: Detection) => boolean)[] {
  const tests: ((detection: Detection) => boolean)[] = []
  const add = (
    limit: number | undefined,
    of: (d: Detection) => When | undefined,
    keep: 'since' | 'before',
  ) => {
    if (limit !== undefined) tests.push((detection) => isWithin(of(detection), limit, keep))
  }
  const daysAgo = (name: string) => {
    const days = params.number(name)
    return days === undefined ? undefined : estate.nowMs() - days * DAY_MS
  }
  const changed = (detection: Detection) => detection.statusChanged ?? detection.lastFound
  add(params.dateMs('detection_updated_since'), changed, 'since')
  add(params.dateMs('detection_updated_before'), changed, 'before')
  add(daysAgo('max_days_since_detection_updated'), changed, 'since')
  add(params.dateMs('detection_processed_after'), (detection) => detection.lastProcessed, 'since')
  add(params.dateMs('detection_processed_before'), (detection) => detection.lastProcessed, 'before')
  add(params.dateMs('detection_last_tested_since'), (detection) => detection.lastTest, 'since')
  add(params.dateMs('detection_last_tested_before'), (detection) => detection.lastTest, 'before')
  add(daysAgo('detection_last_tested_since_days'), (detection) => detection.lastTest, 'since')
  add(daysAgo('detection_last_tested_before_days'), (detection) => detection.lastTest, 'before')
  return tests
}

/** The 0 to 4 scale of the `arf_*` filters: 1 drops those not running, 2 keeps only them, 3 keeps only running, 4 both. */
function runningTests(params: Params): ((detection: Detection) => boolean)[] {
  const filters = [
    ['arf_kernel_filter', (detection: Detection) => detection.affectRunningKernel],
    ['arf_service_filter', (detection: Detection) => detection.affectRunningService],
    ['arf_config_filter', (detection: Detection) => detection.affectExploitableConfig],
  ] as const
  return filters.flatMap(([name, of]) => {
    const scale = params.text(name)
    if (scale === '1') return [(detection: Detection) => of(detection) !== 0]
    if (scale === '2') return [(detection: Detection) => of(detection) === 0]
    if (scale === '3') return [(detection: Detection) => of(detection) === 1]
    return scale === '4' ? [(detection: Detection) => of(detection) !== undefined] : []
  })
}

function isWithin(when: When | undefined, limitMs: number, keep: 'since' | 'before'): boolean {
  if (when === undefined) return false
  const ms = whenMs(when)
  return keep === 'since' ? ms >= limitMs : ms < limitMs
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw invalidValue('os_pattern', text, 'not a regular expression')
  }
}

function ipTest(list: readonly string[]): (ip: string) => boolean {
  const ranges = list.map((item) => {
    const [from = '', to = from] = item.split('-')
    return { from: ipNumber(from, item), to: ipNumber(to, item) }
  })
  return (ip) => ranges.some((range) => ipNumber(ip, ip) >= range.from && ipNumber(ip, ip) <= range.to)
}

function ipNumber(ip: string, shown: string): number {
  const parts = ip.split('.').map(Number)
  if (parts.length !== 4 || !parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)) {
    throw invalidValue('ips', shown, 'neither an IP address nor a range')
  }
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}
