import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HostDetections } from '../../../model/vm.ts'
import { readFoBody } from '../fo-body.ts'
import { ListFingerprints } from './fingerprint.ts'
import { DetectionReader, NAMES } from './parse.ts'
import { ROOT } from './schema.ts'

interface Read {
  hosts: HostDetections[]
  asides: string[]
}

async function read(
  hosts: string,
  options: { known?: Map<string, Buffer>; withInformation?: boolean; chunkBytes?: number } = {},
): Promise<Read> {
  const { known, withInformation = false, chunkBytes = 1_000 } = options
  const bytes = Buffer.from(`<${ROOT}><RESPONSE><HOST_LIST>${hosts}</HOST_LIST></RESPONSE></${ROOT}>`)
  async function* body() {
    for (let at = 0; at < bytes.length; at += chunkBytes)
      yield Buffer.from(bytes.subarray(at, at + chunkBytes))
  }
  const source = { body: body(), expectRoot: ROOT, names: NAMES, signal: new AbortController().signal }
  const result: Read = { hosts: [], asides: [] }
  const reader = new DetectionReader('7', new ListFingerprints({ withInformation }, known))
  for await (const message of readFoBody(source, reader)) {
    if (message.type === 'records') result.hosts.push(...message.records)
    else if (message.type === 'quarantine') result.asides.push(message.what.reason)
  }
  return result
}

const host = (id: string, ...lists: string[]) =>
  `<HOST><ID>${id}</ID>${lists.map((list) => `<DETECTION_LIST>${list}</DETECTION_LIST>`).join('')}<OS>x</OS></HOST>`
const detection = (qid: string, results: string) =>
  `<DETECTION><QID>${qid}</QID><RESULTS><![CDATA[${results}]]></RESULTS></DETECTION>`
const fingerprintsOf = ({ hosts }: Read) =>
  new Map(hosts.flatMap(({ host: { hostId }, fingerprint }) => (fingerprint ? [[hostId, fingerprint]] : [])))

test('a host whose detections are as they were comes without them, wherever the answer is cut', async () => {
  const same = detection('38100', 'as ever') + detection('38101', '<b>')
  const first = await read(host('1', same) + host('2', detection('38102', 'old')))
  const known = fingerprintsOf(first)
  expect([...known.keys()]).toEqual(['1', '2'])
  const again = host('1', same) + host('2', detection('38102', 'new')) + host('3', same)
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 900 }), async (chunkBytes) => {
      const { hosts, asides } = await read(again, { known, chunkBytes })
      expect(asides).toEqual([])
      expect(
        hosts.map(({ host: { hostId, os }, detections, isAsBefore }) => [
          hostId,
          os,
          detections.map(({ qid, results }) => `${qid} ${results}`),
          isAsBefore,
        ]),
      ).toEqual([
        ['1', 'x', [], true],
        ['2', 'x', ['38102 new'], false],
        ['3', 'x', ['38100 as ever', '38101 <b>'], false],
      ])
    }),
    { numRuns: 60 },
  )
})

test('what was asked is part of it: an answer without information gathered says nothing about it', async () => {
  const answer = host('1', detection('38100', 'x'))
  const known = fingerprintsOf(await read(answer))
  expect((await read(answer, { known })).hosts[0]!.isAsBefore).toBe(true)
  expect((await read(answer, { known, withInformation: true })).hosts[0]!.isAsBefore).toBe(false)
})

test('a list that seems to end in the middle of a text has none', async () => {
  const { hosts } = await read(host('1', detection('38100', 'a </DETECTION_LIST> in a text')))
  expect(hosts).toMatchObject([{ fingerprint: null, isAsBefore: false, detections: [{ qid: '38100' }] }])
})

test.each([
  ['something put aside', '<DETECTION><QID>none</QID></DETECTION>'],
  ['a repaired character', detection('38100', 'bell \u0007')],
])('a list with %s has none, so that it is met again', async (_, list) => {
  const { hosts } = await read(host('1', detection('38102', 'x') + list))
  expect(hosts[0]!.fingerprint).toBe(null)
})

test('a host with two lists has none; when one of them was passed over, the whole is put aside', async () => {
  const [first, second] = [detection('38100', 'x'), detection('38101', 'x')]
  const whole = await read(host('1', first, second))
  expect(whole.hosts).toMatchObject([{ fingerprint: null, detections: [{}, {}] }])
  const torn = await read(host('1', first, second), { known: fingerprintsOf(await read(host('1', first))) })
  expect([torn.hosts, torn.asides]).toEqual([[], [expect.stringContaining('more than one list')]])
})

test('a host without detections, or with an empty list in one tag, is read as ever', async () => {
  const { hosts, asides } = await read(
    `<HOST><ID>1</ID></HOST><HOST><ID>2</ID><DETECTION_LIST/></HOST>${host('3', detection('38100', 'x'))}`,
  )
  expect([hosts.map(({ fingerprint }) => fingerprint === null), asides]).toEqual([[true, true, false], []])
})
