import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { SaxesParser } from 'saxes'
import { expect, test } from 'vitest'
import type { ClosedAnswer, QuarantinedRecord, SourceMessage } from '../../src/model/source.ts'
import type { QualysClient } from '../../src/sources/qualys/client.ts'
import { detections } from '../../src/sources/qualys/detections/index.ts'
import { hostIds, hosts } from '../../src/sources/qualys/hosts/index.ts'
import { knowledgeBase } from '../../src/sources/qualys/knowledge-base/index.ts'

const recordings = process.env['PATCHBAY_RECORDINGS']
const isUnset = recordings === undefined
const unset = isUnset ? ' (skipped: PATCHBAY_RECORDINGS is not set)' : ''

const ROOTS = ['HOST_LIST_OUTPUT', 'HOST_LIST_VM_DETECTION_OUTPUT', 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT']
const RECORDS = new Set(['HOST', 'VULN'])

interface Document {
  name: string
  root: string
  xml: string
}

/** Whole FO documents among the recorded bodies and in the texts of the samples. */
function listDocuments(): Document[] {
  const folders = ['recorded/recordings', 'recorded/test-fixtures', 'api-samples']
  return folders.flatMap((folder) => {
    const directory = path.join(recordings ?? '', 'qualys', folder)
    return readdirSync(directory).flatMap((name) => {
      const text = readFileSync(path.join(directory, name), 'utf8')
      const root = ROOTS.find(
        (candidate) => text.includes(`<${candidate}>`) && text.includes(`</${candidate}>`),
      )
      if (root === undefined) return []
      // A sample is a text with a document in it; a recorded body is the document.
      const start = name.endsWith('.txt') ? text.indexOf(`<${root}>`) : 0
      return [{ name: `${folder}/${name}`, root, xml: text.slice(start) }]
    })
  })
}

interface Leaf {
  name: string
  text: string
}

/** What a parser sees: the leaves and attributes in each record, and the ids of an id list. */
function walk(xml: string): { records: Leaf[][]; ids: string[] } {
  const records: Leaf[][] = []
  const ids: string[] = []
  const path_: { name: string; text: string; hasElements: boolean }[] = []
  const parser = new SaxesParser()
  const addText = (text: string) => {
    const top = path_.at(-1)
    if (top !== undefined) top.text += text
  }
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('opentag', (tag) => {
    const parent = path_.at(-1)
    if (parent !== undefined) parent.hasElements = true
    path_.push({ name: tag.name, text: '', hasElements: false })
    if (path_.length === 4 && RECORDS.has(tag.name)) records.push([])
    if (path_.length < 4) return
    for (const [name, text] of Object.entries(tag.attributes)) records.at(-1)?.push({ name, text })
  })
  parser.on('closetag', (tag) => {
    const element = path_.pop()!
    if (element.hasElements || path_.length < 3) return
    if (path_.at(-1)?.name === 'ID_SET') ids.push(element.text)
    else records.at(-1)?.push({ name: tag.name, text: element.text })
  })
  parser.write(xml).close()
  return { records, ids }
}

/** Every value of a record in the forms in which a document may have written it. */
function valuesOf(value: unknown, into: { exact: Set<string>; texts: string[] }): void {
  if (typeof value === 'string') {
    into.exact.add(value.trim())
    into.texts.push(value)
  } else if (typeof value === 'number') {
    into.exact.add(String(value))
    if (value > 1e9) into.exact.add(`${new Date(value).toISOString().slice(0, 19)}Z`)
  } else if (typeof value === 'boolean') {
    into.exact.add(value ? '1' : '0')
  } else if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) {
    for (const child of Object.values(value)) valuesOf(child, into)
  }
}

const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** The leaves that stand in no field of a record, neither as a value nor in the XML kept in `extra`. */
function listLost(leaves: readonly Leaf[], record: unknown): Leaf[] {
  const values = { exact: new Set<string>(), texts: [] as string[] }
  valuesOf(record, values)
  return leaves.filter(({ text }) => {
    const wanted = text.trim()
    return (
      wanted !== '' &&
      !values.exact.has(wanted) &&
      !values.texts.some((kept) => kept.includes(`>${escapeXml(wanted)}<`))
    )
  })
}

function clientOf(xml: string, chunkBytes: number): QualysClient {
  const bytes = Buffer.from(xml)
  async function* body() {
    for (let at = 0; at < bytes.length; at += chunkBytes)
      yield Buffer.from(bytes.subarray(at, at + chunkBytes))
  }
  const answer = {
    body: body(),
    headers: {},
    bytesRead: () => bytes.length,
    discard: () => Promise.resolve(),
  }
  const refuse = () => Promise.reject(new Error('not asked for in these tests'))
  return { apiHost: 'qualysapi.example.com', fo: () => Promise.resolve(answer), msp: refuse, qps: refuse }
}

interface Read {
  records: unknown[]
  quarantine: QuarantinedRecord[]
  answers: ClosedAnswer[]
}

async function read(document: Document, chunkBytes: number): Promise<Read> {
  const result: Read = { records: [], quarantine: [], answers: [] }
  for await (const message of messagesOf(document, chunkBytes)) {
    if (message.type === 'records') result.records.push(...message.records)
    else if (message.type === 'quarantine') result.quarantine.push(message.what)
    else result.answers.push(message.answer)
  }
  return result
}

function messagesOf({ root, xml }: Document, chunkBytes: number): AsyncIterable<SourceMessage<unknown>> {
  const context = {
    integrationId: '1',
    client: clientOf(xml, chunkBytes),
    signal: new AbortController().signal,
    request: { ids: ['1'] },
  }
  if (root === ROOTS[1]) return detections.read({ ...context, config: detections.config.parse({}) })
  if (root === ROOTS[2]) return knowledgeBase.read({ ...context, config: knowledgeBase.config.parse({}) })
  const module = xml.includes('<HOST>') ? hosts : hostIds
  return module.read({ ...context, config: hosts.config.parse({}) })
}

test.skipIf(isUnset)(`recorded FO answers are read without loss, in chunks of any size${unset}`, async () => {
  const documents = listDocuments()
  expect(documents.length).toBeGreaterThanOrEqual(12)
  expect(new Set(documents.map((document) => document.root))).toEqual(new Set(ROOTS))
  let records = 0
  for (const document of documents) {
    const expected = walk(document.xml)
    for (const chunkBytes of [1, 1_000, 1_000_000]) {
      const result = await read(document, chunkBytes)
      expect([document.name, result.answers.length]).toEqual([document.name, 1])
      expect(result.answers[0]).toMatchObject({ bytes: Buffer.byteLength(document.xml), repairedChars: 0 })
      expect(result.answers[0]!.serverTimeMs).toBeGreaterThan(Date.parse('2016-01-01T00:00:00Z'))
      if (expected.ids.length > 0) {
        expect(result.records).toEqual(expected.ids)
        continue
      }
      expect([document.name, result.records.length]).toEqual([document.name, expected.records.length])
      const lost = expected.records.map((leaves, index) => listLost(leaves, result.records[index]))
      expect([document.name, lost.flat()]).toEqual([document.name, []])
    }
    records += expected.records.length + expected.ids.length
  }
  expect(records).toBeGreaterThan(20)
})

test.skipIf(isUnset)(
  `only the sample whose date is broken by a line end has anything odd${unset}`,
  async () => {
    const odd: string[] = []
    for (const document of listDocuments()) {
      const { quarantine } = await read(document, 1_000_000)
      for (const what of quarantine) odd.push(`${document.name}: ${what.reason}`)
    }
    expect(odd).toHaveLength(1)
    expect(odd[0]).toContain('Sample__7')
    expect(odd[0]).toContain('LAST_VM_AUTH_SCANNED_DATE')
  },
)

test.skipIf(isUnset)(
  `recorded answers without records, with keep-alives and notices around them, are empty${unset}`,
  async () => {
    const documents = listDocuments().filter(({ xml }) => !/<(?:HOST|VULN|ID_SET)>/.test(xml))
    expect(documents.length).toBeGreaterThanOrEqual(5)
    expect(documents.some(({ xml }) => xml.includes('<!-- keep-alive'))).toBe(true)
    for (const document of documents) {
      expect(await read(document, 7)).toMatchObject({ records: [], quarantine: [], answers: [{}] })
    }
  },
)
