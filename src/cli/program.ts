import { Command, CommanderError, Option } from 'commander'
import { HubError } from '../model/errors.ts'
import { ApiError } from './client.ts'
import { addDemoCommand } from './commands/demo.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addFindingCommands } from './commands/finding.ts'
import { addHostCommands } from './commands/host.ts'
import { addGapCommands } from './commands/gap.ts'
import { addIntegrationCommands } from './commands/integration.ts'
import { addReportCommands } from './commands/report.ts'
import { addRescueCommands } from './commands/rescue.ts'
import { addRuleCommands } from './commands/rule.ts'
import { addRunCommands } from './commands/run.ts'
import { addServerCommands } from './commands/server.ts'
import { addSyncCommand } from './commands/sync.ts'
import { addTicketCommands } from './commands/ticket.ts'
import { addVulnCommands } from './commands/vuln.ts'
import { type CliContext, type CliRun, Interrupted } from './context.ts'
import { EXIT, exitCodeOf, exitCodesText } from './exit-codes.ts'

const VERSION = '0.1.0'
const SAME_STROKE_MS = 300

/** Runs one command line; returns the exit code. Never throws. */
export async function runCli(context: CliContext, args: readonly string[]): Promise<number> {
  const interruption = new AbortController()
  const run: CliRun = { context, signal: interruption.signal, exitCode: EXIT.ok }
  let firstMs = 0
  context.onSignal(() => {
    // A terminal tells our parent as well, which passes it on: the same key stroke must not count twice.
    if (context.clock.nowMs() - firstMs < SAME_STROKE_MS) return
    if (interruption.signal.aborted) context.exitNow(EXIT.interrupted)
    firstMs = context.clock.nowMs()
    context.stderr.write('\nStopping; once more leaves at once.\n')
    interruption.abort(new Interrupted())
  })
  const program = createProgram(run)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return run.exitCode
  } catch (error) {
    // Whatever an interruption led to is the interruption.
    if (interruption.signal.aborted) return EXIT.interrupted
    const isDebug = args.includes('--debug')
    return report(run, error, { isJson: args.includes('--json'), isDebug })
  }
}

/** The tree of commands. Nothing happens before one is parsed. */
export function createProgram(run: CliRun): Command {
  const { stdout, stderr } = run.context
  const program = new Command('patchbay')
    .description('A hub for Qualys data: pulled with its history, routed to where the work is done.')
    .version(VERSION)
    .option('--json', 'print one JSON object on standard output, errors as one on standard error')
    .option('--home <folder>', 'the data folder (PATCHBAY_HOME, default ./.patchbay)')
    .addOption(
      new Option('--log-level <level>', 'how much is logged on standard error').choices([
        'silent',
        'error',
        'warn',
        'info',
        'debug',
      ]),
    )
    .option('--debug', 'show where an error came from')
    .showHelpAfterError(false)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
    })
  addServerCommands(program, run)
  addRescueCommands(program, run)
  addDemoCommand(program, run)
  addSyncCommand(program, run)
  addRunCommands(program, run)
  addGapCommands(program, run)
  addFindingCommands(program, run)
  addReportCommands(program, run)
  addVulnCommands(program, run)
  addHostCommands(program, run)
  addTicketCommands(program, run)
  addRuleCommands(program, run)
  addIntegrationCommands(program, run)
  addDoctorCommand(program, run)
  addHelpCommand(program, run)
  for (const command of allCommands(program)) inherit(command, program)
  return program
}

function addHelpCommand(program: Command, run: CliRun): void {
  program
    .command('help [topic...]')
    .description('help for a command, or: help exit-codes')
    .action((topic: string[]) => {
      if (topic[0] === 'exit-codes')
        return void run.context.stdout.write(`Exit codes\n\n${exitCodesText()}\n`)
      let command: Command | undefined = program
      for (const word of topic) command = command?.commands.find((one) => one.name() === word)
      if (command === undefined) throw unknownTopic(topic)
      command.outputHelp()
    })
}

function unknownTopic(topic: readonly string[]): HubError {
  return new HubError('not_found', `There is no command "${topic.join(' ')}".`, {
    hint: 'Run: patchbay help',
  })
}

export function allCommands(command: Command): Command[] {
  return command.commands.flatMap((one) => [one, ...allCommands(one)])
}

function inherit(command: Command, program: Command): void {
  command.copyInheritedSettings(program)
  // Asked for nothing, a group shows its commands; asked for an unknown one, it names the nearest.
  if (command.commands.length > 0) command.helpCommand(false)
}

/** What failed, why, what to do, in that order. */
function report(run: CliRun, error: unknown, options: { isJson: boolean; isDebug: boolean }): number {
  const { stderr } = run.context
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok
    if (error.code === 'commander.help') return EXIT.usage
    if (options.isJson)
      writeJsonError(run, { kind: 'usage', message: error.message, hints: [], requestId: null })
    return EXIT.usage
  }
  const facts = factsOf(error)
  if (options.isJson) writeJsonError(run, facts)
  else {
    const lines = [`Error: ${facts.message}`, ...facts.hints.map((hint) => `  ${hint}`)]
    if (facts.requestId !== null) lines.push(`  In the log of the server under ${facts.requestId}.`)
    stderr.write(`${lines.join('\n')}\n`)
  }
  const isBug = facts.kind === 'bug'
  if ((isBug || options.isDebug) && error instanceof Error) stderr.write(`${error.stack ?? ''}\n`)
  if (isBug) stderr.write('This is a mistake of Patchbay. Please report it.\n')
  return exitCodeOf(facts.kind)
}

interface ErrorFacts {
  kind: string
  message: string
  hints: readonly string[]
  requestId: string | null
}

function factsOf(error: unknown): ErrorFacts {
  if (error instanceof ApiError) {
    const { message, hints } = error
    // What was asked for was not understood, as if the command line had not been.
    const kind = error.code === 'bad_request' ? 'usage' : error.kind
    return { kind, message, hints, requestId: kind === 'bug' ? error.requestId : null }
  }
  if (error instanceof HubError)
    return {
      kind: error.kind,
      message: error.message,
      hints: error.hint === undefined ? [] : [error.hint],
      requestId: null,
    }
  return {
    kind: 'bug',
    message: error instanceof Error ? error.message : String(error),
    hints: [],
    requestId: null,
  }
}

function writeJsonError(run: CliRun, { kind, message, hints, requestId }: ErrorFacts): void {
  const error = { kind, message, hint: hints[0] ?? null, hints, requestId }
  run.context.stderr.write(`${JSON.stringify({ error })}\n`)
}
