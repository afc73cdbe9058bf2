import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { ManualClock } from '../../src/lib/clock.ts'
import type { HubError } from '../../src/model/errors.ts'
import type { QualysClient } from '../../src/sources/qualys/client.ts'
import { connectQualys, type QualysConnection } from '../../src/sources/qualys/connection.ts'
import { createLocalQuota } from '../../src/sources/qualys/local-quota.ts'
import { toPortalInfo } from '../../src/sources/qualys/probe.ts'
import {
  loadQualysRecordings,
  RECORDINGS_FOLDER,
  type Recording,
  type ReplayServer,
  startReplay,
} from '../support/replay.ts'

/** What each recorded error has to become; whatever is not listed has to be accepted. */
const ERRORS: Readonly<Record<string, { kind: string; code: string; says: string }>> = {
  verifyAuthenticationExpired_0: { kind: 'auth', code: '2001', says: 'This account has expired.' },
  verifyAuthenticationInaccesible_0: {
    kind: 'auth',
    code: 'INVALID_CREDENTIALS',
    says: 'Authentication failed',
  },
  iterateHostDetectionsBadId_0: {
    kind: 'config',
    code: '1905',
    says: 'parameter ids has invalid value: abc123',
  },
  iterateVulnerabilitiesBadId_0: {
    kind: 'config',
    code: '1905',
    says: 'parameter ids has invalid value: abc123',
  },
  iterateHostDetailsBadId_0: {
    kind: 'config',
    code: 'INVALID_REQUEST',
    says: "criteria 'qwebHostId' (abc123)",
  },
  iterateWebAppFindingsBadId_0: {
    kind: 'config',
    code: 'INVALID_REQUEST',
    says: "criteria 'webApp.id' (abc123)",
  },
  iterateWebAppsInvalidFilterValue_0: {
    kind: 'config',
    code: 'INVALID_REQUEST',
    says: 'Values expected: true, false.',
  },
}

const ROOTS: readonly (readonly [RegExp, string])[] = [
  [/\/fo\/asset\/host\/vm\/detection\/$/, 'HOST_LIST_VM_DETECTION_OUTPUT'],
  [/\/fo\/asset\/host\/$/, 'HOST_LIST_OUTPUT'],
  [/\/fo\/knowledge_base\/vuln\/$/, 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT'],
  [/\/fo\/activity_log\/$/, 'ACTIVITY_LOG_OUTPUT'],
]

const folder = RECORDINGS_FOLDER
const recordings = folder === null ? [] : await loadQualysRecordings(folder)
const isFo = ({ request }: Recording) => request.path.startsWith('/api/')

interface Replay {
  server: ReplayServer
  connection: QualysConnection
}

async function replay({ status, headers, body }: Recording, gzip: boolean): Promise<Replay> {
  const server = await startReplay([{ status, headers, body, gzip }])
  const clock = new ManualClock(0, { skipSleeps: true })
  const access = {
    url: server.url,
    username: 'me',
    password: 'x',
    privatePlatform: true,
    allowedCidrs: ['127.0.0.1'],
  }
  return {
    server,
    connection: connectQualys({ access, quota: createLocalQuota(clock), clock, userAgent: 'test' }),
  }
}

async function callFo(client: QualysClient, { request }: Recording): Promise<Buffer> {
  const expectRoot = ROOTS.find(([path]) => path.test(request.path))?.[1] ?? ''
  const signal = new AbortController().signal
  const answer = await client.fo({
    endpoint: 'fo',
    path: request.path,
    params: { action: 'list' },
    expectRoot,
    signal,
  })
  const chunks: Buffer[] = []
  for await (const chunk of answer.body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function callQps(client: QualysClient, { request }: Recording) {
  const method = request.method === 'GET' ? ('GET' as const) : ('POST' as const)
  const arrays = ['HostAsset', 'WebApp', 'Finding']
  return client.qps({
    endpoint: 'qps',
    method,
    path: request.path,
    arrays,
    signal: new AbortController().signal,
  })
}

describe.skipIf(folder === null)(
  'recorded answers of Qualys (skipped when PATCHBAY_RECORDINGS is not set)',
  () => {
    test('all recordings are there, and every expected error is among them', () => {
      expect(recordings.length).toBeGreaterThanOrEqual(40)
      expect(recordings.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(ERRORS)))
    })

    describe.each(recordings.map((recording) => [recording.name, recording] as const))(
      '%s',
      (name, recording) => {
        let live: Replay
        beforeAll(async () => {
          live = await replay(recording, name.length % 2 === 0)
        })
        afterAll(async () => {
          await live.connection.close()
          await live.server.close()
        })

        test(`recorded ${name} goes through the real transport`, async () => {
          const { client } = live.connection
          const expected = ERRORS[name]
          const outcome: unknown = await (
            isFo(recording) ? callFo(client, recording) : callQps(client, recording)
          ).catch((error: unknown) => error)
          expect(live.server.requests).toHaveLength(1)
          if (expected !== undefined) {
            expect(outcome).toMatchObject({ name: 'HubError', kind: expected.kind, code: expected.code })
            expect((outcome as HubError).message).toContain(expected.says)
          } else if (isFo(recording)) {
            expect(outcome).toEqual(recording.body)
          } else {
            const text = recording.body.toString('utf8')
            expect(outcome).toMatchObject({ count: Number(/<count>(\d+)</.exec(text)?.[1] ?? Number.NaN) })
          }
        })
      },
    )

    test('the recorded portal versions are read', async () => {
      const recording = recordings.find(({ name }) => name === 'fetchPortalInfo_0')
      if (recording === undefined) throw new Error('The recording is missing.')
      const { server, connection } = await replay(recording, true)
      const { data } = await callQps(connection.client, recording)
      expect(toPortalInfo(data)).toEqual({
        applicationVersion: '3.1.2.0-2 OFFICIAL #597 (2020-09-15T15:54:59Z)',
        webVersion: '10.3.0.2-2',
        scannerVersion: '12.1.67-1',
        signaturesVersion: '2.4.993-2',
      })
      await connection.close()
      await server.close()
    })
  },
)
