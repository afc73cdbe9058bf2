import { afterEach, expect, test } from 'vitest'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import { DAY0_MS_DEFAULT } from '../../fakes/qualys/estate/settings.ts'
import type { EstateOptions } from '../../fakes/qualys/estate/types.ts'
import type { Fault } from '../../fakes/qualys/faults.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { createHttpDoor } from '../../src/lib/http/index.ts'
import type { QuarantinedRecord, ReadRequest, SourceMessage } from '../../src/model/source.ts'
import type { HostDetections, HostRecord, VulnerabilityRecord } from '../../src/model/vm.ts'
import { type QualysClient, createQualysClient } from '../../src/sources/qualys/client.ts'
import { detections } from '../../src/sources/qualys/detections/index.ts'
import { hostIds, hosts } from '../../src/sources/qualys/hosts/index.ts'
import { knowledgeBase } from '../../src/sources/qualys/knowledge-base/index.ts'
import { createLocalQuota } from '../../src/sources/qualys/local-quota.ts'

let fake: FakeQualys | undefined
let close: (() => Promise<void>) | undefined
afterEach(async () => {
  await close?.()
  await fake?.close()
  fake = undefined
  close = undefined
})

/** The modules, their client and the door, in front of a fake Qualys on the loopback address. */
async function connect(options: EstateOptions): Promise<{ fake: FakeQualys; client: QualysClient }> {
  const clock = new ManualClock(DAY0_MS_DEFAULT + 12 * 3_600_000, { skipSleeps: true })
  fake = await startFakeQualys({
    estate: createEstate(options),
    clock,
    limits: { rate: 10_000, concurrency: 5 },
  })
  const door = createHttpDoor({ userAgent: 'test', allowedCidrs: ['127.0.0.1'] })
  close = () => door.close()
  const { username, password } = DEFAULT_USER
  const quota = createLocalQuota(clock)
  return { fake, client: createQualysClient({ door, baseUrl: fake.url, username, password, quota, clock }) }
}

interface Read<Item> {
  records: Item[]
  quarantine: QuarantinedRecord[]
  answers: number
  repairedChars: number
}

async function collect<Item>(messages: AsyncIterable<SourceMessage<Item>>): Promise<Read<Item>> {
  const result: Read<Item> = { records: [], quarantine: [], answers: 0, repairedChars: 0 }
  for await (const message of messages) {
    if (message.type === 'records') result.records.push(...message.records)
    else if (message.type === 'quarantine') result.quarantine.push(message.what)
    else {
      result.answers += 1
      result.repairedChars += message.answer.repairedChars
    }
  }
  return result
}

const contextOf = (client: QualysClient, request: ReadRequest) => ({
  integrationId: '1',
  client,
  signal: new AbortController().signal,
  request,
})
const readDetections = (client: QualysClient, request: ReadRequest): Promise<Read<HostDetections>> =>
  collect(detections.read({ ...contextOf(client, request), config: detections.config.parse({}) }))
const readIds = (client: QualysClient, request: ReadRequest = {}): Promise<Read<string>> =>
  collect(hostIds.read({ ...contextOf(client, request), config: hostIds.config.parse({}) }))
const readHosts = (client: QualysClient, request: ReadRequest): Promise<Read<HostRecord>> =>
  collect(hosts.read({ ...contextOf(client, request), config: hosts.config.parse({}) }))
const readKnowledge = (client: QualysClient, request: ReadRequest): Promise<Read<VulnerabilityRecord>> =>
  collect(knowledgeBase.read({ ...contextOf(client, request), config: knowledgeBase.config.parse({}) }))

test('a generated subscription comes over the wire as it is: ids, hosts, detections and knowledge base', async () => {
  const { fake: qualys, client } = await connect({ hosts: 1_200, detectionsPerHost: 12, resultBytes: 200 })
  const truth = [...qualys.estate.truth().hosts()]
  const ids = await readIds(client)
  expect(ids.records).toEqual(truth.map((host) => host.id))

  const read = await readDetections(client, { ids: ids.records })
  expect(read).toMatchObject({ quarantine: [], answers: 1, repairedChars: 0 })
  const got = read.records.flatMap(({ host, detections: list }) =>
    list.map((detection) => `${host.hostId} ${detection.qid}`),
  )
  const expected = truth.flatMap((host) =>
    [...host.detections()].map((detection) => `${host.id} ${detection.qid}`),
  )
  expect(got.toSorted()).toEqual(expected.toSorted())
  const identities = read.records.flatMap((host) =>
    host.detections.map((one) => one.identity.toString('hex')),
  )
  expect(new Set(identities).size).toBe(expected.length)

  const described = await readHosts(client, { ids: ids.records })
  expect(described.quarantine).toEqual([])
  expect(described.records.map((host) => [host.hostId, host.ip, host.assetId])).toEqual(
    truth.map(({ host }) => [host.id, host.ip ?? null, host.assetId]),
  )

  const qids = [...new Set(read.records.flatMap((host) => host.detections.map((one) => one.qid)))]
  const known = await readKnowledge(client, { ids: qids.toSorted((a, b) => Number(a) - Number(b)) })
  expect(known.quarantine).toEqual([])
  expect(new Set(known.records.map((record) => record.qid))).toEqual(new Set(qids))
  const all = await readKnowledge(client, {})
  expect(all.records.map((record) => record.qid)).toEqual(
    qualys.estate
      .kb()
      .map((entry) => entry.qid)
      .toSorted((a, b) => Number(a) - Number(b)),
  )
})

test('the same detections are read again with the same hashes, until one changes', async () => {
  const { fake: qualys, client } = await connect({ hosts: 30, detectionsPerHost: 10 })
  const { records: ids } = await readIds(client)
  const hashes = async () =>
    new Map(
      (await readDetections(client, { ids })).records.flatMap((host) =>
        host.detections.map((one) => [one.identity.toString('hex'), one.stateHash.toString('hex')] as const),
      ),
    )
  const first = await hashes()
  expect(await hashes()).toEqual(first)
  const [host] = qualys.estate.truth().hosts()
  const [changed] = host!.detections()
  const { uniqueVulnId } = changed!
  qualys.estate.override(host!.id, {
    detections: [{ match: { uniqueVulnId }, change: { results: 'another result' } }],
  })
  const second = await hashes()
  expect([...second.keys()]).toEqual([...first.keys()])
  expect([...second].filter(([identity, state]) => first.get(identity) !== state)).toHaveLength(1)
})

const SURVIVED: Fault[] = [
  { kind: 'prefix', text: '\n\n  ' },
  { kind: 'no-prolog' },
  { kind: 'odd-comments' },
  { kind: 'comments-after-root' },
  { kind: 'two-host-lists' },
  { kind: 'unknown-elements' },
  { kind: 'reordered-page' },
]

test('oddities of the transport that lose nothing are survived with the same detections', async () => {
  const { fake: qualys, client } = await connect({ hosts: 20, detectionsPerHost: 8 })
  const { records: ids } = await readIds(client)
  const qidsOf = (read: Read<HostDetections>) =>
    read.records
      .flatMap(({ host, detections: list }) => list.map((one) => `${host.hostId} ${one.qid}`))
      .toSorted()
  const plain = qidsOf(await readDetections(client, { ids }))
  for (const fault of SURVIVED) {
    const handle = qualys.faults.add({ ...fault, match: { endpoint: 'detection' } })
    const read = await readDetections(client, { ids })
    expect([fault.kind, handle.hits, read.quarantine, qidsOf(read)]).toEqual([fault.kind, 1, [], plain])
    handle.remove()
  }
})

test('T45: bytes in a result that are no characters are replaced and counted over the wire', async () => {
  const { fake: qualys, client } = await connect({ hosts: 5, detectionsPerHost: 5 })
  const { records: ids } = await readIds(client)
  for (const what of ['nul', 'control', 'invalid-utf8', 'latin1'] as const) {
    const handle = qualys.faults.add({ kind: 'in-results', what, match: { endpoint: 'detection' } })
    const read = await readDetections(client, { ids })
    expect(handle.hits).toBe(1)
    expect([what, read.repairedChars > 0, read.quarantine]).toEqual([what, true, []])
    const results = read.records.flatMap((host) => host.detections.map((one) => one.results ?? ''))
    expect(results.join('').split('\uFFFD').length - 1).toBe(read.repairedChars)
    handle.remove()
  }
})

const REFUSED: [Fault, string][] = [
  [{ kind: 'cut', at: 'half', how: 'end' }, 'transient'],
  [{ kind: 'cut', at: 'half', how: 'destroy' }, 'transient'],
  [{ kind: 'cut-gzip', at: 'half', how: 'end' }, 'transient'],
  [{ kind: 'generic-return', afterItems: 3 }, 'transient'],
  [{ kind: 'entity-bomb' }, 'contract'],
  [{ kind: 'html', page: 'login', status: 200 }, ''],
  [{ kind: 'suffix', text: '<x/>' }, 'contract'],
  [{ kind: 'warning-url', idMin: 'same' }, 'contract'],
  [{ kind: 'warning-url', idMin: 'smaller' }, 'contract'],
  [{ kind: 'warning-url', idMin: 'not-a-number' }, 'contract'],
  [{ kind: 'warning-url', origin: 'https://elsewhere.example.com' }, 'contract'],
]

test('T42 T43 T44: what is cut, broken or leads astray throws over the wire and closes no answer', async () => {
  const { fake: qualys, client } = await connect({ hosts: 20, detectionsPerHost: 8 })
  const { records: ids } = await readIds(client)
  for (const [fault, kind] of REFUSED) {
    const handle = qualys.faults.add({ ...fault, match: { endpoint: 'detection', times: Infinity } })
    let answers = 0
    let error: unknown
    try {
      const context = contextOf(client, { ids })
      for await (const message of detections.read({ ...context, config: detections.config.parse({}) })) {
        if (message.type === 'answer') answers += 1
      }
    } catch (thrown) {
      error = thrown
    }
    expect([fault, handle.hits > 0]).toEqual([fault, true])
    expect({ fault, error }).toMatchObject({ error: { name: 'HubError', ...(kind === '' ? {} : { kind }) } })
    // A warning whose id_min does not grow is seen when the second answer names it again.
    expect([fault, answers <= 1]).toEqual([fault, true])
    handle.remove()
  }
  await expect(readDetections(client, { ids })).resolves.toMatchObject({ answers: 1, quarantine: [] })
})

test('the probes of the three modules speak with a subscription', async () => {
  const { client } = await connect({ hosts: 25, detectionsPerHost: 5 })
  const { signal } = new AbortController()
  const messages = [
    (await hosts.check({ client, signal, config: hosts.config.parse({}) })).message,
    (await detections.check({ client, signal, config: detections.config.parse({}) })).message,
    (await knowledgeBase.check({ client, signal, config: knowledgeBase.config.parse({}) })).message,
  ]
  expect(messages[0]).toBe('25 hosts are visible.')
  expect(messages[1]).toBe('Detections are visible.')
  expect(messages[2]).toContain('knowledge base')
})
