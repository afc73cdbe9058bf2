import type { Db, Tx } from '../db.ts'

export type HostEventKind =
  | 'listed'
  | 'missing'
  | 'listed_again'
  | 'removed'
  | 'out_of_scope'
  | 'back'
  | 'in_scope_again'
  | 'renamed'
  | 'readdressed'
  | 'identity_break'
  | 'successor_of'
  | 'succeeded_by'
  | 'absorbed'
  | 'merged_into'
  | 'link_ended'
  | 'lineage_unclear'

/** Of names and addresses only the latest are kept: laptops change them every day. */
const CHATTY_KINDS: readonly HostEventKind[] = ['renamed', 'readdressed']
const CHATTY_EVENTS_PER_HOST_MAX = 10

export interface NewHostEvent {
  placeId: string
  kind: HostEventKind
  reason: string
}

/** Events that were decided host by host; the set-based ones are written by the statements that decide them. */
export async function insertHostEvents(
  tx: Tx,
  input: { integrationId: string; runId: string; now: Date; events: readonly NewHostEvent[] },
): Promise<void> {
  const { events } = input
  if (events.length === 0) return
  await tx.query(
    `insert into host_event (integration_id, place_id, at, run_id, kind, reason)
     select $1, e.place_id, $2, $3, e.kind, e.reason
       from unnest($4::bigint[], $5::text[], $6::text[]) as e (place_id, kind, reason)`,
    [
      input.integrationId,
      input.now,
      input.runId,
      events.map((event) => event.placeId),
      events.map((event) => event.kind),
      events.map((event) => event.reason.replaceAll('\0', '\ufffd')),
    ],
  )
  const chatty = events.filter((event) => CHATTY_KINDS.includes(event.kind)).map((event) => event.placeId)
  if (chatty.length > 0) await dropOldestChatty(tx, chatty)
}

async function dropOldestChatty(tx: Tx, placeIds: readonly string[]): Promise<void> {
  await tx.query(
    `delete from host_event e
      using (select place_id, id, row_number() over (partition by place_id, kind order by id desc) as rank
               from host_event where place_id = any ($1::bigint[]) and kind = any ($2)) as ranked
      where e.place_id = ranked.place_id and e.id = ranked.id and ranked.rank > $3`,
    [placeIds, CHATTY_KINDS, CHATTY_EVENTS_PER_HOST_MAX],
  )
}

export interface HostEventRow {
  at: Date
  runId: string
  kind: HostEventKind
  reason: string
  otherPlaceId: string | null
  otherHostId: string | null
}

/** The latest events of a host, newest first. */
export async function listHostEvents(db: Db, placeId: string, limit: number): Promise<HostEventRow[]> {
  const result = await db.query<HostEventRow>(
    `select e.at, e.run_id as "runId", e.kind, e.reason, e.other_place_id as "otherPlaceId",
            o.host_id as "otherHostId"
       from host_event e left join host o on o.id = e.other_place_id
      where e.place_id = $1 order by e.id desc limit $2`,
    [placeId, limit],
  )
  return result.rows
}
