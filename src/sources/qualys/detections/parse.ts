import { CLOSE, OPEN, type XmlScanner, type XmlToken } from '../../../lib/xml/scanner.ts'
import type { XmlValues } from '../../../lib/xml/values.ts'
import {
  QUARANTINE_RAW_CHARS_MAX,
  type QuarantinedRecord,
  type SourceMessage,
} from '../../../model/source.ts'
import { type DetectionRecord, HOST_PART_DETECTIONS_MAX, type HostDetections } from '../../../model/vm.ts'
import { type FoRecordReader, RECORDS_DEPTH } from '../fo-body.ts'
import { FieldReader } from '../fo-fields.ts'
import { HOST_FIELDS_DEPTH, HOST_LEAF_NAMES, HostReader } from '../fo-host.ts'
import { ListFingerprints } from './fingerprint.ts'
import { DetectionSealer } from './identity.ts'
import {
  DETECTION,
  DETECTION_FIELDS,
  DETECTION_LEAF_NAMES,
  DETECTION_LIST,
  type DetectionDraft,
  HOST,
  HOST_LIST,
} from './schema.ts'
import { SeenDetections } from './seen.ts'

const DETECTION_DEPTH = HOST_FIELDS_DEPTH + 1
const DETECTION_FIELDS_DEPTH = HOST_FIELDS_DEPTH + 2

/** The element names that the reader needs as numbers, in its order. */
export const NAMES: readonly string[] = [
  ...DETECTION_LEAF_NAMES,
  ...HOST_LEAF_NAMES,
  HOST_LIST,
  HOST,
  DETECTION_LIST,
  DETECTION,
]
const HOST_FIRST = DETECTION_LEAF_NAMES.length
const [HOST_LIST_NAME, HOST_NAME, DETECTION_LIST_NAME, DETECTION_NAME] = [
  NAMES.indexOf(HOST_LIST),
  NAMES.indexOf(HOST),
  NAMES.indexOf(DETECTION_LIST),
  NAMES.indexOf(DETECTION),
]

type Message = SourceMessage<HostDetections>

/**
 * Reads hosts with their detections out of the tags of one answer. What cannot be understood becomes a quarantine
 * message; what has no column is kept as text.
 */
export class DetectionReader implements FoRecordReader<Message> {
  readonly #host = new HostReader(HOST_FIRST)
  readonly #fields: FieldReader<DetectionDraft>
  readonly #sealer: DetectionSealer
  readonly #seen = new SeenDetections()
  readonly #fingerprints: ListFingerprints

  /** The depth of an element that is not read, with all that is in it; 0 for none. */
  #skipDepth = 0
  #inDetections = false
  #hasLostDetections = false
  #detection = emptyDetection()
  #detections: DetectionRecord[] = []
  #hosts: HostDetections[] = []
  #quarantine: Message[] = []

  constructor(integrationId: string, fingerprints = new ListFingerprints({ withInformation: false })) {
    this.#fingerprints = fingerprints
    this.#sealer = new DetectionSealer(integrationId)
    this.#fields = new FieldReader({
      depth: DETECTION_FIELDS_DEPTH,
      table: DETECTION_FIELDS,
      firstName: 0,
      draft: this.#detection,
    })
  }

  onTag(token: XmlToken, scanner: XmlScanner, values: XmlValues): void {
    const { depth } = scanner
    if (this.#skipDepth > 0) {
      if (token === CLOSE && depth === this.#skipDepth) this.#skipDepth = 0
    } else if (this.#inDetections && depth >= DETECTION_FIELDS_DEPTH) {
      this.#fields.onTag(token, scanner, values)
    } else if (this.#inDetections && depth === DETECTION_DEPTH) {
      this.#onDetection(token, scanner)
    } else if (depth >= HOST_FIELDS_DEPTH) {
      this.#onHostField(token, scanner, values)
    } else {
      this.#onFrame(token, scanner)
    }
  }

  take(): Message[] {
    const messages = this.#quarantine
    this.#quarantine = []
    if (this.#hosts.length > 0) {
      messages.unshift({ type: 'records', records: this.#hosts })
      this.#hosts = []
    }
    return messages
  }

  /** HOST_LIST, of which there may be several, and HOST. */
  #onFrame(token: XmlToken, scanner: XmlScanner): void {
    const isHost = scanner.depth === RECORDS_DEPTH + 1 && scanner.name === HOST_NAME
    if (token === OPEN) {
      const isHostList = scanner.depth === RECORDS_DEPTH && scanner.name === HOST_LIST_NAME
      if (isHost) this.#beginHost(scanner)
      else if (!isHostList) this.#skipDepth = scanner.depth
    } else if (isHost) {
      this.#endHost(scanner)
    }
  }

  #beginHost(scanner: XmlScanner): void {
    this.#host.begin()
    this.#detections = []
    this.#hasLostDetections = false
    this.#fingerprints.beginHost()
    this.#seen.clear()
    scanner.mark()
  }

  #onHostField(token: XmlToken, scanner: XmlScanner, values: XmlValues): void {
    if (scanner.depth !== HOST_FIELDS_DEPTH || scanner.name !== DETECTION_LIST_NAME) {
      this.#host.fields.onTag(token, scanner, values)
    } else if (token === CLOSE) {
      this.#inDetections = false
      this.#fingerprints.endList(scanner)
    } else if (this.#host.draft.hostId === '') {
      // Without a host these detections have no place; the host is put aside as a whole.
      this.#skipDepth = HOST_FIELDS_DEPTH
      this.#hasLostDetections = true
    } else {
      this.#inDetections = true
      scanner.unmark()
      this.#fingerprints.beginList(this.#host.draft.hostId, scanner)
    }
  }

  #endHost(scanner: XmlScanner): void {
    const { hostId } = this.#host.draft
    const problem = this.#host.problem()
    if (hostId === '' || this.#hasLostDetections) {
      const reason = 'A host has no readable ID before its detections.'
      this.#putAside({ hostId: hostId || null, qid: null, reason, raw: raw(scanner) })
    } else if (this.#fingerprints.isTorn) {
      const reason = 'A host has more than one list of detections, one of them as it was before.'
      this.#putAside({ hostId, qid: null, reason, raw: '' })
    } else {
      const { value: fingerprint, isKnown: isAsBefore } = this.#fingerprints
      const host = this.#host.record()
      this.#hosts.push({ host, detections: this.#detections, isLastPart: true, fingerprint, isAsBefore })
      if (problem !== null) {
        const extra = this.#host.fields.extra() ?? {}
        const text = Object.entries(extra).map(([name, value]) => `${name}: ${value}`)
        this.#putAside({ hostId, qid: null, reason: problem, raw: text.join('\n') })
      }
    }
    this.#detections = []
    scanner.unmark()
  }

  #onDetection(token: XmlToken, scanner: XmlScanner): void {
    if (scanner.name !== DETECTION_NAME) {
      this.#skipDepth = token === OPEN ? scanner.depth : 0
    } else if (token === OPEN) {
      this.#detection = emptyDetection()
      this.#fields.begin(this.#detection)
      scanner.mark()
    } else {
      this.#endDetection(scanner)
      scanner.unmark()
    }
  }

  #endDetection(scanner: XmlScanner): void {
    const detection = this.#detection
    const problem = this.#problem()
    const { hostId } = this.#host.draft
    if (problem !== null) {
      this.#putAside({ hostId, qid: detection.qid || null, reason: problem, raw: raw(scanner) })
      return
    }
    detection.extra = this.#fields.extra()
    this.#sealer.seal(detection, hostId)
    const place = this.#seen.add(detection)
    if (place !== 'new' && !this.#settleCollision(place, scanner)) return
    this.#detections.push(detection)
    if (this.#detections.length >= HOST_PART_DETECTIONS_MAX) this.#endPart()
  }

  /**
   * Of two detections with one identity the better one is passed on: true when that is the present one. Where the other
   * has gone out with an earlier part it cannot be taken back, so that the present one is put aside and owed.
   */
  #settleCollision(better: 'earlier' | 'later', scanner: XmlScanner): boolean {
    const what = { hostId: this.#host.draft.hostId, qid: this.#detection.qid, raw: raw(scanner) }
    const same = 'Two detections of a host are the same by all that identifies one'
    if (better === 'later' && !this.#dropEarlier(this.#detection)) {
      this.#putAside({ ...what, reason: `${same}; the better one came too late to be taken.` })
      return false
    }
    this.#putAside({ ...what, reason: `${same}; the ${better} one is kept.`, isCollision: true })
    return better === 'later'
  }

  /** Takes out the one that a better one replaces; false when it has gone out with an earlier part. */
  #dropEarlier(detection: DetectionRecord): boolean {
    const index = this.#detections.findIndex((other) => other.identity.equals(detection.identity))
    if (index >= 0) this.#detections.splice(index, 1)
    return index >= 0
  }

  #endPart(): void {
    const host = this.#host.record()
    const detections = this.#detections
    this.#hosts.push({ host, detections, isLastPart: false, fingerprint: null, isAsBefore: false })
    this.#detections = []
  }

  #problem(): string | null {
    const { unreadable, repeated } = this.#fields
    if (unreadable.length > 0)
      return `These elements of a detection cannot be read: ${unreadable.join(', ')}.`
    if (repeated.length > 0) return `These elements of a detection came twice: ${repeated.join(', ')}.`
    return this.#detection.qid === '' ? 'A detection has no QID.' : null
  }

  #putAside(what: QuarantinedRecord): void {
    this.#fingerprints.forget()
    this.#quarantine.push({
      type: 'quarantine',
      what: { ...what, raw: what.raw.slice(0, QUARANTINE_RAW_CHARS_MAX) },
    })
  }
}

function raw(scanner: XmlScanner): string {
  return scanner.markedRaw(QUARANTINE_RAW_CHARS_MAX)
}

const NO_HASH = Buffer.alloc(0)

function emptyDetection(): DetectionDraft {
  return {
    identity: NO_HASH,
    stateHash: NO_HASH,
    volatileHash: NO_HASH,
    uniqueVulnId: null,
    qid: '',
    type: null,
    severity: null,
    port: null,
    protocol: null,
    ssl: null,
    fqdn: null,
    instance: null,
    results: null,
    resultsHash: null,
    status: null,
    firstFoundMs: null,
    lastFoundMs: null,
    lastTestMs: null,
    lastUpdateMs: null,
    lastFixedMs: null,
    firstReopenedMs: null,
    lastReopenedMs: null,
    lastProcessedMs: null,
    timesFound: null,
    timesReopened: null,
    qds: null,
    service: null,
    ignored: null,
    disabled: null,
    affectRunningKernel: null,
    affectRunningService: null,
    affectExploitableConfig: null,
    extra: null,
  }
}
