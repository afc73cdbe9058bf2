import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HubError } from '../../model/errors.ts'
import { SOCKET_PORT } from './cluster.ts'

const SOCKET_PATH_BYTES_MAX = 103

export interface SocketFolder {
  path: string
  remove(): Promise<void>
}

/** A socket's address has room for 107 bytes; a longer way to the cluster is shortened by a link to it. */
export async function reachableSocketFolder(cluster: string): Promise<SocketFolder> {
  if (Buffer.byteLength(socketFile(cluster)) <= SOCKET_PATH_BYTES_MAX) {
    return { path: cluster, remove: () => Promise.resolve() }
  }
  for (const base of [tmpdir(), '/tmp']) {
    const folder = await mkdtemp(join(base, 'patchbay-')).catch(() => undefined)
    if (folder === undefined) continue
    const remove = () => rm(folder, { recursive: true, force: true })
    const path = join(folder, 's')
    if (Buffer.byteLength(socketFile(path)) <= SOCKET_PATH_BYTES_MAX) {
      await symlink(cluster, path)
      return { path, remove }
    }
    await remove()
  }
  throw new HubError('config', `The path of the data folder is too long for a socket: ${cluster}.`, {
    hint: 'Choose a data folder with a shorter path with PATCHBAY_HOME.',
  })
}

function socketFile(folder: string): string {
  return join(folder, `.s.PGSQL.${SOCKET_PORT}`)
}
