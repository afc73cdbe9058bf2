import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compareLives } from './compare.ts'

/**
 * `npm run test:kill`: a thousand kills, a hundred to a life, each life compared with one that nothing disturbed. Ends
 * with 1, and keeps its folder, when any two differ. `--seed` repeats one life, `--kills` asks for fewer.
 */
const KILLS = 1_000
const KILLS_PER_LIFE = 100

const { values } = parseArgs({ options: { seed: { type: 'string' }, kills: { type: 'string' } } })
const kills = Number(values.kills ?? KILLS)
const firstSeed = Number(values.seed ?? Date.now() % 1_000_000)
const startedMs = Date.now()
const folder = await mkdtemp(join(tmpdir(), 'patchbay-kill-'))
let isGood = true
let killed = 0
for (let life = 0; killed < kills; life += 1) {
  const seed = firstSeed + life
  // Every fifth hub has its database for itself.
  const isAlone = life % 5 === 4
  const wanted = Math.min(KILLS_PER_LIFE, kills - killed)
  say(`seed ${seed}: ${wanted} kills${isAlone ? ', with a database of its own' : ''}, in ${folder}`)
  const own = join(folder, String(seed))
  const comparison = await compareLives({ folder: own, seed, kills: wanted, isAlone, say })
  killed += wanted
  for (const [name, count] of [...comparison.disturbed.kills].toSorted(byName)) say(`  ${count} × ${name}`)
  say(`  ${comparison.disturbed.pauses} × stood still, and woke up when others had its work`)
  for (const failure of comparison.disturbed.failedRuns)
    say(`  a run failed and was started anew, ${failure}`)
  for (const failure of comparison.disturbed.failedStarts) say(`  a start failed: ${failure.slice(0, 200)}`)
  say(`  compared: ${JSON.stringify(comparison.disturbed.end.counts)}`)
  for (const problem of comparison.problems) say(`  ${problem}`)
  if (comparison.problems.length === 0) {
    say(`  no difference after ${comparison.disturbed.days} days: ${comparison.disturbed.end.hash}`)
    await rm(own, { recursive: true, force: true })
    continue
  }
  isGood = false
  await writeFile(join(own, 'disturbed.txt'), comparison.disturbed.end.lines.join('\n'))
  await writeFile(join(own, 'undisturbed.txt'), comparison.undisturbed.end.lines.join('\n'))
}
say(`${killed} kills in ${((Date.now() - startedMs) / 60_000).toFixed(1)} minutes`)
if (isGood) await rm(folder, { recursive: true, force: true })
else say(`There are differences; everything is kept in ${folder}.`)
process.exitCode = isGood ? 0 : 1

function byName([one]: [string, number], [other]: [string, number]): number {
  return one < other ? -1 : 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
