import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { engineDeps } from '../../test/support/hub.ts'
import { type TicketHub, withTickets } from '../../test/support/tickets.ts'
import { writeWhole } from '../store/backup/backup-file.ts'
import { BackupFile } from '../store/backup/backup-reader.ts'
import { restoreBackup } from '../store/backup/restore-backup.ts'
import { takeBackup } from '../store/backup/take-backup.ts'
import { getRule, setRuleEnabled } from '../store/queries/rules.ts'
import { pushTickets } from './push.ts'
import { sync } from './sync.ts'
import { planTickets } from './tickets/plan.ts'

const QIDS = ['900001', '900002', '900003', '900004', '900005']
const KB = QIDS.map((qid) => ({
  qid,
  severity: 5,
  vendorReferences: [{ id: `KB${qid}`, url: `https://vendor.example.com/${qid}` }],
}))
const SIGNAL = new AbortController().signal

/** Takes a backup now; what it returns restores it into another database, at any later time. */
async function backUp(hub: TicketHub, from: pg.Pool): Promise<(into: pg.Pool) => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-restored-'))
  const path = join(folder, 'a')
  const bytes = takeBackup(from, { takenAt: new Date(hub.clock.nowMs()), program: 'test' })
  await writeWhole(path, bytes, { mayReplace: false, signal: SIGNAL })
  return async (into) => {
    const file = await BackupFile.open(path)
    await restoreBackup(into, file, { now: new Date(hub.clock.nowMs()), withoutSecrets: false })
    await file.close()
    await rm(folder, { recursive: true })
  }
}

/** The hub in another database, with the same Qualys and the same Jira. */
function hubOn(pool: pg.Pool, hub: TicketHub) {
  const deps = engineDeps({ pool, worker: 'restored' }, { clock: hub.clock, url: hub.fake.url })
  return {
    run: () => sync(deps, { integrationId: hub.integrationId, trigger: 'manual', mode: 'delta' }, SIGNAL),
    plan: async () => {
      const rule = await getRule(pool, (await hub.rule()).id)
      return planTickets(pool, rule!, { runId: null, now: new Date(hub.clock.nowMs()) })
    },
    send: () => pushTickets({ ...hub.push, pool, worker: 'restored' }, SIGNAL),
  }
}

test('a hub that was restored from an older backup takes up the tickets made since, and says nothing twice', async ({
  db,
  emptyDb,
}) => {
  const hosts = ['101', '102'].map((id) => ({
    id,
    detections: QIDS.slice(0, 2).map((qid) => ({ qid })),
  }))
  await withTickets({ pool: db, estate: { hosts, kb: KB } }, async (hub) => {
    const find = (qid: string) => hub.estate.override('101', { addDetections: [{ qid }] })
    await hub.day('full')
    // Decided before the backup, sent after it: a comment, and a third ticket.
    hub.clock.advance(60_000)
    hub.estate.override('102', { detections: [{ match: { qid: QIDS[0]! }, change: 'fix' }] })
    find(QIDS[2]!)
    await hub.sync()
    await hub.plan()
    const restore = await backUp(hub, db)
    expect(await hub.send()).toMatchObject({ commented: 1, created: 1 })
    // Found, decided and sent after the backup: a fourth.
    hub.clock.advance(60_000)
    find(QIDS[3]!)
    expect(await hub.day()).toMatchObject({ created: 1 })
    const made = hub.jira.issues().map(({ key, comments }) => ({ key, comments: comments.length }))
    expect(made).toHaveLength(4)
    await setRuleEnabled(db, (await hub.rule()).id, false)

    hub.clock.advance(60_000)
    await restore(emptyDb)
    const restored = hubOn(emptyDb, hub)
    // Nobody has ever made a ticket for the fifth.
    find(QIDS[4]!)
    expect(await restored.run()).toMatchObject({ state: 'COMPLETE' })
    await restored.plan()
    expect(await restored.send()).toMatchObject({ adopted: 2, created: 0, postponed: 1 })
    expect(hub.jira.issues().map(({ key, comments }) => ({ key, comments: comments.length }))).toEqual(made)
    hub.clock.advance(5 * 60_000)
    expect(await restored.send()).toMatchObject({ created: 1 })
    expect(hub.jira.issues()).toHaveLength(5)
    const { rows } = await emptyDb.query(`select count(*)::int as open from ticket where state = 'open'`)
    expect(rows).toEqual([{ open: 5 }])
  })
})

test('a run that was under way when the backup was taken is gone on with at once after the restore', async ({
  db,
  emptyDb,
}) => {
  await withTickets({ pool: db, estate: { hosts: 6, seed: 3 } }, async (hub) => {
    await hub.sync('full')
    const findings = 'select id, place_id, identity, state from finding order by id'
    const { rows } = await db.query<{ id: string }>(findings)
    // As a hub leaves it that is killed in the middle of a batch, with its claims still good.
    await db.query(`update run set state = 'RUNNING', phase = 'fetching', finished_at = null`)
    await db.query(`update lease set holder = 'laptop', expires_at = now() + interval '1 hour'`)
    await db.query(
      `update batch set state = 'claimed', claimed_by = 'laptop', claim_expires_at = now() + interval '1 hour'
        where module = 'qualys.detections'`,
    )
    const restore = await backUp(hub, db)
    await restore(emptyDb)
    expect(await hubOn(emptyDb, hub).run()).toMatchObject({ id: '1', epoch: '2', state: 'COMPLETE' })
    expect((await emptyDb.query(findings)).rows).toEqual(rows)
  })
})
