/** Stable words for what is wrong with a document; `truncated` means that it ended too early. */
export type XmlErrorCode =
  | 'truncated'
  | 'no_root'
  | 'after_root'
  | 'junk_too_long'
  | 'encoding'
  | 'version'
  | 'declaration'
  | 'doctype'
  | 'doctype_subset'
  | 'name'
  | 'tag'
  | 'close_tag'
  | 'attribute'
  | 'comment'
  | 'instruction'
  | 'section'
  | 'cdata_end_in_text'
  | 'entity'
  | 'character_reference'
  | 'limit'

/** A document that is not well-formed, is not UTF-8 or breaks a limit. The message names no content but element names. */
export class XmlError extends Error {
  override readonly name = 'XmlError'
  readonly code: XmlErrorCode
  /** Bytes from the start of the document to where it went wrong. */
  readonly byteOffset: number

  constructor(code: XmlErrorCode, sentence: string, byteOffset: number) {
    super(`${sentence} (byte ${byteOffset})`)
    this.code = code
    this.byteOffset = byteOffset
  }
}

/**
 * Thrown by the helpers, which know only a position in the current buffer; the scanner turns it into an `XmlError` with
 * the position in the document.
 */
export class XmlFault extends Error {
  readonly code: XmlErrorCode
  readonly position: number

  constructor(code: XmlErrorCode, sentence: string, position: number) {
    super(sentence)
    this.code = code
    this.position = position
  }
}
