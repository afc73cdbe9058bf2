import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Database, SharedServer, ownDatabase } from './databases.ts'
import { differences } from './end-state.ts'
import { type Life, live } from './life.ts'

export interface Comparison {
  disturbed: Life
  undisturbed: Life
  /** Empty when the two cannot be told apart. */
  problems: string[]
}

interface ComparisonOptions {
  folder: string
  seed: number
  kills: number
  /** The hub starts its own database, and both die together. */
  isAlone: boolean
  say?: (line: string) => void
}

/** The same days twice: with kills, and in another database without any. */
export async function compareLives(options: ComparisonOptions): Promise<Comparison> {
  const { seed, kills, isAlone, say } = options
  const folders = {
    disturbed: join(options.folder, 'disturbed'),
    undisturbed: join(options.folder, 'undisturbed'),
  }
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true })
  const server = isAlone ? null : await SharedServer.start(options.folder)
  try {
    const databases = server && {
      disturbed: await server.createDatabase('disturbed'),
      undisturbed: await server.createDatabase('undisturbed'),
    }
    const live_ = (
      name: 'disturbed' | 'undisturbed',
      more: { kills: number; days?: number },
    ): Promise<Life> =>
      withDatabase(databases?.[name] ?? null, (database) =>
        live({ folder: folders[name], database, seed, isAlone, ...more, ...(say !== undefined && { say }) }),
      )
    const disturbed = await live_('disturbed', { kills })
    const undisturbed = await live_('undisturbed', { kills: 0, days: disturbed.days })
    const problems = [
      // A hub that brings its database ends with it.
      ...(isAlone ? [] : disturbed.lost),
      ...disturbed.failedStarts.filter((failure) => !NO_DATABASE.test(failure)),
      ...disturbed.end.violations,
      ...undisturbed.end.violations,
      ...differences(disturbed.end, undisturbed.end),
    ]
    return { disturbed, undisturbed, problems }
  } finally {
    await server?.stop()
  }
}

/** What a start says that finds no database, because it has just been killed. */
const NO_DATABASE =
  /^HubError: The database at \S+ (?:cannot be reached|takes no connections at the moment): /

async function withDatabase(
  shared: Database | null,
  use: (database: (home: string) => Database) => Promise<Life>,
): Promise<Life> {
  if (shared !== null) return use(() => shared)
  const owned: { stop(): Promise<void> }[] = []
  try {
    return await use((home) => {
      const database = ownDatabase(home)
      owned.push(database)
      return database
    })
  } finally {
    for (const database of owned) await database.stop()
  }
}
