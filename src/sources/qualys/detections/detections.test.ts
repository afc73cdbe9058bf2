import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HubError } from '../../../model/errors.ts'
import type { QuarantinedRecord, ReadRequest, SourceMessage } from '../../../model/source.ts'
import { QUARANTINE_RAW_CHARS_MAX } from '../../../model/source.ts'
import type { DetectionRecord, HostDetections } from '../../../model/vm.ts'
import { HOST_PART_DETECTIONS_MAX } from '../../../model/vm.ts'
import type { FoCall, QualysClient } from '../client.ts'
import { type DetectionPlace, identityOf } from './identity.ts'
import { detections } from './index.ts'

const ROOT = 'HOST_LIST_VM_DETECTION_OUTPUT'

/** The door to Qualys as the module sees it: answers in their order, cut into chunks. */
function clientOf(
  answers: readonly string[],
  chunkBytes = 1_000_000,
): { client: QualysClient; calls: FoCall[] } {
  const calls: FoCall[] = []
  const refuse = () => Promise.reject(new Error('not asked for in these tests'))
  const client: QualysClient = {
    apiHost: 'qualysapi.example.com',
    fo: (call) => {
      const bytes = Buffer.from(answers[calls.length] ?? '')
      calls.push(call)
      async function* body() {
        for (let start = 0; start < bytes.length; start += chunkBytes) {
          yield Buffer.from(bytes.subarray(start, start + chunkBytes))
        }
      }
      return Promise.resolve({
        body: body(),
        headers: {},
        bytesRead: () => bytes.length,
        discard: () => Promise.resolve(),
      })
    },
    msp: refuse,
    qps: refuse,
  }
  return { client, calls }
}

interface Read {
  calls: FoCall[]
  messages: SourceMessage<HostDetections>[]
  hosts: HostDetections[]
  detections: DetectionRecord[]
  quarantine: QuarantinedRecord[]
}

async function read(
  answers: string | readonly string[],
  options: { request?: ReadRequest; chunkBytes?: number } = {},
): Promise<Read> {
  const { client, calls } = clientOf(typeof answers === 'string' ? [answers] : answers, options.chunkBytes)
  const messages: SourceMessage<HostDetections>[] = []
  const context = {
    integrationId: '7',
    config: detections.config.parse({}),
    client,
    signal: new AbortController().signal,
    request: options.request ?? { ids: ['1', '2', '3'] },
  }
  for await (const message of detections.read(context)) messages.push(message)
  const hosts = messages.flatMap((message) => (message.type === 'records' ? message.records : []))
  return {
    calls,
    messages,
    hosts,
    detections: hosts.flatMap((host) => host.detections),
    quarantine: messages.flatMap((message) => (message.type === 'quarantine' ? [message.what] : [])),
  }
}

const answer = (hosts: string, after = '') =>
  `<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE ${ROOT} SYSTEM "https://qualysapi.example.com/x.dtd">
<${ROOT}>
 <RESPONSE>
  <DATETIME>2026-11-21T04:00:00Z</DATETIME>
  <!-- keep-alive for ${ROOT} -->
  ${hosts === '' ? '' : `<HOST_LIST>${hosts}</HOST_LIST>`}
  ${after}
 </RESPONSE>
</${ROOT}>
<!-- CONFIDENTIAL AND PROPRIETARY INFORMATION. //-->
`
const host = (id: string, list: string, fields = '') =>
  `<HOST><ID>${id}</ID>${fields}<DETECTION_LIST>${list}</DETECTION_LIST></HOST>`
const detection = (fields: string) => `<DETECTION>${fields}</DETECTION>`
const one = async (fields: string) => (await read(answer(host('1', detection(fields))))).detections[0]!

const FULL = `
 <UNIQUE_VULN_ID>123</UNIQUE_VULN_ID><QID>38170</QID><TYPE>Confirmed</TYPE><SEVERITY>2</SEVERITY><PORT>3389</PORT>
 <PROTOCOL>tcp</PROTOCOL><FQDN>www.example.com</FQDN><SSL>1</SSL><INSTANCE>orcl</INSTANCE>
 <RESULTS><![CDATA[Certificate </HOST> &amp; ]]]]><![CDATA[> é]]></RESULTS><STATUS>Active</STATUS>
 <FIRST_FOUND_DATETIME>2018-01-26T04:45:50Z</FIRST_FOUND_DATETIME>
 <LAST_FOUND_DATETIME>2018-04-13T03:48:50Z</LAST_FOUND_DATETIME><QDS severity="LOW">35</QDS>
 <QDS_FACTORS><QDS_FACTOR name="CVSS">7.7</QDS_FACTOR><QDS_FACTOR name="a&lt;b">x&amp;y</QDS_FACTOR></QDS_FACTORS>
 <TIMES_FOUND>111</TIMES_FOUND><LAST_TEST_DATETIME>2018-04-13T03:48:51Z</LAST_TEST_DATETIME>
 <LAST_UPDATE_DATETIME>2018-04-13T03:49:05Z</LAST_UPDATE_DATETIME>
 <LAST_FIXED_DATETIME>2018-02-01T00:00:00Z</LAST_FIXED_DATETIME>
 <FIRST_REOPENED_DATETIME>2018-03-01T00:00:00Z</FIRST_REOPENED_DATETIME>
 <LAST_REOPENED_DATETIME>2018-03-02T00:00:00Z</LAST_REOPENED_DATETIME><TIMES_REOPENED>2</TIMES_REOPENED>
 <SERVICE>rdp</SERVICE><IS_IGNORED>0</IS_IGNORED><IS_DISABLED>1</IS_DISABLED>
 <AFFECT_RUNNING_KERNEL>0</AFFECT_RUNNING_KERNEL><AFFECT_RUNNING_SERVICE>1</AFFECT_RUNNING_SERVICE>
 <AFFECT_EXPLOITABLE_CONFIG>1</AFFECT_EXPLOITABLE_CONFIG>
 <LAST_PROCESSED_DATETIME>2018-04-13T03:49:06Z</LAST_PROCESSED_DATETIME><ASSET_CVE>CVE-2020-1</ASSET_CVE>
 <__proto__>mine</__proto__>`

test('every field of a detection is read, and what has no field is kept as text', async () => {
  const record = await one(FULL)
  expect(record).toMatchObject({
    uniqueVulnId: '123',
    qid: '38170',
    type: 'Confirmed',
    severity: 2,
    port: 3389,
    protocol: 'tcp',
    ssl: true,
    fqdn: 'www.example.com',
    instance: 'orcl',
    results: 'Certificate </HOST> &amp; ]]> é',
    status: 'Active',
    firstFoundMs: Date.parse('2018-01-26T04:45:50Z'),
    lastFoundMs: Date.parse('2018-04-13T03:48:50Z'),
    lastTestMs: Date.parse('2018-04-13T03:48:51Z'),
    lastUpdateMs: Date.parse('2018-04-13T03:49:05Z'),
    lastFixedMs: Date.parse('2018-02-01T00:00:00Z'),
    firstReopenedMs: Date.parse('2018-03-01T00:00:00Z'),
    lastReopenedMs: Date.parse('2018-03-02T00:00:00Z'),
    lastProcessedMs: Date.parse('2018-04-13T03:49:06Z'),
    timesFound: 111,
    timesReopened: 2,
    qds: 35,
    service: 'rdp',
    ignored: false,
    disabled: true,
    affectRunningKernel: false,
    affectRunningService: true,
    affectExploitableConfig: true,
  })
  expect(Object.entries(record.extra ?? {})).toEqual([
    ['QDS@severity', 'LOW'],
    ['QDS_FACTORS', '<QDS_FACTOR name="CVSS">7.7</QDS_FACTOR><QDS_FACTOR name="a&lt;b">x&amp;y</QDS_FACTOR>'],
    ['ASSET_CVE', 'CVE-2020-1'],
    ['__proto__', 'mine'],
  ])
  expect(
    [record.identity, record.stateHash, record.volatileHash, record.resultsHash].map((hash) => hash?.length),
  ).toEqual([16, 16, 8, 16])
})

test('T4: absent, zero and empty stay three things', async () => {
  const fields = [
    '',
    '<PORT>0</PORT>',
    '<SSL>0</SSL>',
    '<FQDN></FQDN>',
    '<INSTANCE/>',
    '<PROTOCOL></PROTOCOL>',
  ]
  const records = await Promise.all(fields.map((field) => one(`<QID>1</QID>${field}`)))
  expect(
    records.map((record) => [record.port, record.ssl, record.fqdn, record.instance, record.protocol]),
  ).toEqual([
    [null, null, null, null, null],
    [0, null, null, null, null],
    [null, false, null, null, null],
    [null, null, '', null, null],
    [null, null, null, '', null],
    [null, null, null, null, ''],
  ])
  expect(new Set(records.map((record) => record.identity.toString('hex'))).size).toBe(fields.length)
})

test('T2: type, severity and status are transitions of one detection, not another detection', async () => {
  const before = await one('<QID>1</QID><TYPE>Potential</TYPE><SEVERITY>3</SEVERITY><STATUS>New</STATUS>')
  const after = await one('<QID>1</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>Active</STATUS>')
  expect(after.identity).toEqual(before.identity)
  expect(after.stateHash).not.toEqual(before.stateHash)
  expect(after.volatileHash).toEqual(before.volatileHash)
})

test('only the volatile hash changes when a rescan sees the same again', async () => {
  const before = await one(FULL)
  const after = await one(
    FULL.replace('<TIMES_FOUND>111<', '<TIMES_FOUND>112<')
      .replace('2018-04-13T03:48:50Z', '2018-04-14T03:48:50Z')
      .replace('2018-04-13T03:49:06Z', '2018-04-14T03:49:06Z'),
  )
  expect(after.identity).toEqual(before.identity)
  expect(after.stateHash).toEqual(before.stateHash)
  expect(after.volatileHash).not.toEqual(before.volatileHash)
})

test('the state hash sees each field that is not volatile, and each result text', async () => {
  const volatile = [
    'LAST_FOUND_DATETIME',
    'LAST_TEST_DATETIME',
    'LAST_PROCESSED_DATETIME',
    'LAST_UPDATE_DATETIME',
    'TIMES_FOUND',
  ]
  const before = await one(FULL)
  const names = [...FULL.matchAll(/<([A-Z_]+)[ >]/g)]
    .map((match) => match[1]!)
    .filter((name) => name !== 'QDS_FACTOR')
  for (const name of names.filter((other) => other !== 'QID')) {
    const without = await one(FULL.replace(new RegExp(`<${name}[ >].*?</${name}>`, 's'), ''))
    expect([name, without.stateHash.equals(before.stateHash)]).toEqual([name, volatile.includes(name)])
    expect([name, without.volatileHash.equals(before.volatileHash)]).toEqual([name, !volatile.includes(name)])
  }
})

test('the same text in CDATA, as references or in pieces is the same state', async () => {
  const forms = ['<![CDATA[a<b\r\n&c]]>', 'a&lt;b\n&amp;c', 'a<!-- x -->&#60;b\r&#38;<![CDATA[c]]>']
  const records = await Promise.all(forms.map((form) => one(`<QID>1</QID><RESULTS>${form}</RESULTS>`)))
  for (const record of records) {
    expect(record.results).toBe('a<b\n&c')
    expect(record.resultsHash).toEqual(records[0]!.resultsHash)
    expect(record.stateHash).toEqual(records[0]!.stateHash)
  }
})

test('T5: nothing is coerced: a number that is written oddly puts the detection aside', async () => {
  for (const port of [
    '1e5',
    '007',
    '0x1F',
    '-1',
    '+1',
    '80.0',
    'eighty',
    '١',
    '1 2',
    '99999999999999999999',
  ]) {
    const { detections: read_, quarantine } = await read(
      answer(host('1', detection(`<QID>1</QID><PORT>${port}</PORT>`))),
    )
    expect(read_).toEqual([])
    expect(quarantine).toMatchObject([
      { hostId: '1', qid: '1', reason: expect.stringContaining('PORT') as string },
    ])
    expect(quarantine[0]!.raw).toContain(`<PORT>${port}</PORT>`)
  }
})

test('T28: dates are read strictly, to the second, and no other form is guessed', async () => {
  const dateArb = fc.date({
    min: new Date('0100-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  })
  await fc.assert(
    fc.asyncProperty(dateArb, async (date) => {
      const text = `${date.toISOString().slice(0, 19)}Z`
      const record = await one(`<QID>1</QID><LAST_TEST_DATETIME> ${text}\n</LAST_TEST_DATETIME>`)
      expect(record.lastTestMs).toBe(Date.parse(text))
    }),
    { numRuns: 300 },
  )
  const odd = [
    '2018-02-30T00:00:00Z',
    '2018-13-01T00:00:00Z',
    '2018-01-01',
    '2018-01-01T24:00:00Z',
    '2018-01-01T00:00:00',
    '2018-01-01T00:00:00+00',
  ]
  for (const text of odd) {
    const { quarantine } = await read(
      answer(host('1', detection(`<QID>1</QID><LAST_TEST_DATETIME>${text}</LAST_TEST_DATETIME>`))),
    )
    expect(quarantine).toHaveLength(1)
  }
})

test('T25: a missing or unknown status is passed on as it is', async () => {
  expect((await one('<QID>1</QID><TYPE>Confirmed</TYPE>')).status).toBeNull()
  expect((await one('<QID>1</QID><STATUS>Mitigated</STATUS>')).status).toBe('Mitigated')
})

test('a detection without QID, with a QID that is none, or with a field twice is put aside as it came', async () => {
  const bad = [
    '<TYPE>Info</TYPE>',
    '<QID>0</QID>',
    '<QID>012</QID>',
    '<QID>1</QID><QID>2</QID>',
    '<QID>1</QID><PORT><X>1</X></PORT>',
  ]
  const list = bad.map((fields) => detection(fields)).join('') + detection('<QID>9</QID>')
  const result = await read(answer(host('1', list)))
  expect(result.detections.map((record) => record.qid)).toEqual(['9'])
  expect(result.quarantine.map((what) => what.raw)).toEqual(bad.map((fields) => detection(fields)))
})

test('a host without a readable id is put aside with its detections, and the next one is read', async () => {
  const list = `<DETECTION_LIST>${detection('<QID>1</QID>')}</DETECTION_LIST>`
  const result = await read(
    answer(
      `<HOST><IP>192.0.2.1</IP>${list}</HOST><HOST><ID>x</ID>${list}</HOST><HOST>${list}<ID>5</ID></HOST>` +
        `<HOST/>${host('6', detection('<QID>2</QID>'))}`,
    ),
  )
  expect(result.hosts.map((read_) => read_.host.hostId)).toEqual(['6'])
  expect(result.quarantine.map((what) => what.hostId)).toEqual([null, null, '5', null])
  expect(result.quarantine[0]!.raw).toContain('192.0.2.1')
})

test('a field of a host that cannot be read is kept as text and reported; its detections are read', async () => {
  const result = await read(
    answer(
      host(
        '1',
        detection('<QID>1</QID>'),
        '<LAST_SCAN_DATETIME>yesterday</LAST_SCAN_DATETIME><IP>192.0.2.1</IP>',
      ),
    ),
  )
  expect(result.hosts).toMatchObject([
    {
      host: { ip: '192.0.2.1', lastScanMs: null, extra: { LAST_SCAN_DATETIME: 'yesterday' } },
      isLastPart: true,
    },
  ])
  expect(result.detections).toHaveLength(1)
  expect(result.quarantine).toMatchObject([{ hostId: '1', qid: null }])
})

test('the fields of a host are read; cloud id, tags and DNS data find their columns', async () => {
  const fields = `<ASSET_ID>77</ASSET_ID><IP>192.0.2.1</IP><DNS_DATA><HOSTNAME>a</HOSTNAME><FQDN>a.example.com</FQDN></DNS_DATA>
   <EC2_INSTANCE_ID>i-1</EC2_INSTANCE_ID><TRACKING_METHOD>EC2</TRACKING_METHOD><OS><![CDATA[Linux]]></OS>
   <LAST_VM_SCANNED_DURATION>352</LAST_VM_SCANNED_DURATION><TAGS><TAG><TAG_ID>5</TAG_ID><NAME><![CDATA[A & B]]></NAME></TAG></TAGS>
   <METADATA><EC2><ATTRIBUTE><NAME>region</NAME><VALUE>us-east-1</VALUE><LAST_ERROR></LAST_ERROR></ATTRIBUTE></EC2></METADATA>`
  const { hosts } = await read(answer(host('1', '', fields)))
  expect(hosts[0]!.host).toMatchObject({
    hostId: '1',
    assetId: '77',
    fqdn: 'a.example.com',
    cloudResourceId: 'i-1',
    os: 'Linux',
    tags: [{ id: '5', name: 'A & B' }],
    extra: {
      DNS_DATA: '<HOSTNAME>a</HOSTNAME><FQDN>a.example.com</FQDN>',
      LAST_VM_SCANNED_DURATION: '352',
      METADATA:
        '<EC2><ATTRIBUTE><NAME>region</NAME><VALUE>us-east-1</VALUE><LAST_ERROR></LAST_ERROR></ATTRIBUTE></EC2>',
    },
  })
  const tagsOf = async (xml: string) => (await read(answer(host('1', '', xml)))).hosts[0]!.host.tags
  expect(await tagsOf('')).toBeNull()
  expect(await tagsOf('<TAGS/>')).toEqual([])
  expect(await tagsOf('<TAGS>\n </TAGS>')).toEqual([])
})

test('T3: of two detections with one identity the better is passed on, and the other one reported as a collision', async () => {
  const twin = (test_: string, update: string, results: string) =>
    detection(
      `<QID>1</QID><RESULTS>${results}</RESULTS><LAST_TEST_DATETIME>2026-01-0${test_}T00:00:00Z</LAST_TEST_DATETIME>` +
        `<LAST_UPDATE_DATETIME>2026-01-0${update}T00:00:00Z</LAST_UPDATE_DATETIME>`,
    )
  for (const [list, kept] of [
    [twin('1', '1', 'old') + twin('2', '1', 'new'), 'new'],
    [twin('2', '1', 'new') + twin('1', '9', 'old'), 'new'],
    [twin('1', '1', 'old') + twin('1', '2', 'new'), 'new'],
    [twin('1', '1', 'first') + twin('1', '1', 'second'), 'first'],
  ] as const) {
    const result = await read(answer(host('1', list) + host('2', twin('1', '1', 'other host'))))
    expect(result.detections.map((record) => record.results)).toEqual([kept, 'other host'])
    expect(result.quarantine).toMatchObject([{ hostId: '1', qid: '1', isCollision: true }])
  }
})

test('T3: a better detection that comes after the other has gone out with its part is put aside and owed', async () => {
  const many = Array.from({ length: HOST_PART_DETECTIONS_MAX }, (_, index) => `<QID>${index + 1}</QID>`)
  const better = '<QID>1</QID><LAST_TEST_DATETIME>2026-01-01T00:00:00Z</LAST_TEST_DATETIME>'
  const list = [...many, better].map((fields) => detection(fields)).join('')
  const result = await read(answer(host('1', list)))
  expect(result.detections).toHaveLength(HOST_PART_DETECTIONS_MAX)
  expect(result.quarantine).toEqual([
    {
      hostId: '1',
      qid: '1',
      reason: expect.stringContaining('came too late') as string,
      raw: detection(better),
    },
  ])
})

test('a host with very many detections comes in parts, and only the last says so', async () => {
  const count = HOST_PART_DETECTIONS_MAX * 2 + 1
  const list = Array.from({ length: count }, (_, index) => detection(`<QID>${index + 1}</QID>`)).join('')
  const result = await read(answer(host('1', list)), { chunkBytes: 10_000 })
  expect(result.hosts.map((part) => [part.detections.length, part.isLastPart])).toEqual([
    [HOST_PART_DETECTIONS_MAX, false],
    [HOST_PART_DETECTIONS_MAX, false],
    [1, true],
  ])
  expect(new Set(result.detections.map((record) => record.qid)).size).toBe(count)
})

test('T46: several HOST_LIST blocks, lists of one, and a host without a list are all read', async () => {
  const xml = answer(host('1', detection('<QID>1</QID>'))).replace(
    '</HOST_LIST>',
    `</HOST_LIST><HOST_LIST><HOST><ID>2</ID></HOST>${host('3', '')}</HOST_LIST>`,
  )
  const { hosts } = await read(xml)
  expect(hosts.map((read_) => [read_.host.hostId, read_.detections.length])).toEqual([
    ['1', 1],
    ['2', 0],
    ['3', 0],
  ])
})

test('what is read does not depend on where the stream is cut into chunks', async () => {
  const xml = answer(
    host('1', detection(FULL) + detection('<TYPE>x</TYPE>'), '<DNS>a</DNS>') + host('2', detection(FULL)),
  )
  const whole = await read(xml)
  for (const chunkBytes of [1, 2, 3, 7, 64, 1_000]) {
    const cut = await read(xml, { chunkBytes })
    expect(cut.detections).toEqual(whole.detections)
    expect(cut.hosts.map((read_) => read_.host)).toEqual(whole.hosts.map((read_) => read_.host))
    expect(cut.quarantine).toEqual(whole.quarantine)
  }
})

test('an answer ends with what the server says of itself', async () => {
  const { messages } = await read(answer(''))
  const bytes = Buffer.byteLength(answer(''))
  expect(messages).toEqual([
    { type: 'answer', answer: { serverTimeMs: Date.parse('2026-11-21T04:00:00Z'), bytes, repairedChars: 0 } },
  ])
})

test('T45: characters that XML forbids are replaced and counted, and the host is read', async () => {
  const { detections: read_, messages } = await read(
    answer(host('1', detection('<QID>1</QID><RESULTS><![CDATA[a\u0000b\u0007c\uFFFEd]]></RESULTS>'))),
  )
  expect(read_[0]!.results).toBe('a\uFFFDb\uFFFDc\uFFFDd')
  expect(messages.at(-1)).toMatchObject({ answer: { repairedChars: 3 } })
})

test('T44: an answer that is cut anywhere throws and is never closed', async () => {
  const xml = answer(host('1', detection('<QID>1</QID>')))
  const end = xml.indexOf(`</${ROOT}>`) + ROOT.length + 3
  for (let length = 0; length < end; length += 1) {
    await expect(read(xml.slice(0, length))).rejects.toMatchObject({ kind: 'transient', code: 'truncated' })
  }
  await expect(read(xml.slice(0, end))).resolves.toMatchObject({ detections: [{ qid: '1' }] })
})

test('an error in the middle of the stream throws, wherever it stands', async () => {
  const failure =
    '<SIMPLE_RETURN><RESPONSE><CODE>999</CODE><TEXT>Internal error</TEXT></RESPONSE></SIMPLE_RETURN>'
  for (const xml of [
    answer(host('1', detection('<QID>1</QID>')), failure),
    answer(host('1', detection('<QID>1</QID>') + failure)),
    answer(host('1', detection(`<QID>1</QID>${failure}`))),
    answer(failure),
    answer('', '<RETURN status="FAILED" number="999">Internal error</RETURN>'),
    answer('', '<GENERIC_RETURN><RETURN>Internal error</RETURN></GENERIC_RETURN>'),
  ]) {
    await expect(read(xml)).rejects.toMatchObject({
      kind: 'transient',
      code: 'error_in_answer',
      message: expect.stringContaining('Internal error') as string,
    })
  }
})

test('T43: another root, HTML or an entity bomb is refused as a broken contract', async () => {
  await expect(read('<SIMPLE_RETURN><RESPONSE/></SIMPLE_RETURN>')).rejects.toMatchObject({
    code: 'unexpected_root',
  })
  await expect(read('<html><body>Login<br></body></html>')).rejects.toBeInstanceOf(HubError)
  const bomb = `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><${ROOT}>&b;</${ROOT}>`
  await expect(read(bomb)).rejects.toMatchObject({ kind: 'contract', code: 'xml_doctype_subset' })
})

const warning = (url: string) =>
  `<WARNING><CODE>1980</CODE><TEXT>record limit exceeded</TEXT><URL><![CDATA[${url}]]></URL></WARNING>`
const nextUrl = (idMin: string) => `https://qualysapi.example.com/api/5.0/fo/x/?action=list&id_min=${idMin}`

test('T42: of the URL of a warning only id_min is taken, into a request of our own', async () => {
  const result = await read([
    answer(host('1', detection('<QID>1</QID>')), warning(`${nextUrl('2')}&status=Fixed&ids=9`)),
    answer(host('2', detection('<QID>2</QID>')), warning(nextUrl('3'))),
    answer(host('3', detection('<QID>3</QID>'))),
  ])
  expect(result.detections.map((record) => record.qid)).toEqual(['1', '2', '3'])
  expect(result.messages.filter((message) => message.type === 'answer')).toHaveLength(3)
  const [first, second, third] = result.calls.map((call) => call.params)
  expect(first!['id_min']).toBeUndefined()
  expect(second).toEqual({ ...first, id_min: '2' })
  expect(third).toEqual({ ...first, id_min: '3' })
})

test('an id_min that does not grow, or a warning without one, throws before its answer is closed', async () => {
  const page = (url: string) => answer(host('1', detection('<QID>1</QID>')), warning(url))
  for (const [pages, code] of [
    [[page(nextUrl('2')), page(nextUrl('2'))], 'warning_url'],
    [[page(nextUrl('10')), page(nextUrl('9'))], 'warning_url'],
    [[page(nextUrl('x'))], 'warning_url'],
    [[page('not a URL')], 'warning_url'],
    [[page('https://qualysapi.example.com/?action=list')], 'warning_url'],
    [[page(nextUrl('2').replace('qualysapi', 'elsewhere'))], 'warning_url'],
    [[page('')], 'warning_without_url'],
  ] as const) {
    await expect(read(pages)).rejects.toMatchObject({ kind: 'contract', code })
  }
})

test('T7 T8 T12 T13: all states are asked for, nothing is filtered at the source, and no two parameters contradict', async () => {
  const call = async (request: ReadRequest) => (await read(answer(''), { request })).calls[0]!
  const always = {
    action: 'list',
    status: 'New,Active,Re-Opened,Fixed',
    include_ignored: '1',
    include_disabled: '1',
    show_reopened_info: '1',
    show_asset_id: '1',
    show_qds: '1',
    show_tags: '1',
    arf_kernel_filter: '0',
  }
  const ids = ['190', '191', '192', '200', '9223372036854775806', '9223372036854775807']
  const byIds = await call({ ids })
  expect(byIds).toMatchObject({
    endpoint: 'fo/asset/host/vm/detection',
    path: '/api/5.0/fo/asset/host/vm/detection/',
    expectRoot: ROOT,
  })
  expect(byIds.params).toEqual({
    ...always,
    ids: '190-192,200,9223372036854775806-9223372036854775807',
    truncation_limit: '6',
    show_results: '1',
    show_igs: '0',
  })
  const options = { showIgs: true, showResults: false }
  expect((await call({ changedSinceMs: 1_700_000_000_999, options })).params).toEqual({
    ...always,
    vm_processed_after: '2023-11-14T22:13:20Z',
    show_igs: '1',
    show_results: '0',
  })
})

test('T11: the flags of running kernels, services and configurations are kept as they came, and absent is not 0', async () => {
  for (const [xml, flag] of [
    ['', null],
    ['0', false],
    ['1', true],
  ] as const) {
    const element = (name: string) => (xml === '' ? '' : `<${name}>${xml}</${name}>`)
    const names = ['AFFECT_RUNNING_KERNEL', 'AFFECT_RUNNING_SERVICE', 'AFFECT_EXPLOITABLE_CONFIG']
    const record = await one(`<QID>1</QID><STATUS>Active</STATUS>${names.map(element).join('')}`)
    const { affectRunningKernel, affectRunningService, affectExploitableConfig } = record
    expect([affectRunningKernel, affectRunningService, affectExploitableConfig]).toEqual([flag, flag, flag])
  }
})

test('an empty, unordered or odd list of ids is refused and nothing is asked', async () => {
  for (const ids of [[], ['2', '1'], ['1', '1'], ['1-5'], [''], ['01']]) {
    await expect(read(answer(''), { request: { ids } })).rejects.toMatchObject({ kind: 'config' })
  }
})

const placeArb: fc.Arbitrary<DetectionPlace> = fc.record({
  integrationId: fc.constantFrom('1', '11'),
  hostId: fc.constantFrom('1', '11', '111'),
  qid: fc.constantFrom('1', '11', '111'),
  port: fc.constantFrom(null, 0, 1, 11),
  protocol: fc.constantFrom(null, '', 'tcp', 'udp', '1'),
  ssl: fc.constantFrom(null, true, false),
  fqdn: fc.constantFrom(null, '', '1', 'é', 'a.example.com'),
  instance: fc.constantFrom(null, '', '1', '\u0000', 'x'.repeat(5_000)),
})

test('T1: two places have one identity exactly when all eight parts are the same', () => {
  fc.assert(
    fc.property(placeArb, placeArb, (left, right) => {
      const same = (Object.keys(left) as (keyof DetectionPlace)[]).every((key) => left[key] === right[key])
      expect(identityOf(left).equals(identityOf(right))).toBe(same)
    }),
    { numRuns: 2_000 },
  )
})

test('the identity is encoded as its version says; a change would make all detections look new', () => {
  const present = (value: string | Buffer) => {
    const bytes = Buffer.from(value)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([Buffer.from([1]), length, bytes])
  }
  const port = Buffer.alloc(8)
  port.writeDoubleBE(3389)
  const encoded = Buffer.concat([
    Buffer.from([1]),
    Buffer.from('i'),
    present('7'),
    present('1'),
    present('38170'),
    Buffer.from([1]),
    port,
    present('tcp'),
    Buffer.from([1, 1]),
    Buffer.from([0]),
    present(''),
  ])
  const expected = createHash('sha256').update(encoded).digest().subarray(0, 16)
  const place = {
    integrationId: '7',
    hostId: '1',
    qid: '38170',
    port: 3389,
    protocol: 'tcp',
    ssl: true,
    fqdn: null,
    instance: '',
  }
  expect(identityOf(place)).toEqual(expected)
})

test('a record read from an answer has the identity of its place', async () => {
  const record = await one(FULL)
  expect(record.identity).toEqual(identityOf({ ...record, integrationId: '7', hostId: '1' }))
  expect(record.resultsHash).toEqual(createHash('sha256').update(record.results!).digest().subarray(0, 16))
})

test('the volatile hash tells apart each of its five fields, absent from zero, and seconds from each other', async () => {
  const names = [
    'LAST_FOUND_DATETIME',
    'LAST_TEST_DATETIME',
    'LAST_PROCESSED_DATETIME',
    'LAST_UPDATE_DATETIME',
  ]
  const list = ['<QID>1</QID>', '<QID>1</QID><TIMES_FOUND>0</TIMES_FOUND>']
  for (let index = 0; index < 4_000; index += 1) {
    const text = `${new Date(1_790_000_000_000 + index * 1_000).toISOString().slice(0, 19)}Z`
    for (const name of names) list.push(`<QID>1</QID><${name}>${text}</${name}>`)
    list.push(`<QID>1</QID><TIMES_FOUND>${index + 1}</TIMES_FOUND>`)
  }
  const hosts = list.map((fields, index) => host(String(index + 1), detection(fields))).join('')
  const { detections: records } = await read(answer(hosts))
  expect(records).toHaveLength(list.length)
  expect(new Set(records.map((record) => record.volatileHash.toString('hex'))).size).toBe(list.length)
})

test('what is put aside is cut to its limit and holds no NUL, which no database would take', async () => {
  const long = 'é'.repeat(20_000)
  const { quarantine } = await read(answer(host('1', detection(`<RESULTS>\u0000${long}</RESULTS>`))))
  expect(quarantine[0]!.raw).toHaveLength(QUARANTINE_RAW_CHARS_MAX)
  expect(quarantine[0]!.raw.startsWith('<DETECTION><RESULTS>\uFFFDéé')).toBe(true)
})
