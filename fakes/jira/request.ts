import type { z } from 'zod'

import { badRequest } from './reply.ts'
import type { FakeUser } from './types.ts'
import type { World } from './world.ts'

/** What a route is given; the body is JSON already, or undefined. */
export interface RouteInput {
  world: World
  user: FakeUser
  baseUrl: string
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  body: unknown
}

export function param(input: RouteInput, name: string): string {
  return input.params[name] ?? ''
}

/** The body in the shape asked for; what Jackson would not read is refused. */
export function readBody<Shape>(input: RouteInput, shape: z.ZodType<Shape>): Shape {
  const parsed = shape.safeParse(input.body)
  if (parsed.success) return parsed.data
  const where = parsed.error.issues[0]
  const path = where?.path.join('.') ?? ''
  throw badRequest({
    messages: [`Invalid request payload at "${path}": ${where?.message ?? 'not understood'}.`],
  })
}

export interface PageOf {
  startAt: number
  maxResults: number
}

export function readPage(
  input: RouteInput,
  { maxResults, limit }: { maxResults: number; limit: number },
): PageOf {
  const number = (name: string, fallback: number): number => {
    const given = input.query.get(name)
    if (given === null) return fallback
    if (!/^\d{1,9}$/u.test(given)) throw badRequest({ messages: [`${name} must be a number.`] })
    return Number(given)
  }
  return { startAt: number('startAt', 0), maxResults: Math.min(limit, number('maxResults', maxResults)) }
}

export function listQuery(input: RouteInput, name: string): string[] {
  return input.query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '')
}
