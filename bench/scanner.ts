import { gunzipSync, gzipSync } from 'node:zlib'
import { createGunzip } from 'node:zlib'
import { Readable } from 'node:stream'
import { NameTable } from '../src/lib/xml/names.ts'
import { DONE, NEED_BYTES, XmlScanner } from '../src/lib/xml/scanner.ts'
import { readFoBody } from '../src/sources/qualys/fo-body.ts'
import { DetectionReader, NAMES } from '../src/sources/qualys/detections/parse.ts'
import { ROOT } from '../src/sources/qualys/detections/schema.ts'

/**
 * How fast the path of a detection is up to the record with its hashes, beside its bounds in the same run:
 * `node bench/scanner.ts [megabytes] [rounds]`.
 */
const MEGABYTES = Number(process.argv[2] ?? 100)
const ROUNDS = Number(process.argv[3] ?? 5)
const CHUNK_BYTES = 256 * 1_024
const DETECTIONS_PER_HOST = 40

interface Corpus {
  chunks: Buffer[]
  bytes: number
  detections: number
}

function createCorpus(): Corpus {
  const parts: string[] = [
    `<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE ${ROOT} SYSTEM "https://qualysapi.example.com/x.dtd">\n`,
    `<${ROOT}>\n  <RESPONSE>\n    <DATETIME>2026-11-21T04:00:00Z</DATETIME>\n    <HOST_LIST>\n`,
  ]
  let bytes = 0
  let hosts = 0
  while (bytes < MEGABYTES * 1_000_000) {
    hosts += 1
    const xml = hostXml(hosts)
    parts.push(xml)
    bytes += xml.length
  }
  parts.push(`    </HOST_LIST>\n  </RESPONSE>\n</${ROOT}>\n`)
  const whole = Buffer.from(parts.join(''))
  const chunks: Buffer[] = []
  for (let at = 0; at < whole.length; at += CHUNK_BYTES) chunks.push(whole.subarray(at, at + CHUNK_BYTES))
  return { chunks, bytes: whole.length, detections: hosts * DETECTIONS_PER_HOST }
}

function hostXml(host: number): string {
  const list = Array.from({ length: DETECTIONS_PER_HOST }, (_, index) => detectionXml(host, index)).join('')
  return `      <HOST>
        <ID>${10_000_000 + host}</ID>
        <ASSET_ID>${20_000_000 + host}</ASSET_ID>
        <IP>198.51.100.${host % 256}</IP>
        <TRACKING_METHOD>AGENT</TRACKING_METHOD>
        <OS><![CDATA[Red Hat Enterprise Linux 9.4]]></OS>
        <DNS><![CDATA[host-${host}.example.com]]></DNS>
        <LAST_SCAN_DATETIME>2026-11-20T03:49:05Z</LAST_SCAN_DATETIME>
        <TAGS>
          <TAG><TAG_ID>${(host % 50) + 1}</TAG_ID><NAME><![CDATA[Site ${host % 50}]]></NAME></TAG>
        </TAGS>
        <DETECTION_LIST>
${list}        </DETECTION_LIST>
      </HOST>
`
}

function detectionXml(host: number, index: number): string {
  const qid = 38_000 + ((host * 7 + index * 131) % 60_000)
  const at = (day: number) =>
    `2026-${String(1 + (day % 12)).padStart(2, '0')}-${String(1 + (day % 28)).padStart(2, '0')}T03:48:50Z`
  const results =
    `Package\tInstalled Version\tRequired Version\nopenssl-libs\t3.0.${index}-${host % 100}.el9\t3.0.7-27.el9_4 on host-${host}\n` +
    'kernel-core 5.14.0-427.13.1.el9_4.x86_64 is not the latest; /usr/lib64/libcrypto.so.3 is in use by 12 processes, among ' +
    'them sshd & systemd-resolved <defunct>; the fixed version is named in the advisory of the vendor.'
  return `          <DETECTION>
            <UNIQUE_VULN_ID>${host * 1_000 + index}</UNIQUE_VULN_ID>
            <QID>${qid}</QID>
            <TYPE>${index % 5 === 0 ? 'Potential' : 'Confirmed'}</TYPE>
            <SEVERITY>${1 + (index % 5)}</SEVERITY>
            <PORT>${[22, 443, 3389, 8443][index % 4]}</PORT>
            <PROTOCOL>tcp</PROTOCOL>
            <SSL>${index % 2}</SSL>
            <RESULTS><![CDATA[${results}]]></RESULTS>
            <STATUS>${['Active', 'New', 'Fixed', 'Re-Opened'][index % 4]}</STATUS>
            <FIRST_FOUND_DATETIME>${at(index)}</FIRST_FOUND_DATETIME>
            <LAST_FOUND_DATETIME>${at(index + 3)}</LAST_FOUND_DATETIME>
            <QDS severity="${index % 2 === 0 ? 'LOW' : 'HIGH'}">${index % 2 === 0 ? 35 : 75}</QDS>
            <TIMES_FOUND>${index + (host % 90)}</TIMES_FOUND>
            <LAST_TEST_DATETIME>${at(index + 4)}</LAST_TEST_DATETIME>
            <LAST_UPDATE_DATETIME>${at(index + 5)}</LAST_UPDATE_DATETIME>
            <IS_IGNORED>0</IS_IGNORED>
            <IS_DISABLED>0</IS_DISABLED>
            <AFFECT_RUNNING_KERNEL>0</AFFECT_RUNNING_KERNEL>
            <LAST_PROCESSED_DATETIME>${at(index + 6)}</LAST_PROCESSED_DATETIME>
          </DETECTION>
`
}

/** Touches every byte, eight at a time. */
function readBytes(corpus: Corpus): Promise<void> {
  let sum = 0
  for (const chunk of corpus.chunks) {
    const words = new Int32Array(chunk.buffer, chunk.byteOffset & ~3, chunk.length >> 2)
    for (let index = 0; index < words.length; index += 1) sum = (sum + words[index]!) | 0
  }
  if (sum === 1) console.log('')
  return Promise.resolve()
}

async function gunzip(zipped: Buffer): Promise<void> {
  let bytes = 0
  const stream = Readable.from([zipped]).pipe(createGunzip({ chunkSize: CHUNK_BYTES }))
  for await (const chunk of stream as AsyncIterable<Buffer>) bytes += chunk.length
  if (bytes === 0) throw new Error('The corpus is empty.')
}

function tokenize(corpus: Corpus): Promise<void> {
  const scanner = new XmlScanner(new NameTable(NAMES))
  let given = 0
  let tags = 0
  for (;;) {
    const token = scanner.next()
    if (token === DONE) break
    if (token !== NEED_BYTES) tags += 1
    else if (given < corpus.chunks.length) scanner.write(corpus.chunks[given++]!)
    else scanner.end()
  }
  if (tags < corpus.detections) throw new Error('Tags are missing.')
  return Promise.resolve()
}

async function readDetections(corpus: Corpus, body: AsyncIterable<Buffer>): Promise<void> {
  const source = { body, expectRoot: ROOT, names: NAMES, signal: new AbortController().signal }
  let count = 0
  for await (const message of readFoBody(source, new DetectionReader('1'))) {
    if (message.type === 'records') for (const host of message.records) count += host.detections.length
    else throw new Error('The corpus holds something that cannot be read.')
  }
  if (count !== corpus.detections) throw new Error(`${count} of ${corpus.detections} detections were read.`)
}

async function* chunksOf(corpus: Corpus): AsyncGenerator<Buffer> {
  for (const chunk of corpus.chunks) yield chunk
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

const corpus = createCorpus()
const zipped = gzipSync(Buffer.concat(corpus.chunks), { level: 6 })
if (gunzipSync(zipped).length !== corpus.bytes) throw new Error('The corpus does not survive gzip.')
const unzipped = () =>
  Readable.from([zipped]).pipe(createGunzip({ chunkSize: CHUNK_BYTES })) as AsyncIterable<Buffer>

const programs: { name: string; run: () => Promise<void> }[] = [
  { name: 'read the bytes', run: () => readBytes(corpus) },
  { name: 'gunzip alone', run: () => gunzip(zipped) },
  { name: 'scanner: tags alone', run: () => tokenize(corpus) },
  { name: 'scanner, typed fields, hashes', run: () => readDetections(corpus, chunksOf(corpus)) },
  { name: 'gunzip, scanner, fields, hashes', run: () => readDetections(corpus, unzipped()) },
]
const seconds = new Map<string, number[]>()
/** Processor time of all threads: what counts where others use the machine as well. */
const cpuSeconds = new Map<string, number[]>()
const keep = (into: Map<string, number[]>, name: string, value: number) =>
  into.set(name, [...(into.get(name) ?? []), value])
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const { name, run } of programs) {
    const start = process.hrtime.bigint()
    const cpuStart = process.cpuUsage()
    await run()
    const cpu = process.cpuUsage(cpuStart)
    // The first round only warms up.
    if (round === 0) continue
    keep(seconds, name, Number(process.hrtime.bigint() - start) / 1e9)
    keep(cpuSeconds, name, (cpu.user + cpu.system) / 1e6)
  }
}

const megabytes = corpus.bytes / 1e6
const bound = median(seconds.get('read the bytes')!)
console.log(
  `${megabytes.toFixed(0)} MB, ${corpus.detections} detections of ${Math.round(corpus.bytes / corpus.detections)} bytes, ` +
    `${ROUNDS} rounds, medians; Node ${process.version}, RSS ${Math.round(process.memoryUsage().rss / 1e6)} MB\n`,
)
console.log(
  '| step | MB/s | detections/s | share of the bound | MB per second of processor time |\n|---|---|---|---|---|',
)
for (const { name } of programs) {
  const time = median(seconds.get(name)!)
  const rate = Math.round(corpus.detections / time).toLocaleString('en-US')
  const share = ((100 * bound) / time).toFixed(1)
  const cpuRate = (megabytes / median(cpuSeconds.get(name)!)).toFixed(0)
  console.log(`| ${name} | ${(megabytes / time).toFixed(0)} | ${rate} | ${share} % | ${cpuRate} |`)
}
