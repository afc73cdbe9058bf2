import { expect, test } from 'vitest'

import { HubError } from '../../model/errors.ts'
import { parseQualysConfig, QUALYS_SECRET_FIELDS, QualysConfig } from './config.ts'

const entered = {
  name: 'Production',
  url: 'https://qualysapi.qg2.apps.qualys.com',
  username: 'acmex2ab',
  password: 'pass: word',
}

function refusalOf(input: unknown): string {
  try {
    parseQualysConfig(input)
  } catch (error) {
    expect(error).toBeInstanceOf(HubError)
    expect(error).toMatchObject({ kind: 'config' })
    return (error as HubError).message
  }
  throw new Error('accepted')
}

test('a short configuration gets the defaults of the design', () => {
  expect(parseQualysConfig(entered)).toEqual({
    ...entered,
    description: '',
    privatePlatform: false,
    allowedCidrs: [],
    autoSyncFrequency: 1,
    quotaSharePercent: 60,
    showIgs: 'weekly',
    showResults: true,
    knowledge: 'used',
    versions: { hld: '5.0', hostList: '5.0', kb: '4.0' },
  })
  expect(parseQualysConfig({ ...entered, versions: { kb: '3.0' } }).versions).toEqual({
    hld: '5.0',
    hostList: '5.0',
    kb: '3.0',
  })
})

test('the errors of a configuration are sentences that name the field and repeat no value', () => {
  expect(refusalOf({ ...entered, password: undefined })).toBe('The field "password" is missing.')
  expect(refusalOf({ ...entered, name: ' ' })).toBe('The field "name" is empty.')
  expect(refusalOf({ ...entered, autoSyncFrequency: 31 })).toBe(
    'The field "autoSyncFrequency" is more than 30 days.',
  )
  expect(refusalOf({ ...entered, autoSyncFrequency: 'daily' })).toMatch(
    /^The field "autoSyncFrequency" has to be/,
  )
  expect(refusalOf({ ...entered, showIgs: 'sometimes' })).toBe(
    'The field "showIgs" has to be never, weekly or always.',
  )
  expect(refusalOf({ ...entered, quotaSharePercent: 0 })).toBe(
    'The field "quotaSharePercent" is less than 1.',
  )
  expect(refusalOf({ ...entered, versions: { hld: '5' } })).toContain('versions.hld')
  expect(refusalOf({ ...entered, colour: 'red' })).toBe('Unknown fields: colour.')
  expect(refusalOf({ ...entered, username: 'a:b' })).toBe('The field "username" must not hold a colon.')
  expect(refusalOf(null)).toMatch(/not an object/)
  expect(refusalOf({ ...entered, password: 5, name: 3 })).not.toMatch(/5|3/)
})

test('T13: a configuration names no parameters of the API, so that none can contradict another', () => {
  for (const name of ['status', 'severities', 'arf_kernel_filter', 'max_days_since_detection_updated'])
    expect(refusalOf({ ...entered, [name]: '1' })).toBe(`Unknown fields: ${name}.`)
})

test('the URL is checked with the configuration', () => {
  expect(refusalOf({ ...entered, url: 'https://qualysguard.qg2.apps.qualys.com' })).toContain(entered.url)
  expect(refusalOf({ ...entered, url: 'http://127.0.0.1:1' })).toContain('known Qualys platform')
})

test('networks that are not public are allowed for private platforms only', () => {
  const own = {
    ...entered,
    url: 'http://127.0.0.1:8090',
    privatePlatform: true,
    allowedCidrs: ['127.0.0.0/8'],
  }
  expect(parseQualysConfig(own).allowedCidrs).toEqual(['127.0.0.0/8'])
  expect(refusalOf({ ...entered, allowedCidrs: ['10.0.0.0/8'] })).toContain('private platforms only')
  expect(refusalOf({ ...own, allowedCidrs: ['10.0.0.0/40'] })).toContain('not a network')
})

test('every secret field of the schema is in the list of secrets', () => {
  const marked = Object.entries(QualysConfig.shape).filter(
    ([, field]) => (field.meta() as { secret?: boolean } | undefined)?.secret === true,
  )
  expect(marked.map(([name]) => name)).toEqual([...QUALYS_SECRET_FIELDS])
})
