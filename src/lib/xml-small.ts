import { XMLParser } from 'fast-xml-parser'

/** For bodies that are answered at once and read whole; anything large goes through the scanner in `xml/`. */
const SMALL_XML_CHARS_MAX = 16 * 1024 * 1024
const DEPTH_MAX = 32
const CODE_POINT_MAX = 0x10ffff

const NAMED_ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** The text is not a well-formed document that we accept. The message holds no part of the text. */
export class SmallXmlError extends Error {
  override readonly name = 'SmallXmlError'
  /** `cut`: some element is never closed, as when the connection broke. */
  readonly code: 'malformed' | 'cut' | 'entities' | 'too_large'

  constructor(code: SmallXmlError['code'], message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.code = code
  }
}

/** An element: its child elements by name, or its trimmed text. Attributes are left out. */
export type SmallXmlNode = string | SmallXmlElement | readonly SmallXmlNode[]
export interface SmallXmlElement {
  readonly [name: string]: SmallXmlNode
}

/**
 * Parses a whole small document into plain objects under the name of its root. All leaves are strings; elements named
 * in `arrays` are arrays even when there is one. Entities are the five of XML and numbers; a document that declares
 * its own is refused.
 * @throws SmallXmlError
 */
export function parseSmallXml(text: string, arrays: ReadonlySet<string> = new Set()): SmallXmlElement {
  if (text.length > SMALL_XML_CHARS_MAX)
    throw new SmallXmlError('too_large', 'The XML document is too large.')
  const parser = new XMLParser({
    ignoreAttributes: true,
    ignoreDeclaration: true,
    ignorePiTags: true,
    parseTagValue: false,
    // Trimming is ours, at the end: the library would also trim beside CDATA and entities.
    trimValues: false,
    maxNestedTags: DEPTH_MAX,
    processEntities: true,
    entityDecoder: { ...ENTITY_DECODER },
    isArray: (name) => arrays.has(name),
  })
  try {
    return tidy(parser.parse(text.trim(), true) as SmallXmlNode) as SmallXmlElement
  } catch (cause) {
    if (cause instanceof SmallXmlError) throw cause
    const isCut = !hasRootEnd(text)
    throw isCut
      ? new SmallXmlError('cut', 'The XML document ends before its elements are closed.', { cause })
      : new SmallXmlError('malformed', 'The XML document is not well formed.', { cause })
  }
}

/** Trims leaves and drops the white space between elements. As deep as the parser lets documents be. */
function tidy(node: SmallXmlNode): SmallXmlNode {
  if (typeof node === 'string') return node.trim()
  if (Array.isArray(node)) return (node as readonly SmallXmlNode[]).map(tidy)
  const children = Object.entries(node).filter(([name]) => name !== '#text')
  return Object.fromEntries(children.map(([name, child]) => [name, tidy(child as SmallXmlNode)]))
}

/** Whether the end tag of the first element stands somewhere: a document without it was cut off. */
function hasRootEnd(text: string): boolean {
  const root = /<([A-Za-z_:][\w:.-]*)([^>]*>)?/.exec(text)
  if (root === null) return true
  return root[2]?.endsWith('/>') === true || text.includes(`</${root[1]}>`)
}

/** The child element of this name; undefined when there is none, or when `node` is a text. */
export function childOf(node: SmallXmlNode | undefined, name: string): SmallXmlNode | undefined {
  if (typeof node !== 'object' || Array.isArray(node)) return undefined
  return Object.hasOwn(node, name) ? (node as SmallXmlElement)[name] : undefined
}

/** The text at this path of child names; null when there is none. */
export function textAt(node: SmallXmlNode | undefined, ...path: readonly string[]): string | null {
  let current = node
  for (const name of path) current = childOf(current, name)
  return typeof current === 'string' ? current : null
}

const ENTITY_DECODER = {
  decode: (text: string) => text.replaceAll(/&(?:#(\d{1,8})|#x([0-9a-f]{1,8})|(\w{1,16}));/gi, decodeEntity),
  addInputEntities: (entities: Readonly<Record<string, string>>) => {
    if (Object.keys(entities).length > 0)
      throw new SmallXmlError('entities', 'The XML document declares entities.')
  },
  setExternalEntities: () => {},
  setXmlVersion: () => {},
  reset: () => {},
}

function decodeEntity(whole: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return NAMED_ENTITIES[name] ?? whole
  const codePoint = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number.parseInt(decimal, 10)
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff
  return codePoint === 0 || codePoint > CODE_POINT_MAX || isSurrogate
    ? '\uFFFD'
    : String.fromCodePoint(codePoint)
}
