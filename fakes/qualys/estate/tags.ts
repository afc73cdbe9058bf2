import type { Tag } from './types.ts'

const FIRST_TAG_ID = 7_000_001

/** Tag ids by name, given out in the order in which names are first heard of; a removed tag keeps its id. */
export class TagRegistry {
  readonly #byName = new Map<string, Tag>()
  readonly #removed = new Set<string>()

  tag(nameOrTag: string | Tag): Tag {
    const name = typeof nameOrTag === 'string' ? nameOrTag : nameOrTag.name
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const tag =
      typeof nameOrTag === 'string' ? { id: String(FIRST_TAG_ID + this.#byName.size), name } : nameOrTag
    this.#byName.set(name, tag)
    return tag
  }

  remove(name: string): void {
    this.#removed.add(name)
  }

  get hasRemoved(): boolean {
    return this.#removed.size > 0
  }

  isRemoved(name: string): boolean {
    return this.#removed.has(name)
  }

  list(): Tag[] {
    return [...this.#byName.values()]
      .filter((tag) => !this.#removed.has(tag.name))
      .toSorted((a, b) => Number(a.id) - Number(b.id))
  }
}
