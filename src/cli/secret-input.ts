import { HubError } from '../model/errors.ts'
import { type CliConfig, type CliContext, type CliRun, Interrupted } from './context.ts'

const SECRET_CHARS_MAX = 4_096
const ENTER = new Set(['\r', '\n', '\u0004'])
const BACKSPACE = new Set(['\u0008', '\u007F'])
const CTRL_C = '\u0003'

interface SecretSource {
  /** As in "the Qualys password". */
  what: string
  environmentName: string
  fromEnvironment: string | undefined
  /** The option that names a file, and its value; `-` is the standard input. */
  option: string
  file: string | undefined
}

/** A secret never stands on the command line, where everybody on the machine can read it. */
async function readSecret(context: CliContext, source: SecretSource): Promise<string> {
  const secret = await find(context, source)
  if (secret !== '' && secret.length <= SECRET_CHARS_MAX) return secret
  throw new HubError('config', `${source.what} is empty, or not one.`, {
    code: 'no_secret',
    hint: waysOf(source),
  })
}

export function qualysPassword(run: CliRun, config: CliConfig, file: string | undefined): Promise<string> {
  return readSecret(run.context, {
    what: 'The Qualys password',
    environmentName: 'PATCHBAY_QUALYS_PASSWORD',
    fromEnvironment: config.qualysPassword,
    option: '--password-file',
    file,
  })
}

export function jiraApiToken(run: CliRun, config: CliConfig, file: string | undefined): Promise<string> {
  return readSecret(run.context, {
    what: 'The Jira API token',
    environmentName: 'PATCHBAY_JIRA_API_TOKEN',
    fromEnvironment: config.jiraApiToken,
    option: '--api-token-file',
    file,
  })
}

async function find(context: CliContext, source: SecretSource): Promise<string> {
  if (source.file === '-') return lastLineEndOff(await readAll(context.stdin))
  if (source.file !== undefined) return lastLineEndOff(await context.readFile(source.file))
  if (source.fromEnvironment !== undefined) return source.fromEnvironment
  if (context.stdin.isTTY && context.stderr.isTTY === true) return prompt(context, `${source.what}: `)
  throw new HubError('config', `${source.what} is missing.`, { code: 'no_secret', hint: waysOf(source) })
}

function waysOf({ environmentName, option }: SecretSource): string {
  return `Set ${environmentName} or ${environmentName}_FILE, or give ${option} <file>, or ${option} - to read it from the standard input.`
}

async function readAll(stdin: NodeJS.ReadStream): Promise<string> {
  let text = ''
  for await (const chunk of stdin) {
    text += String(chunk)
    if (text.length > SECRET_CHARS_MAX) break
  }
  return text
}

function lastLineEndOff(text: string): string {
  return text.replace(/\r?\n$/, '')
}

/** What is typed is not shown. */
function prompt({ stdin, stderr }: CliContext, question: string): Promise<string> {
  stderr.write(question)
  stdin.setRawMode(true)
  stdin.setEncoding('utf8')
  return new Promise((resolve, reject) => {
    let typed = ''
    const end = (settle: () => void) => {
      stdin.off('data', onData)
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
      settle()
    }
    const onData = (chunk: string) => {
      for (const character of chunk) {
        if (ENTER.has(character)) return end(() => resolve(typed))
        if (character === CTRL_C) return end(() => reject(new Interrupted()))
        if (BACKSPACE.has(character)) typed = typed.slice(0, -1)
        else typed += character
      }
    }
    stdin.on('data', onData)
    stdin.resume()
  })
}
