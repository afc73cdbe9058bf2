import { request } from 'node:http'
import { createEstate } from './estate/create-estate.ts'
import { HUB_DETECTION_PARAMS } from './render-pages.ts'
import { startFakeQualys } from './server.ts'
import { DEFAULT_USER } from './users.ts'

// A program for a test: serves every detection of an estate in one answer, reads it, and says how much it was. Run with
// a small heap it shows that neither side keeps the answer.
const [hosts = '1000', detectionsPerHost = '40'] = process.argv.slice(2)
const estate = createEstate({ hosts: Number(hosts), detectionsPerHost: Number(detectionsPerHost) })
const fake = await startFakeQualys({ estate })
const startedMs = performance.now()
const sent = request(`${fake.url}/api/5.0/fo/asset/host/vm/detection/`, {
  method: 'POST',
  headers: {
    'content-type': 'application/x-www-form-urlencoded',
    'x-requested-with': 'stream-all',
    authorization: `Basic ${Buffer.from(`${DEFAULT_USER.username}:${DEFAULT_USER.password}`).toString('base64')}`,
  },
})
sent.end(new URLSearchParams({ ...HUB_DETECTION_PARAMS, truncation_limit: '0' }).toString())
const told = { hosts: 0, bytes: 0, isClosed: false, seconds: 0, peakRssMiB: 0 }
let tail = ''
sent.on('response', (response) => {
  response.on('data', (piece: Buffer) => {
    told.bytes += piece.length
    const text = tail + piece.toString('latin1')
    for (let at = text.indexOf('<HOST>'); at >= 0; at = text.indexOf('<HOST>', at + 1)) told.hosts++
    told.isClosed ||= text.includes('</HOST_LIST_VM_DETECTION_OUTPUT>')
    tail = text.slice(-40).replaceAll('<HOST>', '')
  })
  response.on('close', () => {
    told.seconds = Math.round(performance.now() - startedMs) / 1000
    told.peakRssMiB = Math.round(process.resourceUsage().maxRSS / 1024)
    process.stdout.write(JSON.stringify(told))
    void fake.close()
  })
})
