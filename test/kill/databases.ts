import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { systemClock } from '../../src/lib/clock.ts'
import { DATABASE_USER, SOCKET_PORT } from '../../src/store/embedded/cluster.ts'
import { stopServer } from '../../src/store/embedded/running-server.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../../src/store/embedded/server.ts'
import { withDatabase } from '../support/urls.ts'

/** Where a life has its database, seen from outside. */
export interface Database {
  /** What a process is told, named so that its connections are known; undefined when its hub brings its own. */
  urlFor(pid: number): string | undefined
  clientConfig(): Promise<pg.ClientConfig>
  killPostmaster(): Promise<void>
  /** After its postmaster was killed. */
  restart(): Promise<void>
}

/** One PostgreSQL for several lives, each in a database of its own; it stays when hubs are killed. */
export class SharedServer {
  readonly #folder: string
  #server: EmbeddedServer

  private constructor(folder: string, server: EmbeddedServer) {
    this.#folder = folder
    this.#server = server
  }

  static async start(folder: string): Promise<SharedServer> {
    return new SharedServer(folder, await start(folder))
  }

  async createDatabase(name: string): Promise<Database> {
    const client = new pg.Client(this.#server.clientConfig)
    await client.connect()
    await client.query(`create database ${name}`)
    await client.end()
    return {
      urlFor: (pid) => {
        const url = new URL(withDatabase(this.#server.connectionString, name))
        url.searchParams.set('application_name', `process ${pid}`)
        return url.href
      },
      clientConfig: async () => ({ ...this.#server.clientConfig, database: name }),
      killPostmaster: async () => {
        process.kill(this.#server.pid, 'SIGKILL')
        await this.#server.ended
      },
      restart: async () => {
        await this.#server.stop()
        this.#server = await start(this.#folder)
      },
    }
  }

  stop(): Promise<void> {
    return this.#server.stop()
  }
}

function start(folder: string): Promise<EmbeddedServer> {
  const log = { info: () => undefined }
  return startEmbeddedServer({ dataFolder: join(folder, 'shared'), log, unsafeNoFsync: true })
}

/** The database that the hub on this data folder starts, restarts and stops by itself. */
export function ownDatabase(home: string): Database & { stop(): Promise<void> } {
  const cluster = join(home, 'postgres')
  return {
    urlFor: () => undefined,
    clientConfig: async () => ({
      host: cluster,
      port: SOCKET_PORT,
      user: DATABASE_USER,
      password: (await readFile(join(home, 'postgres.password'), 'utf8')).trim(),
      database: 'patchbay',
    }),
    killPostmaster: async () => {
      const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')
      const pid = Number(/^\d+/.exec(text)?.[0])
      // The file outlives its server, and then names nobody, or somebody else.
      const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '')
      if (folder === cluster) process.kill(pid, 'SIGKILL')
    },
    restart: async () => undefined,
    stop: () => stopServer(cluster, systemClock),
  }
}
