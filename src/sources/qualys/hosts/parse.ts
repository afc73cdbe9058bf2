import { OPEN, type XmlScanner, type XmlToken } from '../../../lib/xml/scanner.ts'
import type { XmlValues } from '../../../lib/xml/values.ts'
import { QUARANTINE_RAW_CHARS_MAX, type SourceMessage } from '../../../model/source.ts'
import type { HostRecord } from '../../../model/vm.ts'
import { type FoRecordReader, RECORDS_DEPTH } from '../fo-body.ts'
import { HOST_FIELDS_DEPTH, HOST_LEAF_NAMES, HostReader } from '../fo-host.ts'
import { HOST, HOST_LIST } from './schema.ts'

export const NAMES: readonly string[] = [...HOST_LEAF_NAMES, HOST_LIST, HOST]
const HOST_LIST_NAME = NAMES.indexOf(HOST_LIST)
const HOST_NAME = NAMES.indexOf(HOST)

type Message = SourceMessage<HostRecord>

/** Reads the hosts of a host list answer. A host without an id is put aside; a field that cannot be read stays as text. */
export class HostListReader implements FoRecordReader<Message> {
  readonly #host = new HostReader(0)
  #skipDepth = 0
  #records: HostRecord[] = []
  #quarantine: Message[] = []

  onTag(token: XmlToken, scanner: XmlScanner, values: XmlValues): void {
    const { depth } = scanner
    if (this.#skipDepth > 0) {
      if (token !== OPEN && depth === this.#skipDepth) this.#skipDepth = 0
    } else if (depth >= HOST_FIELDS_DEPTH) {
      this.#host.fields.onTag(token, scanner, values)
    } else if (depth === RECORDS_DEPTH + 1 && scanner.name === HOST_NAME) {
      if (token === OPEN) {
        this.#host.begin()
        scanner.mark()
      } else {
        this.#endHost(scanner)
        scanner.unmark()
      }
    } else if (token === OPEN && !(depth === RECORDS_DEPTH && scanner.name === HOST_LIST_NAME)) {
      // GLOSSARY and whatever else stands beside the hosts.
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

  #endHost(scanner: XmlScanner): void {
    const { hostId } = this.#host.draft
    const problem = hostId === '' ? 'A host has no readable ID.' : this.#host.problem()
    if (hostId !== '') this.#records.push(this.#host.record())
    if (problem === null) return
    const raw = scanner.markedRaw(QUARANTINE_RAW_CHARS_MAX)
    this.#quarantine.push({
      type: 'quarantine',
      what: { hostId: hostId || null, qid: null, reason: problem, raw },
    })
  }
}
