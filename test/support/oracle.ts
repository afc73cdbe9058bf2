import type pg from 'pg'
import { expect } from 'vitest'
import type { Detection, Estate } from '../../fakes/qualys/estate/types.ts'
import { whenMs } from '../../fakes/qualys/estate/time.ts'
import { WATERMARK_OVERLAP_MS } from '../../src/engine/phase-finishing.ts'
import { descriptionKey, gapName } from '../../src/engine/gap-key.ts'
import { HOSTS_MODULE } from '../../src/engine/vm-source.ts'
import type { RunRow } from '../../src/store/queries/runs.ts'
import type { TestHub } from './hub.ts'
import { expectHonestTickets, expectSettledTickets } from './ticket-oracle.ts'
import { storedLines, truthLines } from './truth.ts'

/** What the store held before something went wrong. */
export interface Before {
  findings: ReadonlyMap<string, string>
  watermarkMs: number | null
  atMs: number
}

export async function rememberStore(hub: TestHub): Promise<Before> {
  const { rows } = await hub.deps.pool.query<{ id: string; state: string }>('select id, state from finding')
  return {
    findings: new Map(rows.map((row) => [row.id, row.state])),
    watermarkMs: await watermarkOf(hub),
    atMs: hub.clock.nowMs(),
  }
}

/**
 * What has to be so after every run, whatever went wrong in it: nothing closed without evidence, nothing lost, the
 * watermark no later than what was really pulled, and whatever is missing told by the ledger and the gaps. Where there are
 * tickets: none twice, and none closed without evidence.
 */
export async function expectHonest(hub: TestHub, seen: { run: RunRow; before: Before }): Promise<void> {
  await expectNoFalseClosure(hub)
  await expectNothingLost(hub.deps.pool, seen.before)
  await expectChainedEvents(hub.deps.pool)
  await expectWatermarkBehindTruth(hub, seen)
  await expectStateMatchesGaps(hub, seen.run)
  await expectLedgerAddsUp(hub.deps.pool, seen.run)
  if (seen.run.state !== 'FAILED') await expectMissingIsExplained(hub, seen.run)
  if (hub.tickets !== undefined) await expectHonestTickets(hub.tickets)
}

/** A clean full run ends where an undisturbed one would: every finding with its state and its episode, and no gap. */
export async function expectConverged(hub: TestHub): Promise<void> {
  hub.fake.faults.clear()
  const before = await rememberStore(hub)
  const run = await hub.sync('full')
  expect(await openGaps(hub.deps.pool)).toEqual([])
  expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
  const shown = { withInformation: false }
  expect(await storedLines(hub.deps.pool, shown)).toEqual(truthLines(hub.estate, shown))
  expect(await storedLives(hub.deps.pool)).toEqual(trueLives(hub.estate))
  await expectHonest(hub, { run, before })
  if (hub.tickets !== undefined) await expectSettledTickets(hub.tickets)
}

export interface OpenGap {
  kind: string
  key: string
  reason: string
}

export async function openGaps(pool: pg.Pool): Promise<OpenGap[]> {
  const { rows } = await pool.query<OpenGap>(
    'select kind, key, reason from gap where settled_at is null order by kind, key',
  )
  return rows
}

export async function watermarkOf(hub: TestHub): Promise<number | null> {
  const { rows } = await hub.deps.pool.query<{ watermark: Date | null }>(
    `select watermark from module_state where integration_id = $1 and module = 'qualys.detections'`,
    [hub.integrationId],
  )
  return rows[0]?.watermark?.getTime() ?? null
}

/** Fixed is only what the source has called Fixed, on this day or on one before. */
async function expectNoFalseClosure(hub: TestHub): Promise<void> {
  const everFixed = new Set<string>()
  for (let day = 0; day <= hub.estate.day; day += 1)
    for (const host of hub.estate.truth(day).hosts())
      for (const detection of host.detections())
        if (detection.status === 'Fixed') everFixed.add(keyOf(host.id, detection))
  const stored = await storedFindings(hub.deps.pool)
  const closed = stored.filter((finding) => finding.state === 'fixed').map(({ key }) => key)
  expect(closed.filter((key) => !everFixed.has(key))).toEqual([])
}

async function expectNothingLost(pool: pg.Pool, before: Before): Promise<void> {
  const { rows } = await pool.query<{ id: string }>('select id from finding')
  const now = new Set(rows.map((row) => row.id))
  expect([...before.findings.keys()].filter((id) => !now.has(id))).toEqual([])
  const orphans = await pool.query(
    `select f.id from finding f full join observation o on o.place_id = f.place_id and o.finding_id = f.id
      where f.id is null or o.finding_id is null`,
  )
  expect(orphans.rows).toEqual([])
}

/** The history of a finding has no hole: each event starts in the state in which the one before ended. */
async function expectChainedEvents(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ findingId: string; was: string; is: string; state: string }>(
    `select e.finding_id as "findingId", e.old_state as was, e.new_state as is, f.state
       from event e join finding f on f.place_id = e.place_id and f.id = e.finding_id
      order by e.finding_id, e.seen_at, e.id`,
  )
  const broken: string[] = []
  for (const [index, event] of rows.entries()) {
    const next = rows[index + 1]
    const follows = next?.findingId === event.findingId ? next.was : event.state
    if (follows !== event.is) broken.push(`${event.findingId}: ${event.was} → ${event.is}, then ${follows}`)
  }
  expect(broken).toEqual([])
}

async function expectWatermarkBehindTruth(
  hub: TestHub,
  { run, before }: { run: RunRow; before: Before },
): Promise<void> {
  const watermarkMs = await watermarkOf(hub)
  if (run.state === 'FAILED') {
    expect(watermarkMs).toBe(before.watermarkMs)
    return
  }
  const lists = hub.fake.requests.filter(
    ({ endpoint, params, at }) =>
      endpoint === 'host-list' && params['details'] === 'None' && at >= before.atMs - 1000,
  )
  const lastListMs = Math.max(...lists.map((request) => request.at))
  expect(watermarkMs).toBeLessThanOrEqual(lastListMs - WATERMARK_OVERLAP_MS)
  expect(watermarkMs).toBeGreaterThanOrEqual(before.watermarkMs ?? 0)
}

async function expectStateMatchesGaps(hub: TestHub, run: RunRow): Promise<void> {
  const gaps = await openGaps(hub.deps.pool)
  if (run.state === 'COMPLETE') expect(gaps).toEqual([])
  if (run.state === 'PARTIAL') expect(gaps.length).toBeGreaterThan(0)
  for (const gap of gaps) expect(gap.reason).toMatch(/\w+(?: [^ ]+){3,}/)
  expect(run.message).toMatch(/\.$/)
}

interface LedgerRow {
  state: string
  module: string
  purpose: string
  isRoot: boolean
  hostIds: string[]
  receivedHosts: number
  receivedRecords: number
  explainedRecords: number
  quarantinedRecords: number
}

/** Every host that was requested is in exactly one batch that was done or is owed; every record that came is counted. */
async function expectLedgerAddsUp(pool: pg.Pool, run: RunRow): Promise<void> {
  const { rows } = await pool.query<LedgerRow>(
    `select state, module, purpose, parent_id is null as "isRoot", host_ids as "hostIds",
            received_hosts as "receivedHosts", received_records as "receivedRecords",
            new_records + changed_records + seen_records + unchanged_records + older_records + quarantined_records
              as "explainedRecords", quarantined_records as "quarantinedRecords"
       from batch where run_id = $1`,
    [run.id],
  )
  const ends = run.state === 'FAILED' ? ['done', 'owed', 'cancelled'] : ['done', 'owed']
  const leaves = rows.filter((batch) => batch.state !== 'split')
  expect(leaves.filter((batch) => !ends.includes(batch.state))).toEqual([])
  for (const module of ['qualys.hosts', 'qualys.detections']) {
    const ofModule = (batch: LedgerRow) => batch.module === module && batch.purpose === 'expected'
    const requested = rows
      .filter((batch) => ofModule(batch) && batch.isRoot)
      .flatMap(({ hostIds }) => hostIds)
    const ended = leaves.filter(ofModule).flatMap(({ hostIds }) => hostIds)
    expect(ended.toSorted()).toEqual(requested.toSorted())
  }
  for (const batch of leaves.filter(({ module }) => module === 'qualys.detections')) {
    expect(batch.receivedHosts).toBeLessThanOrEqual(batch.hostIds.length)
    expect(batch.receivedRecords).toBeLessThanOrEqual(batch.explainedRecords)
    // What the reader put aside was never received, but it is counted.
    expect(batch.explainedRecords - batch.receivedRecords).toBeLessThanOrEqual(batch.quarantinedRecords)
  }
  const gapNames = new Set((await openGaps(pool)).map(gapName))
  const owed = leaves.filter((batch) => batch.state === 'owed').flatMap(namesOfOwed)
  expect(owed.filter((name) => !gapNames.has(name))).toEqual([])
  const staged = await pool.query('select 1 from finding_staging union all select 1 from evidence_staging')
  expect(staged.rows).toEqual([])
}

/** The gaps that a batch leaves that was given up. */
function namesOfOwed({ module, hostIds }: LedgerRow): string[] {
  return hostIds.map((hostId) =>
    gapName(
      module === HOSTS_MODULE
        ? { kind: 'record', key: descriptionKey(hostId) }
        : { kind: 'host', key: hostId },
    ),
  )
}

/**
 * Whatever of the requested hosts is otherwise in the store than it is in truth is told: by a gap of its host or its QID,
 * by the finding that became stale, all of its host that were open did, or because its host never had a finding and was left out (which is how Qualys says
 * "none"). A description that is owed explains no finding.
 */
async function expectMissingIsExplained(hub: TestHub, run: RunRow): Promise<void> {
  const { pool } = hub.deps
  const requested = await columnOf(
    pool,
    `select distinct unnest(host_ids)::text as value from batch where run_id = $1 and module = 'qualys.detections'`,
    [run.id],
  )
  const owed = new Set((await openGaps(pool)).map(gapName))
  const findings = await storedFindings(pool)
  const stored = new Map(findings.map((finding) => [finding.key, finding]))
  const known = new Set(findings.map(({ hostId }) => hostId))
  const leftOut = hostsLeftOut(findings)
  const unexplained: string[] = []
  for (const host of hub.estate.truth().hosts()) {
    if (!requested.has(host.id) || !known.has(host.id)) continue
    if (owed.has(`host ${host.id}`) || leftOut.has(host.id)) continue
    for (const detection of host.detections()) {
      const found = stored.get(keyOf(host.id, detection))
      const names = [detection.qid, 'unknown'].map((qid) => `record host ${host.id}, QID ${qid}`)
      if (names.some((name) => owed.has(name))) continue
      if (!isAsInTruth(found, detection))
        unexplained.push(`${keyOf(host.id, detection)}: ${found?.status} is ${detection.status}`)
    }
  }
  expect(unexplained).toEqual([])
}

function isAsInTruth(found: StoredFinding | undefined, { status, timesFound }: Detection): boolean {
  if (found?.state === 'stale') return true
  return found?.status === status && found?.timesFound === (timesFound ?? null)
}

/** Hosts of which nothing came, although something was known: all that was open is stale, so nothing new can be in. */
function hostsLeftOut(findings: readonly StoredFinding[]): Set<string> {
  const withState = (state: string) =>
    new Set(
      findings
        // Information gathered has no status, and is not asked for in every run.
        .filter((finding) => finding.state === state && finding.status !== null)
        .map(({ hostId }) => hostId),
    )
  const open = withState('open')
  return new Set([...withState('stale')].filter((hostId) => !open.has(hostId)))
}

async function columnOf(pool: pg.Pool, sql: string, values: unknown[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ value: string }>(sql, values)
  return new Set(rows.map((row) => row.value))
}

interface StoredFinding {
  key: string
  hostId: string
  status: string | null
  state: string
  timesFound: number | null
}

async function storedFindings(pool: pg.Pool): Promise<StoredFinding[]> {
  const { rows } = await pool.query<Omit<StoredFinding, 'key'> & Place>(
    `select h.host_id::text as "hostId", f.issue_key as qid, f.port, f.protocol, f.ssl, f.fqdn, f.instance,
            f.source_status as status, f.state, o.times_found as "timesFound"
       from finding f join host h on h.id = f.place_id
       join observation o on o.place_id = f.place_id and o.finding_id = f.id`,
  )
  return rows.map((row) => ({ ...row, key: keyOf(row.hostId, row) }))
}

interface Place {
  qid: string
  port?: number | null | undefined
  protocol?: string | null | undefined
  ssl?: boolean | 0 | 1 | null | undefined
  fqdn?: string | null | undefined
  instance?: string | null | undefined
}

function keyOf(hostId: string, { qid, port, protocol, ssl, fqdn, instance }: Place): string {
  const sslText = ssl === null || ssl === undefined ? '-' : Number(ssl)
  return [hostId, qid, port ?? '-', protocol ?? '-', sslText, fqdn ?? '-', instance ?? '-'].join(' | ')
}

/** State and episode of every finding of the hosts that are there, worked out from the truth alone. */
export function trueLives(estate: Estate): string[] {
  const lines: string[] = []
  for (const host of estate.truth().hosts())
    for (const detection of host.detections()) lines.push(trueLife(host.id, detection))
  return lines.toSorted()
}

function trueLife(hostId: string, detection: Detection): string {
  const { status, ignored, disabled, timesReopened = 0 } = detection
  const isSuppressed = ignored || disabled
  const opened = timesReopened > 0 ? detection.lastReopened : detection.firstFound
  return lifeLine(keyOf(hostId, detection), {
    state: status === 'Fixed' ? 'fixed' : isSuppressed ? 'suppressed' : 'open',
    openedAtMs: opened === undefined ? null : whenMs(opened),
    fixedAtMs: status === 'Fixed' && detection.lastFixed !== undefined ? whenMs(detection.lastFixed) : null,
    timesReopened,
  })
}

export async function storedLives(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<
    Place & {
      hostId: string
      state: string
      openedAt: Date | null
      fixedAt: Date | null
      timesReopened: number
    }
  >(
    `select h.host_id::text as "hostId", f.issue_key as qid, f.port, f.protocol, f.ssl, f.fqdn, f.instance, f.state,
            f.opened_at as "openedAt", f.fixed_at as "fixedAt", f.times_reopened as "timesReopened"
       from finding f join host h on h.id = f.place_id and h.removed_at is null
      where f.type is distinct from 'Info'`,
  )
  return rows
    .map((row) =>
      lifeLine(keyOf(row.hostId, row), {
        ...row,
        openedAtMs: row.openedAt?.getTime() ?? null,
        fixedAtMs: row.fixedAt?.getTime() ?? null,
      }),
    )
    .toSorted()
}

function lifeLine(
  key: string,
  life: { state: string; openedAtMs: number | null; fixedAtMs: number | null; timesReopened: number },
): string {
  return [key, life.state, seconds(life.openedAtMs), seconds(life.fixedAtMs), life.timesReopened].join(' | ')
}

/** Seconds are all that Qualys knows. */
function seconds(valueMs: number | null): string {
  return valueMs === null ? '-' : new Date(Math.floor(valueMs / 1000) * 1000).toISOString()
}
