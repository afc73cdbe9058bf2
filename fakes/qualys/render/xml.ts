/** A piece of an answer. The kinds let a fault be put exactly where it belongs. */
export interface Chunk {
  kind:
    | 'prolog'
    | 'doctype'
    | 'comment'
    | 'open'
    | 'item'
    | 'item-part'
    | 'warning'
    | 'close'
    | 'trailer'
    | 'text'
  data: string | Buffer
}

export function chunk(kind: Chunk['kind'], data: string | Buffer): Chunk {
  return { kind, data }
}

const SPECIAL = /[&<>]/
export function escapeXml(text: string): string {
  if (!SPECIAL.test(text)) return text
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** A CDATA section; its own terminator is split over two sections, as Qualys has to do as well. */
export function cdata(text: string): string {
  return `<![CDATA[${text.includes(']]>') ? text.replaceAll(']]>', ']]]]><![CDATA[>') : text}]]>`
}

/** Name, content (XML already; undefined leaves the element out) and attributes with a blank before them. */
export type Field = readonly [name: string, content: string | number | undefined, attributes?: string]

/** Elements in their order, with `raw` put in the place of those of the same name and the unknown ones at the end. */
export function elements(
  indent: string,
  fields: readonly Field[],
  raw?: Readonly<Record<string, string | null>>,
): string {
  let text = ''
  for (const [name, normal, attributes = ''] of fields) {
    const content = raw !== undefined && name in raw ? (raw[name] ?? undefined) : normal
    if (content !== undefined) text += `${indent}<${name}${attributes}>${content}</${name}>\n`
  }
  if (raw === undefined) return text
  const known = new Set(fields.map(([name]) => name))
  for (const [name, content] of Object.entries(raw)) {
    if (!known.has(name) && content !== null) text += `${indent}<${name}>${content}</${name}>\n`
  }
  return text
}

/** The head and foot of every list that the FO family answers with, byte for byte as recorded. */
export interface Frame {
  root: string
  dtdUrl: string
  datetime: string
  year: number
}

const EVALUATION = '<!-- This report was generated with an evaluation version of Qualys //--> \n'

export function* frameHead(frame: Frame): Generator<Chunk> {
  yield chunk('prolog', '<?xml version="1.0" encoding="UTF-8" ?>\n')
  yield chunk('doctype', `<!DOCTYPE ${frame.root} SYSTEM "${frame.dtdUrl}">\n`)
  yield chunk('comment', EVALUATION)
  yield chunk('open', `<${frame.root}>\n  <RESPONSE>\n    <DATETIME>${frame.datetime}</DATETIME>\n`)
}

export function* frameFoot(frame: Frame): Generator<Chunk> {
  yield chunk('close', `  </RESPONSE>\n</${frame.root}>\n`)
  yield chunk(
    'trailer',
    `${EVALUATION}<!-- CONFIDENTIAL AND PROPRIETARY INFORMATION. Qualys provides the QualysGuard Service "As Is," without any ` +
      'warranty of any kind. Qualys makes no warranty that the information contained in this report is complete or ' +
      `error-free. Copyright ${frame.year}, Qualys, Inc. //--> \n`,
  )
}

/** The truncation warning: the limit counts hosts, and the URL asks for the rest from the next id on. */
export function warningChunk(limit: number, url: string): Chunk {
  return chunk(
    'warning',
    '    <WARNING>\n      <CODE>1980</CODE>\n' +
      `      <TEXT>${limit} record limit exceeded. Use URL to get next batch of results.</TEXT>\n` +
      `      <URL>${cdata(url)}</URL>\n    </WARNING>\n`,
  )
}
