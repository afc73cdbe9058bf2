import { HubError } from '../../model/errors.ts'

const DETAIL_CHARACTERS_MAX = 600

/** What the operating system, `initdb` or the server's log say, and the sentence for a person. First match wins. */
const KNOWN: { pattern: RegExp; says: string; hint: string }[] = [
  {
    pattern:
      /ENOSPC|EDQUOT|No space left on device|Disk quota exceeded|Check free disk space|wrote only \d+ of \d+ bytes|disk is full/,
    says: 'the disk is full',
    hint: 'Free space on that disk, or choose another data folder with PATCHBAY_HOME.',
  },
  {
    pattern: /EROFS|Read-only file system/,
    says: 'the file system is read-only',
    hint: 'Mount it writable, or choose another data folder with PATCHBAY_HOME.',
  },
  {
    pattern: /could not look up effective user ID/,
    says: 'the user that Patchbay runs as has no entry in /etc/passwd, which initdb wants',
    hint: 'Run Patchbay as a user with an entry there, or set DATABASE_URL.',
  },
  {
    pattern: /EACCES|EPERM|Permission denied|Operation not permitted/,
    says: 'the permission is missing',
    hint: 'Let the user that runs Patchbay own the folder, or choose another data folder with PATCHBAY_HOME.',
  },
  {
    pattern: /ENOTDIR|EEXIST|is not a directory/,
    says: 'there is a file where a folder is wanted',
    hint: 'Move the file away, or choose another data folder with PATCHBAY_HOME.',
  },
  {
    pattern: /EISDIR/,
    says: 'there is a folder where a file is wanted',
    hint: 'Move the folder away, or choose another data folder with PATCHBAY_HOME.',
  },
  {
    pattern: /could not map anonymous shared memory|Cannot allocate memory|out of memory/i,
    says: 'there is not enough memory',
    hint: 'Give the machine or the container at least 1 GiB of memory, or set DATABASE_URL.',
  },
  {
    pattern: /shared memory block .* is still in use/,
    says: 'processes of an earlier server still use its shared memory',
    hint: 'End the processes named "postgres: patchbay" and start again.',
  },
]

/** `doing` completes "Patchbay could not …"; `evidence` is an error or a program's output. */
export function embeddedFailure(doing: string, evidence: unknown): HubError {
  if (evidence instanceof HubError) return evidence
  const text = evidence instanceof Error ? evidence.message : String(evidence)
  const known = KNOWN.find(({ pattern }) => pattern.test(text))
  const detail = essence(text)
  const cause = evidence instanceof Error ? { cause: evidence } : {}
  if (known)
    return new HubError('config', `Patchbay could not ${doing}: ${known.says}.`, {
      hint: known.hint,
      ...cause,
    })
  return new HubError('config', `Patchbay could not ${doing}: ${detail || 'no reason was given'}`, {
    hint: 'See postgres.log in the data folder, or set DATABASE_URL to use a PostgreSQL of your own.',
    ...cause,
  })
}

/** Of a program's output, the lines that complain, without their time stamps; of anything else, the end. */
function essence(text: string): string {
  const lines = text.split('\n').map((line) => line.replace(/^[\d-]+ [\d:.]+ \w+ \[\d+\] /, '').trim())
  const complaining = lines.filter((line) =>
    /^(ERROR|FATAL|PANIC|LOG|HINT|DETAIL|initdb|postgres|ended)\b/.test(line),
  )
  return (complaining.length > 0 ? complaining : lines)
    .filter(Boolean)
    .join('; ')
    .slice(-DETAIL_CHARACTERS_MAX)
}
