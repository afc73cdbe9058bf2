import { HubError, isHubError } from '../model/errors.ts'

/** A failure after which nothing of this integration may be asked any more: repeated, it could lock the account. */
export function stopsTheRun(error: unknown): error is HubError {
  return isHubError(error, 'auth') || isHubError(error, 'permission') || isHubError(error, 'config')
}

/** What a run that failed says: what happened and what to do. */
export function failureSentence(error: unknown): string {
  if (!(error instanceof HubError)) return `Patchbay failed (a bug): ${String(error)}`
  return error.hint === undefined ? error.message : `${error.message} ${error.hint}`
}
