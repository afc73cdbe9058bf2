import type { Diagnosis } from '../api/resources.ts'
import { singleLine } from '../model/blocks.ts'
import type { Check } from './context.ts'

export function formatDiagnosis(lines: Diagnosis['lines']): string {
  const width = Math.max(...lines.map((line) => line.name.length))
  return lines
    .map(({ name, level, message, remedy }) => {
      const line = `${level.padEnd(4)}  ${singleLine(name).padEnd(width)}  ${singleLine(message)}\n`
      return remedy === null ? line : `${line}${' '.repeat(width + 8)}→ ${singleLine(remedy)}\n`
    })
    .join('')
}

export function formatChecks(checks: readonly Check[]): string {
  return formatDiagnosis(
    checks.map(({ name, ok, message, hint }) => ({ name, level: ok ? 'ok' : 'fail', message, remedy: hint })),
  )
}
