import type { XmlAttribute } from '../../lib/xml/attributes.ts'
import { CLOSE, type XmlScanner, type XmlToken } from '../../lib/xml/scanner.ts'
import { type XmlNode, XmlTreeBuilder, innerText } from '../../lib/xml/tree.ts'
import type { XmlValues } from '../../lib/xml/values.ts'

/** Sets one field of a draft from the text of its element. */
export type SetLeaf<Draft> = (draft: Draft, values: XmlValues) => void
/** Takes a field that has elements of its own; what it does not take goes to `extra`. */
export type SetNode<Draft> = (draft: Draft, node: XmlNode) => TakenNode
/** `partly`: something in it has no column, so the whole of it is kept in `extra` too. */
export type TakenNode = 'wholly' | 'partly' | 'unreadable'

export interface FieldTable<Draft> {
  leaves: Readonly<Record<string, SetLeaf<Draft>>>
  nodes: Readonly<Record<string, SetNode<Draft>>>
}

/**
 * Reads the elements directly in a record, at one depth: known leaves through the table, everything else as text into
 * `extra`, so that nothing that Qualys sends is lost.
 */
export class FieldReader<Draft extends object> {
  /** Names of elements whose content could not be read; they are in `extra` as they came. */
  unreadable: string[] = []
  /** Names of elements that came twice. */
  repeated: string[] = []

  readonly #depth: number
  readonly #table: FieldTable<Draft>
  readonly #leaves: readonly SetLeaf<Draft>[]
  readonly #firstName: number
  readonly #seen: Uint8Array
  readonly #tree = new XmlTreeBuilder()
  #draft: Draft
  /** The first entry of `extra`, which is mostly the only one; the others are in the map. */
  #extraName: string | null = null
  #extraText = ''
  #extra: Map<string, string> | null = null
  #attributes: readonly XmlAttribute[] = []
  #fieldName = -1

  /** The scanner has to know the leaves of the table as names from `firstName` on, in the table's order. */
  constructor(setup: { depth: number; table: FieldTable<Draft>; firstName: number; draft: Draft }) {
    this.#depth = setup.depth
    this.#table = setup.table
    this.#leaves = Object.values(setup.table.leaves)
    this.#firstName = setup.firstName
    this.#seen = new Uint8Array(this.#leaves.length)
    this.#draft = setup.draft
  }

  begin(draft: Draft): void {
    this.#draft = draft
    this.#extraName = null
    this.#extra = null
    this.#seen.fill(0)
    if (this.unreadable.length > 0) this.unreadable = []
    if (this.repeated.length > 0) this.repeated = []
  }

  /** Any tag at or below the depth of the fields. */
  onTag(token: XmlToken, scanner: XmlScanner, values: XmlValues): void {
    if (scanner.depth > this.#depth) {
      if (!this.#tree.isActive) this.#tree.begin(scanner.names.nameOf(this.#fieldName), this.#attributes)
      this.#tree.add(token, scanner)
    } else if (token !== CLOSE) {
      this.#fieldName = scanner.name
      this.#attributes = scanner.attributes
    } else if (this.#tree.isActive) {
      this.#closeNode(this.#tree.end(scanner))
    } else {
      this.#closeLeaf(scanner, values)
    }
  }

  #closeLeaf(scanner: XmlScanner, values: XmlValues): void {
    if (this.#attributes.length > 0) this.#keepAttributes(scanner.names.nameOf(scanner.name))
    const index = scanner.name - this.#firstName
    const setLeaf = this.#leaves[index]
    if (index < 0 || setLeaf === undefined) {
      this.#closeOtherLeaf(scanner)
      return
    }
    if (this.#seen[index] === 1) this.repeated.push(scanner.names.nameOf(scanner.name))
    this.#seen[index] = 1
    setLeaf(this.#draft, values)
    if (!values.isUnreadable) return
    values.isUnreadable = false
    this.unreadable.push(scanner.names.nameOf(scanner.name))
    this.keep(scanner.names.nameOf(scanner.name), scanner.text())
  }

  #closeOtherLeaf(scanner: XmlScanner): void {
    const name = scanner.names.nameOf(scanner.name)
    const setNode = this.#nodeSetter(name)
    const text = scanner.text()
    // An empty list is a list: `<TAGS/>` says that there are none.
    if (setNode !== undefined && text.trim() === '')
      setNode(this.#draft, { name, attributes: [], children: [] })
    else this.keep(name, text)
  }

  #closeNode(node: XmlNode): void {
    if (node.attributes.length > 0) this.#keepAttributes(node.name)
    const setNode = this.#nodeSetter(node.name)
    const taken = setNode === undefined ? 'partly' : setNode(this.#draft, node)
    const isLeafByTable = Object.hasOwn(this.#table.leaves, node.name)
    if (taken === 'unreadable' || isLeafByTable) this.unreadable.push(node.name)
    if (taken !== 'wholly') this.keep(node.name, innerText(node))
  }

  #nodeSetter(name: string): SetNode<Draft> | undefined {
    return Object.hasOwn(this.#table.nodes, name) ? this.#table.nodes[name] : undefined
  }

  #keepAttributes(name: string): void {
    for (const attribute of this.#attributes) this.keep(attributeKey(name, attribute.name), attribute.value)
  }

  /** Adds to `extra`; what comes under the same name again is put on a line of its own. */
  keep(name: string, text: string): void {
    const known = name === this.#extraName ? this.#extraText : this.#extra?.get(name)
    this.keepOnce(name, known === undefined ? text : `${known}\n${text}`)
  }

  /** Like `keep`, for what may be kept again with each part of a record. */
  keepOnce(name: string, text: string): void {
    if (this.#extraName === null || this.#extraName === name) {
      this.#extraName = name
      this.#extraText = text
    } else {
      this.#extra ??= new Map()
      this.#extra.set(name, text)
    }
  }

  extra(): Readonly<Record<string, string>> | null {
    const name = this.#extraName
    if (name === null) return null
    if (this.#extra === null) return sharedEntry(name, this.#extraText)
    return asRecord([[name, this.#extraText], ...this.#extra])
  }
}

const attributeKeys = new Map<string, Map<string, string>>()
const ATTRIBUTE_KEYS_MAX = 200

/** The name of an attribute in `extra`, e.g. `QDS@severity`; made once for those that come with each record. */
function attributeKey(element: string, attribute: string): string {
  const known = attributeKeys.get(element)?.get(attribute)
  if (known !== undefined) return known
  const key = `${element}@${attribute}`
  const keys = attributeKeys.get(element) ?? new Map<string, string>()
  if (keys.size < ATTRIBUTE_KEYS_MAX) keys.set(attribute, key)
  if (attributeKeys.size < ATTRIBUTE_KEYS_MAX) attributeKeys.set(element, keys)
  return key
}

/** Without a prototype, since the names are the far side's: `__proto__` is a name like any other. */
function asRecord(entries: Iterable<readonly [string, string]>): Readonly<Record<string, string>> {
  const record = Object.create(null) as Record<string, string>
  for (const [name, text] of entries) record[name] = text
  return Object.freeze(record)
}

const SHARED_TEXTS_MAX = 100
const SHARED_NAMES_MAX = 100
const SHARED_CHARS_MAX = 32
const sharedEntries = new Map<string, Map<string, Readonly<Record<string, string>>>>()

/** A single short entry, such as the severity of a QDS, is the same object for all records that have it. */
function sharedEntry(name: string, text: string): Readonly<Record<string, string>> {
  const shared = sharedEntries.get(name)?.get(text)
  if (shared !== undefined) return shared
  const record = asRecord([[name, text]])
  if (name.length > SHARED_CHARS_MAX || text.length > SHARED_CHARS_MAX) return record
  const texts = sharedEntries.get(name) ?? new Map<string, Readonly<Record<string, string>>>()
  if (texts.size < SHARED_TEXTS_MAX) texts.set(text, record)
  if (sharedEntries.size < SHARED_NAMES_MAX) sharedEntries.set(name, texts)
  return record
}
