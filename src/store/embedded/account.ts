import { readFile, stat } from 'node:fs/promises'
import { HubError } from '../../model/errors.ts'

/** The user that PostgreSQL runs as when that is not the user we run as. */
export interface Account {
  name: string
  uid: number
  gid: number
}

/** In the order of preference. Both are system users, so a new one never has to be made. */
const SYSTEM_USERS = ['postgres', 'nobody']

/**
 * PostgreSQL refuses to run as root, and `initdb` wants a user with an entry in /etc/passwd. So root runs it as the
 * owner of the cluster if there is one already, else as `postgres`, else as `nobody`; everybody else runs it as
 * themselves, which is what `undefined` means.
 */
export async function chooseAccount(clusterFolder: string): Promise<Account | undefined> {
  if (process.getuid === undefined) {
    throw new HubError('config', 'The embedded PostgreSQL does not run on this operating system.', {
      hint: 'Set DATABASE_URL to a PostgreSQL 15 or newer.',
    })
  }
  if (process.getuid() !== 0) return undefined
  if (process.platform !== 'linux') {
    throw new HubError('config', 'The embedded PostgreSQL can be run by root on Linux only.', {
      hint: 'Start Patchbay as a normal user, or set DATABASE_URL.',
    })
  }
  return (await ownerOf(clusterFolder)) ?? (await systemUser())
}

async function ownerOf(clusterFolder: string): Promise<Account | undefined> {
  const found = await stat(clusterFolder).catch(() => undefined)
  if (found === undefined) return undefined
  if (found.uid === 0) {
    throw new HubError('config', `${clusterFolder} belongs to root, and PostgreSQL refuses to run as root.`, {
      hint: `Give the folder and all it contains to the user that made it: chown -R USER "${clusterFolder}".`,
    })
  }
  return { name: `user ${found.uid}`, uid: found.uid, gid: found.gid }
}

async function systemUser(): Promise<Account> {
  const entries = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'))
  for (const name of SYSTEM_USERS) {
    const entry = entries.find((fields) => fields[0] === name)
    const [uid, gid] = [Number(entry?.[2]), Number(entry?.[3])]
    if (uid > 0 && gid > 0) return { name, uid, gid }
  }
  throw new HubError(
    'config',
    'PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody".',
    {
      hint: 'Start Patchbay as a normal user, or set DATABASE_URL.',
    },
  )
}
