import { type XmlNode, childOf, childrenOf, textOf } from '../../../lib/xml/tree.ts'
import type { XmlValues } from '../../../lib/xml/values.ts'
import type { CvssScore, Reference, VulnerabilityRecord } from '../../../model/vm.ts'
import { type FieldTable, type TakenNode } from '../fo-fields.ts'

/** What Qualys calls things in a knowledge base answer (version 4.0). */
export const ROOT = 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT'
export const VULN_LIST = 'VULN_LIST'
export const VULN = 'VULN'

/** Qualys knows 1 to 5; beyond this it is no severity. */
const SEVERITY_MAX = 99

export type VulnerabilityDraft = VulnerabilityRecord

export const VULNERABILITY_FIELDS: FieldTable<VulnerabilityDraft> = {
  leaves: {
    QID: (vulnerability, values) => {
      vulnerability.qid = values.id() ?? ''
    },
    VULN_TYPE: (vulnerability, values) => {
      vulnerability.type = trimmed(values)
    },
    SEVERITY_LEVEL: (vulnerability, values) => {
      vulnerability.severity = values.integer(SEVERITY_MAX)
    },
    TITLE: (vulnerability, values) => {
      vulnerability.title = trimmed(values)
    },
    CATEGORY: (vulnerability, values) => {
      vulnerability.category = trimmed(values)
    },
    LAST_SERVICE_MODIFICATION_DATETIME: (vulnerability, values) => {
      vulnerability.lastModifiedMs = values.instant()
    },
    PUBLISHED_DATETIME: (vulnerability, values) => {
      vulnerability.publishedMs = values.instant()
    },
    CODE_MODIFIED_DATETIME: (vulnerability, values) => {
      vulnerability.codeModifiedMs = values.instant()
    },
    PATCH_PUBLISHED_DATE: (vulnerability, values) => {
      vulnerability.patchPublishedMs = values.instant()
    },
    PATCHABLE: (vulnerability, values) => {
      vulnerability.patchable = values.flag()
    },
    DIAGNOSIS: (vulnerability, values) => {
      vulnerability.diagnosisHtml = trimmed(values)
    },
    CONSEQUENCE: (vulnerability, values) => {
      vulnerability.consequenceHtml = trimmed(values)
    },
    SOLUTION: (vulnerability, values) => {
      vulnerability.solutionHtml = trimmed(values)
    },
    PCI_FLAG: (vulnerability, values) => {
      vulnerability.pci = values.flag()
    },
    IS_DISABLED: (vulnerability, values) => {
      vulnerability.disabled = values.flag()
    },
  },
  nodes: {
    SOFTWARE_LIST: takeSoftware,
    VENDOR_REFERENCE_LIST: (vulnerability, node) =>
      takeReferences(node, 'VENDOR_REFERENCE', (references) => {
        vulnerability.vendorReferences = references
      }),
    CVE_LIST: (vulnerability, node) =>
      takeReferences(node, 'CVE', (references) => {
        vulnerability.cves = references
      }),
    CVSS: (vulnerability, node) =>
      takeCvss(node, (score) => {
        vulnerability.cvssV2 = score
      }),
    CVSS_V3: (vulnerability, node) =>
      takeCvss(node, (score) => {
        vulnerability.cvssV3 = score
      }),
    LAST_CUSTOMIZATION: takeCustomization,
    THREAT_INTELLIGENCE: takeThreatIntel,
    DISCOVERY: takeDiscovery,
  },
}

export const VULNERABILITY_LEAF_NAMES: readonly string[] = Object.keys(VULNERABILITY_FIELDS.leaves)

function trimmed(values: XmlValues): string {
  return values.text().trim()
}

/** Whether these are all the elements directly in a node, and none has attributes or text beside them. */
function isOnly(node: XmlNode, names: readonly string[]): boolean {
  return node.children.every(
    (child) =>
      typeof child !== 'string' &&
      names.includes(child.name) &&
      child.attributes.length === 0 &&
      child.children.every((grandchild) => typeof grandchild === 'string'),
  )
}

function takeSoftware(vulnerability: VulnerabilityDraft, node: XmlNode): TakenNode {
  const software = childrenOf(node, 'SOFTWARE')
  vulnerability.software = software.map((item) => ({
    product: textOf(childOf(item, 'PRODUCT'))?.trim() ?? '',
    vendor: textOf(childOf(item, 'VENDOR'))?.trim() ?? '',
  }))
  const isWhole = software.length === node.children.length
  return isWhole && software.every((item) => isOnly(item, ['PRODUCT', 'VENDOR'])) ? 'wholly' : 'partly'
}

function takeReferences(node: XmlNode, name: string, set: (references: Reference[]) => void): TakenNode {
  const items = childrenOf(node, name)
  const references = items.map((item) => ({
    id: textOf(childOf(item, 'ID'))?.trim() ?? '',
    url: textOf(childOf(item, 'URL'))?.trim() || null,
  }))
  set(references.filter((reference) => reference.id !== ''))
  const isWhole =
    items.length === node.children.length && references.every((reference) => reference.id !== '')
  return isWhole && items.every((item) => isOnly(item, ['ID', 'URL'])) ? 'wholly' : 'partly'
}

function takeCvss(node: XmlNode, set: (score: CvssScore) => void): TakenNode {
  const base = scoreOf(childOf(node, 'BASE'))
  const temporal = scoreOf(childOf(node, 'TEMPORAL'))
  set({
    base: base ?? null,
    temporal: temporal ?? null,
    vector: textOf(childOf(node, 'VECTOR_STRING'))?.trim() || null,
  })
  if (base === undefined || temporal === undefined) return 'unreadable'
  return isOnly(node, ['BASE', 'TEMPORAL', 'VECTOR_STRING']) ? 'wholly' : 'partly'
}

/** `undefined` when something stands there that is no score; an empty one says nothing. */
function scoreOf(node: XmlNode | undefined): number | null | undefined {
  const text = textOf(node)?.trim() ?? ''
  if (text === '') return null
  return /^(?:10|[0-9])(?:\.[0-9])?$/.test(text) ? Number(text) : undefined
}

function takeThreatIntel(vulnerability: VulnerabilityDraft, node: XmlNode): TakenNode {
  const items = childrenOf(node, 'THREAT_INTEL')
  vulnerability.threatIntel = items.map((item) => ({
    id: item.attributes.find((attribute) => attribute.name === 'id')?.value ?? '',
    name: textOf(item)?.trim() ?? '',
  }))
  const isWhole = items.length === node.children.length && items.every((item) => item.attributes.length === 1)
  return isWhole && vulnerability.threatIntel.every((item) => item.id !== '') ? 'wholly' : 'partly'
}

function takeCustomization(vulnerability: VulnerabilityDraft, node: XmlNode): TakenNode {
  const date = textOf(childOf(node, 'DATETIME'))?.trim() ?? ''
  vulnerability.customizedBy = textOf(childOf(node, 'USER_LOGIN'))?.trim() || null
  const atMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(date) ? Date.parse(date) : Number.NaN
  if (Number.isNaN(atMs)) return 'unreadable'
  vulnerability.customizedMs = atMs
  return isOnly(node, ['DATETIME', 'USER_LOGIN']) ? 'wholly' : 'partly'
}

function takeDiscovery(vulnerability: VulnerabilityDraft, node: XmlNode): TakenNode {
  const remote = textOf(childOf(node, 'REMOTE'))?.trim() ?? ''
  if (remote === '0' || remote === '1') vulnerability.discoveryRemote = remote === '1'
  else if (remote !== '') return 'unreadable'
  return isOnly(node, ['REMOTE']) ? 'wholly' : 'partly'
}
