#!/usr/bin/env node
// Runs Patchbay with the Node 24 that the project brings along, whatever `node` is on PATH.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const brought = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const node = existsSync(brought) ? brought : process.execPath
const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })

// After a Ctrl-C the child gets two signals, its own from the terminal and this one; it counts them as one.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
// Means nothing to Patchbay, and must not end us before the child.
process.on('SIGUSR2', () => {})
child.once('error', (error) => {
  process.stderr.write(`Patchbay cannot be started with ${node}: ${error.message}\nRun npm ci again.\n`)
  process.exitCode = 1
})
child.once('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal]
})
