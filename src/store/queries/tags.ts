import type { TagRecord } from '../../model/vm.ts'
import type { Tx } from '../db.ts'

const TAGS_PER_STATEMENT_MAX = 5_000

/** Brings the list of tags in. A tag that is not on it stays known: hosts may still carry it. */
export async function mergeTagList(tx: Tx, integrationId: string, tags: readonly TagRecord[]): Promise<void> {
  for (let start = 0; start < tags.length; start += TAGS_PER_STATEMENT_MAX) {
    const slice = tags.slice(start, start + TAGS_PER_STATEMENT_MAX)
    await tx.query(
      `insert into tag as t (integration_id, tag_id, name, parent_id, rule_type, criticality)
       select $1, n.* from unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::integer[]) as n
       on conflict (integration_id, tag_id) do update
          set name = excluded.name, parent_id = excluded.parent_id, rule_type = excluded.rule_type,
              criticality = excluded.criticality
        where (t.name, t.parent_id, t.rule_type, t.criticality)
              is distinct from (excluded.name, excluded.parent_id, excluded.rule_type, excluded.criticality)`,
      [
        integrationId,
        slice.map((tag) => tag.id),
        slice.map((tag) => tag.name.replaceAll('\0', '\ufffd')),
        slice.map((tag) => tag.parentId),
        slice.map((tag) => tag.ruleType),
        slice.map((tag) => tag.criticality),
      ],
    )
  }
}
