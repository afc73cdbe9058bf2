import type pg from 'pg'
import type { Log } from '../engine/deps.ts'
import type { Clock } from '../lib/clock.ts'
import type { Db } from '../store/db.ts'
import type { IntegrationType } from './integration-type.ts'

export interface ApiDeps {
  pool: pg.Pool
  clock: Clock
  log: Log
  /** The bearer token that every call has to show. */
  token: string
  /** Names this server: a client that finds an address in a file learns whether it is still ours. */
  instance: string
  /** Names beside the loopback ones by which the API may be called. */
  allowedHosts: readonly string[]
  integrationTypes: readonly IntegrationType[]
  vault: Vault
  /** Of everything that this process can look at. */
  diagnose(signal: AbortSignal): Promise<Diagnosis>
  /** Aborted when the server stops: long answers end. */
  closing: AbortSignal
}

/** Seals secrets into the store and opens them; they never leave it otherwise. */
export interface Vault {
  put(db: Db, secret: { integrationId: string; field: string; value: string }): Promise<void>
  openAll(db: Db, integrationId: string): Promise<Record<string, string>>
}

export interface Diagnosis {
  lines: readonly DiagnosisLine[]
}

export interface DiagnosisLine {
  name: string
  level: 'ok' | 'warn' | 'fail'
  message: string
  /** What to do; null when all is well. */
  remedy: string | null
}
