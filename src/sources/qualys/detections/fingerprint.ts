import { createHash } from 'node:crypto'
import type { XmlScanner } from '../../../lib/xml/scanner.ts'
import { DETECTION_LIST } from './schema.ts'

/** The version of what is read out of a detection: a new one lets every host be read in full once more. */
const READING_VERSION = 1
const FINGERPRINT_BYTES = 16
const LIST_END = Buffer.from(`</${DETECTION_LIST}>`)
/** A longer list is read as it comes, since all of it would have to be kept to look at it. */
const LIST_BYTES_MAX = 4 * 1_024 * 1_024

/**
 * Fingerprints of the lists of detections of one answer: 16 bytes of SHA-256 over the bytes of a list. A list that has the
 * fingerprint it had before is passed over at the speed of the hash.
 */
export class ListFingerprints {
  readonly #asked: string
  readonly #known: ReadonlyMap<string, Buffer>
  /** Of the current host. */
  #value: Buffer | null = null
  #endOffset = 0
  #repairedChars = 0
  #lists = 0
  /** The list of the current host was passed over. */
  isKnown = false

  /** What was asked goes in, since what does not come means something else when it was not asked for. */
  constructor(asked: { withInformation: boolean }, known: ReadonlyMap<string, Buffer> = new Map()) {
    this.#asked = `${READING_VERSION} ${asked.withInformation ? 'with' : 'without'} information\n`
    this.#known = known
  }

  beginHost(): void {
    this.#value = null
    this.#lists = 0
    this.isKnown = false
  }

  /** At the open tag of a list. */
  beginList(hostId: string, scanner: XmlScanner): void {
    this.#lists += 1
    this.#value = null
    if (this.#lists > 1) return
    this.#repairedChars = scanner.repairedChars
    scanner.lookAhead({
      until: LIST_END,
      bytesMax: LIST_BYTES_MAX,
      passesOver: (bytes, endOffset) => {
        this.#endOffset = endOffset
        this.#value = createHash('sha256')
          .update(this.#asked)
          .update(bytes)
          .digest()
          .subarray(0, FINGERPRINT_BYTES)
        this.isKnown = this.#known.get(hostId)?.equals(this.#value) ?? false
        return this.isKnown
      },
    })
  }

  /** At the close tag: what was hashed is the list only if it ended where it seemed to, and not in the middle of a text. */
  endList(scanner: XmlScanner): void {
    if (scanner.tagOffset !== this.#endOffset || scanner.repairedChars !== this.#repairedChars) this.forget()
  }

  /** Something of the list could not be taken: it is looked at again when it comes again. */
  forget(): void {
    this.#value = null
  }

  /** A part of the host was passed over and another was not, so that neither is the whole. */
  get isTorn(): boolean {
    return this.isKnown && this.#lists > 1
  }

  get value(): Buffer | null {
    return this.#value
  }
}
