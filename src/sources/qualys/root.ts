/** What the first bytes of a body are, as far as they tell. */
export type BodyStart =
  | { kind: 'more' }
  | { kind: 'root'; name: string }
  | { kind: 'html' }
  | { kind: 'json' }
  | { kind: 'empty' }
  | { kind: 'other' }

/** `<!DOCTYPE html` and a little space. */
const DECLARATION_CHARS = 20
const NAME = /^[A-Za-z_:][\w:.-]{0,127}/

/**
 * Finds the root element of a body from its first bytes (as latin1 text): past a byte order mark, white space, comments,
 * processing instructions, a DOCTYPE, and junk before the first `<`. `isComplete` says that there are no more bytes.
 */
export function findRoot(text: string, isComplete: boolean): BodyStart {
  const start = text.search(/[^\s\u00EF\u00BB\u00BF]/)
  if (start === -1) return isComplete ? { kind: 'empty' } : { kind: 'more' }
  if (text[start] === '{' || text[start] === '[') return { kind: 'json' }
  let position = text.indexOf('<', start)
  while (position !== -1) {
    const next = skipMarkup(text, position)
    if (next === 'html') return { kind: 'html' }
    if (next === 'element') return readName(text, position, isComplete)
    if (next === -1) break
    position = text.indexOf('<', next)
  }
  return isComplete ? { kind: 'other' } : { kind: 'more' }
}

/** Where the comment, instruction or DOCTYPE at `position` ends; -1 when it does not end yet. */
function skipMarkup(text: string, position: number): number | 'element' | 'html' {
  if (text.startsWith('<!--', position)) return after(text, '-->', position + 4)
  if (text.startsWith('<?', position)) return after(text, '?>', position + 2)
  if (/^<!doctype\s+html/i.test(text.slice(position, position + 2 * DECLARATION_CHARS))) return 'html'
  if (text.startsWith('<!DOCTYPE', position)) return skipDoctype(text, position)
  const isTooShortToTell = text.length - position < DECLARATION_CHARS && text.startsWith('<!', position)
  if (isTooShortToTell || position + 1 === text.length) return -1
  return 'element'
}

function skipDoctype(text: string, position: number): number {
  const simple = /^[^>["']*(?:"[^"]*"[^>["']*|'[^']*'[^>["']*)*>/.exec(text.slice(position))
  if (simple !== null) return position + simple[0].length
  // Its internal subset is not read here; whoever parses the body decides about it.
  return after(text, ']', position)
}

function readName(text: string, position: number, isComplete: boolean): BodyStart {
  const name = NAME.exec(text.slice(position + 1))?.[0]
  if (name === undefined)
    return isComplete || position + 1 < text.length ? { kind: 'other' } : { kind: 'more' }
  const isWhole = position + 1 + name.length < text.length
  if (!isWhole) return isComplete ? { kind: 'other' } : { kind: 'more' }
  return name.toLowerCase() === 'html' ? { kind: 'html' } : { kind: 'root', name }
}

function after(text: string, end: string, from: number): number {
  const found = text.indexOf(end, from)
  return found === -1 ? -1 : found + end.length
}
