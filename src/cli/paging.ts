import type { Command } from 'commander'
import type { CliRun } from './context.ts'

export interface ListOptions {
  limit?: string
  after?: string
}

export interface Page<Item> {
  data: Item[]
  next: string | null
}

export function addListOptions(command: Command): Command {
  return command
    .option('--limit <rows>', 'at most so many, up to 1000 (default 100)')
    .option('--after <cursor>', 'go on where a page ended')
}

export function listQuery({ limit, after }: ListOptions): {
  limit: string | undefined
  after: string | undefined
} {
  return { limit, after }
}

export function noteMore(run: CliRun, page: Page<unknown>): void {
  if (page.next !== null) run.context.stderr.write(`There are more: --after ${page.next}\n`)
}
