import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test as base } from 'vitest'
import { type Comparison, compareLives } from './compare.ts'

/** Not a limit of what is tested: two busy cores take their time. */
const TEST_MS_MAX = 20 * 60_000

const test = base.extend<{ folder: string }>({
  // oxlint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'patchbay-kill-'))
    await use(folder)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  },
})

test(
  'kill the hub, its helper or the database at any moment: the end is that of a life without kills',
  { timeout: TEST_MS_MAX },
  async ({ folder }) => {
    const comparison = await compareLives({ folder, seed: 7, kills: 44, isAlone: false })
    expectNoDifference(comparison, 44)
  },
)

test(
  'kill a hub and the database that it brings along at any moment: nothing is lost, nothing is doubled',
  { timeout: TEST_MS_MAX },
  async ({ folder }) => {
    const comparison = await compareLives({ folder, seed: 8, kills: 8, isAlone: true })
    expectNoDifference(comparison, 8)
  },
)

function expectNoDifference({ disturbed, undisturbed, problems }: Comparison, kills: number): void {
  expect(problems).toEqual([])
  expect(disturbed.end.hash).toBe(undisturbed.end.hash)
  expect([...disturbed.kills.values()].reduce((sum, count) => sum + count, 0)).toBe(kills)
  // There was something to lose.
  const { finding = 0, event = 0, issue = 0, comment = 0 } = disturbed.end.counts
  expect(Math.min(finding, event, issue, comment)).toBeGreaterThan(10)
}
