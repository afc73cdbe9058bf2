import { execFile } from 'node:child_process'
import { readFile, readdir, readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clock } from '../../lib/clock.ts'
import { HubError } from '../../model/errors.ts'

const POLL_MS = 25
const FAST_SHUTDOWN_MS_MAX = 30_000
const ORPHAN_SHUTDOWN_MS_MAX = 5_000
const IMMEDIATE_SHUTDOWN_MS_MAX = 10_000
const KILL_MS_MAX = 10_000

/** How PostgreSQL is asked to end, from polite to rude; each is given its time. */
const STEPS: { signal: NodeJS.Signals; waitMs: number; who: 'postmaster' | 'all' }[] = [
  { signal: 'SIGINT', waitMs: FAST_SHUTDOWN_MS_MAX, who: 'postmaster' },
  // For children without a postmaster, and for a half-done `initdb`: they still give back their shared memory.
  { signal: 'SIGTERM', waitMs: ORPHAN_SHUTDOWN_MS_MAX, who: 'all' },
  { signal: 'SIGQUIT', waitMs: IMMEDIATE_SHUTDOWN_MS_MAX, who: 'all' },
  { signal: 'SIGKILL', waitMs: KILL_MS_MAX, who: 'all' },
]

interface RunningServer {
  /** Undefined if the postmaster is dead and only its children are left. */
  postmaster: number | undefined
  all: number[]
}

/**
 * Stops whatever PostgreSQL runs on the cluster, our own or one that a killed Patchbay has left, and returns when it
 * is gone, since a new one must not start before. A pid in a stale `postmaster.pid` may by now be anybody's; no
 * process is signalled that is not a `postgres` working in this very folder.
 */
export async function stopServer(cluster: string, clock: Clock): Promise<void> {
  for (const step of STEPS) {
    const running = await findServer(cluster)
    if (running.all.length === 0) return
    if (step.who === 'postmaster' && running.postmaster === undefined) continue
    const targets = step.who === 'all' ? running.all : [running.postmaster as number]
    for (const pid of targets) signalProcess(pid, step.signal)
    if (await isGoneWithin(cluster, clock, step.waitMs)) return
  }
  const { all } = await findServer(cluster)
  if (all.length === 0) return
  throw new HubError('config', `An earlier PostgreSQL on ${cluster} does not end (pid ${all.join(', ')}).`, {
    hint: 'End these processes and start again.',
  })
}

/** Only after `stopServer`: PostgreSQL itself would take a reused pid in these files for a living server. */
export async function removeLeftovers(cluster: string): Promise<void> {
  for (const name of ['postmaster.pid', '.s.PGSQL.5432', '.s.PGSQL.5432.lock']) {
    await rm(join(cluster, name), { force: true })
  }
}

async function findServer(cluster: string): Promise<RunningServer> {
  const named = await pidInFile(cluster)
  const all = process.platform === 'linux' ? await serversIn(cluster) : await serverNamed(cluster, named)
  return { postmaster: named !== undefined && all.includes(named) ? named : undefined, all }
}

async function isGoneWithin(cluster: string, clock: Clock, waitMs: number): Promise<boolean> {
  const deadlineMs = clock.nowMs() + waitMs
  while (clock.nowMs() < deadlineMs) {
    if ((await findServer(cluster)).all.length === 0) return true
    await clock.sleep(POLL_MS)
  }
  return false
}

async function pidInFile(cluster: string): Promise<number | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number(/^\d{1,10}$/m.exec(text)?.[0])
  return pid > 1 ? pid : undefined
}

/** Every process of a server works in its cluster's folder, so there they are found even without the postmaster. */
async function serversIn(cluster: string): Promise<number[]> {
  const folder = await stat(cluster).catch(() => undefined)
  if (folder === undefined) return []
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process that ends meanwhile, or that we may not look at, is none of ours.
      const cwd = await stat(`/proc/${pid}/cwd`).catch(() => undefined)
      if (cwd?.ino !== folder.ino || cwd.dev !== folder.dev) return false
      return /\/(postgres|initdb)( \(deleted\))?$/.test(await readlink(`/proc/${pid}/exe`).catch(() => ''))
    }),
  )
  return pids.filter((_, index) => found[index]).map(Number)
}

/** Without /proc only the postmaster is found; a server's orphaned children hold back the new one by themselves. */
async function serverNamed(cluster: string, pid: number | undefined): Promise<number[]> {
  if (pid === undefined) return []
  const listed = await promisify(execFile)('/bin/ps', ['-o', 'command=', '-p', String(pid)]).catch(
    () => undefined,
  )
  const command = listed?.stdout ?? ''
  return /(^|\/)postgres\b/.test(command) && command.includes(cluster) ? [pid] : []
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It ended by itself, or belongs to somebody else; the wait that follows tells the two apart.
    if (
      (error as NodeJS.ErrnoException).code !== 'ESRCH' &&
      (error as NodeJS.ErrnoException).code !== 'EPERM'
    )
      throw error
  }
}
