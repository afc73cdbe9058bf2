import type pg from 'pg'
import { expect } from 'vitest'
import { test } from '../support/database.ts'
import { KNOWLEDGE_BASE, nextDay } from '../support/day-one.ts'
import { type TestHub, withHub } from '../support/hub.ts'
import { expectConverged, expectHonest, openGaps, rememberStore } from '../support/oracle.ts'

const QID = '38100'
const estate = {
  hosts: [{ id: '101', detections: [{ qid: QID }] }],
  kb: [{ qid: QID, title: 'As it is in the end' }],
}

function knowledge(...records: string[]) {
  const root = 'KNOWLEDGE_BASE_VULN_LIST_OUTPUT'
  return {
    kind: 'status' as const,
    status: 200,
    contentType: 'text/xml;charset=UTF-8',
    body: `<?xml version="1.0" encoding="UTF-8" ?><${root}><RESPONSE><DATETIME>2026-10-01T12:00:00Z</DATETIME>
           <VULN_LIST>${records.join('')}</VULN_LIST></RESPONSE></${root}>`,
  }
}

const vulnerability = (qid: string, title: string, rest = '') =>
  `<VULN><QID>${qid}</QID><VULN_TYPE>Vulnerability</VULN_TYPE>${rest}<TITLE>${title}</TITLE></VULN>`

async function titles(db: pg.Pool): Promise<unknown[]> {
  const { rows } = await db.query<{ title: string }>('select title from vulnerability order by qid, title')
  return rows.map((row) => row.title)
}

async function reasons(db: pg.Pool): Promise<string[]> {
  const { rows } = await db.query<{ reason: string }>('select reason from quarantine order by id')
  return rows.map((row) => row.reason)
}

test('a QID that comes twice in one answer of the knowledge base costs no run: the last one counts, and it is told', async ({
  db,
}) => {
  await withHub({ pool: db, estate }, async (hub) => {
    const before = await rememberStore(hub)
    const twice = knowledge(
      vulnerability(QID, 'First'),
      vulnerability('38101', 'Between'),
      vulnerability(QID, 'Last'),
    )
    hub.fake.faults.add({ match: KNOWLEDGE_BASE, ...twice })
    const run = await hub.sync('full')
    expect([run.state, run.message]).toEqual(['COMPLETE', 'Everything that was expected came.'])
    expect(await titles(db)).toEqual(['Last', 'Between'])
    expect(await reasons(db)).toEqual([expect.stringMatching(/came twice.*last record was kept/)])
    await expectHonest(hub, { run, before })
  })
})

test('what the knowledge base says of a QID and cannot be kept is one gap until it can be', async ({
  db,
}) => {
  await withHub({ pool: db, estate }, async (hub) => {
    const bad = knowledge(vulnerability(QID, 'Odd', '<SEVERITY_LEVEL>70000</SEVERITY_LEVEL>'))
    const fault = hub.fake.faults.add({ match: { ...KNOWLEDGE_BASE, times: Infinity }, ...bad })
    for (const tries of [1, 2]) {
      const before = await rememberStore(hub)
      const run = await hub.sync('full')
      expect(run.state).toBe('PARTIAL')
      const { rows } = await db.query('select kind, key, tries from gap')
      expect(rows).toEqual([{ kind: 'qid', key: QID, tries }])
      await expectHonest(hub, { run, before })
      nextDay(hub)
    }
    fault.remove()
    await expectConverged(hub)
    expect(await titles(db)).toEqual(['As it is in the end'])
  })
})

test('a QID of the knowledge base that is no number is a gap, and is never asked for', async ({ db }) => {
  await withHub({ pool: db, estate }, async (hub) => {
    const odd = knowledge(
      vulnerability(QID, 'Good'),
      vulnerability('many', 'Odd'),
      vulnerability('99999999999999999999', 'Long'),
    )
    const fault = hub.fake.faults.add({ match: { ...KNOWLEDGE_BASE, times: Infinity }, ...odd })
    for (let day = 0; day < 2; day += 1) {
      const run = await hub.sync('full')
      expect(run.state).toBe('PARTIAL')
      expect((await openGaps(db)).map(({ kind, key }) => [kind, key])).toEqual([
        ['record', 'knowledge base, QID unknown'],
      ])
      nextDay(hub)
    }
    expect(await titles(db)).toEqual(['Good'])
    fault.remove()
    await expectConverged(hub)
  })
})

async function changeAll(hub: TestHub): Promise<void> {
  await hub.sync('full')
  nextDay(hub)
  for (const { qid } of hub.estate.kb())
    hub.estate.setKb({ qid, title: 'Changed', lastServiceModification: hub.clock.nowMs() })
}

async function changedTitles(db: pg.Pool): Promise<number> {
  const { rowCount } = await db.query(`select 1 from vulnerability where title = 'Changed'`)
  return rowCount ?? 0
}

const largeKb = Array.from({ length: 1_300 }, (_, index) => ({ qid: `${50_000 + index}`, title: 'Old' }))

test('a great change of the knowledge base is written in pieces, each as one transaction', async ({ db }) => {
  const large = { ...estate, kb: [...estate.kb, ...largeKb] }
  await withHub({ pool: db, estate: large }, async (hub) => {
    await changeAll(hub)
    await db.query(`create table piece (written int, xid bigint default txid_current())`)
    await db.query(`create function note() returns trigger language plpgsql as $$ begin
                      insert into piece select count(*) from new_rows; return null; end $$`)
    await db.query(`create trigger note after insert on vulnerability referencing new table as new_rows
                      for each statement execute function note()`)
    const run = await hub.sync('delta')
    expect(run.state).toBe('COMPLETE')
    const { rows } = await db.query<{ written: number; pieces: number }>(
      'select max(written) as written, count(distinct xid)::int as pieces from piece where written > 0',
    )
    expect(rows[0]!.written).toBeLessThanOrEqual(500)
    expect(rows[0]!.pieces).toBeGreaterThanOrEqual(3)
    expect(await changedTitles(db)).toBe(hub.estate.kb().length)
  })
})

test('a change of the knowledge base that always breaks off keeps what came, owes the rest and asks from where it was', async ({
  db,
}) => {
  const large = { ...estate, kb: [...estate.kb, ...largeKb] }
  await withHub({ pool: db, estate: large }, async (hub) => {
    await changeAll(hub)
    const watermark = async () =>
      (await db.query(`select watermark from module_state where module = 'qualys.knowledge-base'`)).rows
    const before = await watermark()
    hub.fake.faults.add({ match: { ...KNOWLEDGE_BASE, times: Infinity }, kind: 'cut', at: 'half' })
    for (let day = 0; day < 2; day += 1) {
      const run = await hub.sync('delta')
      expect(run.state).toBe('PARTIAL')
      expect((await openGaps(db)).map((gap) => gap.key)).toEqual(['knowledge base, changes'])
      expect(await watermark()).toEqual(before)
      nextDay(hub)
    }
    const kept = await changedTitles(db)
    expect(kept).toBeGreaterThanOrEqual(500)
    expect(kept).toBeLessThan(hub.estate.kb().length)
    await expectConverged(hub)
    expect(await changedTitles(db)).toBe(hub.estate.kb().length)
    expect(await watermark()).not.toEqual(before)
  })
})

function tagList(...tags: string[]) {
  return {
    kind: 'status' as const,
    status: 200,
    contentType: 'application/xml',
    body: `<?xml version="1.0" encoding="UTF-8"?><ServiceResponse><responseCode>SUCCESS</responseCode>
           <count>${tags.length}</count><hasMoreRecords>false</hasMoreRecords><data>${tags.join('')}</data></ServiceResponse>`,
  }
}

test('a tag that cannot be understood is put aside and owed until the list brings it well', async ({
  db,
}) => {
  await withHub({ pool: db, estate }, async (hub) => {
    const list = tagList(
      '<Tag><id>7</id><name>Good</name></Tag>',
      '<Tag><id>8</id></Tag>',
      '<Tag><id>9999999999999999999</id><name>Too long</name></Tag>',
      '<Tag><name>Without an id</name></Tag>',
    )
    const fault = hub.fake.faults.add({ match: { endpoint: 'tag', times: Infinity }, ...list })
    const before = await rememberStore(hub)
    const run = await hub.sync('full')
    expect(run.state).toBe('PARTIAL')
    expect((await openGaps(db)).map(({ kind, key }) => [kind, key])).toEqual([
      ['record', 'tag 8'],
      ['record', 'tag 9999999999999999999'],
      ['record', 'tag unknown'],
    ])
    expect(await reasons(db)).toHaveLength(3)
    expect((await db.query(`select 1 from tag where name = 'Good'`)).rowCount).toBe(1)
    await expectHonest(hub, { run, before })

    // A delta settles it as well: the list of tags always comes whole.
    fault.remove()
    nextDay(hub)
    expect((await hub.sync('delta')).state).toBe('COMPLETE')
    await expectConverged(hub)
  })
})
