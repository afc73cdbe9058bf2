import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { DETECTIONS } from '../../test/support/day-one.ts'
import { withHub } from '../../test/support/hub.ts'
import { getFinding } from '../store/queries/finding-list.ts'

/** What scanned machines answer: everything here has been a reason to change or lose a text somewhere. */
const TEXTS: readonly [hostId: string, results: string][] = [
  ['101', 'Path\tInstalled\tRequired\nC:\\Windows\t10.0.1\t10.0.2\n'],
  ['102', '  leading, trailing   \n\n   '],
  ['103', 'Grüße, 日本語, 🛡️, e\u0301 is not é, \u00a0 stays'],
  ['104', '<b>&amp; ]]&gt; "quoted" \'single\' %s ${x} \\N \\t'],
  ['105', 'a\u2028b\u2029c \u200d \ufffd from the source itself'],
]

/** CR only survives a character reference: XML itself makes every other line end a line feed. */
const AS_SENT: readonly [hostId: string, xml: string, text: string][] = [
  ['201', 'carriage&#13;&#10;return &#x9;tab', 'carriage\r\nreturn \ttab'],
  ['202', '<![CDATA[two ]]]]><![CDATA[> sections\t]]>', 'two ]]> sections\t'],
  ['203', 'one\r\ntwo\rthree', 'one\ntwo\nthree'],
]

test('T45: RESULTS come byte for byte from the wire to a finding, under the hash of their bytes', async ({
  db,
}) => {
  const kb = [{ qid: '38100', title: 'Update' }]
  const hosts = [
    ...TEXTS.map(([id, results]) => ({ id, detections: [{ qid: '38100', results }] })),
    ...AS_SENT.map(([id, xml]) => ({ id, detections: [{ qid: '38100', raw: { RESULTS: xml } }] })),
  ]
  await withHub({ pool: db, estate: { hosts, kb } }, async (hub) => {
    expect((await hub.sync('full')).state).toBe('COMPLETE')
    const expected = [...TEXTS, ...AS_SENT.map(([id, , text]) => [id, text] as const)]
    const { rows } = await db.query<{ hostId: string; placeId: string; id: string; hash: string }>(
      `select h.host_id as "hostId", f.place_id as "placeId", f.id, f.evidence_hash as hash
         from finding f join host h on h.id = f.place_id order by h.host_id`,
    )
    expect(rows.map(({ hostId }) => hostId)).toEqual(expected.map(([id]) => id))
    for (const [index, row] of rows.entries()) {
      const text = expected[index]![1]
      const finding = await getFinding(db, row)
      expect(finding?.evidence).toBe(text)
      const hash = createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 32)
      expect(row.hash.replaceAll('-', '')).toBe(hash)
    }
  })
})

test('T45: a character that XML forbids is seen as replaced, is counted, and loses nothing beside it', async ({
  db,
}) => {
  const kb = [{ qid: '38100', title: 'Update' }]
  const results = 'before and after'
  const estate = { hosts: [{ id: '101', detections: [{ qid: '38100', results }] }], kb }
  for (const what of ['nul', 'control', 'invalid-utf8'] as const) {
    await db.query('delete from integration')
    await db.query('truncate finding, observation, evidence')
    await withHub({ pool: db, estate }, async (hub) => {
      hub.fake.faults.add({
        match: { ...DETECTIONS, times: Infinity },
        kind: 'in-results',
        what,
        hostId: '101',
      })
      const run = await hub.sync('full')
      expect(run.state).toBe('COMPLETE')
      const { rows } = await db.query<{ body: string }>('select body from evidence')
      expect(rows).toHaveLength(1)
      expect(rows[0]!.body).toContain('\ufffd')
      expect(rows[0]!.body.replaceAll('\ufffd', '').length).toBeGreaterThanOrEqual(results.length)
      const counted = await db.query<{ repaired: number }>(
        'select sum(repaired_chars)::int as repaired from batch where run_id = $1',
        [run.id],
      )
      expect(counted.rows[0]!.repaired).toBe(rows[0]!.body.split('\ufffd').length - 1)
    })
  }
})
