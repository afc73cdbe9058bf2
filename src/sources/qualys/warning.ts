import { HubError } from '../../model/errors.ts'

/**
 * The `id_min` that the URL of a WARNING 1980 names. Nothing else of the URL is used, and it is never called: the own
 * request goes out again. A URL that points to another host, or that would not get further, is refused.
 */
export function warningNextId(
  url: string,
  expected: { ownHost: string; previousIdMin: string | null },
): string {
  const next = URL.canParse(url) ? new URL(url) : null
  if (next === null) throw refuse('The URL cannot be read.')
  if (next.host !== expected.ownHost)
    throw refuse(`It points to ${next.host} instead of ${expected.ownHost}.`)
  const values = next.searchParams.getAll('id_min')
  const idMin = values.length === 1 ? (values[0] ?? '') : ''
  if (!/^[1-9]\d{0,18}$/.test(idMin)) throw refuse('It holds no id_min.')
  if (expected.previousIdMin !== null && BigInt(idMin) <= BigInt(expected.previousIdMin)) {
    throw refuse(`Its id_min ${idMin} does not grow.`)
  }
  return idMin
}

function refuse(why: string): HubError {
  return new HubError('contract', `Qualys sends only a part and names no usable place to go on. ${why}`, {
    code: 'warning_url',
    hint: 'Nothing of this part is lost: it is asked for again. If it stays, look for a proxy that changes answers.',
  })
}
