import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { htmlToBlocks } from '../../engine/tickets/kb-html.ts'
import type { FINDING_STATES } from '../../model/finding.ts'
import { cutBlocks, safeHref } from '../../model/blocks.ts'
import { blocksToText } from '../../model/blocks-text.ts'
import { HubError } from '../../model/errors.ts'
import {
  type VulnerabilityDetail,
  type VulnerabilityRow,
  countFindingsByState,
  getVulnerabilities,
  listCvesOf,
  listReferencesOf,
  listVulnerabilities,
} from '../../store/queries/vulnerability-list.ts'
import { type VulnerabilityVersion, listVersionsOf } from '../../store/queries/vulnerability-versions.ts'
import type { ApiDeps } from '../deps.ts'
import { Id, PageQuery, pageOf, toPage } from '../paging.ts'
import { Vulnerability, VulnerabilityReport } from '../vulnerability-resources.ts'
import { PROBLEMS, json, newRoutes, notFound, toInstant } from './shared.ts'

const VERSIONS_SHOWN_MAX = 100
const REFERENCES_SHOWN_MAX = 200
const CVES_SHOWN_MAX = 500
const SOLUTION_CHARS_MAX = 8_000
/** Enough to say which integrations know a QID. */
const INTEGRATIONS_MAX = 20

const listRoute = createRoute({
  method: 'get',
  path: '/vulnerabilities',
  operationId: 'listVulnerabilities',
  summary: 'What is kept of the knowledge base, by QID',
  request: {
    query: PageQuery.extend({
      after: z
        .string()
        .regex(/^[1-9]\d{0,17}-[1-9]\d{0,17}$/, 'is not the end of a page')
        .optional(),
      integrationId: Id.optional(),
      missing: z
        .enum(['true', 'false'])
        .default('false')
        .openapi({ description: 'Only those that the knowledge base was asked for in vain.' }),
    }),
  },
  responses: { 200: json(pageOf(Vulnerability), 'A page of vulnerabilities.'), ...PROBLEMS },
})

const getRoute = createRoute({
  method: 'get',
  path: '/vulnerabilities/{qid}',
  operationId: 'getVulnerability',
  summary: 'A QID with its versions, its references, its CVEs and the number of its findings',
  request: {
    params: z.object({ qid: z.string().regex(/^[1-9]\d{0,17}$/, 'is not a QID') }),
    query: z.object({
      integrationId: Id.optional().openapi({
        description: 'Needed where several integrations know the QID.',
      }),
    }),
  },
  responses: { 200: json(VulnerabilityReport, 'The vulnerability.'), ...PROBLEMS },
})

export function vulnerabilityRoutes({ pool }: ApiDeps): OpenAPIHono {
  const app = newRoutes()
  app.openapi(listRoute, async (context) => {
    const { limit, after, integrationId, missing } = context.req.valid('query')
    const [afterIntegrationId = '0', afterQid = '0'] = after?.split('-') ?? []
    const page = { after: { integrationId: afterIntegrationId, qid: afterQid }, limit: limit + 1 }
    const rows = await listVulnerabilities(pool, { integrationId, onlyMissing: missing === 'true' }, page)
    const cursor = (row: VulnerabilityRow) => `${row.integrationId}-${row.qid}`
    return context.json(toPage(rows, limit, { item: toVulnerability, cursor }), 200)
  })
  app.openapi(getRoute, async (context) => {
    const { qid } = context.req.valid('param')
    const row = theOnly(
      qid,
      await getVulnerabilities(pool, { qid, ...context.req.valid('query') }, INTEGRATIONS_MAX),
    )
    const key = { integrationId: row.integrationId, qid }
    const references = await listReferencesOf(pool, key, REFERENCES_SHOWN_MAX)
    const cves = await listCvesOf(pool, key, CVES_SHOWN_MAX)
    const report = {
      ...toDetail(row),
      references: references.map(({ reference, url }) => ({ reference, url: toUrl(url) })),
      cves: cves.map(({ cve, url }) => ({ cve, url: toUrl(url) })),
      findings: await countFindingsByState(pool, key),
      versions: (await listVersionsOf(pool, key, VERSIONS_SHOWN_MAX)).map(toVersion),
    }
    return context.json({ ...report, findings: report.findings.map(toCount) }, 200)
  })
  return app
}

function theOnly(qid: string, rows: readonly VulnerabilityDetail[]): VulnerabilityDetail {
  const [row, ...others] = rows
  if (row === undefined) throw notFound(`vulnerability with the QID ${qid}`)
  if (others.length === 0) return row
  const ids = rows.map(({ integrationId }) => integrationId).join(', ')
  throw new HubError('config', `Several integrations know the QID ${qid}: ${ids}.`, {
    code: 'ambiguous',
    hint: 'Say which one: integrationId, or --integration on the command line.',
  })
}

function toVulnerability(row: VulnerabilityRow): Vulnerability {
  const { integrationId, qid, isKnown, title, type, severity, patchable, isDisabled, missingTries } = row
  return {
    integrationId,
    qid,
    isKnown,
    title,
    type,
    severity,
    patchable,
    isDisabled,
    missingTries,
    missingSince: toInstant(row.missingSince),
    nextTryAt: toInstant(row.nextTryAt),
  }
}

type Detail = Omit<VulnerabilityReport, 'references' | 'cves' | 'findings' | 'versions'>

function toDetail(row: VulnerabilityDetail): Detail {
  const { category, vendorSeverity, customizedBy, patchKey, cvssV2, cvssV3, solutionHtml } = row
  return {
    ...toVulnerability(row),
    category,
    vendorSeverity,
    customizedBy,
    patchKey,
    cvssV2,
    cvssV3,
    customizedAt: toInstant(row.customizedAt),
    publishedAt: toInstant(row.publishedAt),
    lastModifiedAt: toInstant(row.lastModifiedAt),
    patchPublishedAt: toInstant(row.patchPublishedAt),
    fetchedAt: row.fetchedAt.toISOString(),
    solution: solutionHtml === null ? null : toText(solutionHtml),
  }
}

/** Markup is not given on: what the vendor wrote is hostile text. */
function toText(html: string): string {
  return blocksToText(cutBlocks(htmlToBlocks(html), SOLUTION_CHARS_MAX).blocks)
}

function toUrl(url: string | null): string | null {
  return url === null ? null : (safeHref(url) ?? null)
}

function toCount({
  state,
  count,
}: {
  state: string
  count: number
}): VulnerabilityReport['findings'][number] {
  return { state: state as (typeof FINDING_STATES)[number], count }
}

function toVersion(row: VulnerabilityVersion): VulnerabilityReport['versions'][number] {
  const {
    number,
    runId,
    changed,
    severity,
    isCustomized,
    type,
    title,
    patchable,
    patchKey,
    vendorReferences,
  } = row
  return {
    number,
    runId,
    changed,
    severity,
    isCustomized,
    type,
    title,
    patchable,
    patchKey,
    isDisabled: row.disabled,
    references: vendorReferences.slice(0, REFERENCES_SHOWN_MAX),
    cves: row.cves.slice(0, CVES_SHOWN_MAX),
    seenAt: row.seenAt.toISOString(),
    modifiedAt: toInstant(row.modifiedAt),
  }
}
