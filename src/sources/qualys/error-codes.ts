import type { HubErrorKind } from '../../model/errors.ts'

export interface ErrorCodeRule {
  kind: HubErrorKind
  message: string
  hint: string
  /** When the far side says nothing else. */
  retryAfterMs?: number
}

const MINUTE_MS = 60_000
const ASK_API_USER =
  'Ask the Qualys administrator to open Users, check this user, and create a user for API access alone if needed.'
const BAD_REQUEST_HINT =
  'Patchbay asked for something this Qualys platform does not know. Check the API versions in the configuration and report it.'

const INTERNAL_ERROR: ErrorCodeRule = {
  kind: 'transient',
  message: 'Qualys had an internal error',
  hint: 'It is tried again; if it stays, open a case with Qualys support.',
  retryAfterMs: MINUTE_MS,
}

export const CONCURRENCY_LIMIT: ErrorCodeRule = {
  kind: 'concurrency',
  message: 'Too many calls to this API are running in the subscription',
  hint: 'It is tried again when one of them has ended; other integrations of the subscription count too.',
  retryAfterMs: 20_000,
}

export const RATE_LIMIT: ErrorCodeRule = {
  kind: 'rate_limit',
  message: 'The subscription has used up its calls to this API',
  hint: 'It is tried again when the limit allows it. Lower quotaSharePercent, or ask Qualys for a higher service level.',
  retryAfterMs: 60 * MINUTE_MS,
}

const STILL_WORKING: ErrorCodeRule = {
  kind: 'transient',
  message: 'Qualys is still working on this request',
  hint: 'The same request is sent again later.',
  retryAfterMs: 30_000,
}

export const BAD_CREDENTIALS: ErrorCodeRule = {
  kind: 'auth',
  message: 'Qualys refuses the user name or the password',
  hint:
    'Check both by logging in to the Qualys user interface, then enter them again. No further try is made, since ' +
    'repeated failures lock the account. If they are right, ask whether access is limited to certain IP addresses.',
}

const ACCOUNT_EXPIRED: ErrorCodeRule = {
  kind: 'auth',
  message: 'The Qualys account has expired',
  hint: 'Ask the Qualys administrator to renew the subscription or the user.',
}

export const NOT_AUTHORIZED: ErrorCodeRule = {
  kind: 'permission',
  message: 'The Qualys user may not use this application through the API',
  hint:
    'Ask the Qualys administrator to give this user API access and a role with the permissions of the module ' +
    '(the built-in Reader role is often not enough).',
}

/** Codes of SIMPLE_RETURN and GENERIC_RETURN. Source: Qualys API reference, error codes. */
export const ERROR_CODES: Readonly<Record<string, ErrorCodeRule>> = {
  '999': INTERNAL_ERROR,
  '1901': {
    kind: 'config',
    message: 'Qualys does not know a parameter of the request',
    hint: BAD_REQUEST_HINT,
  },
  '1902': { kind: 'config', message: 'Qualys refuses the request', hint: BAD_REQUEST_HINT },
  '1903': { kind: 'config', message: 'Qualys misses a parameter in the request', hint: BAD_REQUEST_HINT },
  '1904': {
    kind: 'config',
    message: 'Qualys accepts only one of the parameters of the request',
    hint: BAD_REQUEST_HINT,
  },
  '1905': { kind: 'config', message: 'Qualys refuses the value of a parameter', hint: BAD_REQUEST_HINT },
  '1906': { kind: 'config', message: 'Qualys refuses the request', hint: BAD_REQUEST_HINT },
  '1907': {
    kind: 'config',
    message: 'Qualys does not support this combination of parameters',
    hint: BAD_REQUEST_HINT,
  },
  '1908': { kind: 'config', message: 'Qualys wants another HTTP method', hint: BAD_REQUEST_HINT },
  '1920': {
    kind: 'conflict',
    message: 'Qualys refuses the request because of existing objects',
    hint: 'Look in Qualys for the object that the message names.',
  },
  '1922': { kind: 'config', message: 'Qualys misses one of several parameters', hint: BAD_REQUEST_HINT },
  '1960': CONCURRENCY_LIMIT,
  '1965': RATE_LIMIT,
  '1981': STILL_WORKING,
  '1999': {
    kind: 'transient',
    message: 'Qualys is down for scheduled maintenance',
    hint: 'It is tried again; status.qualys.com says how long it takes.',
    retryAfterMs: 10 * MINUTE_MS,
  },
  '2000': BAD_CREDENTIALS,
  '2001': ACCOUNT_EXPIRED,
  '2002': {
    kind: 'auth',
    message: 'The Qualys user is inactive',
    hint: 'Ask the Qualys administrator to activate this user under Users.',
  },
  '2003': {
    kind: 'auth',
    message: 'The registration of the Qualys user is not completed',
    hint: 'Log in to the Qualys user interface with this user once and accept the licence agreement (EULA).',
  },
  '2010': {
    kind: 'not_found',
    message: 'Qualys does not find what was asked for',
    hint: 'It may have been deleted.',
  },
  '2011': {
    kind: 'auth',
    message: 'The Qualys user has to log in with SecurID, which the API does not accept',
    hint: 'Ask the Qualys administrator for a user for API access alone, without SecurID.',
  },
  '2012': {
    kind: 'permission',
    message: 'The licence of the Qualys user does not cover this API',
    hint: 'Ask the Qualys administrator to tick "API access" for this user and to add the module to its licence and role.',
  },
}

/** `responseCode` of QPS. Source: Qualys API reference, QPS errors. */
export const QPS_CODES: Readonly<Record<string, ErrorCodeRule>> = {
  INVALID_CREDENTIALS: BAD_CREDENTIALS,
  UNAUTHORIZED: NOT_AUTHORIZED,
  EVALUATION_EXPIRED: ACCOUNT_EXPIRED,
  INVALID_REQUEST: { kind: 'config', message: 'Qualys refuses the request', hint: BAD_REQUEST_HINT },
  INVALID_XML: { kind: 'config', message: 'Qualys cannot read the request', hint: BAD_REQUEST_HINT },
  INVALID_URL: { kind: 'config', message: 'Qualys does not know this URL', hint: BAD_REQUEST_HINT },
  INVALID_API_VERSION: {
    kind: 'config',
    message: 'Qualys does not offer this API version',
    hint: BAD_REQUEST_HINT,
  },
  NOT_FOUND: {
    kind: 'not_found',
    message: 'Qualys does not find what was asked for',
    hint: 'It may have been deleted.',
  },
  IN_PROGRESS: STILL_WORKING,
  INTERNAL_ERROR: INTERNAL_ERROR,
  BLOCKED: {
    kind: 'permission',
    message: 'Qualys blocks this user or request',
    hint: ASK_API_USER,
  },
}
