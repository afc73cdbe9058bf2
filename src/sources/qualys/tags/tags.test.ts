import { afterEach, expect, test } from 'vitest'

import { type Scripted, startReplay } from '../../../../test/support/replay.ts'
import { ManualClock } from '../../../lib/clock.ts'
import type { ReadRequest, SourceMessage } from '../../../model/source.ts'
import type { TagRecord } from '../../../model/vm.ts'
import { connectQualys } from '../connection.ts'
import { createLocalQuota } from '../local-quota.ts'
import { tags } from './index.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function read(answers: readonly Scripted[], request: ReadRequest = {}) {
  const server = await startReplay(answers)
  const clock = new ManualClock(0, { skipSleeps: true })
  const connection = connectQualys({
    access: {
      url: server.url,
      username: 'me',
      password: 'secret',
      privatePlatform: true,
      allowedCidrs: ['127.0.0.1'],
    },
    quota: createLocalQuota(clock),
    clock,
    userAgent: 'test',
  })
  closers.push(
    () => server.close(),
    () => connection.close(),
  )
  const context = {
    integrationId: '1',
    config: {},
    client: connection.client,
    signal: new AbortController().signal,
  }
  const messages: SourceMessage<TagRecord>[] = []
  for await (const message of tags.read({ ...context, request })) messages.push(message)
  return { messages, server, check: () => tags.check(context) }
}

function page(tagsXml: string, lastId: string | null): Scripted {
  const paging = lastId === null ? '' : `<lastId>${lastId}</lastId>`
  const more = `<hasMoreRecords>${lastId !== null}</hasMoreRecords>`
  const head = `<responseCode>SUCCESS</responseCode><count>1</count>${more}${paging}`
  return { body: `<ServiceResponse>${head}<data>${tagsXml}</data></ServiceResponse>` }
}

const tag = (id: string, name: string, rest = '') => `<Tag><id>${id}</id><name>${name}</name>${rest}</Tag>`

test('tags are read page by page to the last, each page closed by its answer', async () => {
  const rest = '<parentTagId>7</parentTagId><ruleType>STATIC</ruleType><criticalityScore>4</criticalityScore>'
  const { messages, server } = await read([
    page(tag('8', 'Cloud &amp; <![CDATA[<b>]]>', rest), '8'),
    page(tag('9007199254740993', 'Plain', '<ruleType/><criticalityScore>9</criticalityScore>'), null),
  ])
  const records = messages.flatMap((message) => (message.type === 'records' ? message.records : []))
  expect(records).toEqual([
    { id: '8', name: 'Cloud & <b>', parentId: '7', ruleType: 'STATIC', criticality: 4 },
    { id: '9007199254740993', name: 'Plain', parentId: null, ruleType: null, criticality: null },
  ])
  expect(messages.map(({ type }) => type)).toEqual(['records', 'answer', 'records', 'answer'])
  expect(server.requests.map(({ body }) => /GREATER">(\d+)</.exec(body)?.[1])).toEqual([undefined, '8'])
})

test('an account without tags yields a closed answer and no record', async () => {
  const { messages } = await read([
    { body: '<ServiceResponse><responseCode>SUCCESS</responseCode><count>0</count></ServiceResponse>' },
  ])
  expect(messages).toMatchObject([{ type: 'answer' }])
})

test('a tag without an id goes into quarantine and hides no other', async () => {
  const { messages } = await read([page(`<Tag><name>x</name></Tag>${tag('1', 'y')}`, null)])
  expect(messages).toMatchObject([
    { type: 'quarantine', what: { raw: '{"name":"x"}' } },
    { type: 'records', records: [{ id: '1' }] },
    { type: 'answer' },
  ])
})

test('pages of tags that do not get further are refused', async () => {
  await expect(read([page(tag('8', 'a'), '8')])).rejects.toMatchObject({
    kind: 'contract',
    code: 'page_loop',
  })
})

test('tags can only be asked for as a whole', async () => {
  await expect(read([page('', null)], { ids: ['1'] })).rejects.toMatchObject({ kind: 'config' })
})

test('the check of the tags module says whether any are visible', async () => {
  const { check } = await read([page(tag('1', 'a'), null)])
  await expect(check()).resolves.toEqual({ message: 'Tags are visible.' })
})
