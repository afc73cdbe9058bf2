import { hash32, pick, Salt } from './estate/hash.ts'
import { DAY_MS } from './estate/time.ts'
import type { DetectionShape, Family, KbEntry, Link } from './knowledge-base.ts'

interface Draft {
  qid: number
  title: string
  category: string
  vulnType?: string
  severity?: number
  patch?: readonly Link[]
  cveCount: number
  product: string
  vendor: string
  remote?: boolean
  authTypes: readonly string[]
  shape: DetectionShape
}

/** About 330 vulnerabilities in four families and 40 QIDs of information gathered; all numbers are synthetic. */
export function catalogue(seed: number, day0Ms: number): KbEntry[] {
  const drafts = [...windowsPatches(seed), ...linuxPatches(seed, 'rhel'), ...linuxPatches(seed, 'ubuntu')]
  drafts.push(...commonServices(), ...informationGathered())
  return drafts.map((draft, index) => toEntry(draft, index, { seed, day0Ms }))
}

const WINDOWS_PARTS = [
  'Windows Security Update',
  '.NET Framework Security Update',
  'Remote Desktop Services Remote Code Execution',
  'Print Spooler Elevation of Privilege',
  'Edge Security Update',
] as const
const WINDOWS_PATCH_COUNT = 48

/** One update fixes one to five QIDs: they carry the same set of references and so belong to one patch. */
function windowsPatches(seed: number): Draft[] {
  const drafts: Draft[] = []
  for (let patch = 0; patch < WINDOWS_PATCH_COUNT; patch++) {
    const size = patch === 0 ? 3 : 1 + (hash32(seed, patch, 1, Salt.knowledge) % 5)
    const month = `2025-${String(1 + (patch % 12)).padStart(2, '0')}`
    const ids = patch % 6 === 0 ? [5_034_000 + patch * 11, 5_034_005 + patch * 11] : [5_034_000 + patch * 11]
    const references = ids.map((n) => link(`KB${n}`, `https://support.example.com/help/${n}`))
    for (let part = 0; part < size; part++) {
      drafts.push({
        qid: 91_500 + patch * 8 + part,
        title: `Microsoft ${WINDOWS_PARTS[part]} for ${month} (set ${patch})`,
        category: 'Windows',
        patch: references,
        cveCount: 1 + (hash32(seed, patch, part + 10, Salt.knowledge) % 6),
        product: part === 1 ? '.net_framework' : 'windows',
        vendor: 'microsoft',
        authTypes: ['Windows'],
        shape: { family: 'windows' },
      })
    }
  }
  return drafts
}

const PACKAGES = [
  'kernel',
  'openssl',
  'glibc',
  'curl',
  'sudo',
  'bind',
  'httpd',
  'python3',
  'systemd',
  'expat',
] as const
const LINUX_PATCH_COUNT = 45

function linuxPatches(seed: number, family: 'rhel' | 'ubuntu'): Draft[] {
  const drafts: Draft[] = []
  for (let patch = 0; patch < LINUX_PATCH_COUNT; patch++) {
    const software = pick(PACKAGES, patch)
    const size = patch % 9 === 0 ? 2 : 1
    const id = family === 'rhel' ? `RHSA-2025:${9100 + patch}` : `USN-${7900 + patch}-1`
    for (let part = 0; part < size; part++) {
      drafts.push({
        qid: (family === 'rhel' ? 240_100 : 199_100) + patch * 4 + part,
        title: `${family === 'rhel' ? 'Red Hat' : 'Ubuntu'} Security Update for ${software}${part === 0 ? '' : '-libs'} (${id})`,
        category: family === 'rhel' ? 'RedHat' : 'Ubuntu',
        patch: [link(id, `https://errata.example.com/${id}`)],
        cveCount: 1 + (hash32(seed, patch, part + 20, Salt.knowledge) % 4),
        product: software,
        vendor: family === 'rhel' ? 'redhat' : 'ubuntu',
        authTypes: ['Unix'],
        shape: { family, kernel: software === 'kernel' },
      })
    }
  }
  return drafts
}

const SERVICES = [
  { name: 'Apache HTTP Server', port: 443, ssl: 1, service: 'https', vendor: 'apache', fqdn: true },
  { name: 'nginx', port: 80, ssl: 0, service: 'http', vendor: 'nginx', fqdn: true },
  { name: 'OpenSSH', port: 22, ssl: 0, service: 'ssh', vendor: 'openbsd' },
  { name: 'Oracle Database', port: 1521, ssl: 0, service: 'oracle', vendor: 'oracle', instance: 'ORCL' },
  {
    name: 'Microsoft SQL Server',
    port: 1433,
    ssl: 0,
    service: 'mssql',
    vendor: 'microsoft',
    instance: 'MSSQLSERVER',
  },
  { name: 'SSL Server', port: 3389, ssl: 1, service: 'rdp', vendor: 'none' },
  { name: 'SNMP Agent', port: 161, service: 'snmp', vendor: 'net-snmp', udp: true },
] as const
const WEAKNESSES = [
  'Denial of Service Vulnerability',
  'Weak Cipher Suites Supported',
  'Certificate Cannot Be Verified',
  'Information Disclosure',
  'Authentication Bypass',
  'Path Traversal Vulnerability',
  'End of Life Version Detected',
  'Default Credentials',
  'Request Smuggling Vulnerability',
  'Memory Corruption Vulnerability',
] as const

function commonServices(): Draft[] {
  return WEAKNESSES.flatMap((weakness, w) =>
    SERVICES.map((service, s): Draft => {
      const advisory = `EXSA-2025-${100 + w * 10 + s}`
      return {
        qid: 38_100 + w * 20 + s,
        title: `${service.name} ${weakness}`,
        category: s === 5 ? 'General remote services' : 'CGI',
        vulnType: pick(['Vulnerability', 'Potential Vulnerability', HALF_AND_HALF, 'Vulnerability'], w + s),
        severity: 1 + ((w * 3 + s) % 5),
        ...((w + s) % 3 === 0
          ? { patch: [link(advisory, `https://advisories.example.com/${advisory}`)] }
          : {}),
        cveCount: (w + s) % 2,
        product: service.service,
        vendor: service.vendor,
        remote: true,
        authTypes: [],
        shape: {
          family: 'common',
          port: service.port,
          protocol: 'udp' in service ? 'udp' : 'tcp',
          ssl: 'ssl' in service ? service.ssl : undefined,
          service: service.service,
          instance: 'instance' in service ? service.instance : undefined,
          fqdn: 'fqdn' in service,
        },
      }
    }),
  )
}

const HALF_AND_HALF = 'Vulnerability or Potential Vulnerability'
const FACTS = [
  'DNS Host Name',
  'Operating System Detected',
  'Open TCP Services List',
  'Windows Authentication Status',
  'Unix Authentication Status',
  'Installed Software Enumerated',
  'Qualys Correlation ID Detected',
  'Network Adapter MAC Address',
] as const

function informationGathered(): Draft[] {
  return Array.from({ length: 40 }, (_, n): Draft => {
    const fact = pick(FACTS, n)
    return {
      qid: fact.startsWith('Qualys Correlation') && n < FACTS.length ? 48_143 : 45_000 + n,
      title: n < FACTS.length ? fact : `${fact} (${Math.floor(n / FACTS.length)})`,
      category: 'Information gathering',
      vulnType: 'Information Gathered',
      severity: 1 + (n % 3),
      cveCount: 0,
      product: 'none',
      vendor: 'none',
      remote: true,
      authTypes: [],
      shape: { family: 'info' as Family },
    }
  })
}

const THREATS = [
  { id: '5', name: 'Easy_Exploit' },
  { id: '7', name: 'Denial_of_Service' },
  { id: '8', name: 'No_Patch' },
  { id: '11', name: 'Wormable' },
  { id: '13', name: 'Privilege_Escalation' },
  { id: '14', name: 'Unauthenticated_Exploitation' },
  { id: '15', name: 'Remote_Code_Execution' },
  { id: '18', name: 'Cisa_Known_Exploited_Vulns' },
] as const

function toEntry(draft: Draft, index: number, base: { seed: number; day0Ms: number }): KbEntry {
  const hash = hash32(base.seed, draft.qid, 0, Salt.knowledge)
  const severity = draft.severity ?? pick([2, 3, 3, 4, 4, 5, 5], hash)
  const publishedMs = base.day0Ms - (30 + (hash % 600)) * DAY_MS
  const patchable = draft.patch !== undefined
  const cves = Array.from({ length: draft.cveCount }, (_, n) => {
    const id = `CVE-2025-9${String((index * 7 + n) % 10_000).padStart(4, '0')}`
    return link(id, `http://cve.mitre.org/cgi-bin/cvename.cgi?name=${id}`)
  })
  const isInfo = draft.shape.family === 'info'
  const threats = isInfo
    ? []
    : THREATS.filter((threat, n) => severity >= 3 && (hash >>> n) % 5 === 0 && threat.id !== '8')
  return {
    qid: String(draft.qid),
    vulnType: draft.vulnType ?? 'Vulnerability',
    severity,
    title: draft.title,
    category: draft.category,
    lastServiceModification: publishedMs + (hash % 25) * DAY_MS,
    published: publishedMs,
    codeModified: publishedMs + (hash % 20) * DAY_MS,
    patchPublished: patchable ? publishedMs - 2 * DAY_MS : undefined,
    patchable,
    software: [{ product: draft.product, vendor: draft.vendor }],
    vendorReferences: draft.patch ?? [],
    cves,
    diagnosis: diagnosisOf(draft, cves),
    consequence: isInfo ? undefined : CONSEQUENCE,
    solution: isInfo ? undefined : solutionOf(draft),
    exploits: threats.some((threat) => threat.id === '5') ? [exploitOf(draft, cves[0]?.id)] : undefined,
    ...(isInfo ? {} : scores(severity, hash)),
    pci: severity >= 3,
    threatIntelligence: threats,
    supportedModules: isInfo ? undefined : 'VM',
    discovery: {
      remote: draft.remote ?? false,
      authTypes: draft.authTypes,
      additionalInfo: patchable ? 'Patch Available' : undefined,
    },
    disabled: !isInfo && hash % 97 === 0,
    shape: draft.shape,
  }
}

function link(id: string, url: string): Link {
  return { id, url }
}

const CONSEQUENCE = ' Successful exploitation may allow an attacker to run code, or to stop the service.<P>'

function diagnosisOf(draft: Draft, cves: readonly Link[]): string {
  const list = cves.map((cve) => `<LI>${cve.id}</LI>`).join('\n')
  return (
    `${draft.title} is reported when the installed version is older than the fixed one.<P>\n\n` +
    (list === '' ? '' : `The following are addressed:<UL>\n${list}\n</UL>\n`) +
    `<P>QID Detection Logic (${draft.remote === true ? 'Unauthenticated' : 'Authenticated'}):<BR>` +
    `The check compares the version with &quot;fixed in&quot;. <BR>`
  )
}

function solutionOf(draft: Draft): string {
  if (draft.patch === undefined) return 'There is no patch. Restrict access to the service &amp; watch it.<P>'
  const links = draft.patch.map((ref) => `<A HREF="${ref.url}" TARGET="_blank">${ref.id}</A>`).join('<BR>\n')
  return `<P>Customers are advised to install the update.\n<P>Patch:<BR>\nFollowing are links for downloading patches:\n<P> ${links}`
}

function exploitOf(draft: Draft, ref: string | undefined) {
  return {
    source: 'Example Exploit Database',
    ref: ref ?? 'none',
    description: `${draft.title} - proof of concept`,
    link: `https://exploits.example.com/${draft.qid}`,
  }
}

function scores(severity: number, hash: number) {
  const base = Math.min(10, severity * 2 - (hash % 15) / 10)
  const text = base.toFixed(1)
  const temporal = Math.max(0, base - 1.3).toFixed(1)
  return {
    cvss: {
      base: text,
      temporal,
      vector: 'CVSS:2.0/AV:N/AC:L/Au:N/C:P/I:P/A:P/E:U/RL:OF/RC:C',
      source: hash % 4 === 0 ? 'service' : undefined,
    },
    cvssV3: {
      base: text,
      temporal,
      vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C',
      version: '3.1',
    },
  }
}
