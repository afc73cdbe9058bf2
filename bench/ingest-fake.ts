import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createEstate } from '../fakes/qualys/estate/create-estate.ts'
import { estateClock } from '../fakes/qualys/estate/estate-clock.ts'
import { renderPages } from '../fakes/qualys/render-pages.ts'
import { startFakeQualys } from '../fakes/qualys/server.ts'

/**
 * The far side of `bench/ingest.ts`, a process of its own: renders one day's pages to a folder, unless they are there
 * already, and serves them. Says `{url}` on its standard output once it listens; ends with its standard input.
 */
const [folder = '', hosts = '', detectionsPerHost = '', day = '', changedShare = ''] = process.argv.slice(2)

const estate = createEstate({
  hosts: Number(hosts),
  detectionsPerHost: Number(detectionsPerHost),
  day0Ms: Date.UTC(2026, 9, 5),
  scanShare: 1,
  newShare: Number(changedShare) / 2,
  fixShare: Number(changedShare) / 2,
  reopenShare: 0,
  purgeShare: 0,
  mergeShare: 0,
  hostGrowth: 0,
})
estate.setDay(Number(day))
// Written last, so that a folder without it is not whole.
if (!existsSync(join(folder, 'about.json'))) await renderPages(estate, folder)
const fake = await startFakeQualys({
  estate,
  clock: estateClock(estate),
  limits: { rate: 1_000_000, concurrency: 2 },
  renderedFrom: folder,
})
process.stdout.write(`${JSON.stringify({ url: fake.url })}\n`)
process.stdin.resume()
process.stdin.once('end', () => process.exit(0))
