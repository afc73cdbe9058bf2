import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Call } from './call.ts'
import type { Estate } from './estate/types.ts'
import { HOSTS_PER_PAGE_DEFAULT } from './paging.ts'
import { DETECTION_RULES } from './param-rules.ts'
import { parseParams } from './params.ts'
import type { IdRange, Params } from './params.ts'
import { chunk, frameFoot, frameHead, warningChunk } from './render/xml.ts'
import type { Chunk, Frame } from './render/xml.ts'
import { hostChunks, styleOf } from './routes/detection.ts'
import { detectionTest } from './selection.ts'

const DATA_FILE = 'hosts.xml.gzs'
const INDEX_FILE = 'hosts.index'
const ABOUT_FILE = 'about.json'
const INDEX_FIELDS = 2

export interface RenderedAbout {
  hosts: number
  detections: number
  bytes: number
  gzipBytes: number
  params: Record<string, string>
}

/** What the hub asks the detection list for; rendered pages hold the answer to this, and to nothing else. */
export const HUB_DETECTION_PARAMS: Readonly<Record<string, string>> = {
  action: 'list',
  status: 'New,Active,Re-Opened,Fixed',
  include_ignored: '1',
  include_disabled: '1',
  show_reopened_info: '1',
  show_asset_id: '1',
  show_qds: '1',
  show_tags: '1',
  show_results: '1',
  arf_kernel_filter: '0',
  show_igs: '0',
}

/**
 * Renders every host of the estate's current day to one file, each as a gzip member of its own. Members may simply be
 * put one after the other, so that any range of hosts is a slice of the file, and a server for benchmarks only copies.
 */
export async function renderPages(
  estate: Estate,
  folder: string,
  options: { params?: Readonly<Record<string, string>>; gzipLevel?: number } = {},
): Promise<RenderedAbout> {
  await mkdir(folder, { recursive: true })
  const asked = options.params ?? HUB_DETECTION_PARAMS
  const params = parseParams(Object.entries(asked), DETECTION_RULES)
  const style = styleOf(params)
  const test = detectionTest(estate, params)
  const about: RenderedAbout = { hosts: 0, detections: 0, bytes: 0, gzipBytes: 0, params: { ...asked } }
  const index: number[] = []
  const file = createWriteStream(join(folder, DATA_FILE))
  const withInformation = params.flag('show_igs')
  const results = style.showResults
  for (const host of estate.hosts()) {
    const all = [...estate.detections(host.id, { results })]
    if (withInformation) all.push(...estate.informationGathered(host.id, { results }))
    const [first, ...rest] = all.filter((detection) => test(detection))
    if (first === undefined) continue
    const text = [...hostChunks({ host, first, rest: rest.values() }, style)]
      .map(({ data }) => String(data))
      .join('')
    const member = gzipSync(text, { level: options.gzipLevel ?? 1 })
    index.push(Number(host.id), about.gzipBytes)
    about.hosts++
    about.detections += rest.length + 1
    about.bytes += Buffer.byteLength(text)
    about.gzipBytes += member.length
    if (!file.write(member)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
  await writeFile(join(folder, INDEX_FILE), Buffer.from(Float64Array.from(index).buffer))
  await writeFile(join(folder, ABOUT_FILE), JSON.stringify(about, null, 2))
  return about
}

/** Rendered pages, opened: 16 bytes of memory a host. */
export class RenderedPages {
  readonly about: RenderedAbout
  readonly #file: string
  /** Pairs of id and offset, ascending. */
  readonly #index: Float64Array

  private constructor(file: string, index: Float64Array, about: RenderedAbout) {
    this.#file = file
    this.#index = index
    this.about = about
  }

  static async open(folder: string): Promise<RenderedPages> {
    const about = JSON.parse(await readFile(join(folder, ABOUT_FILE), 'utf8')) as RenderedAbout
    const bytes = await readFile(join(folder, INDEX_FILE))
    const index = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
    return new RenderedPages(join(folder, DATA_FILE), index, about)
  }

  /** The answer as gzip members; undefined when the call asks for something else than what was rendered. */
  answer(
    frame: Frame,
    params: Params,
    call: Pick<Call, 'baseUrl' | 'path'>,
  ): AsyncIterable<Buffer> | undefined {
    const selection = new Set(['ids', 'id_min', 'id_max', 'truncation_limit'])
    const asked = params.entries().filter(([name]) => !selection.has(name))
    const isSame = asked.every(([name, value]) => this.about.params[name] === value)
    if (!isSame || asked.length !== Object.keys(this.about.params).length) return undefined
    const { spans, nextId, limit } = this.#spans(params)
    return this.#members(frame, spans, () => {
      if (nextId === undefined) return []
      const query = new URLSearchParams(params.entries().filter(([name]) => name !== 'id_min'))
      query.set('id_min', String(nextId))
      return [warningChunk(limit, `${call.baseUrl}${call.path}?${query.toString()}`)]
    })
  }

  #spans(params: Params): { spans: IdRange[]; nextId: number | undefined; limit: number } {
    const limit = params.number('truncation_limit') ?? HOSTS_PER_PAGE_DEFAULT
    const idMin = params.number('id_min') ?? 0
    const idMax = params.number('id_max') ?? Number.MAX_SAFE_INTEGER
    let left = limit === 0 ? Number.POSITIVE_INFINITY : limit
    const spans: IdRange[] = []
    for (const range of params.ranges('ids') ?? [{ min: 0, max: Number.MAX_SAFE_INTEGER }]) {
      const from = this.#position(Math.max(range.min, idMin))
      const until = this.#position(Math.min(range.max, idMax) + 1)
      if (until <= from) continue
      if (left === 0) return { spans, nextId: this.#index[from * INDEX_FIELDS], limit }
      const taken = Math.min(until - from, left)
      const last = spans.at(-1)
      // Ids between two ranges that no host has leave no hole in the file: one read instead of two.
      if (last?.max === from) spans[spans.length - 1] = { min: last.min, max: from + taken }
      else spans.push({ min: from, max: from + taken })
      left -= taken
      if (from + taken < until) return { spans, nextId: this.#index[(from + taken) * INDEX_FIELDS], limit }
    }
    return { spans, nextId: undefined, limit }
  }

  async *#members(frame: Frame, spans: readonly IdRange[], warn: () => Chunk[]): AsyncGenerator<Buffer> {
    const isEmpty = spans.length === 0
    yield member([...frameHead(frame), ...(isEmpty ? [] : [chunk('open', '    <HOST_LIST>\n')])])
    for (const span of spans) {
      const start = this.#index[span.min * INDEX_FIELDS + 1] ?? 0
      const end = this.#index[span.max * INDEX_FIELDS + 1] ?? this.about.gzipBytes
      for await (const piece of createReadStream(this.#file, {
        start,
        end: end - 1,
        highWaterMark: 256 * 1024,
      })) {
        yield piece as Buffer
      }
    }
    yield member([...(isEmpty ? [] : [chunk('close', '    </HOST_LIST>\n')]), ...warn(), ...frameFoot(frame)])
  }

  /** The first host whose id is `id` or above. */
  #position(id: number): number {
    let low = 0
    let high = this.#index.length / INDEX_FIELDS
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#index[middle * INDEX_FIELDS] ?? 0) < id) low = middle + 1
      else high = middle
    }
    return low
  }
}

function member(chunks: readonly Chunk[]): Buffer {
  return gzipSync(chunks.map(({ data }) => String(data)).join(''))
}
