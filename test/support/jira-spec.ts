import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { Ajv, type ValidateFunction } from 'ajv'
import AjvDraft04 from 'ajv-draft-04'

import type { ExchangeValidator } from '../../fakes/jira/types.ts'

/** The folder of the vendors' specifications; tests that need it are skipped, and say so, when it is not given. */
export const SPECS_DIR = process.env['PATCHBAY_SPECS']

/** Documented by Atlassian, but not part of the subset at hand. */
const BESIDE_THE_SUBSET = new Set([
  'POST /rest/api/3/comment/list',
  'POST /rest/api/3/search',
  'GET /rest/api/3/search',
])
/** Answers of the edge or of the limiter, which the specification gives no shape for. */
const UNSPECIFIED_STATUSES = new Set([404, 410, 415, 429, 503])
const PROBLEMS_MAX = 3

type Json = Record<string, unknown>

export interface JiraSpec extends ExchangeValidator {
  /** What the schema of the Atlassian Document Format says against a document. */
  adf(doc: unknown): string[]
}

let built: JiraSpec | undefined

/** Built once: compiling the specification takes seconds. Undefined when no specifications were given. */
export function jiraSpec(): JiraSpec | undefined {
  if (SPECS_DIR === undefined || SPECS_DIR === '') return undefined
  built ??= build(SPECS_DIR)
  return built
}

function build(dir: string): JiraSpec {
  const spec = readJson(join(dir, 'jira-cloud-v3-subset.json'))
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: false })
  ajv.addSchema(spec, 'jira')
  const adf = compileAdf(readJson(join(dir, 'adf-json-schema-v1-full.json')))
  const compiled = new Map<string, ValidateFunction | undefined>()
  const schemaAt = (pointer: readonly string[]): ValidateFunction | undefined => {
    const ref = `jira#/${pointer.map(escaped).join('/')}`
    if (!compiled.has(ref))
      compiled.set(ref, at(spec, pointer) === undefined ? undefined : ajv.compile({ $ref: ref }))
    return compiled.get(ref)
  }
  return {
    adf: (doc) => problems(adf, doc),
    request({ method, template, query, body }) {
      if (BESIDE_THE_SUBSET.has(`${method} ${template}`))
        return richTexts(body).flatMap((doc) => problems(adf, doc))
      const base = ['paths', template, method.toLowerCase()]
      const operation = at(spec, base)
      if (operation === undefined) return ['has no such operation in the specification']
      const validate = schemaAt([...base, 'requestBody', 'content', 'application/json', 'schema'])
      return [
        ...unknownParameters(operation, query),
        ...(validate === undefined || body === undefined ? [] : problems(validate, body)),
        ...richTexts(body).flatMap((doc) => problems(adf, doc)),
      ]
    },
    response({ method, template, status, body }) {
      if (BESIDE_THE_SUBSET.has(`${method} ${template}`)) return []
      const base = ['paths', template, method.toLowerCase(), 'responses', String(status)]
      if (at(spec, base) === undefined)
        return UNSPECIFIED_STATUSES.has(status) ? [] : ['has a status that is not specified']
      const validate = schemaAt([...base, 'content', 'application/json', 'schema'])
      return validate === undefined || body === undefined ? [] : problems(validate, body)
    },
  }
}

function compileAdf(schema: Json): ValidateFunction {
  // The package is CommonJS: what Node calls its default may be the module or the class.
  const given = AjvDraft04 as unknown as { default?: typeof AjvDraft04.default }
  const Draft04 = given.default ?? (AjvDraft04 as unknown as typeof AjvDraft04.default)
  return new Draft04({ strict: false }).compile(schema)
}

function problems(validate: ValidateFunction, value: unknown): string[] {
  if (validate(value)) return []
  return (validate.errors ?? [])
    .slice(0, PROBLEMS_MAX)
    .map((error) => `${error.instancePath || '/'} ${error.message ?? ''} ${JSON.stringify(error.params)}`)
}

function unknownParameters(operation: Json, query: URLSearchParams): string[] {
  const parameters = (operation['parameters'] ?? []) as { name: string; in: string }[]
  const known = new Set(parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name))
  return [...new Set(query.keys())]
    .filter((name) => !known.has(name))
    .map((name) => `has an unknown parameter ${name}`)
}

/** Every document in a request, wherever it stands; a description that is no document is a finding of its own. */
function richTexts(body: unknown): unknown[] {
  if (typeof body !== 'object' || body === null) return []
  const found: unknown[] = []
  for (const [key, value] of Object.entries(body)) {
    const isText = key === 'description' || (key === 'body' && !Array.isArray(body))
    if (isText && value !== null) found.push(value)
    else found.push(...richTexts(value))
  }
  return found
}

function at(spec: Json, pointer: readonly string[]): Json | undefined {
  let value: unknown = spec
  for (const part of pointer)
    value = typeof value === 'object' && value !== null ? (value as Json)[part] : undefined
  return value as Json | undefined
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))
}

function readJson(path: string): Json {
  return JSON.parse(readFileSync(path, 'utf8')) as Json
}
