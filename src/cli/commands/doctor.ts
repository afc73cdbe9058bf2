import type { Command } from 'commander'
import type { Diagnosis } from '../../api/resources.ts'
import { HubError } from '../../model/errors.ts'
import type { CliRun } from '../context.ts'
import { EXIT, exitCodeOf } from '../exit-codes.ts'
import { printJson } from '../output.ts'
import { formatDiagnosis } from '../check-text.ts'
import { optionsOf, withSession } from '../session.ts'
import { qualysPassword } from '../secret-input.ts'

interface DoctorOptions {
  url?: string
  username?: string
  passwordFile?: string
  privatePlatform?: boolean
}

type Lines = Diagnosis['lines']

export function addDoctorCommand(program: Command, run: CliRun): void {
  program
    .command('doctor')
    .description(
      'look at everything that has to be well; with --url at a Qualys account that is not configured yet',
    )
    .option('--url <url>', 'the API URL of Qualys')
    .option('--username <name>', 'the Qualys user')
    .option(
      '--password-file <file>',
      'a file with the password, or - for standard input; else PATCHBAY_QUALYS_PASSWORD',
    )
    .option('--private-platform', 'a Qualys platform that you run yourself')
    .action(async (_options, command: Command) => {
      const options = optionsOf<DoctorOptions>(command)
      const { lines, exitCode } =
        options.url === undefined && options.username === undefined
          ? await lookAround(run, command)
          : await lookAtQualys(run, command)
      if (options.json === true) printJson(run.context.stdout, { lines })
      else run.context.stdout.write(formatDiagnosis(lines))
      run.exitCode = exitCode
    })
}

async function lookAround(run: CliRun, command: Command): Promise<{ lines: Lines; exitCode: number }> {
  try {
    const { lines } = await withSession(run, optionsOf(command), ({ client }) =>
      client.get<Diagnosis>('/doctor'),
    )
    return { lines, exitCode: exitCodeOfLines(lines) }
  } catch (error) {
    // What keeps everything from starting is the diagnosis.
    if (!(error instanceof HubError)) throw error
    const { message, hint = null, kind } = error
    const node = {
      name: 'Node',
      level: 'ok',
      message: `Node ${process.versions.node}.`,
      remedy: null,
    } as const
    return {
      lines: [node, { name: 'start', level: 'fail', message, remedy: hint }],
      exitCode: exitCodeOf(kind),
    }
  }
}

/** Needs no database: it is for the time before anything is configured. */
async function lookAtQualys(run: CliRun, command: Command): Promise<{ lines: Lines; exitCode: number }> {
  const options = optionsOf<DoctorOptions>(command)
  const { url, username } = options
  if (url === undefined || username === undefined)
    throw new HubError('not_found', 'A Qualys account is looked at with --url and --username together.')
  const config = run.context.loadConfig({ home: options.home, logLevel: options.logLevel })
  const password = await qualysPassword(run, config, options.passwordFile)
  const account = { url, username, password, privatePlatform: options.privatePlatform === true }
  const checks = await run.context.diagnoseQualys(config, account, run.signal)
  const lines = checks.map(({ name, ok, message, hint }): Lines[number] => ({
    name,
    level: ok ? (hint === null ? 'ok' : 'warn') : 'fail',
    message,
    remedy: hint,
  }))
  return { lines, exitCode: exitCodeOfLines(lines) }
}

function exitCodeOfLines(lines: Lines): number {
  return lines.some((line) => line.level === 'fail') ? EXIT.config : EXIT.ok
}
