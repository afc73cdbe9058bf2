import type { Db } from '../db.ts'

export interface ModuleState {
  version: string
  watermark: Date | null
  lastFullAt: Date | null
  cursor: Record<string, unknown>
}

export async function getModuleState(db: Db, integrationId: string, module: string): Promise<ModuleState> {
  const result = await db.query<ModuleState>(
    `insert into module_state as s (integration_id, module) values ($1, $2)
     on conflict (integration_id, module) do update set module = excluded.module
     returning version, watermark, last_full_at as "lastFullAt", cursor`,
    [integrationId, module],
  )
  return result.rows[0]!
}

/** Compare-and-swap: false when somebody else moved it since it was read. */
export async function swapModuleState(
  db: Db,
  key: { integrationId: string; module: string; version: string },
  next: { watermark: Date | null; lastFullAt: Date | null; cursor: Record<string, unknown> },
): Promise<boolean> {
  const result = await db.query(
    `update module_state set version = version + 1, watermark = $4, last_full_at = $5, cursor = $6
      where integration_id = $1 and module = $2 and version = $3`,
    [key.integrationId, key.module, key.version, next.watermark, next.lastFullAt, next.cursor],
  )
  return result.rowCount === 1
}
