import { z } from 'zod'

import { parseCidrs } from '../../lib/http/addresses.ts'
import { HubError } from '../../model/errors.ts'
import { resolveBaseUrls } from './platforms.ts'

const NAME_CHARS_MAX = 200
const TEXT_CHARS_MAX = 2_000
const CREDENTIAL_CHARS_MAX = 512
const CIDRS_MAX = 64
const DAYS_MAX = 30

const version = z.string().regex(/^[1-9]\d?\.\d$/, 'is not a version such as 5.0')

/** The versions of the API paths; Qualys retires old ones and offers new ones first on some platforms. */
const ApiVersions = z
  .strictObject({ hld: version.default('5.0'), hostList: version.default('5.0'), kb: version.default('4.0') })
  .prefault({})

function text(charsMax: number) {
  return z.string('has to be a text').max(charsMax, `is longer than ${charsMax} characters`)
}

/** Kept sealed, never given out: the values of these fields. */
export const QUALYS_SECRET_FIELDS = ['password'] as const

/** The configuration of an integration `vaplugin/qualys`. Unknown fields are refused. */
export const QualysConfig = z
  .strictObject({
    name: text(NAME_CHARS_MAX).trim().min(1, 'is empty'),
    description: text(TEXT_CHARS_MAX).default(''),
    url: text(TEXT_CHARS_MAX).min(1, 'is empty'),
    gatewayUrl: text(TEXT_CHARS_MAX).optional(),
    username: text(CREDENTIAL_CHARS_MAX)
      .min(1, 'is empty')
      .refine((value) => !value.includes(':'), 'must not hold a colon'),
    password: text(CREDENTIAL_CHARS_MAX).min(1, 'is empty').meta({ secret: true }),
    /** A Qualys platform that the customer runs: its URL is not in the table of platforms. */
    privatePlatform: z.boolean('has to be true or false').default(false),
    /** Networks that are not public and may be connected to; only with `privatePlatform`. */
    allowedCidrs: z.array(z.string()).max(CIDRS_MAX, `lists more than ${CIDRS_MAX} networks`).default([]),
    autoSyncFrequency: z
      .int('has to be a whole number of days')
      .min(1, 'is less than 1 day')
      .max(DAYS_MAX, `is more than ${DAYS_MAX} days`)
      .default(1),
    quotaSharePercent: z
      .int('has to be a whole number')
      .min(1, 'is less than 1')
      .max(100, 'is more than 100')
      .default(60),
    showIgs: z.enum(['never', 'weekly', 'always'], 'has to be never, weekly or always').default('weekly'),
    showResults: z.boolean('has to be true or false').default(true),
    /** Of the knowledge base: what findings use, or all of it. */
    knowledge: z.enum(['used', 'all'], 'has to be used or all').default('used'),
    versions: ApiVersions,
  })
  .superRefine((config, context) => {
    const problem = cidrProblem(config)
    if (problem !== null) context.addIssue({ code: 'custom', path: ['allowedCidrs'], message: problem })
  })
export type QualysConfig = z.infer<typeof QualysConfig>

/**
 * Checks a configuration as it was entered, its URLs too.
 * @throws HubError `config` with one sentence for each field that is wrong; values are not repeated.
 */
export function parseQualysConfig(input: unknown): QualysConfig {
  const parsed = QualysConfig.safeParse(input, { reportInput: true })
  if (!parsed.success) {
    const sentences = parsed.error.issues.map(toSentence)
    throw new HubError('config', [...new Set(sentences)].join(' '), {
      code: 'bad_config',
      hint: 'Correct the fields named.',
    })
  }
  resolveBaseUrls(parsed.data.url, parsed.data)
  return parsed.data
}

function toSentence(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `Unknown fields: ${issue.keys.join(', ')}.`
  const field = issue.path.join('.')
  if (field === '') return 'The configuration is not an object.'
  const isMissing =
    issue.code === 'invalid_type' && issue.input === undefined && !field.startsWith('versions')
  return isMissing ? `The field "${field}" is missing.` : `The field "${field}" ${issue.message}.`
}

function cidrProblem(config: { allowedCidrs: readonly string[]; privatePlatform: boolean }): string | null {
  if (config.allowedCidrs.length > 0 && !config.privatePlatform)
    return 'is for private platforms only (set privatePlatform)'
  try {
    parseCidrs(config.allowedCidrs)
    return null
  } catch (error) {
    if (error instanceof RangeError) return 'holds something that is not a network such as 10.1.2.0/24'
    throw error
  }
}
