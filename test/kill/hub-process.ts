import { flushCompileCache } from 'node:module'
import { startHub } from '../../src/main.ts'
import { ToldClock } from './told-clock.ts'

/** What the parent says; `start` comes once. Its clock is the parent's. */
export type Order =
  | { start: { role: 'server' | 'worker'; home: string; databaseUrl: string | undefined; nowMs: number } }
  | { nowMs: number }

export type Report = { isReady: true; url: string; token: string } | { isReady: false; failure: string }

/**
 * The program that is killed: a whole hub, or a further worker, as `patchbay serve` and `patchbay work` start them. It
 * is loaded before it is needed and starts when it is told to, so that many starts cost little.
 */
const clock = new ToldClock(0)

// It is written when a process ends, and this one never does: each would compile everything again.
flushCompileCache()

process.on('disconnect', () => process.exit())
process.on('message', (order: Order) => {
  if ('nowMs' in order) clock.tell(order.nowMs)
  else
    start(order.start).catch((error: unknown) => {
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
      report({ isReady: false, failure }, () => process.exit(1))
    })
})

async function start(order: Extract<Order, { start: unknown }>['start']): Promise<void> {
  const { role, home, databaseUrl, nowMs } = order
  clock.tell(nowMs)
  const hub = await startHub({
    home,
    role,
    databaseUrl,
    keyFile: `${home}/keys/master.key`,
    clock,
    port: 0,
    allowedCidrs: ['127.0.0.0/8'],
    logLevel: 'info',
    unsafeNoFsync: true,
  })
  report({ isReady: true, url: hub.url, token: hub.token })
  // As the command line does: a database that ends by itself ends the server.
  const failure = await hub.ended
  await hub.close()
  process.stderr.write(`The database ended: ${failure?.message}\n`)
  process.exit(1)
}

function report(message: Report, sent: () => void = () => undefined): void {
  process.send?.(message, sent)
}
