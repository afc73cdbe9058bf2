import { readFile, readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = ['src', 'test', 'fakes']

/** What goes wrong with Qualys data, by number: a test that shows how Patchbay handles one begins with it ("T7: …"). */
export const TRAPS: readonly string[] = [
  'A detection is told apart by too little or too much, so that findings melt together or double.',
  'Type, severity, title or address stand in the key, so that a change of them looks like another finding.',
  'The same detection comes twice in one answer.',
  'A port or SSL flag that is absent is taken for 0 or false.',
  'Text that looks like a number is turned into one: 1e5, 007, account numbers.',
  'A machine has several ids, and a server with five interfaces is five hosts.',
  'Fixed detections are left out unless they are asked for.',
  'Ignored and disabled detections are left out unless they are asked for.',
  'Information gathered is left out unless it is asked for.',
  'A host without a matching detection is missing from the answer and is taken for gone.',
  'A filter on the running kernel makes findings vanish and appear without a change of status.',
  'A filter on superseded QIDs breaks what replaces what.',
  'Parameters that exclude each other fail when the call is made.',
  'A purged host is shown as open or fixed for ever; nothing says that it is gone.',
  'An agent that was purged comes back as a new host, and the age of its findings starts anew.',
  'An address is given to another machine, which inherits the findings of the one before.',
  'Two hosts are merged, and one id vanishes with its findings.',
  'A change of tag, role or permission hides hosts, and their findings are closed.',
  'Tags are told apart by name, so that names that differ in case fall together.',
  'A module or licence lapses, nothing new comes, and all looks calm.',
  'A host is offline, its scans grow old, and its findings are closed as obsolete.',
  'A scan without a login cannot test again, and what stays Active is taken for seen again.',
  'Fixed means "not found in the last test", so that findings flap, and tickets with them.',
  'New and Re-Opened are shown once and are missed between two pulls.',
  'A status that is missing or not known is taken for a fix.',
  'The delta asks by the date of the scan, and data that is processed late never comes.',
  'The next delta starts where the clock of this machine says, and a second is lost.',
  'Dates come in several forms, and a zone is guessed.',
  'The clock of an SLA starts when a finding was seen last, so that it always looks young.',
  'Dates contradict each other, and times to fix become negative.',
  'The time to fix counts purges and ignored findings, or melts several episodes into one.',
  'The knowledge base changes a finding without any new detection.',
  'A window on the knowledge base misses old QIDs that stand on hosts.',
  'The knowledge base answers one call at a time, and long lists of ids do not fit into a URL.',
  'A QID is disabled or retired, and its findings lose their description or stay owed for ever.',
  'Potential, Confirmed and information gathered are mixed or dropped.',
  'Scores drift from day to day and flood the history and the tickets.',
  'Only one CVE of a QID, or one QID of a CVE, is kept.',
  'One patch fixes many QIDs, and each of them gets a ticket.',
  'Due dates of known exploited vulnerabilities lie before their start, or entries are withdrawn.',
  'A page is counted in hosts, and one page can be a hundred megabytes.',
  'The URL of the next page leads to another host or carries other parameters.',
  'An error, a login page or nothing at all comes with status 200 and is taken for "no data".',
  'A stream ends early, and half a page is accepted.',
  'Characters that XML forbids break an answer or are dropped without a word.',
  'One element is read otherwise than a list of them, or an optional block is missing.',
  '409 means three things, and trying again at once makes two of them worse.',
  'Platforms have different names for API, gateway and user interface, and the wrong one is taken.',
  'A wrong password is tried until the account is locked.',
  'Lists of the gateway are capped, and their tail is lost.',
]

/** Traps of parts that are not there yet. Each leaves this list with the first test that names its number. */
export const NOT_YET: Readonly<Record<number, string>> = {
  40: 'feeds (KEV)',
  50: 'modules of the gateway',
}

export interface TrapTest {
  traps: readonly number[]
  name: string
  /** From the root of the repository. */
  path: string
}

/** A test or a group of tests is named by a literal that follows a bracket and is followed by a comma. */
const NAMED =
  /(?<call>[\w.]*)\(\s*(?<quote>['"`])(?<traps>T\d{1,2}(?:,? T\d{1,2})*): (?<name>(?:\\.|(?!\k<quote>).)+)\k<quote>,/gs
const NEVER_RUN = /\.(?:skip|todo)$/

/** The tests of a file that name traps, in the order in which they stand there. */
export function trapTestsOf(path: string, source: string): TrapTest[] {
  const tests: TrapTest[] = []
  for (const { groups } of source.matchAll(NAMED)) {
    if (groups === undefined || NEVER_RUN.test(groups['call'] ?? '')) continue
    const traps = groups['traps']!.split(/,? /).map((trap) => Number(trap.slice(1)))
    tests.push({ traps, name: readable(groups['name']!), path })
  }
  return tests
}

/** What is put in at run time is shown as an ellipsis. */
function readable(name: string): string {
  return name.replaceAll(/\$\{[^}]*\}|%[sdo]/g, '…').replaceAll(/\\(.)/g, '$1')
}

/** The tests of the whole repository that name traps, ordered by file. */
export async function findTrapTests(): Promise<TrapTest[]> {
  const tests: TrapTest[] = []
  for (const folder of FOLDERS) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })
    for (const entry of entries) {
      if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue
      const file = join(entry.parentPath, entry.name)
      tests.push(...trapTestsOf(relative(ROOT, file), await readFile(file, 'utf8')))
    }
  }
  return tests.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/** The table of `docs/traps.md`, without its head: one row for each test. */
export function trapRows(tests: readonly TrapTest[]): string[] {
  return TRAPS.flatMap((what, index) => {
    const number = index + 1
    const shown = tests.filter(({ traps }) => traps.includes(number))
    if (shown.length === 0) return [`| T${number} | ${what} | not yet: ${NOT_YET[number] ?? 'nothing'} | |`]
    return shown.map(({ name, path }, row) => {
      const head = row === 0 ? `T${number} | ${what}` : ' |'
      return `| ${head} | ${cell(name)} | [${path}](../${path}) |`
    })
  })
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}
