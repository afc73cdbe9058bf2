const ID_CHARS_MAX = 40

/** An id as part of a gap's key: what came in its place may be any text, and a key must stay short. */
export function shortId(id: string | null): string {
  return id === null || id === '' ? 'unknown' : id.slice(0, ID_CHARS_MAX)
}

/** What stands for the description of a host, as another module than that of its findings brings it. */
export function descriptionKey(hostId: string | null): string {
  return `host ${shortId(hostId)}, description`
}

/** A gap by kind and key, as the queries that keep some gaps compare it. */
export function gapName(gap: { kind: string; key: string }): string {
  return `${gap.kind} ${gap.key}`
}
