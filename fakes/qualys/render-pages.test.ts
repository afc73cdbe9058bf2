import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { createEstate } from './estate/create-estate.ts'
import { HUB_DETECTION_PARAMS, renderPages } from './render-pages.ts'
import { startFakeQualys } from './server.ts'
import { call, HLD, hostIds, texts } from './test-client.ts'

test('rendered pages answer to the byte as the live estate does, for any range of ids and any limit', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fake-qualys-'))
  const estate = createEstate({ hosts: 60 })
  const about = await renderPages(estate, folder)
  const options = {
    estate,
    clock: new ManualClock(0),
    limits: { rate: 1000 },
    publicUrl: 'http://qualys.example.com',
  }
  const live = await startFakeQualys(options)
  const rendered = await startFakeQualys({ ...options, renderedFrom: folder })
  try {
    const ids = [...estate.hosts()].map((host) => host.id)
    const forms: Record<string, string>[] = [
      {},
      { truncation_limit: '0' },
      { truncation_limit: '7' },
      { truncation_limit: '7', id_min: ids[20] ?? '' },
      { ids: `${ids[3]}-${ids[9]},${ids[12]}`, truncation_limit: '0' },
      { ids: `${ids[3]},${ids[5]}`, truncation_limit: '1' },
      { ids: '5-6' },
      { id_max: ids[4] ?? '' },
    ]
    for (const form of forms) {
      for (const gzip of [true, false]) {
        const ask = { path: HLD, form: { ...HUB_DETECTION_PARAMS, ...form }, gzip }
        const [one, other] = await Promise.all([call(live, ask), call(rendered, ask)])
        expect(other.text).toBe(one.text)
      }
    }
    const other = { path: HLD, form: { ...HUB_DETECTION_PARAMS, severities: '5', truncation_limit: '0' } }
    expect((await call(rendered, other)).text).toBe((await call(live, other)).text)
    const whole = await call(rendered, {
      path: HLD,
      form: { ...HUB_DETECTION_PARAMS, truncation_limit: '0' },
      gzip: true,
    })
    expect(hostIds(whole.text)).toHaveLength(about.hosts)
    expect(texts(whole.text, 'QID')).toHaveLength(about.detections)
  } finally {
    await Promise.all([live.close(), rendered.close()])
    await rm(folder, { recursive: true })
  }
})

/** The heap of the server's process; the answer is several times as large. */
const HEAP_MIB = 48

test('an answer with 100,000 hosts streams out of a process that could not hold it', async () => {
  const script = fileURLToPath(new URL('./stream-all.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${HEAP_MIB}`, '--max-semi-space-size=2', script, '100000', '3'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  let errors = ''
  child.stdout.on('data', (piece) => (output += String(piece)))
  child.stderr.on('data', (piece) => (errors += String(piece)))
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  const told = JSON.parse(output) as { hosts: number; bytes: number; isClosed: boolean }
  expect(told.isClosed).toBe(true)
  expect(told.hosts).toBeGreaterThan(90_000)
  expect(told.bytes).toBeGreaterThan(4 * HEAP_MIB * 1024 * 1024)
})
