import { whenText } from '../estate/time.ts'
import type { Cvss, KbEntry, Link } from '../knowledge-base.ts'
import { cdata, elements, escapeXml } from './xml.ts'
import type { Field } from './xml.ts'

export interface KbStyle {
  /** `details=All`: scores, exploits, change log and modules as well. */
  all: boolean
  showDisabledFlag: boolean
  showSupportedModules: boolean
}

const INDENT = '        '

/** One VULN, its elements in the order of the vendor's DTD. */
export function kbEntryXml(entry: KbEntry, style: KbStyle): string {
  const body = elements(
    INDENT,
    [...headFields(entry), ...textFields(entry), ...scoreFields(entry, style)],
    entry.raw,
  )
  return `      <VULN>\n${body}      </VULN>\n`
}

function headFields(entry: KbEntry): Field[] {
  const customization = entry.lastCustomization
  return [
    ['QID', entry.qid],
    ['VULN_TYPE', entry.vulnType],
    ['SEVERITY_LEVEL', entry.severity],
    ['TITLE', cdata(entry.title)],
    ['CATEGORY', escapeXml(entry.category)],
    [
      'LAST_CUSTOMIZATION',
      customization === undefined
        ? undefined
        : block([
            ['DATETIME', whenText(customization.datetime)],
            ['USER_LOGIN', escapeXml(customization.userLogin)],
          ]),
    ],
    ['LAST_SERVICE_MODIFICATION_DATETIME', whenText(entry.lastServiceModification)],
    ['PUBLISHED_DATETIME', whenText(entry.published)],
    ['CODE_MODIFIED_DATETIME', entry.codeModified === undefined ? undefined : whenText(entry.codeModified)],
    ['PATCH_PUBLISHED_DATE', entry.patchPublished === undefined ? undefined : whenText(entry.patchPublished)],
    ['BUGTRAQ_LIST', links('BUGTRAQ', entry.bugtraqIds ?? [])],
    ['PATCHABLE', entry.patchable ? 1 : 0],
    ['SOFTWARE_LIST', softwareList(entry)],
    ['VENDOR_REFERENCE_LIST', links('VENDOR_REFERENCE', entry.vendorReferences)],
    ['CVE_LIST', links('CVE', entry.cves)],
  ]
}

function textFields(entry: KbEntry): Field[] {
  return [
    ['DIAGNOSIS', text(entry.diagnosis)],
    ['DIAGNOSIS_COMMENT', text(entry.diagnosisComment)],
    ['CONSEQUENCE', text(entry.consequence)],
    ['SOLUTION', text(entry.solution)],
    ['SOLUTION_COMMENT', text(entry.solutionComment)],
  ]
}

function scoreFields(entry: KbEntry, style: KbStyle): Field[] {
  const all = style.all
  return [
    ['CORRELATION', all ? correlation(entry) : undefined],
    ['CVSS', all && entry.cvss !== undefined ? cvss(entry.cvss) : undefined],
    ['CVSS_V3', all && entry.cvssV3 !== undefined ? cvss(entry.cvssV3, entry.cvssV3.version) : undefined],
    ['PCI_FLAG', entry.pci ? 1 : 0],
    ['THREAT_INTELLIGENCE', threats(entry)],
    [
      'SUPPORTED_MODULES',
      style.showSupportedModules && entry.supportedModules !== undefined
        ? escapeXml(entry.supportedModules)
        : undefined,
    ],
    ['DISCOVERY', discovery(entry)],
    ['IS_DISABLED', style.showDisabledFlag ? (entry.disabled ? 1 : 0) : undefined],
  ]
}

function text(value: string | undefined): string | undefined {
  return value === undefined ? undefined : cdata(value)
}

function block(fields: readonly Field[], indent = INDENT): string {
  return `\n${elements(`${indent}  `, fields)}${indent}`
}

function links(name: string, list: readonly Link[]): string | undefined {
  if (list.length === 0) return undefined
  const fields = list.map((link): Field => {
    const content = block(
      [
        ['ID', cdata(link.id)],
        ['URL', cdata(link.url)],
      ],
      `${INDENT}  `,
    )
    return [name, content]
  })
  return block(fields)
}

function softwareList(entry: KbEntry): string | undefined {
  if (entry.software.length === 0) return undefined
  const fields = entry.software.map((software): Field => {
    const content = block(
      [
        ['PRODUCT', cdata(software.product)],
        ['VENDOR', cdata(software.vendor)],
      ],
      `${INDENT}  `,
    )
    return ['SOFTWARE', content]
  })
  return block(fields)
}

function correlation(entry: KbEntry): string | undefined {
  const exploits = (entry.exploits ?? []).map(
    (exploit) =>
      `<EXPLT_SRC><SRC_NAME>${cdata(exploit.source)}</SRC_NAME><EXPLT_LIST><EXPLT><REF>${cdata(exploit.ref)}</REF>` +
      `<DESC>${cdata(exploit.description)}</DESC><LINK>${cdata(exploit.link)}</LINK></EXPLT></EXPLT_LIST></EXPLT_SRC>`,
  )
  const malware = (entry.malware ?? []).map(
    (item) =>
      `<MW_SRC><SRC_NAME>${cdata(item.source)}</SRC_NAME><MW_LIST><MW_INFO><MW_ID>${cdata(item.id)}</MW_ID>` +
      `<MW_TYPE>${cdata(item.type)}</MW_TYPE><MW_PLATFORM>${cdata(item.platform)}</MW_PLATFORM></MW_INFO></MW_LIST></MW_SRC>`,
  )
  if (exploits.length + malware.length === 0) return undefined
  return block([
    ['EXPLOITS', exploits.length === 0 ? undefined : exploits.join('')],
    ['MALWARE', malware.length === 0 ? undefined : malware.join('')],
  ])
}

function cvss(score: Cvss, version?: string): string {
  const source = score.source === undefined ? '' : ` source="${escapeXml(score.source)}"`
  return block([
    ['BASE', score.base, source],
    ['TEMPORAL', score.temporal],
    ['VECTOR_STRING', score.vector],
    ['CVSS3_VERSION', version],
  ])
}

function threats(entry: KbEntry): string | undefined {
  if (entry.threatIntelligence.length === 0) return undefined
  const lines = entry.threatIntelligence.map(
    (threat) =>
      `${INDENT}  <THREAT_INTEL id="${escapeXml(threat.id)}">${cdata(threat.name)}</THREAT_INTEL>\n`,
  )
  return `\n${lines.join('')}${INDENT}`
}

function discovery(entry: KbEntry): string {
  const { remote, authTypes, additionalInfo } = entry.discovery
  const types = authTypes.map((type): Field => ['AUTH_TYPE', escapeXml(type)])
  return block([
    ['REMOTE', remote ? 1 : 0],
    ['AUTH_TYPE_LIST', types.length === 0 ? undefined : block(types, `${INDENT}  `)],
    ['ADDITIONAL_INFO', additionalInfo === undefined ? undefined : escapeXml(additionalInfo)],
  ])
}
