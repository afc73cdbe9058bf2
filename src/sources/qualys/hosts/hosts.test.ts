import { expect, test } from 'vitest'
import type { QuarantinedRecord, ReadRequest } from '../../../model/source.ts'
import type { HostRecord } from '../../../model/vm.ts'
import type { FoCall, QualysClient } from '../client.ts'
import { hostIds, hosts } from './index.ts'

const ROOT = 'HOST_LIST_OUTPUT'

/** The door to Qualys as the module sees it: answers in their order, cut into chunks. */
function clientOf(answers: readonly string[], chunkBytes: number): { client: QualysClient; calls: FoCall[] } {
  const calls: FoCall[] = []
  const refuse = () => Promise.reject(new Error('not asked for in these tests'))
  const client: QualysClient = {
    apiHost: 'qualysapi.example.com',
    fo: (call) => {
      const bytes = Buffer.from(answers[calls.length] ?? '')
      calls.push(call)
      async function* body() {
        for (let at = 0; at < bytes.length; at += chunkBytes)
          yield Buffer.from(bytes.subarray(at, at + chunkBytes))
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

function contextOf(client: QualysClient, request: ReadRequest) {
  const { signal } = new AbortController()
  return { integrationId: '1', config: hosts.config.parse({}), client, signal, request }
}

async function readIds(answers: readonly string[], request: ReadRequest = {}, chunkBytes = 1_000_000) {
  const { client, calls } = clientOf(answers, chunkBytes)
  const ids: string[] = []
  const sizes: number[] = []
  let answersClosed = 0
  for await (const message of hostIds.read(contextOf(client, request))) {
    if (message.type === 'records') {
      sizes.push(message.records.length)
      for (const id of message.records) ids.push(id)
    }
    if (message.type === 'answer') answersClosed += 1
  }
  return { ids, sizes, calls, answersClosed }
}

async function readHosts(
  answers: readonly string[],
  request: ReadRequest = { ids: ['1'] },
  chunkBytes = 1_000_000,
) {
  const { client, calls } = clientOf(answers, chunkBytes)
  const records: HostRecord[] = []
  const quarantine: QuarantinedRecord[] = []
  for await (const message of hosts.read(contextOf(client, request))) {
    if (message.type === 'records') records.push(...message.records)
    if (message.type === 'quarantine') quarantine.push(message.what)
  }
  return { records, quarantine, calls }
}

const answer = (content: string) =>
  `<!DOCTYPE ${ROOT} SYSTEM "x"><${ROOT}><RESPONSE><DATETIME>2026-11-21T04:00:00Z</DATETIME>${content}</RESPONSE></${ROOT}>`
const warning = (idMin: string) =>
  `<WARNING><CODE>1980</CODE><TEXT>x</TEXT><URL>https://qualysapi.example.com/?id_min=${idMin}</URL></WARNING>`

test('ids and ranges of a host list are expanded, in the order they came', async () => {
  const xml = answer(
    '<ID_SET><ID>1</ID><ID_RANGE>3-6</ID_RANGE>\n<ID> 9223372036854775806 </ID><ID_RANGE>8-8</ID_RANGE></ID_SET>',
  )
  for (const chunkBytes of [1, 1_000]) {
    const { ids, answersClosed } = await readIds([xml], {}, chunkBytes)
    expect(ids).toEqual(['1', '3', '4', '5', '6', '9223372036854775806', '8'])
    expect(answersClosed).toBe(1)
  }
})

test('a range of many ids comes in messages of bounded size', async () => {
  const { ids, sizes } = await readIds([answer('<ID_SET><ID_RANGE>1-25000</ID_RANGE></ID_SET>')])
  expect(sizes).toEqual([10_000, 10_000, 5_000])
  expect(ids.at(-1)).toBe('25000')
})

test('an empty list of host ids is an answer without ids', async () => {
  expect(await readIds([answer('')])).toMatchObject({ ids: [], answersClosed: 1 })
})

test('T5: a list of ids with anything odd in it throws: it would not be complete', async () => {
  const odd = [
    '<ID>x</ID>',
    '<ID></ID>',
    '<ID>0</ID>',
    '<ID>01</ID>',
    '<ID>1-2</ID>',
    '<ID>1,2</ID>',
    '<ID_RANGE>5</ID_RANGE>',
    '<ID_RANGE>5-3</ID_RANGE>',
    '<ID_RANGE>0-3</ID_RANGE>',
    '<ID><X>1</X></ID>',
    '<HOST>1</HOST>',
  ]
  for (const item of odd) {
    await expect(readIds([answer(`<ID_SET><ID>7</ID>${item}</ID_SET>`)])).rejects.toMatchObject({
      kind: 'contract',
      code: 'unreadable_id',
    })
  }
  const tooMany = answer('<ID_SET><ID_RANGE>1-99999999999</ID_RANGE></ID_SET>')
  await expect(readIds([tooMany])).rejects.toMatchObject({ kind: 'contract', code: 'too_many_ids' })
})

test('a cut list of host ids throws at every byte', async () => {
  const xml = answer('<ID_SET><ID>1</ID></ID_SET>')
  for (let length = 0; length < xml.length; length += 1) {
    await expect(readIds([xml.slice(0, length)])).rejects.toMatchObject({ code: 'truncated' })
  }
})

test('a truncated list of host ids is followed by id_min to its end', async () => {
  const { ids, calls } = await readIds(
    [answer(`<ID_SET><ID>1</ID></ID_SET>${warning('5')}`), answer('<ID_SET><ID>5</ID></ID_SET>')],
    { changedSinceMs: Date.parse('2026-11-20T00:00:00Z') },
  )
  expect(ids).toEqual(['1', '5'])
  expect(calls[0]).toMatchObject({
    path: '/api/5.0/fo/asset/host/',
    params: {
      action: 'list',
      details: 'None',
      truncation_limit: '0',
      vm_processed_after: '2026-11-20T00:00:00Z',
    },
  })
  expect(calls[1]!.params).toEqual({ ...calls[0]!.params, id_min: '5' })
})

const FULL_HOST = `<HOST><ID>1</ID><ASSET_ID>2</ASSET_ID><IP>192.0.2.1</IP><IPV6>2001:db8::1</IPV6>
  <TRURISK_SCORE>812</TRURISK_SCORE><ASSET_CRITICALITY_SCORE>4</ASSET_CRITICALITY_SCORE>
  <TRACKING_METHOD>AGENT</TRACKING_METHOD><NETWORK_ID>0</NETWORK_ID><DNS><![CDATA[a.example.com]]></DNS>
  <DNS_DATA><HOSTNAME>a</HOSTNAME><DOMAIN>example.com</DOMAIN><FQDN>a.example.com</FQDN></DNS_DATA>
  <CLOUD_PROVIDER>AWS</CLOUD_PROVIDER><CLOUD_SERVICE>EC2</CLOUD_SERVICE><CLOUD_RESOURCE_ID>i-1</CLOUD_RESOURCE_ID>
  <EC2_INSTANCE_ID>i-2</EC2_INSTANCE_ID><NETBIOS>A</NETBIOS><OS>Linux</OS><QG_HOSTID>guid</QG_HOSTID>
  <LAST_BOOT>2026-11-01T00:00:00Z</LAST_BOOT><SERIAL_NUMBER>s-1</SERIAL_NUMBER><HARDWARE_UUID>u-1</HARDWARE_UUID>
  <FIRST_FOUND_DATE>2020-01-01T00:00:00Z</FIRST_FOUND_DATE><LAST_ACTIVITY>2026-11-20T00:00:01Z</LAST_ACTIVITY>
  <TAGS><TAG><TAG_ID>9</TAG_ID><NAME>Prod</NAME><COLOR>red</COLOR></TAG></TAGS>
  <LAST_VULN_SCAN_DATETIME>2026-11-20T00:00:02Z</LAST_VULN_SCAN_DATETIME>
  <LAST_VM_SCANNED_DATE>2026-11-20T00:00:03Z</LAST_VM_SCANNED_DATE>
  <LAST_VM_AUTH_SCANNED_DATE>2026-11-20T00:00:04Z</LAST_VM_AUTH_SCANNED_DATE>
  <LAST_COMPLIANCE_SCAN_DATETIME>2026-11-20T00:00:05Z</LAST_COMPLIANCE_SCAN_DATETIME><OWNER>jo</OWNER>
  <COMMENTS><![CDATA[<b>hi</b>]]></COMMENTS></HOST>`

test('every field of a host list is read, and the rest is kept as text', async () => {
  for (const chunkBytes of [1, 13, 100_000]) {
    const { records, quarantine } = await readHosts(
      [
        answer(
          `<HOST_LIST>${FULL_HOST}</HOST_LIST><GLOSSARY><USER_LIST><USER>x</USER></USER_LIST></GLOSSARY>`,
        ),
      ],
      { ids: ['1'] },
      chunkBytes,
    )
    expect(quarantine).toEqual([])
    expect(records).toEqual([
      {
        hostId: '1',
        assetId: '2',
        ip: '192.0.2.1',
        ipv6: '2001:db8::1',
        trackingMethod: 'AGENT',
        networkId: '0',
        os: 'Linux',
        osCpe: null,
        dns: 'a.example.com',
        fqdn: 'a.example.com',
        netbios: 'A',
        agentId: 'guid',
        cloudProvider: 'AWS',
        cloudService: 'EC2',
        cloudResourceId: 'i-1',
        serialNumber: 's-1',
        hardwareUuid: 'u-1',
        firstFoundMs: Date.parse('2020-01-01T00:00:00Z'),
        lastActivityMs: Date.parse('2026-11-20T00:00:01Z'),
        lastScanMs: Date.parse('2026-11-20T00:00:02Z'),
        lastVmScannedMs: Date.parse('2026-11-20T00:00:03Z'),
        lastVmAuthScannedMs: Date.parse('2026-11-20T00:00:04Z'),
        lastPcScannedMs: Date.parse('2026-11-20T00:00:05Z'),
        trurisk: 812,
        criticality: 4,
        owner: 'jo',
        tags: [{ id: '9', name: 'Prod' }],
        extra: {
          DNS_DATA: '<HOSTNAME>a</HOSTNAME><DOMAIN>example.com</DOMAIN><FQDN>a.example.com</FQDN>',
          EC2_INSTANCE_ID: 'i-2',
          LAST_BOOT: '2026-11-01T00:00:00Z',
          TAGS: '<TAG><TAG_ID>9</TAG_ID><NAME>Prod</NAME><COLOR>red</COLOR></TAG>',
          COMMENTS: '<b>hi</b>',
        },
      },
    ])
  }
})

test('a host without id goes into quarantine; an odd field is kept as text and reported', async () => {
  const { records, quarantine } = await readHosts([
    answer(
      '<HOST_LIST><HOST><IP>192.0.2.9</IP></HOST><HOST><ID>3</ID><ASSET_ID>none</ASSET_ID><TAGS><TAG/></TAGS></HOST></HOST_LIST>',
    ),
  ])
  expect(records).toMatchObject([{ hostId: '3', assetId: null, tags: null, extra: { ASSET_ID: 'none' } }])
  expect(quarantine).toMatchObject([
    { hostId: null, raw: '<HOST><IP>192.0.2.9</IP></HOST>' },
    { hostId: '3', reason: expect.stringContaining('ASSET_ID, TAGS') as string },
  ])
})

test('T5: names and account numbers that look like numbers, or like nothing, stay the texts that they are', async () => {
  for (const name of ['1e5', '007', '0x1F', 'null', 'true', '9007199254740993']) {
    const account = `<EC2><ATTRIBUTE><NAME>accountId</NAME><VALUE>${name}</VALUE></ATTRIBUTE></EC2>`
    const fields = `<DNS>${name}</DNS><NETBIOS>${name}</NETBIOS><SERIAL_NUMBER>${name}</SERIAL_NUMBER><METADATA>${account}</METADATA>`
    const { records } = await readHosts([answer(`<HOST_LIST><HOST><ID>3</ID>${fields}</HOST></HOST_LIST>`)])
    expect(records).toMatchObject([
      { dns: name, netbios: name, serialNumber: name, extra: { METADATA: account } },
    ])
  }
})

test('details of hosts are asked for with tags and asset ids, by ranges of ids', async () => {
  const { calls } = await readHosts([answer('')], { ids: ['5', '6', '9'] })
  expect(calls[0]!.params).toEqual({
    action: 'list',
    details: 'All',
    show_asset_id: '1',
    show_tags: '1',
    ids: '5-6,9',
    truncation_limit: '3',
  })
})

test('the probe of the host list says how many hosts are visible', async () => {
  const { client } = clientOf([answer('<ID_SET><ID_RANGE>1-1234</ID_RANGE></ID_SET>')], 1_000)
  const { signal } = new AbortController()
  const result = await hosts.check({ client, config: hosts.config.parse({}), signal })
  expect(result.message).toBe('1,234 hosts are visible.')
})
