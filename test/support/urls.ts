/**
 * What the run's one database server is called by, shared by `global-setup.ts` and `database.ts`, which must not import
 * each other.
 */
declare module 'vitest' {
  interface ProvidedContext {
    /** A URL with the right to create databases; its own database is left alone. */
    databaseServerUrl: string
    /** The migrated database that each test's own one is a copy of. */
    templateDatabase: string
  }
}

/** The URL of another database on the same server. */
export function withDatabase(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${encodeURIComponent(database)}`
  return url.href
}
