import { HubError } from '../../model/errors.ts'
import type { SourceMessage } from '../../model/source.ts'
import type { QualysClient } from './client.ts'
import { type FoBodyEnd, type FoRecordReader, readFoBody } from './fo-body.ts'
import { PAGES_MAX } from './fo-requests.ts'
import { warningNextId } from './warning.ts'

export interface FoRead<Item> {
  client: QualysClient
  signal: AbortSignal
  endpoint: string
  path: string
  params: Readonly<Record<string, string>>
  expectRoot: string
  /** Element names that the reader knows by number. */
  names: readonly string[]
  /** A reader for one body. */
  createReader(): FoRecordReader<SourceMessage<Item>>
}

/**
 * Reads a list to its end. When Qualys cuts an answer, the same request goes out again with the `id_min` that the
 * warning names; each answer is closed by a message of its own.
 */
export async function* readFoPages<Item>(read: FoRead<Item>): AsyncGenerator<SourceMessage<Item>> {
  let idMin: string | null = read.params['id_min'] ?? null
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { nextUrl, ...answer } = yield* readFoPage(read, idMin)
    const next =
      nextUrl === null ? null : warningNextId(nextUrl, { ownHost: read.client.apiHost, previousIdMin: idMin })
    yield { type: 'answer', answer }
    if (next === null) return
    idMin = next
  }
  throw new HubError('contract', `Qualys cut its answer more than ${PAGES_MAX} times.`, {
    code: 'too_many_pages',
  })
}

async function* readFoPage<Item>(
  read: FoRead<Item>,
  idMin: string | null,
): AsyncGenerator<SourceMessage<Item>, FoBodyEnd> {
  const answer = await read.client.fo({
    endpoint: read.endpoint,
    path: read.path,
    params: idMin === null ? read.params : { ...read.params, id_min: idMin },
    expectRoot: read.expectRoot,
    signal: read.signal,
  })
  try {
    const source = { body: answer.body, expectRoot: read.expectRoot, names: read.names, signal: read.signal }
    return yield* readFoBody(source, read.createReader())
  } finally {
    await answer.discard()
  }
}
