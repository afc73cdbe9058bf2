import type { XmlAttribute } from './attributes.ts'
import { XmlError } from './error.ts'
import { OPEN, type XmlScanner, type XmlToken } from './scanner.ts'

/** Elements in one tree. */
const TREE_NODES_MAX = 200_000

export interface XmlNode {
  name: string
  attributes: readonly XmlAttribute[]
  /** Elements and text in their order; white space between elements is left out. */
  children: (XmlNode | string)[]
}

/** Builds a small tree out of the tokens of one element, for the rare parts that are not worth code of their own. */
export class XmlTreeBuilder {
  #path: XmlNode[] = []
  #nodeCount = 0

  get isActive(): boolean {
    return this.#path.length > 0
  }

  /** The element whose child comes first through `add`. */
  begin(name: string, attributes: readonly XmlAttribute[]): void {
    this.#path = [{ name, attributes, children: [] }]
    this.#nodeCount = 1
  }

  /** Any tag inside the element that was begun. */
  add(token: XmlToken, scanner: XmlScanner): void {
    const parent = this.#path.at(-1)!
    addText(parent, scanner)
    if (token !== OPEN) {
      this.#path.pop()
      return
    }
    this.#nodeCount += 1
    if (this.#nodeCount > TREE_NODES_MAX) {
      throw new XmlError('limit', `A record has more than ${TREE_NODES_MAX} elements.`, scanner.bytesRead)
    }
    const node: XmlNode = {
      name: scanner.names.nameOf(scanner.name),
      attributes: scanner.attributes,
      children: [],
    }
    parent.children.push(node)
    this.#path.push(node)
  }

  /** At the close tag of the element that was begun: the whole tree. */
  end(scanner: XmlScanner): XmlNode {
    const root = this.#path[0]!
    addText(root, scanner)
    this.#path = []
    return root
  }
}

function addText(node: XmlNode, scanner: XmlScanner): void {
  const text = scanner.text()
  if (text !== '' && (scanner.isLeaf || text.trim() !== '')) node.children.push(text)
}

/** The elements called `name` directly in `node`. */
export function childrenOf(node: XmlNode | undefined, name: string): XmlNode[] {
  return (node?.children ?? []).filter(
    (child) => typeof child !== 'string' && child.name === name,
  ) as XmlNode[]
}

export function childOf(node: XmlNode | undefined, name: string): XmlNode | undefined {
  return childrenOf(node, name)[0]
}

/** The text directly in `node`; null when there is no such node. */
export function textOf(node: XmlNode | undefined): string | null {
  return node === undefined ? null : node.children.filter((child) => typeof child === 'string').join('')
}

/** What stands in `node`, as XML again: loses nothing but white space between elements. A leaf's is its plain text. */
export function innerText(node: XmlNode): string {
  if (node.children.every((child) => typeof child === 'string')) return node.children.join('')
  return node.children
    .map((child) => (typeof child === 'string' ? escapeXml(child) : outerXml(child)))
    .join('')
}

function outerXml(node: XmlNode): string {
  const attributes = node.attributes.map(({ name, value }) => ` ${name}="${escapeXml(value)}"`).join('')
  const inner = node.children.map((child) => (typeof child === 'string' ? escapeXml(child) : outerXml(child)))
  return `<${node.name}${attributes}>${inner.join('')}</${node.name}>`
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
