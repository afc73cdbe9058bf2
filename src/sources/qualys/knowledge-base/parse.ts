import { OPEN, type XmlScanner, type XmlToken } from '../../../lib/xml/scanner.ts'
import type { XmlValues } from '../../../lib/xml/values.ts'
import { QUARANTINE_RAW_CHARS_MAX, type SourceMessage } from '../../../model/source.ts'
import type { VulnerabilityRecord } from '../../../model/vm.ts'
import { type FoRecordReader, RECORDS_DEPTH } from '../fo-body.ts'
import { FieldReader } from '../fo-fields.ts'
import {
  VULN,
  VULNERABILITY_FIELDS,
  VULNERABILITY_LEAF_NAMES,
  VULN_LIST,
  type VulnerabilityDraft,
} from './schema.ts'

export const NAMES: readonly string[] = [...VULNERABILITY_LEAF_NAMES, VULN_LIST, VULN]
const VULN_LIST_NAME = NAMES.indexOf(VULN_LIST)
const VULN_NAME = NAMES.indexOf(VULN)
const VULN_DEPTH = RECORDS_DEPTH + 1

type Message = SourceMessage<VulnerabilityRecord>

/** Reads the vulnerabilities of a knowledge base answer. One without QID or title is put aside. */
export class VulnerabilityReader implements FoRecordReader<Message> {
  readonly #fields: FieldReader<VulnerabilityDraft>
  #draft = emptyVulnerability()
  #skipDepth = 0
  #records: VulnerabilityRecord[] = []
  #quarantine: Message[] = []

  constructor() {
    this.#fields = new FieldReader({
      depth: VULN_DEPTH + 1,
      table: VULNERABILITY_FIELDS,
      firstName: 0,
      draft: this.#draft,
    })
  }

  onTag(token: XmlToken, scanner: XmlScanner, values: XmlValues): void {
    const { depth } = scanner
    if (this.#skipDepth > 0) {
      if (token !== OPEN && depth === this.#skipDepth) this.#skipDepth = 0
    } else if (depth > VULN_DEPTH) {
      this.#fields.onTag(token, scanner, values)
    } else if (depth === VULN_DEPTH && scanner.name === VULN_NAME) {
      if (token === OPEN) {
        this.#draft = emptyVulnerability()
        this.#fields.begin(this.#draft)
        scanner.mark()
      } else {
        this.#end(scanner)
        scanner.unmark()
      }
    } else if (token === OPEN && !(depth === RECORDS_DEPTH && scanner.name === VULN_LIST_NAME)) {
      this.#skipDepth = depth
    }
  }

  take(): Message[] {
    const messages = this.#quarantine
    this.#quarantine = []
    if (this.#records.length > 0) messages.unshift({ type: 'records', records: this.#records })
    this.#records = []
    return messages
  }

  #end(scanner: XmlScanner): void {
    const draft = this.#draft
    const isUsable = draft.qid !== '' && draft.title !== ''
    draft.extra = this.#fields.extra()
    if (isUsable) this.#records.push(draft)
    const problem = isUsable
      ? this.#problem()
      : 'A vulnerability of the knowledge base has no readable QID or no title.'
    if (problem === null) return
    const raw = scanner.markedRaw(QUARANTINE_RAW_CHARS_MAX)
    this.#quarantine.push({
      type: 'quarantine',
      what: { hostId: null, qid: draft.qid || null, reason: problem, raw },
    })
  }

  #problem(): string | null {
    const { unreadable, repeated } = this.#fields
    if (unreadable.length > 0)
      return `These elements of a vulnerability cannot be read: ${unreadable.join(', ')}.`
    return repeated.length > 0
      ? `These elements of a vulnerability came twice: ${repeated.join(', ')}.`
      : null
  }
}

function emptyVulnerability(): VulnerabilityDraft {
  return {
    qid: '',
    type: null,
    severity: null,
    title: '',
    category: null,
    patchable: null,
    publishedMs: null,
    lastModifiedMs: null,
    codeModifiedMs: null,
    patchPublishedMs: null,
    customizedMs: null,
    customizedBy: null,
    diagnosisHtml: null,
    consequenceHtml: null,
    solutionHtml: null,
    cvssV2: null,
    cvssV3: null,
    pci: null,
    disabled: null,
    cves: [],
    vendorReferences: [],
    software: [],
    threatIntel: [],
    discoveryRemote: null,
    extra: null,
  }
}
