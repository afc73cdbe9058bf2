import { readFileSync, readdirSync } from 'node:fs'

const RSS_SAMPLE_MS = 100
const RSS_SHOWN = 10
const CLOCK_TICKS_PER_SECOND = 100
const MIB = 1024 * 1024

/** What one round cost this process, the database and the far side. */
export interface Cost {
  seconds: number
  hubCpu: number
  databaseCpu: number
  fakeCpu: number
  rssMaxMib: number
  /** RSS at ten moments of the round. */
  rssMib: number[]
}

export async function measureCost(
  processes: { postmaster: number; fake: number },
  work: () => Promise<void>,
): Promise<Cost> {
  const samples: number[] = []
  const sampling = setInterval(() => samples.push(process.memoryUsage.rss() / MIB), RSS_SAMPLE_MS)
  const cpu = process.cpuUsage()
  const [databaseCpu, fakeCpu] = [cpuSecondsOf(processes.postmaster), cpuSecondsOf(processes.fake)]
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  clearInterval(sampling)
  const { user, system } = process.cpuUsage(cpu)
  return {
    seconds,
    hubCpu: (user + system) / 1e6,
    databaseCpu: cpuSecondsOf(processes.postmaster) - databaseCpu,
    fakeCpu: cpuSecondsOf(processes.fake) - fakeCpu,
    rssMaxMib: Math.round(samples.reduce((max, sample) => Math.max(max, sample), 0)),
    rssMib: Array.from({ length: RSS_SHOWN }, (_, index) =>
      Math.round(samples[Math.floor(((index + 0.5) * samples.length) / RSS_SHOWN)] ?? 0),
    ),
  }
}

/** Processor time of a process, its children, and those that it has outlived (Linux). */
function cpuSecondsOf(parent: number): number {
  let ticks = 0
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const fields = statOf(entry)
    if (fields === null) continue
    const [parentPid, user, system, childrenUser, childrenSystem] = [1, 11, 12, 13, 14].map((at) =>
      Number(fields[at]),
    )
    if (Number(entry) === parent) ticks += user! + system! + childrenUser! + childrenSystem!
    else if (parentPid === parent) ticks += user! + system!
  }
  return ticks / CLOCK_TICKS_PER_SECOND
}

function statOf(pid: string): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}
