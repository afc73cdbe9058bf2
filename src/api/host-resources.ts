import { z } from '@hono/zod-openapi'
import { FINDING_STATES } from '../model/finding.ts'
import { HOST_STATES } from '../store/queries/host-list.ts'

/** What the API says of hosts; the ways of speaking are those of `resources.ts`. */
const id = z.string()
const instant = z.string().nullable()

export const Host = z
  .object({
    id,
    integrationId: id,
    hostId: id,
    ip: z.string().nullable(),
    dns: z.string().nullable(),
    netbios: z.string().nullable(),
    os: z.string().nullable(),
    agentId: z.string().nullable(),
    trackingMethod: z.string().nullable(),
    /** present: on the last list; stale: listed, but not scanned for long; missing: not on the last list, not gone yet. */
    state: z.enum(HOST_STATES),
    lastScanAt: instant,
    lastListedAt: z.string(),
    removedAt: instant,
    outOfScopeAt: instant,
  })
  .openapi('Host')
export type Host = z.infer<typeof Host>

export const HostReport = Host.extend({
  /** Why it is in this state, with what shows it. */
  why: z.string(),
  /** What makes its findings less than certain; nothing where nothing does. */
  doubts: z.array(z.string()),
  assetId: id.nullable(),
  ipv6: z.string().nullable(),
  networkId: z.string().nullable(),
  cloudProvider: z.string().nullable(),
  cloudResourceId: z.string().nullable(),
  serialNumber: z.string().nullable(),
  hardwareUuid: z.string().nullable(),
  agentStatus: z.string().nullable(),
  owner: z.string().nullable(),
  firstFoundAt: instant,
  firstListedAt: z.string(),
  lastListedRunId: id.nullable(),
  /** Fingerprint of what the account could see when it was listed last. */
  lastListedScope: z.string(),
  /** Another machine has had its address since. */
  identitySince: instant,
  lastActivityAt: instant,
  lastVmScannedAt: instant,
  lastVmAuthScannedAt: instant,
  tags: z.array(z.object({ id, name: z.string().nullable() })),
  findings: z.array(z.object({ state: z.enum(FINDING_STATES), count: z.number() })),
  links: z.array(
    z.object({
      /** forebear: this host took over from it; heir: it goes on as this one. */
      relation: z.enum(['forebear', 'heir']),
      kind: z.enum(['successor', 'merged']),
      id,
      hostId: id,
      name: z.string().nullable(),
      evidenceKind: z.string(),
      evidenceValue: z.string(),
      linkedAt: z.string(),
      runId: id,
      endedAt: instant,
      endReason: z.string().nullable(),
    }),
  ),
  /** Other listed hosts that are the same machine, by a value that belongs to one. */
  twins: z.array(
    z.object({
      id,
      hostId: id,
      name: z.string().nullable(),
      evidenceKind: z.string(),
      evidenceValue: z.string(),
    }),
  ),
  /** What became of it, newest first. */
  events: z.array(
    z.object({
      at: z.string(),
      runId: id,
      kind: z.string(),
      reason: z.string(),
      otherId: id.nullable(),
      otherHostId: id.nullable(),
    }),
  ),
}).openapi('HostReport')
export type HostReport = z.infer<typeof HostReport>
