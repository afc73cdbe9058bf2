/** How a command ended. Documented, so scripts may rely on them. */
export const EXIT = {
  ok: 0,
  bug: 1,
  usage: 2,
  config: 3,
  partial: 4,
  farSide: 5,
  refused: 6,
  interrupted: 130,
} as const

export const EXIT_CODES: readonly { code: number; meaning: string }[] = [
  { code: EXIT.ok, meaning: 'All is well.' },
  { code: EXIT.bug, meaning: 'Patchbay itself failed; please report it.' },
  { code: EXIT.usage, meaning: 'The command was used wrongly, or names something that does not exist.' },
  {
    code: EXIT.config,
    meaning: 'A configuration or a login is wrong, or a check failed; a person has to act.',
  },
  { code: EXIT.partial, meaning: 'Finished in part: something is owed and listed as a gap.' },
  { code: EXIT.farSide, meaning: 'The far side or the database cannot be reached, or limits the calls.' },
  {
    code: EXIT.refused,
    meaning: 'Not possible now: something else is running, or it was done too short a time ago.',
  },
  { code: EXIT.interrupted, meaning: 'Interrupted.' },
]

/** By the kind of error, which the API and the program share. */
export function exitCodeOf(kind: string): number {
  switch (kind) {
    case 'config':
    case 'auth':
    case 'permission':
      return EXIT.config
    case 'rate_limit':
    case 'concurrency':
    case 'transient':
    case 'contract':
      return EXIT.farSide
    case 'not_found':
    case 'usage':
      return EXIT.usage
    case 'conflict':
      return EXIT.refused
    default:
      return EXIT.bug
  }
}

export function exitCodesText(): string {
  return EXIT_CODES.map(({ code, meaning }) => `${String(code).padStart(5)}  ${meaning}`).join('\n')
}
