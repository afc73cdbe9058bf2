import { Readable, pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Answer } from './call.ts'
import { withTextFaults } from './fault-text.ts'
import type { ActiveFault, Fault } from './faults.ts'
import { cut, gzipped, slow, stall, toBytes } from './wire.ts'
import type { Ending, WireContext } from './wire.ts'

type Bytes = AsyncIterable<Buffer> | Iterable<Buffer>

/** Paced answers are counted in bytes of text, and only good ones are worth compressing. */
export function isZippable(answer: Answer, active: readonly ActiveFault[]): boolean {
  return answer.status === 200 && !active.some(({ fault }) => fault.kind === 'stall' || fault.kind === 'slow')
}

/** The bytes of an answer as they go out: text faults, the cut, compression, the cut of that, and the pace. */
export function outgoing(
  answer: Answer,
  how: { active: readonly ActiveFault[]; isZipped: boolean; ending: Ending; context: WireContext },
): Bytes {
  const { active, isZipped, ending, context } = how
  let bytes = compressed(answer, how)
  const zipCut = isZipped ? faultOf(active, 'cut-gzip') : undefined
  if (zipCut !== undefined) bytes = cut(bytes, zipCut, ending)
  for (const { fault, released } of active) {
    if (fault.kind === 'stall') bytes = stall(bytes, { fault, released }, context)
    if (fault.kind === 'slow') bytes = slow(bytes, fault, context)
  }
  return bytes
}

function compressed(
  answer: Answer,
  { active, isZipped, ending }: { active: readonly ActiveFault[]; isZipped: boolean; ending: Ending },
): Bytes {
  const cutting = faultOf(active, 'cut')
  if (answer.gzipped !== undefined && isZipped && cutting === undefined) return answer.gzipped
  const plain =
    answer.gzipped === undefined ? toBytes(withTextFaults(answer.chunks, active)) : unzipped(answer.gzipped)
  const shortened = cutting === undefined ? plain : cut(plain, cutting, ending)
  return isZipped ? gzipped(shortened) : shortened
}

function faultOf<K extends Fault['kind']>(
  active: readonly ActiveFault[],
  kind: K,
): Extract<Fault, { kind: K }> | undefined {
  return active
    .map(({ fault }) => fault)
    .find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind)
}

function unzipped(bytes: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const gunzip = createGunzip()
  pipeline(Readable.from(bytes, { objectMode: true }), gunzip, () => {})
  return gunzip
}
