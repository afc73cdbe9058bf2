import { HubError } from '../../model/errors.ts'
import { DATABASE_USER, SOCKET_PORT } from './cluster.ts'
import { exists, openDataFolder, readPassword } from './data-folder.ts'
import { type SocketFolder, reachableSocketFolder } from './socket-folder.ts'

export const DATABASE_NAME = 'patchbay'

/** With every setting that the driver would take from the environment (`PG*`) where it is told none, or an empty one. */
export interface EmbeddedClientConfig {
  host: string
  port: number
  user: string
  password: string
  database: string
  ssl: false
  sslnegotiation: 'postgres'
  options: string
  client_encoding: string
  replication: string
}

export function clientConfigOf(socketFolder: string, password: string): EmbeddedClientConfig {
  return {
    host: socketFolder,
    port: SOCKET_PORT,
    user: DATABASE_USER,
    password,
    database: DATABASE_NAME,
    ssl: false,
    sslnegotiation: 'postgres',
    options: ' ',
    client_encoding: 'UTF8',
    replication: 'false',
  }
}

/** @throws HubError `not_found` when no embedded database was ever made in this data folder. */
export async function requireCluster(dataFolder: string): Promise<void> {
  const { cluster, root } = await openDataFolder(dataFolder)
  if (await exists(cluster)) return
  throw new HubError('not_found', `There is no database in the data folder ${root}.`, {
    code: 'no_database',
    hint: 'Name the right folder with PATCHBAY_HOME. If its server uses DATABASE_URL, set that here as well.',
  })
}

/** How to reach the server that another process runs on this data folder; whether it answers has to be seen. */
export async function connectToRunning(
  dataFolder: string,
): Promise<{ clientConfig: EmbeddedClientConfig; socket: SocketFolder }> {
  const folder = await openDataFolder(dataFolder)
  const socket = await reachableSocketFolder(folder.cluster)
  const clientConfig = clientConfigOf(socket.path, (await readPassword(folder)) ?? '')
  return { clientConfig, socket }
}
