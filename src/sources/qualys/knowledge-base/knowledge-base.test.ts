import { expect, test } from 'vitest'
import type { QuarantinedRecord, ReadRequest } from '../../../model/source.ts'
import type { VulnerabilityRecord } from '../../../model/vm.ts'
import type { FoCall, QualysClient } from '../client.ts'
import { knowledgeBase } from './index.ts'

const ROOT = 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT'

async function read(
  answers: readonly string[],
  request: ReadRequest = { ids: ['1'] },
  chunkBytes = 1_000_000,
) {
  const calls: FoCall[] = []
  let openCalls = 0
  const refuse = () => Promise.reject(new Error('not asked for in these tests'))
  const client: QualysClient = {
    apiHost: 'qualysapi.example.com',
    fo: (call) => {
      const bytes = Buffer.from(answers[calls.length] ?? answer(''))
      calls.push(call)
      openCalls += 1
      expect(openCalls).toBe(1)
      async function* body() {
        for (let at = 0; at < bytes.length; at += chunkBytes)
          yield Buffer.from(bytes.subarray(at, at + chunkBytes))
        openCalls -= 1
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
  const records: VulnerabilityRecord[] = []
  const quarantine: QuarantinedRecord[] = []
  let closed = 0
  const { signal } = new AbortController()
  const config = knowledgeBase.config.parse({})
  for await (const message of knowledgeBase.read({ integrationId: '1', config, client, signal, request })) {
    if (message.type === 'records') records.push(...message.records)
    else if (message.type === 'quarantine') quarantine.push(message.what)
    else closed += 1
  }
  return { records, quarantine, calls, closed }
}

const answer = (content: string) =>
  `<${ROOT}><RESPONSE><DATETIME>2026-11-21T04:00:00Z</DATETIME><!-- keep-alive for ${ROOT}  -->${content}</RESPONSE></${ROOT}>`
const vulns = (content: string) => answer(`<VULN_LIST>${content}</VULN_LIST>`)

const FULL_VULN = `<VULN><QID>316760</QID><VULN_TYPE>Vulnerability</VULN_TYPE><SEVERITY_LEVEL>3</SEVERITY_LEVEL>
  <TITLE><![CDATA[ A <b>title</b> ]]></TITLE><CATEGORY>Cisco</CATEGORY>
  <LAST_CUSTOMIZATION><DATETIME>2025-01-01T00:00:00Z</DATETIME><USER_LOGIN>jo</USER_LOGIN></LAST_CUSTOMIZATION>
  <LAST_SERVICE_MODIFICATION_DATETIME>2020-10-07T13:02:59Z</LAST_SERVICE_MODIFICATION_DATETIME>
  <PUBLISHED_DATETIME>2020-10-07T12:11:44Z</PUBLISHED_DATETIME>
  <CODE_MODIFIED_DATETIME>2021-10-07T12:11:44Z</CODE_MODIFIED_DATETIME>
  <PATCH_PUBLISHED_DATE>2022-10-07T12:11:44Z</PATCH_PUBLISHED_DATE><PATCHABLE>1</PATCHABLE>
  <SOFTWARE_LIST><SOFTWARE><PRODUCT><![CDATA[ios_xe]]></PRODUCT><VENDOR>cisco</VENDOR></SOFTWARE></SOFTWARE_LIST>
  <VENDOR_REFERENCE_LIST><VENDOR_REFERENCE><ID>cisco-sa-1</ID><URL>https://example.com/?a=1&amp;b</URL></VENDOR_REFERENCE></VENDOR_REFERENCE_LIST>
  <CVE_LIST><CVE><ID>CVE-2020-3403</ID><URL>https://example.com/c</URL></CVE><CVE><ID>CVE-2020-3404</ID></CVE></CVE_LIST>
  <DIAGNOSIS><![CDATA[ <P>Some &quot;text&quot;<BR> ]]></DIAGNOSIS><CONSEQUENCE>&lt;P&gt;x</CONSEQUENCE>
  <SOLUTION><![CDATA[<A HREF="https://example.com">y</A>]]></SOLUTION><SOLUTION_COMMENT>ours</SOLUTION_COMMENT>
  <CORRELATION><EXPLOITS><EXPLT_SRC><SRC_NAME>s</SRC_NAME></EXPLT_SRC></EXPLOITS></CORRELATION>
  <CVSS><BASE source="service">7.2</BASE><TEMPORAL>5.3</TEMPORAL><VECTOR_STRING>CVSS:2.0/AV:L</VECTOR_STRING></CVSS>
  <CVSS_V3><BASE>10</BASE><TEMPORAL/><VECTOR_STRING>CVSS:3.1/AV:L</VECTOR_STRING></CVSS_V3><PCI_FLAG>1</PCI_FLAG>
  <THREAT_INTELLIGENCE><THREAT_INTEL id="5"><![CDATA[Easy_Exploit]]></THREAT_INTEL><THREAT_INTEL id="8">No_Patch</THREAT_INTEL></THREAT_INTELLIGENCE>
  <DISCOVERY><REMOTE>1</REMOTE><AUTH_TYPE_LIST><AUTH_TYPE>Unix</AUTH_TYPE></AUTH_TYPE_LIST></DISCOVERY>
  <IS_DISABLED>0</IS_DISABLED></VULN>`

test('every field of a vulnerability is read; HTML is kept as sent, and the rest as text', async () => {
  for (const chunkBytes of [1, 17, 100_000]) {
    const { records, quarantine } = await read([vulns(FULL_VULN)], { ids: ['316760'] }, chunkBytes)
    expect(quarantine).toEqual([])
    expect(records).toEqual([
      {
        qid: '316760',
        type: 'Vulnerability',
        severity: 3,
        title: 'A <b>title</b>',
        category: 'Cisco',
        patchable: true,
        publishedMs: Date.parse('2020-10-07T12:11:44Z'),
        lastModifiedMs: Date.parse('2020-10-07T13:02:59Z'),
        codeModifiedMs: Date.parse('2021-10-07T12:11:44Z'),
        patchPublishedMs: Date.parse('2022-10-07T12:11:44Z'),
        customizedMs: Date.parse('2025-01-01T00:00:00Z'),
        customizedBy: 'jo',
        diagnosisHtml: '<P>Some &quot;text&quot;<BR>',
        consequenceHtml: '<P>x',
        solutionHtml: '<A HREF="https://example.com">y</A>',
        cvssV2: { base: 7.2, temporal: 5.3, vector: 'CVSS:2.0/AV:L' },
        cvssV3: { base: 10, temporal: null, vector: 'CVSS:3.1/AV:L' },
        pci: true,
        disabled: false,
        cves: [
          { id: 'CVE-2020-3403', url: 'https://example.com/c' },
          { id: 'CVE-2020-3404', url: null },
        ],
        vendorReferences: [{ id: 'cisco-sa-1', url: 'https://example.com/?a=1&b' }],
        software: [{ product: 'ios_xe', vendor: 'cisco' }],
        threatIntel: [
          { id: '5', name: 'Easy_Exploit' },
          { id: '8', name: 'No_Patch' },
        ],
        discoveryRemote: true,
        extra: {
          SOLUTION_COMMENT: 'ours',
          CORRELATION: '<EXPLOITS><EXPLT_SRC><SRC_NAME>s</SRC_NAME></EXPLT_SRC></EXPLOITS>',
          CVSS: '<BASE source="service">7.2</BASE><TEMPORAL>5.3</TEMPORAL><VECTOR_STRING>CVSS:2.0/AV:L</VECTOR_STRING>',
          DISCOVERY: '<REMOTE>1</REMOTE><AUTH_TYPE_LIST><AUTH_TYPE>Unix</AUTH_TYPE></AUTH_TYPE_LIST>',
        },
      },
    ])
  }
})

test('T38: a QID may have no CVE at all, and absent fields stay absent', async () => {
  const { records } = await read([vulns('<VULN><QID>6</QID><TITLE>t</TITLE><CVE_LIST/></VULN>')])
  expect(records).toMatchObject([
    {
      qid: '6',
      cves: [],
      software: [],
      patchable: null,
      disabled: null,
      cvssV2: null,
      discoveryRemote: null,
      extra: null,
    },
  ])
})

test('a vulnerability without QID or title goes into quarantine; an odd number is kept as text and reported', async () => {
  const { records, quarantine } = await read([
    vulns(
      '<VULN><TITLE>a</TITLE></VULN><VULN><QID>2</QID></VULN>' +
        '<VULN><QID>3</QID><TITLE>c</TITLE><SEVERITY_LEVEL>high</SEVERITY_LEVEL><CVSS><BASE>n/a</BASE></CVSS></VULN>',
    ),
  ])
  expect(records).toMatchObject([
    { qid: '3', severity: null, extra: { SEVERITY_LEVEL: 'high', CVSS: '<BASE>n/a</BASE>' } },
  ])
  expect(quarantine.map((what) => [what.qid, what.raw.startsWith('<VULN>')])).toEqual([
    [null, true],
    ['2', true],
    ['3', true],
  ])
})

test('T34: QIDs are asked for one POST after the other, at most 350 in each', async () => {
  const ids = Array.from({ length: 701 }, (_, index) => String(index * 2 + 1))
  const { calls, closed } = await read([], { ids })
  expect(calls.map((call) => call.params['ids']!.split(',').length)).toEqual([350, 350, 1])
  expect(closed).toBe(3)
  expect(calls[0]).toMatchObject({
    endpoint: 'fo/knowledge_base/vuln',
    path: '/api/4.0/fo/knowledge_base/vuln/',
    params: { action: 'list', details: 'All', show_disabled_flag: '1' },
  })
  await expect(read([], { ids: [] })).rejects.toMatchObject({ kind: 'config' })
})

test('what the vendor has changed is asked for by its date', async () => {
  const { calls } = await read([], { changedSinceMs: Date.parse('2026-11-20T00:00:00Z') })
  expect(calls.map((call) => call.params)).toEqual([
    { action: 'list', details: 'All', show_disabled_flag: '1', last_modified_after: '2026-11-20T00:00:00Z' },
  ])
})

test('the whole knowledge base is read in windows of known QIDs', async () => {
  const list = answer(
    '<ID_SET><ID_RANGE>100000-101999</ID_RANGE><ID>6</ID><ID_RANGE>10-11</ID_RANGE></ID_SET>',
  )
  const { calls, closed } = await read([list], {})
  expect(calls.map((call) => [call.params['details'], call.params['id_min'], call.params['id_max']])).toEqual(
    [
      ['None', undefined, undefined],
      ['All', '6', '101996'],
      ['All', '101997', '101999'],
    ],
  )
  expect(closed).toBe(2)
})

test('an empty answer of the knowledge base holds no vulnerability and is closed', async () => {
  expect(await read([answer('')])).toMatchObject({ records: [], quarantine: [], closed: 1 })
})
