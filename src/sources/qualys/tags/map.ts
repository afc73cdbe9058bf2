import type { TagRecord } from '../../../model/vm.ts'
import type { Tag } from './schema.ts'

export function toTagRecord(tag: Tag): TagRecord {
  return {
    id: tag.id,
    name: tag.name,
    parentId: tag.parentTagId ?? null,
    ruleType: tag.ruleType === undefined || tag.ruleType === '' ? null : tag.ruleType,
    criticality: toCriticality(tag.criticalityScore),
  }
}

/** 1 to 5; anything else says nothing. */
function toCriticality(text: string | undefined): number | null {
  return text !== undefined && /^[1-5]$/.test(text) ? Number(text) : null
}
