import type { Call, Endpoint } from '../call.ts'
import { isoSeconds } from '../estate/time.ts'
import { ACTIVITY_LOG_RULES } from '../param-rules.ts'
import { parseParams } from '../params.ts'
import type { Params } from '../params.ts'
import { serviceResponse } from '../render/returns.ts'
import { chunk, escapeXml } from '../render/xml.ts'
import type { Chunk } from '../render/xml.ts'

const VERSIONS = { web: '10.38.2.0-1', scanner: '14.2.41-1', signatures: '2.6.502-2' }

export const about: Endpoint = {
  name: 'about',
  family: 'msp',
  pattern: /^\/msp\/about\.php$/,
  methods: ['GET', 'POST'],
  answer: (call) => {
    const now = isoSeconds(call.clock.nowMs())
    const user = escapeXml(call.user.username)
    return {
      status: 200,
      contentType: 'text/xml',
      chunks: [
        chunk('prolog', '<?xml version="1.0" encoding="UTF-8" ?>\n'),
        chunk('doctype', `<!DOCTYPE ABOUT SYSTEM "${call.baseUrl}/about.dtd">\n`),
        chunk(
          'text',
          `<ABOUT>\n  <API-VERSION MAJOR="1" MINOR="4" />\n  <WEB-VERSION>${VERSIONS.web}</WEB-VERSION>\n` +
            `  <SCANNER-VERSION>${VERSIONS.scanner}</SCANNER-VERSION>\n` +
            `  <VULNSIGS-VERSION>${VERSIONS.signatures}</VULNSIGS-VERSION>\n</ABOUT>\n` +
            `<!-- Generated for username="${user}" date="${now}" -->\n`,
        ),
      ],
    }
  },
}

export const portalVersion: Endpoint = {
  name: 'portal-version',
  family: 'qps',
  pattern: /^\/qps\/rest\/portal\/version\/?$/,
  methods: ['GET'],
  answer: (call) => {
    const modules = ['PortalApplication', 'QWEB__VM', 'ITAM', 'WAS', 'CS', 'CA', 'FIM', 'PM']
    const lines = modules
      .map((module) => `      <${module}-VERSION>3.22.0.0-1</${module}-VERSION>\n`)
      .join('')
    const body =
      `  <count>1</count>\n  <data>\n    <Portal-Version>\n${lines}    </Portal-Version>\n    <QWeb-Version>\n` +
      `      <WEB-VERSION>${VERSIONS.web}</WEB-VERSION>\n      <SCANNER-VERSION>${VERSIONS.scanner}</SCANNER-VERSION>\n` +
      `      <VULNSIGS-VERSION>${VERSIONS.signatures}</VULNSIGS-VERSION>\n    </QWeb-Version>\n  </data>\n`
    return {
      status: 200,
      contentType: 'application/xml',
      chunks: serviceResponse({ baseUrl: call.baseUrl, xsd: 'version', responseCode: 'SUCCESS', body }),
    }
  },
}

/** Pages go backwards in time, by `id_max`; a truncated one is wrapped in sections and says so in its footer. */
export const activityLog: Endpoint = {
  name: 'activity-log',
  family: 'fo',
  pattern: /^\/api\/(\d\.\d)\/fo\/activity_log\/?$/,
  versions: ['2.0'],
  methods: ['GET', 'POST'],
  answer: (call) => {
    const params = parseParams(call.pairs, ACTIVITY_LOG_RULES)
    return { status: 200, contentType: 'text/csv', chunks: activityBody(call, params) }
  },
}

const ACTIVITIES_MAX = 20

function activityBody(call: Call, params: Params): Chunk[] {
  const limit = params.number('truncation_limit') ?? 1000
  const idMax = params.number('id_max') ?? ACTIVITIES_MAX
  const rows: string[] = []
  for (let id = idMax; id > 0 && (limit === 0 || rows.length < limit); id--) {
    const at = isoSeconds(call.clock.nowMs() - (ACTIVITIES_MAX - id) * 3_600_000)
    rows.push(
      `"${at}","login","auth","user_logged in","${call.user.username}","${call.user.role}","192.0.2.10"`,
    )
  }
  const header = '"Date","Action","Module","Details","User Name","User Role","User IP"'
  const body = `----BEGIN_RESPONSE_BODY_CSV\n${[header, ...rows].join('\n')}\n----END_RESPONSE_BODY_CSV\n`
  const nextId = idMax - rows.length
  if (nextId <= 0) return [chunk('text', body)]
  const query = new URLSearchParams(params.entries().filter(([name]) => name !== 'id_max'))
  query.set('id_max', String(nextId))
  const url = `${call.baseUrl}${call.path}?${query.toString()}`
  const text = `${limit} record limit exceeded. Use URL to get next batch of results.`
  const footer = `----BEGIN_RESPONSE_FOOTER_CSV\nWARNING\n"CODE","TEXT","URL"\n"1980","${text}","${url}"\n----END_RESPONSE_FOOTER_CSV\n`
  return [chunk('text', body + footer)]
}
