import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { API_USER, type PermissionKey, PERSON, PROJECT, RATE_LIMITS } from './defaults.ts'
import { Exchange } from './exchange.ts'
import { Faults } from './faults.ts'
import { Limiter } from './limits.ts'
import { People } from './people.ts'
import type { FakeIssue, FakeIssueLink, FakeJiraOptions, FakeStatus, LoggedRequest } from './types.ts'
import { World } from './world.ts'

/** What a test or the demo sees of one issue. */
export interface IssueView extends FakeIssue {
  status: FakeStatus
  /** The property `patchbay.ref`, if any. */
  ref: unknown
}

export interface FakeJira {
  url: string
  email: string
  apiToken: string
  /** All issues, oldest first. */
  issues(): IssueView[]
  issue(idOrKey: string): IssueView
  links(): readonly FakeIssueLink[]
  people: People
  faults: Faults
  requests: readonly LoggedRequest[]
  /** What the specifications say against a request or an answer; a test asserts that there is nothing. */
  violations: readonly string[]
  deny(permission: PermissionKey, options?: { projectKey?: string; denied?: boolean }): void
  setSearchLag(lagMs: number): void
  close: () => Promise<void>
}

/** A stateful Jira Cloud on the loopback interface, as strict as the real one. Speaks plain http. */
export async function startFakeJira(options: FakeJiraOptions): Promise<FakeJira> {
  const users = options.users ?? [API_USER, PERSON]
  const world = new World({
    clock: options.clock,
    users,
    projects: options.projects ?? [PROJECT],
    searchLagMs: options.searchLagMs ?? 0,
  })
  const faults = new Faults()
  const requests: LoggedRequest[] = []
  const violations: string[] = []
  const limiter = new Limiter(options.clock, { ...RATE_LIMITS, ...options.limits })
  const deps = { world, faults, limiter, requests, violations, validate: options.validate }
  const server = createServer((request, response) => answer(new Exchange(deps, request, response)))
  const url = await listen(server, options.port ?? 0)
  const view = (issue: FakeIssue): IssueView => ({
    ...issue,
    status: world.statusOf(issue),
    ref: issue.properties.get('patchbay.ref'),
  })
  const account = users.find((user) => user.apiToken !== undefined)
  return {
    url,
    email: account?.email ?? '',
    apiToken: account?.apiToken ?? '',
    issues: () => world.all().map(view),
    issue: (idOrKey) => view(world.require(idOrKey)),
    links: () => world.links,
    people: new People(world),
    faults,
    requests,
    violations,
    deny: (permission, { projectKey, denied } = {}) =>
      world.deny(projectKey ?? world.projects[0]?.key ?? '', permission, denied ?? true),
    setSearchLag: (lagMs) => {
      world.searchLagMs = lagMs
    },
    close: () => stop(server),
  }
}

function answer(exchange: Exchange): void {
  // A mistake of the fake itself must fail the test that met it, not hang it.
  exchange.run().catch((error: unknown) => exchange.crashed(error))
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function stop(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
