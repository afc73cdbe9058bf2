import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { createEstate } from './estate/create-estate.ts'
import { DAY0_MS_DEFAULT } from './estate/settings.ts'
import { startFakeQualys } from './server.ts'
import type { FakeQualys, FakeQualysOptions } from './server.ts'
import { call, HLD, hostIds, HOSTS, KB, setIds, structureOf, texts } from './test-client.ts'

const NOON_MS = DAY0_MS_DEFAULT + 12 * 3_600_000
const ALL = {
  action: 'list',
  status: 'New,Active,Re-Opened,Fixed',
  include_ignored: '1',
  include_disabled: '1',
}
const SMALL = [
  { id: '101', detections: [{ qid: '1' }, { qid: '2', status: 'Fixed' }, { qid: '3', ignored: true }] },
  { id: '102', detections: [{ qid: '45001', type: 'Info' }] },
  { id: '103' },
  {
    id: '104',
    detections: [
      { qid: '5', disabled: true },
      { qid: '4', status: 'Re-Opened', severity: 5 },
    ],
  },
]

let fake: FakeQualys
async function start(options: Partial<FakeQualysOptions> = {}): Promise<FakeQualys> {
  fake = await startFakeQualys({
    estate: createEstate({ hosts: SMALL }),
    clock: new ManualClock(NOON_MS),
    limits: { rate: 10_000 },
    ...options,
  })
  return fake
}
afterEach(() => fake.close())

const hld = (form: Record<string, string> = {}) => call(fake, { path: HLD, form: { ...ALL, ...form } })

describe('detection list', () => {
  test('hosts without a matching detection are missing, information only comes when asked for', async () => {
    await start()
    const plain = await hld()
    expect(hostIds(plain.text)).toEqual(['101', '104'])
    expect(texts(plain.text, 'QID')).toEqual(['1', '2', '3', '5', '4'])
    const withInformation = await hld({ show_igs: '1' })
    expect(hostIds(withInformation.text)).toEqual(['101', '102', '104'])
    const [, info] = withInformation.text.split('<ID>102</ID>')
    expect(info?.split('</DETECTION>')[0]).not.toContain('<STATUS>')
  })

  test('without parameters, Fixed, ignored and disabled ones are hidden, as ever', async () => {
    await start()
    const { text } = await call(fake, { path: HLD, form: { action: 'list' } })
    expect(texts(text, 'QID')).toEqual(['1', '4'])
  })

  test('an estate without anything to tell answers with DATETIME alone, at the time of the clock', async () => {
    await start({ estate: createEstate({ hosts: [{ id: '1' }] }) })
    const { text, headers } = await hld()
    expect([...structureOf(text)]).toEqual([
      ['', ['HOST_LIST_VM_DETECTION_OUTPUT']],
      ['HOST_LIST_VM_DETECTION_OUTPUT', ['RESPONSE']],
      ['HOST_LIST_VM_DETECTION_OUTPUT/RESPONSE', ['DATETIME']],
    ])
    expect(texts(text, 'DATETIME')).toEqual(['2026-03-02T12:00:00Z'])
    expect(headers['date']).toBe('Mon, 02 Mar 2026 12:00:00 GMT')
  })

  test('elements stand in the order of version 5.0, and what does not apply is absent', async () => {
    await start({ estate: createEstate({ hosts: 80 }) })
    const { text } = await hld({
      show_tags: '1',
      show_asset_id: '1',
      show_qds: '1',
      show_reopened_info: '1',
      arf_kernel_filter: '0',
      show_igs: '1',
    })
    const order =
      'UNIQUE_VULN_ID QID TYPE SEVERITY PORT PROTOCOL FQDN SSL INSTANCE RESULTS STATUS FIRST_FOUND_DATETIME LAST_FOUND_DATETIME QDS TIMES_FOUND LAST_TEST_DATETIME LAST_UPDATE_DATETIME LAST_FIXED_DATETIME FIRST_REOPENED_DATETIME LAST_REOPENED_DATETIME TIMES_REOPENED SERVICE IS_IGNORED IS_DISABLED AFFECT_RUNNING_KERNEL LAST_PROCESSED_DATETIME'.split(
        ' ',
      )
    const seen = new Set<string>()
    for (const detection of texts(text, 'DETECTION')) {
      const names = [...detection.matchAll(/^ {12}<([A-Z_]+)/gm)].map((match) => match[1] ?? '')
      expect(names).toEqual(order.filter((name) => names.includes(name)))
      names.forEach((name) => seen.add(name))
      expect(detection).not.toMatch(/<PORT>0<|<[A-Z_]+><\/|<[A-Z_]+\/>/)
    }
    expect([...seen].toSorted()).toEqual(order.toSorted())
    structureOf(text)
  })

  test('what was not asked for is not shown', async () => {
    await start({ estate: createEstate({ hosts: 30 }) })
    const { text } = await hld({ show_results: '0' })
    expect(text).not.toMatch(/<(RESULTS|TAGS|ASSET_ID|QDS|TIMES_REOPENED|AFFECT_RUNNING_KERNEL)\b/)
  })

  test.each([
    ['severities', { severities: '4-5' }, ['4']],
    ['qids', { qids: '1-2' }, ['1', '2']],
    ['ids as ranges', { ids: '102-103,101' }, ['1', '2', '3']],
    ['id_min', { id_min: '102' }, ['5', '4']],
    ['id_max', { id_max: '103' }, ['1', '2', '3']],
    ['one status', { status: 'Fixed' }, ['2']],
    ['detection_updated_since', { detection_updated_since: '2026-03-02T11:00:00Z' }, ['2', '4']],
    ['vm_processed_after in the future', { vm_processed_after: '2026-03-02T11:00:01Z' }, []],
    ['vm_processed_after in the past', { vm_processed_after: '2026-03-02' }, ['1', '2', '3', '5', '4']],
  ])('selects by %s', async (_name, form, qids) => {
    await start()
    expect(texts((await hld(form)).text, 'QID')).toEqual(qids)
  })

  test('the kernel filter shows its element with 0 and filters with 1 to 4', async () => {
    const detections = [
      { qid: '1', affectRunningKernel: 0 as const },
      { qid: '2', affectRunningKernel: 1 as const },
      { qid: '3' },
    ]
    await start({ estate: createEstate({ hosts: [{ id: '1', detections }] }) })
    const byScale = await Promise.all(
      ['0', '1', '2', '3', '4'].map(async (scale) =>
        texts((await hld({ arf_kernel_filter: scale })).text, 'QID').join(),
      ),
    )
    expect(byScale).toEqual(['1,2,3', '2,3', '1', '2', '1,2'])
  })

  test('crafted fields arrive exactly as crafted', async () => {
    const raw = { STATUS: 'Somehow', PORT: '0x1F', SEVERITY: null, EXTRA: '<A>&amp;</A>' }
    const detections = [
      { qid: '1', raw },
      { qid: '2', rawXml: '<DETECTION><QID>2</QID></DETECTION>' },
    ]
    await start({ estate: createEstate({ hosts: [{ id: '1', detections, raw: { DNS: null } }] }) })
    const { text } = await hld()
    expect(text).toContain('<STATUS>Somehow</STATUS>')
    expect(text).toContain('<PORT>0x1F</PORT>')
    expect(text).toContain('<EXTRA><A>&amp;</A></EXTRA>')
    expect(text).not.toMatch(/<SEVERITY>|<DNS>/)
    expect(text).toContain('<DETECTION><QID>2</QID></DETECTION>')
  })
})

describe('host list', () => {
  test('details=None gives ids, and neighbours as a range', async () => {
    await start()
    const { text } = await call(fake, { path: `${HOSTS}?action=list&details=None` })
    expect(text).toContain('      <ID_RANGE>101-104</ID_RANGE>\n')
    expect(setIds(text)).toEqual(['101', '102', '103', '104'])
  })

  test.each([
    ['host list', HOSTS, { details: 'Basic' }],
    ['details=None', HOSTS, { details: 'None' }],
    ['detection list', HLD, ALL],
  ])('walking the pages of the %s meets every host once, in order', async (_name, path, form) => {
    await start({ estate: createEstate({ hosts: 137 }) })
    const whole = await call(fake, { path, form: { action: 'list', ...form, truncation_limit: '0' } })
    const idsOf = (text: string) => (text.includes('<ID_SET>') ? setIds(text) : hostIds(text))
    const walked: string[] = []
    let idMin: string | undefined = '1'
    let pages = 0
    while (idMin !== undefined && pages < 50) {
      const reply = await call(fake, {
        path,
        form: { action: 'list', ...form, truncation_limit: '10', id_min: idMin },
      })
      walked.push(...idsOf(reply.text))
      const [url] = texts(reply.text, 'URL')
      idMin = url === undefined ? undefined : (new URL(url).searchParams.get('id_min') ?? undefined)
      if (url !== undefined) expect(url.startsWith(`${fake.url}${path}?action=list&`)).toBe(true)
      pages++
    }
    expect(walked).toEqual(idsOf(whole.text))
    expect(new Set(walked).size).toBe(walked.length)
    expect(pages).toBe(Math.ceil(walked.length / 10))
  })

  test('selects by tag, name or id, any or all, with and without', async () => {
    const hosts = [
      { id: '1', tags: ['A', 'B'] },
      { id: '2', tags: ['B'] },
      { id: '3', tags: ['C'] },
    ]
    const estate = createEstate({ hosts })
    await start({ estate })
    const ids = async (form: Record<string, string>) =>
      hostIds(
        (
          await call(fake, {
            path: HOSTS,
            form: { action: 'list', use_tags: '1', tag_set_by: 'name', ...form },
          })
        ).text,
      )
    expect(await ids({ tag_set_include: 'A,C' })).toEqual(['1', '3'])
    expect(await ids({ tag_set_include: 'A,B', tag_include_selector: 'all' })).toEqual(['1'])
    expect(await ids({ tag_set_include: 'B', tag_set_exclude: 'A' })).toEqual(['2'])
    const [a] = estate.tags()
    expect(await ids({ tag_set_by: 'id', tag_set_include: a?.id ?? '' })).toEqual(['1'])
    const unknown = await call(fake, {
      path: HOSTS,
      form: { action: 'list', use_tags: '1', tag_set_include: '42' },
    })
    expect([unknown.status, texts(unknown.text, 'CODE')]).toEqual([400, ['1905']])
  })

  test('only the hosts processed since the watermark are in a delta', async () => {
    const estate = createEstate({ hosts: 200, scanShare: 0.3 })
    await start({ estate })
    estate.setDay(1)
    const reply = await call(fake, {
      path: HOSTS,
      form: { action: 'list', details: 'None', vm_processed_after: '2026-03-03T00:00:00Z' },
    })
    const expected = [...estate.truth().hosts()].filter((host) => host.scannedToday).map((host) => host.id)
    expect(setIds(reply.text)).toEqual(expected)
    expect(expected.length).toBeGreaterThan(30)
    expect(expected.length).toBeLessThan(100)
  })
})

describe('knowledge base', () => {
  test('answers the ids it knows, by number, and leaves out the others without a word', async () => {
    await start({ estate: createEstate({ hosts: 1 }) })
    const { text } = await call(fake, {
      path: KB,
      form: { action: 'list', ids: '91500,38100,7', details: 'All' },
    })
    expect(texts(text, 'QID')).toEqual(['38100', '91500'])
    expect(text).toContain('<!-- keep-alive for KNOWLEDGE_BASE_VULN_LIST_OUTPUT  -->')
    expect(text).toMatch(/<CVSS_V3>\s+<BASE>/)
  })

  test('selects by window of ids and by date of modification', async () => {
    const estate = createEstate({ hosts: 1 })
    await start({ estate })
    const window = await call(fake, { path: KB, form: { action: 'list', id_min: '38100', id_max: '38121' } })
    expect(texts(window.text, 'QID')).toEqual([
      '38100',
      '38101',
      '38102',
      '38103',
      '38104',
      '38105',
      '38106',
      '38120',
      '38121',
    ])
    estate.setDay(2)
    const since = { action: 'list', last_modified_after: '2026-03-03T00:00:00Z' }
    const modified = texts((await call(fake, { path: KB, form: since })).text, 'QID')
    expect(modified.length).toBeGreaterThan(2)
    expect(modified.length).toBeLessThan(7)
  })

  test('scores and exploits are shown with details=All only', async () => {
    await start({ estate: createEstate({ hosts: 1 }) })
    const basic = await call(fake, { path: KB, form: { action: 'list' } })
    const all = await call(fake, { path: KB, form: { action: 'list', details: 'All' } })
    expect(basic.text).not.toMatch(/<CVSS|<CORRELATION>/)
    expect(all.text).toMatch(/<CORRELATION>/)
    structureOf(all.text)
  })
})

describe('refusals', () => {
  test.each([
    ['an unknown parameter', { ...ALL, nope: '1' }, 1901, 'Unrecognized parameter(s): nope'],
    ['no action', { status: 'New' }, 1903, 'Missing required parameter(s): action'],
    ['a purge', { action: 'purge', ids: '1' }, 2012, /read only/],
    [
      'words for ids',
      { ...ALL, ids: 'abc123' },
      1905,
      'parameter ids has invalid value: abc123 (neither a positive integer nor a range: abc123)',
    ],
    ['empty ids', { ...ALL, ids: '' }, 1905, /ids has invalid value/],
    ['a range backwards', { ...ALL, ids: '9-3' }, 1905, /ids has invalid value/],
    ['an unknown status', { ...ALL, status: 'New,Gone' }, 1905, /status/],
    ['a flag that is none', { ...ALL, show_igs: 'yes' }, 1905, /show_igs/],
    ['a date that is none', { ...ALL, vm_processed_after: 'yesterday' }, 1905, /vm_processed_after/],
    ['a million and one', { ...ALL, truncation_limit: '1000001' }, 1905, /truncation_limit/],
    [
      'two ways to say since',
      { ...ALL, detection_updated_since: '2026-01-01', max_days_since_detection_updated: '3' },
      1904,
      /only one/,
    ],
    ['tags that are not used', { ...ALL, tag_set_include: '1' }, 1907, /tag_set_include/],
  ])('refuses %s', async (_name, form, code, text) => {
    await start()
    const reply = await call(fake, { path: HLD, form: form as Record<string, string> })
    expect(reply.status).toBe(code === 2012 ? 403 : 400)
    expect(texts(reply.text, 'CODE')).toEqual([String(code)])
    if (typeof text === 'string') expect(texts(reply.text, 'TEXT')).toEqual([text])
    else expect(reply.text).toMatch(text)
    expect(reply.headers['content-type']).toBe('application/xml')
    expect(structureOf(reply.text).get('')).toEqual(['SIMPLE_RETURN'])
  })

  test('a parameter that Qualys knows and the fake does not is a 501, never silence', async () => {
    await start()
    expect((await hld({ include_search_list_ids: '1' })).status).toBe(501)
  })

  test('refuses a wrong verb, a missing header, an unknown version, a long address and anything else', async () => {
    await start()
    const wrongVerb = await call(fake, { path: `${HLD}?action=list`, method: 'PUT' })
    expect([wrongVerb.status, texts(wrongVerb.text, 'CODE')]).toEqual([400, ['1908']])
    const bare = await call(fake, { path: HLD, form: ALL, headers: { 'x-requested-with': undefined } })
    expect(bare.status).toBe(400)
    expect((await call(fake, { path: HLD.replace('5.0', '6.0'), form: ALL })).status).toBe(404)
    expect((await call(fake, { path: KB.replace('4.0', '5.0'), form: { action: 'list' } })).status).toBe(404)
    expect((await call(fake, { path: '/api/2.0/fo/scan/?action=list' })).status).toBe(404)
    const ids = Array.from({ length: 2000 }, (_, n) => n + 1).join()
    expect((await call(fake, { path: `${HLD}?action=list&ids=${ids}` })).status).toBe(414)
    expect((await hld({ ids })).status).toBe(200)
  })

  test('whatever would change a subscription is refused and stands in the log', async () => {
    await start()
    await call(fake, { path: HOSTS, form: { action: 'purge', ids: '1' } })
    await call(fake, { path: '/qps/rest/2.0/create/am/tag', form: '<ServiceRequest/>' })
    await call(fake, { path: '/api/2.0/fo/ignore_vuln/index.php', form: { action: 'ignore', qids: '1' } })
    await hld()
    expect(fake.requests.map((request) => request.mutation)).toEqual([true, true, true, false])
    expect(fake.requests.map((request) => request.status)).toEqual([403, 403, 403, 200])
  })
})

describe('accounts', () => {
  const user = { username: 'u', password: 'p', role: 'Manager' }

  test.each([
    ['expired', 200, '2001'],
    ['inactive', 403, '2002'],
    ['registration', 409, '2003'],
    ['securid', 403, '2011'],
    ['unlicensed', 403, '2012'],
  ] as const)(
    'an account that is %s is told so, and without the headers of the subscription',
    async (state, status, code) => {
      await start({ users: [{ ...user, state }] })
      const reply = await call(fake, { path: HLD, form: ALL, user })
      expect([reply.status, texts(reply.text, 'CODE')]).toEqual([status, [code]])
      expect(Object.keys(reply.headers).filter((name) => /^x-(rate|concurrency|powered)/.test(name))).toEqual(
        [],
      )
      const qps = await call(fake, { path: '/qps/rest/2.0/count/am/tag', form: '', user })
      expect([qps.status, texts(qps.text, 'responseCode')]).toEqual([200, ['UNAUTHORIZED']])
    },
  )

  test('a wrong password and none at all are 401 with 2000, in QPS 200 with INVALID_CREDENTIALS', async () => {
    await start()
    for (const who of [null, { username: 'fake_user', password: 'wrong' }]) {
      const reply = await call(fake, { path: HLD, form: ALL, user: who })
      expect([reply.status, texts(reply.text, 'CODE')]).toEqual([401, ['2000']])
      expect(reply.headers['x-ratelimit-limit']).toBeUndefined()
      const qps = await call(fake, { path: '/qps/rest/portal/version', user: who })
      expect([qps.status, texts(qps.text, 'responseCode')]).toEqual([200, ['INVALID_CREDENTIALS']])
    }
    expect(JSON.stringify(fake.requests)).not.toContain('wrong')
    expect(JSON.stringify(fake.requests)).not.toMatch(/authorization/i)
  })

  test('readers see hosts and no detections, a user may be kept from one module, and hosts from a role', async () => {
    await start({
      users: [
        { ...user, role: 'Reader' },
        { ...user, username: 'half', denied: ['knowledge-base', 'tag'] },
        { ...user, username: 'tagged', role: 'Scanner', canSee: (host) => host.id !== '104' },
      ],
    })
    fake.estate.override('101', { hiddenFrom: ['Scanner'] })
    const reply = await call(fake, { path: HLD, form: ALL, user })
    expect([reply.status, hostIds(reply.text)]).toEqual([200, []])
    expect(hostIds((await call(fake, { path: HOSTS, form: { action: 'list' }, user })).text)).toHaveLength(4)
    const half = { username: 'half', password: 'p' }
    const kb = await call(fake, { path: KB, form: { action: 'list' }, user: half })
    expect([kb.status, texts(kb.text, 'CODE')]).toEqual([403, ['2012']])
    const tag = await call(fake, { path: '/qps/rest/2.0/search/am/tag', form: '', user: half })
    expect([tag.status, texts(tag.text, 'responseCode')]).toEqual([200, ['UNAUTHORIZED']])
    const tagged = { username: 'tagged', password: 'p' }
    expect(hostIds((await call(fake, { path: HOSTS, form: { action: 'list' }, user: tagged })).text)).toEqual(
      ['102', '103'],
    )
  })
})

describe('the portal', () => {
  const criteria = (field: string, operator: string, value: string) =>
    `<ServiceRequest><preferences><limitResults>3</limitResults></preferences><filters><Criteria field="${field}" operator="${operator}">${value}</Criteria></filters></ServiceRequest>`

  test('tags come page by page until hasMoreRecords says no', async () => {
    await start({ estate: createEstate({ hosts: 5 }) })
    const names: string[] = []
    let lastId = '0'
    for (let page = 0; page < 10; page++) {
      const reply = await call(fake, {
        path: '/qps/rest/2.0/search/am/tag',
        form: criteria('id', 'GREATER', lastId),
      })
      names.push(...texts(reply.text, 'name'))
      if (texts(reply.text, 'hasMoreRecords')[0] !== 'true') break
      lastId = texts(reply.text, 'lastId')[0] ?? ''
    }
    expect(names).toEqual(fake.estate.tags().map((tag) => tag.name))
    const count = await call(fake, { path: '/qps/rest/2.0/count/am/tag', form: '' })
    expect(texts(count.text, 'count')).toEqual([String(names.length)])
  })

  test('host assets are joined to hosts by qwebHostId', async () => {
    await start()
    const reply = await call(fake, {
      path: '/qps/rest/2.0/search/am/hostasset',
      form: criteria('qwebHostId', 'IN', '104,9'),
    })
    expect(texts(reply.text, 'qwebHostId')).toEqual(['104'])
    expect(texts(reply.text, 'responseCode')).toEqual(['SUCCESS'])
  })

  test.each([
    ['unknown criteria', criteria('colour', 'EQUALS', 'red'), 'INVALID_REQUEST'],
    ['an operator that does not fit', criteria('name', 'GREATER', 'a'), 'INVALID_REQUEST'],
    ['a word for a number', criteria('id', 'EQUALS', 'abc123'), 'INVALID_REQUEST'],
    ['something that is no XML', '<ServiceRequest>', 'INVALID_XML'],
  ])('refuses %s with status 200', async (_name, form, code) => {
    await start()
    const reply = await call(fake, { path: '/qps/rest/2.0/search/am/tag', form })
    expect([reply.status, texts(reply.text, 'responseCode')]).toEqual([200, [code]])
    expect(reply.headers['x-ratelimit-limit']).toBeUndefined()
  })

  test('about, portal version and the activity log answer', async () => {
    await start()
    expect(structureOf((await call(fake, { path: '/msp/about.php' })).text).get('ABOUT')).toContain(
      'WEB-VERSION',
    )
    expect((await call(fake, { path: '/qps/rest/portal/version' })).text).toContain(
      '<responseCode>SUCCESS</responseCode>',
    )
    const log = await call(fake, { path: '/api/2.0/fo/activity_log/?action=list&truncation_limit=1' })
    expect(log.text).toContain('----BEGIN_RESPONSE_FOOTER_CSV\nWARNING\n"CODE","TEXT","URL"\n"1980"')
    expect(log.text).toContain('&id_max=19"')
  })
})

test('answers are compressed for who accepts it, and the same for who does not', async () => {
  await start({ estate: createEstate({ hosts: 50 }) })
  const packed = await call(fake, { path: HLD, form: ALL, gzip: true })
  const plain = await call(fake, { path: HLD, form: ALL })
  expect(packed.headers['content-encoding']).toBe('gzip')
  expect(plain.headers['content-encoding']).toBeUndefined()
  expect(packed.bytes.length).toBeLessThan(plain.bytes.length / 5)
  expect(packed.text).toBe(plain.text)
})

test("without a clock the fake lives on the estate's day, and a latency is waited for by the clock", async () => {
  const estate = createEstate({ hosts: 5 })
  fake = await startFakeQualys({ estate })
  const days = []
  for (const day of [0, 3]) {
    estate.setDay(day)
    days.push(
      texts((await call(fake, { path: HOSTS, form: { action: 'list' } })).text, 'DATETIME')[0]?.slice(0, 13),
    )
  }
  expect(days).toEqual(['2026-03-02T12', '2026-03-05T12'])
  await fake.close()
  const clock = new ManualClock(NOON_MS)
  await start({ clock, latencyMs: 5000 })
  let isAnswered = false
  const given = hld().then((reply) => ((isAnswered = true), reply))
  while (fake.running === 0) await new Promise((resolve) => setImmediate(resolve))
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve))
  expect(isAnswered).toBe(false)
  clock.advance(5000)
  expect((await given).status).toBe(200)
})
