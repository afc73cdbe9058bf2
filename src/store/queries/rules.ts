import { type GroupBy, type RuleFilter, type RulePolicy, VM_PATCH_RULE } from '../../model/rule.ts'
import type { Db } from '../db.ts'

export interface RuleRow {
  id: string
  name: string
  kind: string
  sourceIntegrationId: string
  targetIntegrationId: string
  filter: RuleFilter
  groupBy: GroupBy
  policy: RulePolicy
  isEnabled: boolean
  lastError: string | null
}

const COLUMNS = `id, name, kind, source_integration_id as "sourceIntegrationId",
  target_integration_id as "targetIntegrationId", filter, group_by as "groupBy", policy, is_enabled as "isEnabled",
  last_error as "lastError"`

/** The built-in rule for every pair of a Qualys and a Jira integration; new ones are off until their preview was seen. */
export async function ensureBuiltInRules(db: Db): Promise<void> {
  await db.query(
    `insert into ticket_rule (name, kind, source_integration_id, target_integration_id, filter, group_by, policy)
     select 'vm patches: ' || s.name || ' to ' || t.name, $1, s.id, t.id, $2, $3, $4
       from integration s cross join integration t
      where (s.type, s.subtype) = ('vaplugin', 'qualys') and (t.type, t.subtype) = ('ticketing', 'jira')
        and not exists (select 1 from ticket_rule r
                         where r.source_integration_id = s.id and r.target_integration_id = t.id and r.kind = $1)
      order by s.id, t.id`,
    [VM_PATCH_RULE.kind, VM_PATCH_RULE.filter, VM_PATCH_RULE.groupBy, VM_PATCH_RULE.policy],
  )
}

export async function listRules(db: Db, limit = 1_000): Promise<RuleRow[]> {
  const result = await db.query<RuleRow>(`select ${COLUMNS} from ticket_rule order by id limit $1`, [limit])
  return result.rows
}

export async function listEnabledRulesOf(db: Db, sourceIntegrationId: string): Promise<RuleRow[]> {
  const result = await db.query<RuleRow>(
    `select ${COLUMNS} from ticket_rule where source_integration_id = $1 and is_enabled order by id`,
    [sourceIntegrationId],
  )
  return result.rows
}

export async function getRule(db: Db, id: string): Promise<RuleRow | null> {
  const result = await db.query<RuleRow>(`select ${COLUMNS} from ticket_rule where id = $1`, [id])
  return result.rows[0] ?? null
}

export async function setRuleEnabled(db: Db, id: string, isEnabled: boolean): Promise<void> {
  await db.query('update ticket_rule set is_enabled = $2 where id = $1', [id, isEnabled])
}

export async function setRuleError(db: Db, id: string, error: string | null): Promise<void> {
  await db.query('update ticket_rule set last_error = $2 where id = $1 and last_error is distinct from $2', [
    id,
    error,
  ])
}
