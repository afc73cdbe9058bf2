/** An escaped backslash (passed over), U+0000, or half a character: JSON can say the last two, PostgreSQL refuses them. */
const ESCAPES = /\\\\|\\u0000|\\ud[89a-f][0-9a-f]{2}/g

/** JSON that `jsonb` takes: what it could not keep is U+FFFD. */
export function toJsonbText(value: unknown): string {
  const text = JSON.stringify(value)
  if (!text.includes('\\')) return text
  return text.replaceAll(ESCAPES, (escape) => (escape === '\\\\' ? escape : '\\ufffd'))
}
