import { timingSafeEqual } from 'node:crypto'
import type { ApiFamily, EndpointName } from './call.ts'
import type { Host } from './estate/types.ts'

export interface FakeUser {
  username: string
  password: string
  /** Auditors and readers get no detections; every other role sees what `canSee` lets through. */
  role: string
  state?: 'active' | 'expired' | 'inactive' | 'registration' | 'securid' | 'unlicensed'
  /** Endpoints this user may not call: 403 with 2012 in the FO family, 200 with UNAUTHORIZED in QPS. */
  denied?: readonly EndpointName[]
  canSee?: (host: Host) => boolean
}

export const DEFAULT_USER: FakeUser = { username: 'fake_user', password: 'fake-password', role: 'Manager' }

const WITHOUT_DETECTIONS = new Set(['reader', 'auditor'])

export function seesDetections(user: FakeUser): boolean {
  return !WITHOUT_DETECTIONS.has(user.role.toLowerCase())
}

export interface Refusal {
  status: number
  code: number
  text: string
}

/** Who calls, by HTTP Basic; undefined when name or password are wrong, missing or something else than Basic. */
export function userOf(authorization: string | undefined, users: readonly FakeUser[]): FakeUser | undefined {
  const match = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '')
  if (match?.[1] === undefined) return undefined
  const given = Buffer.from(match[1], 'base64')
  return users.find((user) => {
    const expected = Buffer.from(`${user.username}:${user.password}`)
    return expected.length === given.length && timingSafeEqual(expected, given)
  })
}

export const WRONG_PASSWORD: Refusal = { status: 401, code: 2000, text: 'Bad Login/Password' }
export const NOT_LICENSED: Refusal = {
  status: 403,
  code: 2012,
  text: 'User license is not authorized to run this API.',
}

/** Why a user with the right password is turned away nevertheless. An expired account is told so with status 200. */
export function refusalOf(user: FakeUser): Refusal | undefined {
  switch (user.state ?? 'active') {
    case 'active':
      return undefined
    case 'expired':
      return { status: 200, code: 2001, text: 'This account has expired.' }
    case 'inactive':
      return { status: 403, code: 2002, text: 'User account is inactive.' }
    case 'registration':
      return {
        status: 409,
        code: 2003,
        text: 'Registration must be completed before API requests will be served for this account.',
      }
    case 'securid':
      return {
        status: 403,
        code: 2011,
        text: 'SecurID authentication is required for this account, so API access is blocked.',
      }
    case 'unlicensed':
      return NOT_LICENSED
  }
}

export function mayCall(user: FakeUser, endpoint: { name: EndpointName; family: ApiFamily }): boolean {
  return user.denied?.includes(endpoint.name) !== true
}
