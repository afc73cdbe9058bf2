import type { Command } from 'commander'
import type { CliRun } from '../context.ts'

export function addDemoCommand(program: Command, run: CliRun): void {
  program
    .command('demo')
    .description('show everything on a simulated Qualys subscription and a simulated Jira')
    .option('--once', 'exit when the days are over, instead of staying up')
    .action(async (options: { once?: boolean }) => {
      run.exitCode = await run.context.runDemo(options.once === true ? ['--once'] : [])
    })
}
