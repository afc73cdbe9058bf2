import type { Command } from 'commander'
import type { BackupReport, CliRun, RestoreReport } from '../context.ts'
import { formatCount, formatFields, printJson } from '../output.ts'
import { optionsOf } from '../session.ts'
import { StatusLine } from '../status-line.ts'

const STEPS = {
  check: 'The file is checked',
  load: 'Rows are loaded',
  finish: 'The schema is brought up to date',
}
const BYTES_PER_MB = 1_000_000

export function addRescueCommands(program: Command, run: CliRun): void {
  program
    .command('backup [file]')
    .description(
      'write the whole database into a file, also while a hub runs on it; the key file is not in it and has to be kept apart',
    )
    .option('--force', 'replace the file if it is there')
    .action((file: string | undefined, _options, command: Command) => backup(run, command, file))
  program
    .command('restore <file>')
    .description(
      'load a backup into an empty database: a new data folder, or the one that DATABASE_URL names',
    )
    .option(
      '--without-secrets',
      'leave out the sealed secrets, to enter them again: for when the key file is lost',
    )
    .action((file: string, _options, command: Command) => restore(run, command, file))
}

async function backup(run: CliRun, command: Command, file: string | undefined): Promise<void> {
  const { context, signal } = run
  const { home, logLevel, json, force } = optionsOf<{ force?: boolean }>(command)
  const line = new StatusLine(context.stderr, context.clock)
  try {
    const report = await context.backUp(context.loadConfig({ home, logLevel }), {
      file: file ?? defaultName(new Date(context.clock.nowMs())),
      mayReplace: force === true,
      signal,
      onProgress: ({ table, tableNumber, tables, bytes }) =>
        line.show({
          text: `table ${tableNumber} of ${tables} (${table}), ${megabytes(bytes)} read`,
          step: '',
          percent: (100 * (tableNumber - 1)) / tables,
        }),
    })
    line.clear()
    if (json === true) printJson(context.stdout, report)
    else context.stdout.write(backupText(report))
    context.stderr.write(keyWarning(report))
  } finally {
    line.clear()
  }
}

async function restore(run: CliRun, command: Command, file: string): Promise<void> {
  const { context, signal } = run
  const options = optionsOf<{ withoutSecrets?: boolean }>(command)
  const { home, logLevel, json } = options
  const line = new StatusLine(context.stderr, context.clock)
  try {
    const report = await context.restore(context.loadConfig({ home, logLevel }), {
      file,
      withoutSecrets: options.withoutSecrets === true,
      signal,
      onMissingKeys: (ids, keyFile) => {
        if (ids.length > 0) context.stderr.write(missingKeyWarning(ids, keyFile))
      },
      onProgress: ({ step, bytes, bytesInAll }) => {
        const percent = bytesInAll === 0 ? 0 : Math.floor((100 * bytes) / bytesInAll)
        line.show({ text: step === 'finish' ? STEPS[step] : `${STEPS[step]}: ${percent} %`, step, percent })
      },
    })
    line.clear()
    if (json === true) printJson(context.stdout, report)
    else context.stdout.write(restoreText(report))
    context.stderr.write(
      'The hub that this backup was taken from must not run any more: two would make the same tickets.\n',
    )
  } finally {
    line.clear()
  }
}

function backupText(report: BackupReport): string {
  return formatFields([
    ['backup', report.file],
    ['of', report.database],
    ['schema', report.schema],
    ['size', `${megabytes(report.bytes)}, ${formatCount(report.rows, 'row')}`],
  ])
}

function restoreText(report: RestoreReport): string {
  return formatFields([
    ['restored into', report.database],
    ['backup of', report.takenAt],
    ['rows', report.rows],
    ['migrated', report.migrated.join(', ')],
  ])
}

function keyWarning({ keyFile, keyIds }: BackupReport): string {
  if (keyIds.length === 0) return 'The backup holds no secrets.\n'
  return (
    `THE KEY IS NOT IN THE BACKUP. Its secrets are sealed with the key ${keyIds.join(', ')}.\n` +
    `  Keep a copy of ${keyFile} in another place than the backup: who has both has the secrets,\n` +
    '  and without it they have to be entered again.\n'
  )
}

function missingKeyWarning(ids: readonly string[], keyFile: string): string {
  return (
    `THE KEY IS MISSING: ${keyFile} does not hold the key ${ids.join(', ')} that the secrets are sealed with.\n` +
    '  Copy the key file of the hub that the backup is of to that place (mode 0600) before you start this one.\n' +
    '  If it is lost: restore into another empty database with --without-secrets, and enter the secrets again.\n'
  )
}

/** The seconds keep two of one day apart. */
function defaultName(now: Date): string {
  return `patchbay-${now.toISOString().slice(0, 19).replaceAll(':', '-')}Z.backup`
}

function megabytes(bytes: number): string {
  return `${(bytes / BYTES_PER_MB).toLocaleString('en', { maximumFractionDigits: 1 })} MB`
}
