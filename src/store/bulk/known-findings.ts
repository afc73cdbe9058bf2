import type { Db } from '../db.ts'

/**
 * What is known of the findings of some places, as packed bytes: one buffer per place with `ENTRY_BYTES` per finding.
 * Ten thousand entries cost one result row per place and no object per finding.
 */
export type KnownFindings = ReadonlyMap<string, Buffer>

export const KNOWN_ENTRY_BYTES = 48
export const KNOWN_ID_AT = 0
export const KNOWN_IDENTITY_AT = 8
export const KNOWN_STATE_HASH_AT = 24
export const KNOWN_VOLATILE_HASH_AT = 40

export async function readKnownFindings(db: Db, placeIds: readonly string[]): Promise<KnownFindings> {
  if (placeIds.length === 0) return new Map()
  const result = await db.query<[string, Buffer]>({
    name: 'known-findings',
    text: `select place_id,
                  string_agg(int8send(finding_id) || uuid_send(identity) || uuid_send(state_hash) || int8send(volatile_hash), ''::bytea)
             from observation
            where place_id = any ($1::bigint[])
            group by place_id`,
    values: [placeIds],
    rowMode: 'array',
  })
  return new Map(result.rows)
}
