import { expect } from 'vitest'
import { provisionAgain } from '../../fakes/qualys/estate/machines.ts'
import type { HostSpec } from '../../fakes/qualys/estate/types.ts'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { type TestApi, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { engineDeps } from '../../test/support/hub.ts'
import { sync } from '../engine/sync.ts'
import type { Host, HostReport } from './host-resources.ts'

const AGENT = { trackingMethod: 'AGENT', qgHostId: '6f9619ff-8b86-d011-b42d-00c04fc964ff' }

const HOSTS: HostSpec[] = [
  { id: '101', ...AGENT, netbios: 'WEB01', tags: ['Production'], detections: [{ qid: '38100' }] },
  { id: '103', dns: 'db.example.com', detections: [{ qid: '38100' }] },
  { id: '105', dns: 'DB.example.com' },
]

async function withSynced(
  pool: Parameters<typeof withApi>[0]['pool'],
  use: (api: TestApi, nextDay: () => Promise<void>) => Promise<void>,
): Promise<void> {
  await withApi({ pool, estate: { hosts: HOSTS } }, async (api) => {
    const body = { type: 'vaplugin', subtype: 'qualys', config: api.qualysConfig() }
    const saved = await api.call<{ data: { id: number } }>('/integrations', { body })
    const deps = engineDeps({ pool }, { clock: api.clock, url: api.fake.url })
    const request = { integrationId: String(saved.body.data.id), trigger: 'manual', mode: 'delta' } as const
    const run = () => sync(deps, request, new AbortController().signal)
    await run()
    await use(api, async () => {
      api.clock.advance(DAY_MS)
      api.estate.advanceDay()
      await run()
    })
  })
}

test('hosts are found by their id, address or name, whatever its case, and by their state, page by page', async ({
  db,
}) => {
  await withSynced(db, async ({ call }) => {
    const idsOf = async (query: string) => {
      const { body } = await call<{ data: Host[]; next: string | null }>(`/hosts?${query}`)
      return [body.data.map((host) => host.hostId), body.next === null]
    }
    expect(await idsOf('host=103')).toEqual([['103'], true])
    expect(await idsOf('host=192.0.2.102')).toEqual([['101'], true])
    expect(await idsOf('host=web01')).toEqual([['101'], true])
    expect(await idsOf('host=dB.EXAMPLE.com')).toEqual([['103', '105'], true])
    expect(await idsOf("host=';drop table host;--")).toEqual([[], true])
    expect(await idsOf('state=present&limit=2')).toEqual([['101', '103'], false])
    expect(await idsOf('state=removed')).toEqual([[], true])
    expect((await call('/hosts?state=gone')).status).toBe(400)
    expect((await call('/hosts/4711')).status).toBe(404)
  })
})

test('a host tells its story: where it stands and why, its tags and findings, and who goes on as it', async ({
  db,
}) => {
  await withSynced(db, async ({ call, estate }, nextDay) => {
    provisionAgain(estate, '101', { id: '205' })
    await nextDay()
    const show = async (hostId: string) => {
      const { body } = await call<{ data: Host[] }>(`/hosts?host=${hostId}`)
      return (await call<HostReport>(`/hosts/${body.data[0]?.id}`)).body
    }
    const old = await show('101')
    const heir = await show('205')
    expect(old).toMatchObject({
      state: 'missing',
      why: expect.stringContaining('missing from 1 complete list') as string,
      tags: [{ name: 'Production' }],
      findings: [{ state: 'open', count: 1 }],
      doubts: [],
      links: [
        {
          relation: 'heir',
          kind: 'successor',
          hostId: '205',
          id: heir.id,
          evidenceKind: 'agent',
          evidenceValue: AGENT.qgHostId.replaceAll('-', ''),
          runId: '2',
          endedAt: null,
        },
      ],
      twins: [{ hostId: '205' }],
    })
    expect(old.events.map(({ kind, runId, otherHostId }) => [kind, runId, otherHostId])).toEqual([
      ['succeeded_by', '2', '205'],
      ['missing', '2', null],
      ['listed', '1', null],
    ])
    expect(heir.links).toMatchObject([{ relation: 'forebear', hostId: '101' }])
    const findings = await call<{ data: { id: string }[] }>('/findings?host=205')
    const finding = await call<Record<string, string>>(`/findings/${findings.body.data[0]?.id}`)
    expect(finding.body['firstFoundAt']! < finding.body['sourceFirstFoundAt']!).toBe(true)
  })
})
