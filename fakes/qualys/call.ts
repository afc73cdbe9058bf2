import type { Clock } from '../../src/lib/clock.ts'
import type { Estate } from './estate/types.ts'
import type { PageFaults } from './faults.ts'
import type { RenderedPages } from './render-pages.ts'
import type { Chunk } from './render/xml.ts'
import type { FakeUser } from './users.ts'

export type EndpointName =
  | 'host-list'
  | 'detection'
  | 'knowledge-base'
  | 'activity-log'
  | 'about'
  | 'portal-version'
  | 'tag'
  | 'host-asset'
export type ApiFamily = 'fo' | 'msp' | 'qps'

/** One request as the routes see it: read completely, authenticated, within the limits. */
export interface Call {
  method: string
  path: string
  version: string
  /** Query and form together; of a name given twice the last one counts. */
  pairs: readonly [string, string][]
  body: string
  user: FakeUser
  estate: Estate
  clock: Clock
  baseUrl: string
  page: PageFaults
  rendered: RenderedPages | undefined
  acceptsGzip: boolean
}

export interface Answer {
  status: number
  contentType: string
  headers?: Record<string, string>
  chunks: Iterable<Chunk>
  /** Ready gzip members, sent instead of `chunks` to who accepts gzip. */
  gzipped?: AsyncIterable<Buffer>
}

export interface Endpoint {
  name: EndpointName
  family: ApiFamily
  pattern: RegExp
  /** Versions that exist, of the number in the path; undefined when the path carries none. */
  versions?: readonly string[]
  methods: readonly string[]
  answer(call: Call): Answer
}
