import { expect, test } from 'vitest'

import { HubError } from '../../model/errors.ts'
import { PLATFORMS, platformHint, resolveBaseUrls } from './platforms.ts'

function refusalOf(url: string, options: Parameters<typeof resolveBaseUrls>[1] = {}): HubError {
  try {
    resolveBaseUrls(url, options)
  } catch (error) {
    expect(error).toBeInstanceOf(HubError)
    expect((error as HubError).kind).toBe('config')
    return error as HubError
  }
  throw new Error(`${url} was accepted`)
}

test('T48: each of the thirteen platforms is known by its API host, with its gateway', () => {
  expect(PLATFORMS).toHaveLength(13)
  for (const { pod, api, gateway } of PLATFORMS) {
    for (const url of [
      `https://${api}`,
      `https://${api}/`,
      `https://${api}/api/2.0/fo/`,
      api,
      ` https://${api.toUpperCase()}. `,
    ]) {
      expect(resolveBaseUrls(url)).toEqual({
        apiUrl: `https://${api}`,
        gatewayUrl: `https://${gateway}`,
        pod,
      })
    }
    expect(resolveBaseUrls(api, { gatewayUrl: `${gateway}/` }).gatewayUrl).toBe(`https://${gateway}`)
  }
})

test('T48: the address of the user interface is refused and the right one named', () => {
  for (const { api, ui } of PLATFORMS) {
    expect(refusalOf(`https://${ui}/fo/login.php`).message).toContain(`https://${api}`)
  }
  const own = refusalOf('https://qualysguard.pcp.example.com', { privatePlatform: true })
  expect(own.message).toContain('https://qualysapi.pcp.example.com')
})

test('T48: the address of a gateway is refused and the right one named', () => {
  expect(refusalOf('https://gateway.qg2.apps.qualys.eu').message).toContain(
    'https://qualysapi.qg2.apps.qualys.eu',
  )
})

test('an unknown platform is refused with the list of known ones', () => {
  for (const url of [
    'https://qualysapi.qg9.apps.qualys.com',
    'https://evil.example/qualysapi.qualys.com',
    'https://127.0.0.1',
  ]) {
    const { message, hint } = refusalOf(url)
    for (const { pod, api } of PLATFORMS) expect(message).toContain(`${pod} https://${api}`)
    expect(hint).toContain('privatePlatform')
  }
})

test.each([
  ['http://qualysapi.qualys.com'],
  ['https://qualysapi.qualys.com:8443'],
  ['https://me:secret@qualysapi.qualys.com'],
  ['ftp://qualysapi.qualys.com'],
  ['https://'],
  [''],
])('a base URL that is not plain https to a platform is refused: %s', (url) => {
  expect(refusalOf(url).message).not.toContain('secret')
})

test('a wrong gateway is refused and the right one named', () => {
  const { message } = refusalOf('https://qualysapi.qualys.com', {
    gatewayUrl: 'https://gateway.evil.example',
  })
  expect(message).toContain('https://gateway.qg1.apps.qualys.com')
})

test('a private platform may be any host, and its gateway is derived or given', () => {
  const options = { privatePlatform: true }
  expect(resolveBaseUrls('https://qualysapi.pcp.example.com/', options)).toEqual({
    apiUrl: 'https://qualysapi.pcp.example.com',
    gatewayUrl: 'https://gateway.pcp.example.com',
    pod: null,
  })
  expect(resolveBaseUrls('http://127.0.0.1:8090/x', options).apiUrl).toBe('http://127.0.0.1:8090')
  expect(
    resolveBaseUrls('https://a.example.com', { ...options, gatewayUrl: 'https://b.example.com/' }).gatewayUrl,
  ).toBe('https://b.example.com')
})

test('plain http to a public host is refused even for a private platform', () => {
  for (const url of ['http://8.8.8.8', 'http://qualysapi.qg2.apps.qualys.com']) {
    expect(refusalOf(url, { privatePlatform: true }).message).toContain('https://')
  }
})

test('a user name of another platform gives a hint, and nothing more', () => {
  expect(platformHint('acmex2ab', 'US1')).toContain('US2')
  expect(platformHint('acmex_ab12', 'US1')).toBeNull()
  expect(platformHint('acmex2ab', null)).toBeNull()
  expect(platformHint('somebody', 'US1')).toBeNull()
})
