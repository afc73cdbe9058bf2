import type { Clock } from '../../src/lib/clock.ts'
import { DEFAULT_PRIORITY_ID, type PermissionKey } from './defaults.ts'
import { notFound } from './reply.ts'
import type { FakeIssue, FakeIssueLink, FakeIssueType, FakeProject, FakeStatus, FakeUser } from './types.ts'

interface Version {
  atMs: number
  /** Null: deleted. */
  issue: FakeIssue | null
}

export type NewIssue = Partial<Omit<FakeIssue, 'id' | 'key' | 'createdMs' | 'updatedMs' | 'statusId'>> &
  Pick<FakeIssue, 'projectKey' | 'typeId' | 'summary' | 'creatorId'>

/** What the fake Jira knows. All writing goes through `put`, so that search can lag behind. */
export class World {
  readonly clock: Clock
  readonly users: readonly FakeUser[]
  readonly projects: readonly FakeProject[]
  readonly links: FakeIssueLink[] = []
  searchLagMs: number
  readonly #issues = new Map<string, FakeIssue>()
  readonly #idByKey = new Map<string, string>()
  readonly #versions = new Map<string, Version[]>()
  readonly #denied = new Set<string>()
  readonly #keyCounters = new Map<string, number>()
  #nextId = 20_000

  constructor(options: {
    clock: Clock
    users: readonly FakeUser[]
    projects: readonly FakeProject[]
    searchLagMs: number
  }) {
    this.clock = options.clock
    this.users = options.users
    this.projects = options.projects
    this.searchLagMs = options.searchLagMs
  }

  nextId(): string {
    this.#nextId += 1
    return String(this.#nextId)
  }

  deny(projectKey: string, permission: PermissionKey, denied: boolean): void {
    if (denied) this.#denied.add(`${projectKey} ${permission}`)
    else this.#denied.delete(`${projectKey} ${permission}`)
  }

  may(projectKey: string, permission: PermissionKey): boolean {
    return !this.#denied.has(`${projectKey} ${permission}`)
  }

  project(keyOrId: string): FakeProject | undefined {
    return this.projects.find((project) => project.key === keyOrId.toUpperCase() || project.id === keyOrId)
  }

  typeOf(issue: FakeIssue): FakeIssueType {
    const type = this.project(issue.projectKey)?.issueTypes.find((other) => other.id === issue.typeId)
    if (type === undefined) throw new Error(`No issue type ${issue.typeId} in ${issue.projectKey}`)
    return type
  }

  statusOf(issue: FakeIssue): FakeStatus {
    const status = this.typeOf(issue).statuses.find((other) => other.id === issue.statusId)
    if (status === undefined) throw new Error(`No status ${issue.statusId}`)
    return status
  }

  /** By id, key, or a key from before a move; only what the account may browse. */
  find(idOrKey: string): FakeIssue | undefined {
    const issue =
      this.#issues.get(idOrKey) ?? this.#issues.get(this.#idByKey.get(idOrKey.toUpperCase()) ?? '')
    return issue !== undefined && this.may(issue.projectKey, 'BROWSE_PROJECTS') ? issue : undefined
  }

  require(idOrKey: string): FakeIssue {
    const issue = this.find(idOrKey)
    if (issue === undefined) throw notFound('Issue does not exist or you do not have permission to see it.')
    return issue
  }

  all(): FakeIssue[] {
    return [...this.#issues.values()]
  }

  /** Adds an issue as valid input describes it; its key is the next of its project. */
  add(fresh: NewIssue): FakeIssue {
    const nowMs = this.clock.nowMs()
    const issue: FakeIssue = {
      description: null,
      labels: [],
      priorityId: DEFAULT_PRIORITY_ID,
      dueDate: null,
      assigneeId: null,
      componentIds: [],
      resolutionId: null,
      custom: {},
      properties: new Map(),
      comments: [],
      remoteLinks: [],
      ...fresh,
      id: this.nextId(),
      key: this.nextKey(fresh.projectKey),
      statusId: '',
      createdMs: nowMs,
      updatedMs: nowMs,
    }
    return this.put({ ...issue, statusId: this.typeOf(issue).initial })
  }

  nextKey(projectKey: string): string {
    const number = (this.#keyCounters.get(projectKey) ?? 0) + 1
    this.#keyCounters.set(projectKey, number)
    return `${projectKey}-${number}`
  }

  put(issue: FakeIssue): FakeIssue {
    const stored = { ...issue, updatedMs: this.clock.nowMs() }
    this.#issues.set(issue.id, stored)
    this.#idByKey.set(issue.key, issue.id)
    this.#remember(issue.id, stored)
    return stored
  }

  change(issue: FakeIssue, changes: Partial<FakeIssue>): FakeIssue {
    return this.put({ ...issue, ...changes })
  }

  delete(issue: FakeIssue): void {
    this.#issues.delete(issue.id)
    this.#remember(issue.id, null)
  }

  /** What the search index holds by now: the newest version of each issue that is older than the lag. */
  indexed(): FakeIssue[] {
    const horizonMs = this.clock.nowMs() - this.searchLagMs
    const seen: FakeIssue[] = []
    for (const versions of this.#versions.values()) {
      const issue = versions.findLast((version) => version.atMs <= horizonMs)?.issue
      if (issue && this.may(issue.projectKey, 'BROWSE_PROJECTS')) seen.push(issue)
    }
    return seen
  }

  #remember(id: string, issue: FakeIssue | null): void {
    const nowMs = this.clock.nowMs()
    const versions = this.#versions.get(id) ?? []
    versions.push({ atMs: nowMs, issue })
    // Only the newest of those the index has passed is still needed.
    const passed = versions.findLastIndex((version) => version.atMs <= nowMs - this.searchLagMs)
    this.#versions.set(id, passed > 0 ? versions.slice(passed) : versions)
  }
}
