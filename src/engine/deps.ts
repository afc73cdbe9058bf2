import type pg from 'pg'
import type { Clock } from '../lib/clock.ts'
import type { IntegrationRow } from '../store/queries/integrations.ts'
import type { VmSource } from './vm-source.ts'

/** What the engine is given by the composition root. */
export interface EngineDeps {
  pool: pg.Pool
  clock: Clock
  log: Log
  /** Names this process in leases, claims and slots. */
  worker: string
  /** Batches that this process works on at the same time. */
  batchesMax: number
  /** Builds the source of an integration: its secrets opened, its modules bound. Throws `HubError` when it cannot. */
  connectSource(integration: IntegrationRow, onWait: WaitListener): Promise<VmSource>
  /** Told when there are batches that other processes may help with. */
  wakeHelpers?(): Promise<void>
}

export type WaitListener = (wait: { endpoint: string; untilMs: number; reason: string }) => void

/** The part of pino that the engine uses. */
export interface Log {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}
