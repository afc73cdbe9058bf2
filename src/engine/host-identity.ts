import { cutText, singleLine } from '../model/blocks.ts'

/** What tells one machine from another, as far as Qualys says it. */
export interface MachineFacts {
  trackingMethod: string | null
  ip: string | null
  os: string | null
  dns: string | null
  fqdn: string | null
  netbios: string | null
  agentId: string | null
  cloudProvider: string | null
  cloudResourceId: string | null
  serialNumber: string | null
  hardwareUuid: string | null
}

export type IdentifierKind = 'agent' | 'cloud' | 'hardware' | 'serial'

/** A value that belongs to one machine, in one spelling. */
export interface Identifier {
  kind: IdentifierKind
  value: string
}

const VALUE_CHARS_MAX = 200
const SERIAL_CHARS_MIN = 5

/**
 * The values by which a machine is known again under another host id. What a manufacturer, a template or a person put
 * there in place of a value is left out: it stands on many machines.
 */
export function identifiersOf(facts: MachineFacts): Identifier[] {
  const found: [IdentifierKind, string | null][] = [
    ['agent', uuidOf(facts.agentId)],
    ['cloud', cloudOf(facts)],
    ['hardware', uuidOf(facts.hardwareUuid)],
    ['serial', serialOf(facts.serialNumber)],
  ]
  return found.flatMap(([kind, value]) => (value === null ? [] : [{ kind, value }]))
}

const UUID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/

/** UUIDs that manufacturers ship on whole series. */
const SHIPPED_UUIDS = new Set([
  '03000200040005000006000700080009',
  '00020003000400050006000700080009',
  '12345678123456781234567812345678',
  '123456789abcdef0123456789abcdef0',
])

function uuidOf(raw: string | null): string | null {
  const text =
    plain(raw)
      ?.toLowerCase()
      .replace(/^\{(.*)\}$/, '$1') ?? ''
  if (!UUID.test(text)) return null
  const digits = text.replaceAll('-', '')
  return isOneCharacter(digits) || SHIPPED_UUIDS.has(digits) ? null : digits
}

/** An instance id is unique within its provider; EC2_INSTANCE_ID comes without one in older answers. */
function cloudOf({ cloudProvider, cloudResourceId }: MachineFacts): string | null {
  const id = plain(cloudResourceId)?.toLowerCase() ?? null
  if (id === null || id.length < SERIAL_CHARS_MIN || isOneCharacter(id)) return null
  const provider = plain(cloudProvider)?.toLowerCase() ?? (/^i-[0-9a-f]{8,17}$/.test(id) ? 'aws' : null)
  return provider === null ? null : `${provider} ${id}`
}

const PLACEHOLDERS = new Set([
  'TOBEFILLEDBYOEM',
  'DEFAULTSTRING',
  'SYSTEMSERIALNUMBER',
  'CHASSISSERIALNUMBER',
  'BASEBOARDSERIALNUMBER',
  'SERIALNUMBER',
  'NOTSPECIFIED',
  'NOTAPPLICABLE',
  'NOTAVAILABLE',
  'NOTPRESENT',
  'NOTSETTABLE',
  'UNKNOWN',
  'UNDEFINED',
  'UNSPECIFIED',
  'INVALID',
  'DEFAULT',
  'EMPTY',
  'NONE',
  'NULL',
  'OEM',
  'SN',
])

function serialOf(raw: string | null): string | null {
  const text = plain(raw)?.toUpperCase() ?? ''
  const core = text.replaceAll(/[^0-9A-Z]/g, '')
  if (core.length < SERIAL_CHARS_MIN || PLACEHOLDERS.has(core)) return null
  return isOneCharacter(core) || isCounted(core) ? null : text
}

/** 0123456789, 12345678: somebody tried the keys. */
function isCounted(text: string): boolean {
  return '01234567890123456789'.includes(text)
}

function isOneCharacter(text: string): boolean {
  return new Set(text).size <= 1
}

/** Printable ASCII of a sensible length; anything else is no identifier. */
function plain(raw: string | null): string | null {
  const text = raw?.trim().replaceAll(/\s+/g, ' ') ?? ''
  return /^[\u0020-\u007e]+$/.test(text) && text.length <= VALUE_CHARS_MAX ? text : null
}

const OS_FAMILIES: readonly [family: string, pattern: RegExp][] = [
  ['windows', /\bwindows\b/i],
  ['macos', /\bmac ?os\b|\bos x\b|\bdarwin\b/i],
  ['linux', /linux|\b(?:ubuntu|debian|red hat|centos|fedora|suse|rocky|alma)/i],
  ['aix', /\baix\b/i],
  ['solaris', /\bsolaris\b|\bsunos\b/i],
  ['hp-ux', /\bhp-?ux\b/i],
  ['esx', /\besxi?\b/i],
  ['network', /\b(?:cisco|nx-os|junos|fortios|pan-os|arubaos)\b/i],
  ['bsd', /\b(?:free|open|net)bsd\b/i],
]

/** Null when it is not known, and when Qualys guesses at several. */
function osFamilyOf(os: string | null): string | null {
  const families = OS_FAMILIES.filter(([, pattern]) => pattern.test(os ?? '')).map(([family]) => family)
  return families.length === 1 ? families[0]! : null
}

type Comparison = 'same' | 'different' | 'unknown'

export type IdentityChange =
  | { kind: 'identity_break'; reason: string }
  | { kind: 'renamed'; reason: string }
  | { kind: 'readdressed'; reason: string }

/**
 * What a new description says about which machine this is. Only where the host id follows the IP address can it pass to
 * another machine: that is so when the name changes together with the family of the operating system, or with a value
 * that belongs to one machine, and no such value has stayed the same.
 */
export function compareMachines(before: MachineFacts, now: MachineFacts): IdentityChange[] {
  if (isAnotherMachine(before, now)) {
    const changes = [
      change('operating system', before.os, now.os),
      change('NetBIOS name', before.netbios, now.netbios),
      change('DNS name', before.dns, now.dns),
      change('agent id', before.agentId, now.agentId),
      change('hardware UUID', before.hardwareUuid, now.hardwareUuid),
      change('serial number', before.serialNumber, now.serialNumber),
    ].filter((part) => part !== null)
    const reason = `Another machine has its IP address since: ${changes.join('; ')}. What was found before is not its.`
    return [{ kind: 'identity_break', reason }]
  }
  const changes: IdentityChange[] = []
  const renames = [
    changeOfKnown('NetBIOS name', before.netbios, now.netbios),
    changeOfKnown('DNS name', before.dns, now.dns),
  ].filter((part) => part !== null)
  if (renames.length > 0) changes.push({ kind: 'renamed', reason: `Renamed: ${renames.join('; ')}.` })
  const address = changeOfKnown('IP address', before.ip, now.ip)
  if (address !== null) changes.push({ kind: 'readdressed', reason: `Another address: ${address}.` })
  return changes
}

function isAnotherMachine(before: MachineFacts, now: MachineFacts): boolean {
  if (before.trackingMethod !== 'IP' || now.trackingMethod !== 'IP') return false
  const values = compareIdentifiers(identifiersOf(before), identifiersOf(now))
  if (values === 'same' || compareNames(before, now) !== 'different') return false
  return values === 'different' || compareTexts(osFamilyOf(before.os), osFamilyOf(now.os)) === 'different'
}

function compareIdentifiers(before: readonly Identifier[], now: readonly Identifier[]): Comparison {
  let result: Comparison = 'unknown'
  for (const { kind, value } of before) {
    const other = now.find((identifier) => identifier.kind === kind)
    if (other?.value === value) return 'same'
    if (other !== undefined) result = 'different'
  }
  return result
}

/** The NetBIOS name is the machine's own; a DNS name may belong to the address and counts where there is no other. */
function compareNames(before: MachineFacts, now: MachineFacts): Comparison {
  const netbios = compareTexts(before.netbios, now.netbios)
  return netbios === 'unknown' ? compareTexts(before.fqdn ?? before.dns, now.fqdn ?? now.dns) : netbios
}

function compareTexts(before: string | null, now: string | null): Comparison {
  if (before === null || now === null || before === '' || now === '') return 'unknown'
  return before.toLowerCase() === now.toLowerCase() ? 'same' : 'different'
}

const SHOWN_CHARS_MAX = 100

function change(what: string, before: string | null, now: string | null): string | null {
  if ((before ?? '').toLowerCase() === (now ?? '').toLowerCase()) return null
  return `${what} ${shown(before)} → ${shown(now)}`
}

/** A value that was not known before, or is not told now, is no change. */
function changeOfKnown(what: string, before: string | null, now: string | null): string | null {
  return before === null || now === null ? null : change(what, before, now)
}

function shown(value: string | null): string {
  return value === null || value === '' ? 'none' : cutText(singleLine(value), SHOWN_CHARS_MAX)
}
