import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Round } from './ingest.ts'

/**
 * Whether time grows with the size and memory does not: the first load of so many hosts, and of four times as many.
 * `node bench/scale.ts [hosts] [detections per host] [folder for pages]`. Takes some 3 GB of disk for 4 million detections.
 */
const [hosts = '5000', detectionsPerHost = '200', kept] = process.argv.slice(2)
const TIMES = 4
const SECONDS_RATIO_MAX = 4.5
const RSS_RATIO_MAX = 1.1

const folder = await mkdtemp(join(tmpdir(), 'patchbay-scale-'))
try {
  const small = await load(Number(hosts))
  const large = await load(Number(hosts) * TIMES)
  const seconds = large.seconds / small.seconds
  const rss = large.rssMaxMib / small.rssMaxMib
  console.log(`| detections | seconds | RSS max MiB | RSS over the round |\n|---|---|---|---|`)
  for (const round of [small, large])
    console.log(
      `| ${round.detections} | ${round.seconds.toFixed(0)} | ${round.rssMaxMib} | ${round.rssMib.join(' ')} |`,
    )
  console.log(
    `\n${TIMES} times the hosts: ${seconds.toFixed(2)} times the time (at most ${SECONDS_RATIO_MAX}), \
${rss.toFixed(2)} times the memory (at most ${RSS_RATIO_MAX}).`,
  )
  process.exitCode = seconds <= SECONDS_RATIO_MAX && rss <= RSS_RATIO_MAX ? 0 : 1
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function load(count: number): Promise<Round> {
  const json = join(folder, `${count}.json`)
  const program = fileURLToPath(new URL('ingest.ts', import.meta.url))
  const options = ['--rounds', '1', '--no-bounds', '--json', json]
  const pages = kept === undefined ? [] : ['--pages', kept]
  const run = spawnSync(process.execPath, [program, String(count), detectionsPerHost, ...options, ...pages], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`The load of ${count} hosts failed.`)
  return (JSON.parse(await readFile(json, 'utf8')) as { rounds: Round[] }).rounds[0]!
}
