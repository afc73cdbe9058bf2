import { HubError } from '../../model/errors.ts'
import { FIND_LABELS_MAX, HASH_LABEL, TICKET_LABEL } from '../../model/ticket-destination.ts'

/** All JQL that Patchbay sends: two fixed templates. Values are checked, then quoted. */

export function ticketsByHashLabel(projectKey: string, hashLabels: readonly string[]): string {
  if (hashLabels.length === 0 || hashLabels.length > FIND_LABELS_MAX)
    throw new HubError('contract', `Between 1 and ${FIND_LABELS_MAX} labels can be searched for at once.`)
  if (!hashLabels.every((label) => HASH_LABEL.test(label)))
    throw new HubError('contract', 'A label to search for is not one that Patchbay makes.')
  return `project = ${quoted(projectKey)} AND labels in (${hashLabels.map(quoted).join(', ')}) ORDER BY created ASC`
}

export function allTickets(projectKey: string): string {
  return `project = ${quoted(projectKey)} AND labels = ${quoted(TICKET_LABEL)} ORDER BY created ASC`
}

export function quoted(value: string): string {
  return `"${value.replaceAll(/[\\"]/gu, String.raw`\$&`)}"`
}
