import type { Db } from '../db.ts'

/** Lets the planner see what a run has brought; samples, so it takes seconds at most. */
export async function refreshStatistics(db: Db): Promise<void> {
  await db.query(
    'analyze host, finding_vm, observation, vulnerability, vulnerability_cve, vulnerability_reference',
  )
}
