import { catalogue } from './knowledge-base-catalogue.ts'
import { hash32, hashText, pick, Salt } from './estate/hash.ts'
import { DAY_MS } from './estate/time.ts'
import type { When } from './estate/time.ts'

export type Family = 'windows' | 'rhel' | 'ubuntu' | 'common' | 'info'

export interface Link {
  id: string
  url: string
}

/** How detections of the QID look. Not part of what Qualys shows. */
export interface DetectionShape {
  family: Family
  port?: number | undefined
  protocol?: 'tcp' | 'udp' | undefined
  ssl?: 0 | 1 | undefined
  service?: string | undefined
  instance?: string | undefined
  fqdn?: boolean | undefined
  kernel?: boolean | undefined
}

export interface Cvss {
  base: string
  temporal: string
  vector: string
  /** `service` when the score is Qualys' own. */
  source?: string | undefined
}

export interface KbEntry {
  qid: string
  vulnType: string
  severity: number
  title: string
  category: string
  lastCustomization?: { datetime: When; userLogin: string } | undefined
  lastServiceModification: When
  published: When
  codeModified?: When | undefined
  patchPublished?: When | undefined
  bugtraqIds?: readonly Link[] | undefined
  patchable: boolean
  software: readonly { product: string; vendor: string }[]
  vendorReferences: readonly Link[]
  cves: readonly Link[]
  diagnosis?: string | undefined
  diagnosisComment?: string | undefined
  consequence?: string | undefined
  solution?: string | undefined
  solutionComment?: string | undefined
  exploits?: readonly { source: string; ref: string; description: string; link: string }[] | undefined
  malware?: readonly { source: string; id: string; type: string; platform: string }[] | undefined
  cvss?: Cvss | undefined
  cvssV3?: (Cvss & { version: string }) | undefined
  pci: boolean
  threatIntelligence: readonly { id: string; name: string }[]
  supportedModules?: string | undefined
  discovery: { remote: boolean; authTypes: readonly string[]; additionalInfo?: string | undefined }
  disabled: boolean
  shape: DetectionShape
  /** Elements that replace those of the same name: raw XML content, or null to leave the element out. */
  raw?: Readonly<Record<string, string | null>> | undefined
}

export type KbSpec = Partial<KbEntry> & { qid: string }

const CHANGES_PER_DAY = 3

/** Every generated entry as of day 0, in the order of QIDs. */
export function generateKnowledgeBase(seed: number, day0Ms: number): KbEntry[] {
  return catalogue(seed, day0Ms).toSorted((a, b) => Number(a.qid) - Number(b.qid))
}

/**
 * What Qualys' researchers did to the knowledge base since day 0: each day a few entries are modified; the severity of
 * the first of them moves by one, the others get a new sentence in the solution.
 */
export function evolveKnowledgeBase(
  base: readonly KbEntry[],
  options: { seed: number; day: number; day0Ms: number },
): KbEntry[] {
  const entries = [...base]
  if (entries.length === 0) return entries
  for (let day = 1; day <= options.day; day++) {
    for (let n = 0; n < CHANGES_PER_DAY; n++) {
      const hash = hash32(options.seed, day, n, Salt.knowledge)
      const index = hash % entries.length
      const entry = entries[index]
      if (entry === undefined) continue
      const lastServiceModification = options.day0Ms + day * DAY_MS + (hash % 14_400) * 1000
      if (n === 0) {
        entries[index] = { ...entry, lastServiceModification, severity: moveSeverity(entry.severity, hash) }
      } else {
        const note = `<P>Revised on day ${day}: see the vendor's notes for a workaround.<BR>`
        entries[index] = { ...entry, lastServiceModification, solution: (entry.solution ?? '') + note }
      }
    }
  }
  return entries
}

function moveSeverity(severity: number, hash: number): number {
  if (severity <= 1) return 2
  if (severity >= 5) return 4
  return (hash >>> 8) % 2 === 0 ? severity + 1 : severity - 1
}

/** A complete entry out of the few fields that a test cares for. */
export function completeKbEntry(spec: KbSpec, nowMs: number): KbEntry {
  const references = spec.vendorReferences ?? []
  return {
    vulnType: 'Vulnerability',
    severity: 3,
    title: `Synthetic vulnerability ${spec.qid}`,
    category: 'General remote services',
    lastServiceModification: nowMs - 10 * DAY_MS,
    published: nowMs - 100 * DAY_MS,
    patchable: references.length > 0,
    software: [],
    vendorReferences: references,
    cves: [],
    diagnosis: `What QID ${spec.qid} is about.<P>`,
    consequence: 'An attacker may gain access.<P>',
    solution: 'Ask the vendor for a fix.<P>',
    pci: false,
    threatIntelligence: [],
    discovery: { remote: true, authTypes: [] },
    disabled: false,
    shape: { family: 'common' },
    ...spec,
  }
}

/** The detection type that belongs to an entry; half-and-half entries decide by the host. */
export function detectionType(entry: KbEntry, hash: number): string {
  if (entry.vulnType === 'Vulnerability') return 'Confirmed'
  if (entry.vulnType === 'Potential Vulnerability') return 'Potential'
  if (entry.vulnType === 'Information Gathered') return 'Info'
  return hash % 2 === 0 ? 'Confirmed' : 'Potential'
}

/** RESULTS of a detection: tabs, line ends, the host's own words, about `bytes` long, the same on every day. */
export function resultText(entry: KbEntry, hostName: string, bytes: number): string {
  const hash = hashText(hostName + entry.qid)
  const build = 1000 + (hash % 8000)
  const head = RESULT_HEADS[entry.shape.family]
  let text = `${head}${entry.title.slice(0, 40)}\t10.0.${build}\t10.0.${build + 17}\t${hostName}\n`
  for (let line = 1; text.length < bytes; line++) {
    text += `${pick(RESULT_PATHS, hash + line)}\t10.0.${build + line}\t& required 10.0.${build + 17} <or later>\n`
  }
  return text.slice(0, bytes).trimEnd()
}

const RESULT_HEADS: Record<Family, string> = {
  windows: '#table cols="4"\nComponent Installed Required Host\n',
  rhel: '#table cols="4"\nPackage Installed_Version Required_Version Host\n',
  ubuntu: '#table cols="4"\nPackage Installed_Version Required_Version Host\n',
  common: 'SERVICE\tFOUND\tEXPECTED\tHOST\n',
  info: '',
}

const RESULT_PATHS = [
  '%windir%\\System32\\ntoskrnl.exe',
  'C:\\Program Files\\Example\\agent.dll',
  '/usr/lib64/libexample.so.3',
  'HKLM\\SOFTWARE\\Example\\CurrentVersion',
  '/opt/example/bin/exampled',
] as const
