import type { Db, Tx } from '../db.ts'

/** What the detections of a host were when they were merged last, as one value, and how many. */
export interface HostFingerprint {
  placeId: string
  fingerprint: Buffer
  records: number
}

/** Those of the hosts that have one, by Qualys host id. */
export async function listFingerprints(
  db: Db,
  input: { integrationId: string; hostIds: readonly string[] },
): Promise<Map<string, HostFingerprint>> {
  const result = await db.query<HostFingerprint & { hostId: string }>(
    `select h.host_id as "hostId", p.place_id as "placeId", uuid_send(p.fingerprint) as fingerprint, p.records
       from host h
       join host_fingerprint p on p.place_id = h.id
      where h.integration_id = $1 and h.host_id = any ($2::bigint[])`,
    [input.integrationId, input.hostIds],
  )
  return new Map(result.rows.map((row) => [row.hostId, row]))
}

export async function setFingerprints(tx: Tx, fingerprints: readonly HostFingerprint[]): Promise<void> {
  if (fingerprints.length === 0) return
  await tx.query(
    `insert into host_fingerprint (place_id, fingerprint, records)
     select * from unnest($1::bigint[], $2::uuid[], $3::integer[]) as n (place_id, fingerprint, records) order by place_id
     on conflict (place_id) do update set fingerprint = excluded.fingerprint, records = excluded.records`,
    [
      fingerprints.map((one) => one.placeId),
      fingerprints.map((one) => one.fingerprint.toString('hex')),
      fingerprints.map((one) => one.records),
    ],
  )
}

/** The findings of these places are not, or not surely, what their last answer made of them: the next one is read. */
export async function forgetFingerprints(tx: Tx, placeIds: readonly string[]): Promise<void> {
  if (placeIds.length === 0) return
  await tx.query(
    `delete from host_fingerprint
      where place_id in (select place_id from host_fingerprint where place_id = any ($1::bigint[]) order by place_id for update)`,
    [placeIds],
  )
}
