import type pg from 'pg'
import type { Clock } from '../lib/clock.ts'
import type { TicketDestination } from '../model/ticket-destination.ts'
import type { OutboxItem } from '../store/queries/outbox.ts'
import type { TicketChange, TicketRow } from '../store/queries/tickets.ts'
import type { Log } from './deps.ts'

export interface PushDeps {
  pool: pg.Pool
  clock: Clock
  log: Log
  worker: string
  destination: TicketDestination
  target: { integrationId: string; projectKey: string; issueType: { id: string } | { name: string } }
}

export interface PushCounts {
  created: number
  updated: number
  commented: number
  closed: number
  reopened: number
  linked: number
  adopted: number
  postponed: number
  reviewed: number
}

export interface Sending {
  deps: PushDeps
  item: OutboxItem
  ticket: TicketRow
  /** The sender before us died in the middle: whatever it sent may have arrived. */
  mayHaveBeenSent: boolean
  /** Aborts when the process stops, and shortly before the claim runs out. */
  signal: AbortSignal
}

/** What sending one change came to; written in one transaction with the end of the change. */
export type Sent =
  /** The claim was lost before anything was sent: somebody else is at it. */
  | { outcome: 'lost' }
  | { outcome: 'done'; count: keyof PushCounts; ticket: TicketChange }
  | { outcome: 'later'; notBefore: Date; reason: string; ticket: TicketChange }
  /** The ticket is gone: only a person can say what that means. */
  | { outcome: 'review'; reason: string }
