import { expect } from 'vitest'
import { DAY_MS } from '../../fakes/qualys/estate/time.ts'
import { type TestApi, withApi } from '../../test/support/api.ts'
import { test } from '../../test/support/database.ts'
import { sync } from '../engine/sync.ts'
import type { Vulnerability, VulnerabilityReport } from './vulnerability-resources.ts'

const QID = '900001'
const HOSTILE = '<script>alert(1)</script>\u001b[31mred'
const ESTATE = {
  hosts: [
    { id: '101', detections: [{ qid: QID }, { qid: '999001' }] },
    { id: '102', detections: [{ qid: QID, status: 'Fixed' }] },
  ],
  kb: [
    {
      qid: QID,
      title: `Update ${HOSTILE}`,
      severity: 5,
      solution: `<P>Install it.<P><A HREF="javascript:alert(1)">here</A>${HOSTILE}`,
      vendorReferences: [
        { id: 'KB1', url: 'https://vendor.example.com/KB1' },
        { id: 'KB2', url: 'javascript:alert(1)' },
      ],
      cves: [{ id: 'CVE-2025-90001', url: 'https://cve.example.com/CVE-2025-90001' }],
    },
  ],
}

async function syncOnce(api: TestApi, integrationId: number): Promise<void> {
  const request = { integrationId: String(integrationId), trigger: 'manual', mode: 'full' } as const
  await sync(api.engine, request, new AbortController().signal)
}

async function addQualys(api: TestApi, name: string): Promise<number> {
  const body = { type: 'vaplugin', subtype: 'qualys', config: api.qualysConfig({ name }) }
  const saved = await api.call<{ data: { id: number } }>('/integrations', { body })
  return saved.body.data.id
}

test('T35: a QID is shown with its versions, references, CVEs and findings, and hostile text does no harm', async ({
  db,
}) => {
  await withApi({ pool: db, estate: ESTATE }, async (api) => {
    const first = await addQualys(api, 'one')
    await syncOnce(api, first)
    api.clock.advance(DAY_MS)
    api.estate.setKb({ ...ESTATE.kb[0]!, severity: 3, lastServiceModification: api.clock.nowMs() - 1_000 })
    await syncOnce(api, first)
    const { body, status } = await api.call<VulnerabilityReport>(`/vulnerabilities/${QID}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      qid: QID,
      isKnown: true,
      isDisabled: false,
      severity: 3,
      vendorSeverity: 3,
      patchKey: 'ref:KB1|KB2',
      missingSince: null,
      references: [
        { reference: 'KB1', url: 'https://vendor.example.com/KB1' },
        { reference: 'KB2', url: null },
      ],
      cves: [{ cve: 'CVE-2025-90001', url: 'https://cve.example.com/CVE-2025-90001' }],
      findings: [
        { state: 'fixed', count: 1 },
        { state: 'open', count: 1 },
      ],
    })
    expect(body.versions.map(({ number, changed, severity }) => ({ number, changed, severity }))).toEqual([
      { number: 2, changed: ['severity'], severity: 3 },
      { number: 1, changed: [], severity: 5 },
    ])
    expect(body.solution).toMatch(/^Install it\./)
    expect(body.solution).not.toMatch(/javascript:|<A/)
    expect(body.solution).not.toContain('\u001b')

    // The one that the knowledge base does not know.
    const missing = await api.call<{ data: Vulnerability[] }>('/vulnerabilities?missing=true')
    expect(
      missing.body.data.map(({ qid, isKnown, missingTries }) => ({ qid, isKnown, missingTries })),
    ).toEqual([{ qid: '999001', isKnown: false, missingTries: 2 }])
    expect((await api.call('/vulnerabilities/4711')).status).toBe(404)
    expect((await api.call('/vulnerabilities/abc')).status).toBe(400)
    const page = await api.call<{ data: Vulnerability[]; next: string | null }>('/vulnerabilities?limit=1')
    expect(page.body.next).toBe(`${first}-${QID}`)
    const rest = await api.call<{ data: Vulnerability[] }>(`/vulnerabilities?limit=1&after=${page.body.next}`)
    expect(rest.body.data.map(({ qid }) => qid)).toEqual(['999001'])

    // Where two integrations know a QID, which one is meant has to be said.
    const second = await addQualys(api, 'two')
    await syncOnce(api, second)
    const refused = await api.call<{ detail: string }>(`/vulnerabilities/${QID}`)
    expect([refused.status, refused.body.detail]).toEqual([
      400,
      `Several integrations know the QID ${QID}: ${first}, ${second}.`,
    ])
    const said = await api.call<VulnerabilityReport>(`/vulnerabilities/${QID}?integrationId=${second}`)
    expect(said.body.versions).toHaveLength(1)
  })
})
