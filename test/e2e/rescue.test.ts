import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { type FakeJira, startFakeJira } from '../../fakes/jira/fake-jira.ts'
import { createEstate } from '../../fakes/qualys/estate/create-estate.ts'
import type { Estate } from '../../fakes/qualys/estate/types.ts'
import { type FakeQualys, startFakeQualys } from '../../fakes/qualys/server.ts'
import { DEFAULT_USER } from '../../fakes/qualys/users.ts'
import type { Finding, Integration, Ticket } from '../../src/api/resources.ts'
import type { RunReport } from '../../src/api/run-resources.ts'
import type { BackupReport, RestoreReport } from '../../src/cli/context.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { CliWorld } from '../support/cli.ts'
import { test } from '../support/database.ts'

/** Each starts many processes one after the other. */
const PROCESSES_TIMEOUT_MS = 600_000

let estate: Estate
let fake: FakeQualys
let jira: FakeJira
let worlds: CliWorld[]

beforeEach(async () => {
  worlds = []
  estate = createEstate({
    clock: systemClock,
    hosts: [
      { id: '1001', detections: [{ qid: '90001', severity: 5 }] },
      { id: '1002', detections: [{ qid: '90001', severity: 5 }, { qid: '90003' }] },
    ],
    kb: [
      {
        qid: '90001',
        severity: 5,
        vendorReferences: [{ id: 'KB5030001', url: 'https://vendor.example.com/1' }],
      },
      {
        qid: '90002',
        severity: 5,
        vendorReferences: [{ id: 'KB5030002', url: 'https://vendor.example.com/2' }],
      },
      { qid: '90003' },
    ],
  })
  fake = await startFakeQualys({ estate, limits: { rate: 10_000 } })
  jira = await startFakeJira({ clock: systemClock })
})

afterEach(async () => {
  for (const world of worlds) await world.close()
  await fake.close()
  await jira.close()
})

async function openWorld(environment: Record<string, string> = {}): Promise<CliWorld> {
  const world = await CliWorld.open({ PATCHBAY_ALLOWED_CIDRS: '127.0.0.0/8', ...environment })
  worlds.push(world)
  return world
}

async function connectQualys(world: CliWorld): Promise<void> {
  const account = ['--url', fake.url, '--username', DEFAULT_USER.username, '--private-platform']
  const qualys = ['integration', 'add', 'qualys', '--name', 'estate', ...account, '--password-file', '-']
  expect(await world.run(qualys, { input: DEFAULT_USER.password })).toMatchObject({ code: 0 })
}

async function connect(world: CliWorld): Promise<void> {
  await connectQualys(world)
  const site = ['--url', jira.url, '--email', jira.email, '--project', 'VULN', '--api-token-file', '-']
  const added = await world.run(['integration', 'add', 'jira', '--name', 'tickets', ...site], {
    input: jira.apiToken,
  })
  expect(added).toMatchObject({ code: 0 })
}

/** The labels that stand for one piece of work each, as Jira has them. */
function workLabels(): string[] {
  return jira
    .issues()
    .flatMap((issue) => issue.labels.filter((label) => label.startsWith('patchbay-')))
    .toSorted()
}

test(
  'a hub moves from a laptop to a server by a backup: its findings, runs and secrets go on, its tickets stay single',
  async ({ emptyDatabaseUrl }) => {
    const laptop = await openWorld()
    const serving = await laptop.serve()
    await connect(laptop)
    expect((await laptop.run(['rule', 'enable', '--yes'])).code).toBe(0)
    expect((await laptop.run(['sync'])).code).toBe(0)
    const findings = await laptop.json<Finding[]>(['finding', 'list'])
    expect(findings).toHaveLength(3)
    expect(workLabels()).toHaveLength(1)

    const file = join(laptop.home, 'one.backup')
    const backup = await laptop.run(['backup', file, '--json'])
    expect(backup.code).toBe(0)
    const report = (JSON.parse(backup.stdout) as { data: BackupReport }).data
    expect(report.tables).toContainEqual({ name: 'finding', rows: 3 })
    expect(backup.stderr).toContain('THE KEY IS NOT IN THE BACKUP')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const bytes = await readFile(file, 'latin1')
    expect(bytes).not.toContain(DEFAULT_USER.password)

    // What happens after the backup is unknown to it: here a second ticket.
    for (const id of ['1001', '1002']) estate.override(id, { addDetections: [{ qid: '90002', severity: 5 }] })
    expect((await laptop.run(['sync', '--force'])).code).toBe(0)
    const labels = workLabels()
    expect(labels).toHaveLength(2)
    serving.process.kill('SIGTERM')
    expect((await serving.ended).code).toBe(0)

    const server = await openWorld({ DATABASE_URL: emptyDatabaseUrl })
    const restored = await server.run(['restore', file, '--json'])
    expect(restored).toMatchObject({ code: 0 })
    const { missingKeyIds, rows } = (JSON.parse(restored.stdout) as { data: RestoreReport }).data
    expect({ missingKeyIds, rows }).toEqual({ missingKeyIds: report.keyIds, rows: report.rows })
    expect(restored.stderr).toContain('THE KEY IS MISSING')
    expect((await server.run(['serve'])).stderr).toContain('Put the key file of the server there')

    await mkdir(join(server.home, 'keys'), { recursive: true })
    await copyFile(join(laptop.home, 'keys', 'master.key'), join(server.home, 'keys', 'master.key'))
    await server.serve()
    const synced = await server.json<RunReport>(['sync', '--force'])
    expect(synced.run).toMatchObject({ id: '2', state: 'COMPLETE' })
    const now = await server.json<Finding[]>(['finding', 'list'])
    expect(now.map(({ id }) => id)).toEqual(expect.arrayContaining(findings.map(({ id }) => id)))
    expect(now).toHaveLength(5)
    expect(workLabels()).toEqual(labels)
    const tickets = await server.json<Ticket[]>(['ticket', 'list'])
    expect(tickets.map(({ issueKey, state }) => ({ issueKey, state })).toSorted(byKey)).toEqual(
      jira.issues().map(({ key }) => ({ issueKey: key, state: 'open' })),
    )
  },
  PROCESSES_TIMEOUT_MS,
)

function byKey(a: { issueKey: string | null }, b: { issueKey: string | null }): number {
  return (a.issueKey ?? '') < (b.issueKey ?? '') ? -1 : 1
}

test(
  'whoever has lost the key file restores without the secrets, enters them again and goes on',
  async () => {
    const old = await openWorld()
    await connectQualys(old)
    // No server runs: the command starts the database and stops it again.
    const file = join(old.home, 'a.backup')
    expect(await old.run(['backup', file])).toMatchObject({ code: 0 })
    const world = await openWorld()
    const restored = await world.run(['restore', file, '--without-secrets'])
    expect(restored).toMatchObject({ code: 0 })
    expect(restored.stderr).not.toContain('THE KEY IS MISSING')
    await world.serve()
    const [integration] = await world.json<Integration[]>(['integration', 'list'])
    expect(integration?.state?.message).toContain('Its secrets were left out')
    // It is tried before it is saved.
    const set = ['integration', 'set', '1', '--password-file', '-']
    expect(await world.run(set, { input: DEFAULT_USER.password })).toMatchObject({ code: 0 })
    expect((await world.run(['sync'])).code).toBe(0)
  },
  PROCESSES_TIMEOUT_MS,
)

test(
  'what cannot be backed up or restored is a sentence and an exit code',
  async () => {
    const world = await openWorld()
    const file = join(world.home, 'a.backup')
    const nothing = await world.run(['backup', file])
    expect(nothing).toMatchObject({ code: 2 })
    expect(nothing.stderr).toContain('There is no database in the data folder')
    const serving = await world.serve()
    expect(await world.run(['backup', file])).toMatchObject({ code: 0 })
    const running = await world.run(['restore', file])
    expect(running).toMatchObject({ code: 6 })
    expect(running.stderr).toContain('is in use')
    expect(await world.run(['restore', join(world.home, 'b.backup')])).toMatchObject({ code: 2 })
    expect((await world.run(['backup', join(world.home, 'no', 'a.backup')])).stderr).toContain(
      'folder does not exist',
    )
    serving.process.kill('SIGTERM')
    await serving.ended
    const whole = await readFile(file)
    await writeFile(file, whole.subarray(0, whole.length - 1))
    const other = await openWorld()
    const cut = await other.run(['restore', file])
    expect(cut).toMatchObject({ code: 3 })
    expect(cut.stderr).toContain('is cut off or was changed')
    // Nothing was restored, so the whole one can be.
    await writeFile(file, whole)
    expect(await other.run(['restore', file])).toMatchObject({ code: 0 })
  },
  PROCESSES_TIMEOUT_MS,
)
