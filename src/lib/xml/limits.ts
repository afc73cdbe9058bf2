/** What a document may ask of us before it is refused with the code `limit`. */
export interface XmlLimits {
  /** Elements inside each other. */
  depthMax: number
  /** Bytes of one element or attribute name. */
  nameBytesMax: number
  /** Different element names in one document. */
  namesMax: number
  /** Attributes of one element. */
  attributesMax: number
  /** Bytes of one tag with its attributes, of one processing instruction, of the XML declaration or the DOCTYPE. */
  markupBytesMax: number
  /** Bytes between two tags: text, CDATA and the comments in it. */
  textBytesMax: number
  /** Bytes kept since `mark()`. */
  markedBytesMax: number
  /** Bytes before the first `<`. */
  junkBytesMax: number
  /** Bytes of the whole document. */
  totalBytesMax: number
}

export const XML_LIMITS: XmlLimits = {
  depthMax: 64,
  nameBytesMax: 256,
  namesMax: 2_000,
  attributesMax: 64,
  markupBytesMax: 65_536,
  textBytesMax: 33_554_432,
  markedBytesMax: 67_108_864,
  junkBytesMax: 65_536,
  totalBytesMax: 17_179_869_184,
}
