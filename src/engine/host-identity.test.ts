import { expect, test } from 'vitest'
import { type MachineFacts, compareMachines, identifiersOf } from './host-identity.ts'

const NOTHING: MachineFacts = {
  trackingMethod: 'IP',
  ip: '192.0.2.1',
  os: null,
  dns: null,
  fqdn: null,
  netbios: null,
  agentId: null,
  cloudProvider: null,
  cloudResourceId: null,
  serialNumber: null,
  hardwareUuid: null,
}

const facts = (changes: Partial<MachineFacts>): MachineFacts => ({ ...NOTHING, ...changes })
const serialOf = (serialNumber: string) => identifiersOf(facts({ serialNumber }))[0]?.value ?? null
const uuidOf = (hardwareUuid: string) => identifiersOf(facts({ hardwareUuid }))[0]?.value ?? null

test('a machine is known again by its agent, its cloud instance, its hardware and its serial number, in one spelling', () => {
  const machine = facts({
    agentId: ' {6F9619FF-8B86-D011-B42D-00C04FC964FF} ',
    cloudProvider: 'AWS',
    cloudResourceId: 'I-0123456789ABCDEF0',
    hardwareUuid: '4C4C4544-0051-3510-8052-B4C04F564432',
    serialNumber: 'vmware-42  1d',
  })
  expect(identifiersOf(machine)).toEqual([
    { kind: 'agent', value: '6f9619ff8b86d011b42d00c04fc964ff' },
    { kind: 'cloud', value: 'aws i-0123456789abcdef0' },
    { kind: 'hardware', value: '4c4c4544005135108052b4c04f564432' },
    { kind: 'serial', value: 'VMWARE-42 1D' },
  ])
  // Older answers give EC2_INSTANCE_ID without a provider; a number alone may be anybody's.
  expect(identifiersOf(facts({ cloudResourceId: 'i-0123456789abcdef0' }))).toEqual([
    { kind: 'cloud', value: 'aws i-0123456789abcdef0' },
  ])
  expect(identifiersOf(facts({ cloudResourceId: '4711471147114711' }))).toEqual([])
})

test('what a manufacturer, a template or an attacker wrote in place of a serial number is none', () => {
  const none = [
    'To Be Filled By O.E.M.',
    'to be filled by o.e.m',
    'None',
    'N/A',
    'Not Specified',
    'Default string',
    'System Serial Number',
    '0',
    '00000000',
    'XXXXXXXX',
    '.......',
    '123456789',
    '0123456789',
    ' ',
    'INVALID',
    'Not Applicable',
    'null',
    'SN',
    'A1B2',
    '\u001b[2J4711',
    'x'.repeat(201),
    'größe-1',
    '\0\0\0\0\0',
  ]
  expect(none.map((text) => [text, serialOf(text)])).toEqual(none.map((text) => [text, null]))
  expect(serialOf('5CG1234ABC')).toBe('5CG1234ABC')
})

test('a UUID of zeros, or one that was shipped on a whole series, is none', () => {
  const none = [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '03000200-0400-0500-0006-000700080009',
    'not a uuid',
    '4c4c4544-0051-3510-8052',
  ]
  expect(none.map(uuidOf)).toEqual(none.map(() => null))
})

const WINDOWS = facts({ os: 'Windows Server 2019 Standard', netbios: 'FILES01', dns: 'a.example.com' })
const LINUX = facts({ os: 'Ubuntu Linux 24.04', dns: 'b.example.com' })
const kindsOf = (before: MachineFacts, now: MachineFacts) =>
  compareMachines(before, now).map((change) => change.kind)

test('T16: system and name that change together at an address are another machine, each alone is not', () => {
  expect(kindsOf(WINDOWS, { ...WINDOWS, os: 'Ubuntu Linux 24.04', netbios: 'BUILD07' })).toEqual([
    'identity_break',
  ])
  // Linux has no NetBIOS name: the DNS name counts.
  expect(kindsOf(WINDOWS, LINUX)).toEqual(['identity_break'])
  expect(kindsOf(WINDOWS, { ...WINDOWS, netbios: 'BUILD07' })).toEqual(['renamed'])
  expect(kindsOf(WINDOWS, { ...WINDOWS, os: 'Ubuntu Linux 24.04' })).toEqual([])
  // An upgrade of the same system, with a new name.
  expect(kindsOf(WINDOWS, { ...WINDOWS, os: 'Windows Server 2022', netbios: 'FILES02' })).toEqual(['renamed'])
  // What Qualys guesses at is no evidence, and neither is what it does not know.
  const guessed = 'Linux 2.x / FreeBSD 9 / Cisco IOS'
  expect(kindsOf(WINDOWS, { ...LINUX, os: guessed })).toEqual(['renamed'])
  expect(kindsOf(WINDOWS, { ...LINUX, os: null })).toEqual(['renamed'])
})

test('T16: a serial number that stays says that it is the same machine, another one that it is not', () => {
  const known = { ...WINDOWS, serialNumber: 'OLD-4711' }
  expect(kindsOf(known, { ...LINUX, serialNumber: 'OLD-4711' })).toEqual(['renamed'])
  expect(kindsOf(known, { ...known, netbios: 'FILES02', serialNumber: 'NEW-0815' })).toEqual([
    'identity_break',
  ])
  // A serial number alone may have been corrected.
  expect(kindsOf(known, { ...known, serialNumber: 'NEW-0815' })).toEqual([])
  // A placeholder is no serial number.
  expect(kindsOf({ ...WINDOWS, serialNumber: 'None' }, { ...LINUX, serialNumber: 'None' })).toEqual([
    'identity_break',
  ])
})

test('T16: only a host that is tracked by its address can become another machine', () => {
  const byAgent = (machine: MachineFacts) => ({ ...machine, trackingMethod: 'AGENT' })
  expect(kindsOf(byAgent(WINDOWS), byAgent(LINUX))).toEqual(['renamed'])
  expect(kindsOf(WINDOWS, byAgent(LINUX))).toEqual(['renamed'])
})

test('what is told of a change is short, whatever a host calls itself', () => {
  const long = { ...WINDOWS, dns: `${'x'.repeat(10_000)}\n\u001b[31m` }
  const [change] = compareMachines(WINDOWS, long)
  expect(change?.reason.length).toBeLessThan(300)
  expect(change?.reason).not.toMatch(/\p{Cc}/u)
})
