import { OpenAPIHono, type z } from '@hono/zod-openapi'
import { HubError } from '../../model/errors.ts'
import { Problem } from '../resources.ts'

/** A part of the API. What does not fit a route's schema is refused in words, before its handler. */
export function newRoutes(): OpenAPIHono {
  return new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw badRequest(result.error)
    },
  })
}

function badRequest(error: z.core.$ZodError): HubError {
  const sentences = error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'The body'}: ${issue.message}.`)
  return new HubError('config', sentences.join(' '), {
    code: 'bad_request',
    hint: 'docs/openapi.json describes every route.',
  })
}

export function json<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** What every route may answer beside its own. */
export const PROBLEMS = {
  400: { description: 'Refused as it is.', content: { 'application/problem+json': { schema: Problem } } },
  404: {
    description: 'There is no such thing.',
    content: { 'application/problem+json': { schema: Problem } },
  },
} as const

export function toInstant(date: Date | null): string | null {
  return date === null ? null : date.toISOString()
}

export function notFound(what: string): HubError {
  return new HubError('not_found', `There is no ${what}.`)
}
