import type pg from 'pg'
import { expect, test as pure } from 'vitest'
import { test } from '../../test/support/database.ts'
import { nextDay } from '../../test/support/day-one.ts'
import { withHub } from '../../test/support/hub.ts'
import type { HostRecord } from '../model/vm.ts'
import { settleTags } from './work-hosts.ts'

async function tagsOf(db: pg.Pool): Promise<Record<string, string[]>> {
  const { rows } = await db.query<{ host: string; names: string[] }>(
    `select h.host_id::text as host, coalesce(array_agg(t.name order by t.name collate "C")
                                                filter (where t.tag_id is not null), '{}') as names
       from host h
       left join host_tag m on m.place_id = h.id
       left join tag t on t.integration_id = m.integration_id and t.tag_id = m.tag_id
      group by h.host_id order by h.host_id`,
  )
  return Object.fromEntries(rows.map(({ host, names }) => [host, names]))
}

test('T19: tags are told apart by their id; names that differ by case alone stay two', async ({ db }) => {
  const hosts = [
    { id: '7', tags: ['Production', 'production'] },
    { id: '8', tags: ['PRODUCTION'] },
  ]
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await hub.sync('full')
    expect(await tagsOf(db)).toEqual({ 7: ['Production', 'production'], 8: ['PRODUCTION'] })
    expect((await db.query('select distinct tag_id from tag')).rowCount).toBe(3)
  })
})

test('a host that loses its last tag, so that its TAGS are absent, has none', async ({ db }) => {
  const hosts = ['7', '8', '9'].map((id) => ({ id, tags: ['Production'] }))
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    hub.estate.override('8', { tags: [] })
    await hub.sync('full')
    expect(await tagsOf(db)).toEqual({ 7: ['Production'], 8: [], 9: ['Production'] })
  })
})

test('an answer that shows no tags at all takes none away: the account may not see them', async ({ db }) => {
  const hosts = ['7', '8'].map((id) => ({ id, tags: ['Production'] }))
  await withHub({ pool: db, estate: { hosts } }, async (hub) => {
    await hub.sync('full')
    nextDay(hub)
    for (const id of ['7', '8']) hub.estate.override(id, { tags: [] })
    await hub.sync('full')
    expect(await tagsOf(db)).toEqual({ 7: ['Production'], 8: ['Production'] })
  })
})

pure('TAGS that came and could not be read are not taken for none', () => {
  const host = (tags: HostRecord['tags'], extra: HostRecord['extra'] = null) =>
    ({ tags, extra }) as HostRecord
  const tagged = host([{ id: '1', name: 'a' }])
  const unreadable = host(null, { TAGS: '<TAG/>' })
  expect(settleTags([tagged, unreadable, host(null)])).toEqual([tagged, unreadable, host([])])
})
