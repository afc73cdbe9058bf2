import { adfProblem } from './adf-check.ts'
import { PERSON } from './defaults.ts'
import type { FakeIssue } from './types.ts'
import type { World } from './world.ts'

/** What people do in Jira's own screens, past the API and its limits. */
export class People {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** `change` is given a copy of the document and returns the new one. */
  editDescription(key: string, change: (description: unknown) => unknown): void {
    const issue = this.#world.require(key)
    const description = change(structuredClone(issue.description))
    if (description !== null && adfProblem(description) !== undefined)
      throw new Error(`The editor makes only valid documents: ${adfProblem(description)}`)
    this.#world.change(issue, { description })
  }

  editSummary(key: string, summary: string): void {
    this.#world.change(this.#world.require(key), { summary })
  }

  edit(key: string, changes: Partial<Pick<FakeIssue, 'priorityId' | 'dueDate' | 'assigneeId'>>): void {
    this.#world.change(this.#world.require(key), changes)
  }

  addLabel(key: string, label: string): void {
    const issue = this.#world.require(key)
    this.#world.change(issue, { labels: [...new Set([...issue.labels, label])] })
  }

  removeLabel(key: string, label: string): void {
    const issue = this.#world.require(key)
    this.#world.change(issue, { labels: issue.labels.filter((other) => other !== label) })
  }

  /** To any status of the type, by name, whatever the workflow says. */
  setStatus(key: string, name: string): void {
    const issue = this.#world.require(key)
    const status = this.#world.typeOf(issue).statuses.find((other) => other.name === name)
    if (status === undefined) throw new Error(`No status ${name}`)
    this.#world.change(issue, {
      statusId: status.id,
      resolutionId: status.category === 'done' ? '10000' : null,
    })
  }

  close(key: string): void {
    const issue = this.#world.require(key)
    const status = this.#world.typeOf(issue).statuses.find((other) => other.category === 'done')
    if (status !== undefined) this.setStatus(key, status.name)
  }

  comment(key: string, text: string): void {
    const issue = this.#world.require(key)
    const body = {
      version: 1,
      type: 'doc',
      content: [{ type: 'paragraph', content: [{ type: 'text', text }] }],
    }
    const comment = {
      id: this.#world.nextId(),
      authorId: PERSON.accountId,
      body,
      createdMs: this.#world.clock.nowMs(),
      properties: new Map(),
    }
    this.#world.change(issue, { comments: [...issue.comments, comment] })
  }

  /** To another project: the key changes, the id stays, the old key still leads here. */
  move(key: string, projectKey: string): FakeIssue {
    const issue = this.#world.require(key)
    const type = this.#world.project(projectKey)?.issueTypes[0]
    if (type === undefined) throw new Error(`No project ${projectKey}`)
    const moved = {
      projectKey,
      typeId: type.id,
      statusId: type.initial,
      key: this.#world.nextKey(projectKey),
    }
    return this.#world.change(issue, moved)
  }

  /** A copy has the labels and the text, but not the properties. */
  clone(key: string): FakeIssue {
    const { projectKey, typeId, summary, description, labels } = this.#world.require(key)
    const creatorId = PERSON.accountId
    return this.#world.add({
      projectKey,
      typeId,
      summary: `CLONE - ${summary}`,
      description,
      labels,
      creatorId,
    })
  }

  delete(key: string): void {
    this.#world.delete(this.#world.require(key))
  }
}
