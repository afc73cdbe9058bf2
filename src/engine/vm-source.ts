import type { ReadRequest, SourceMessage } from '../model/source.ts'
import type { HostDetections, HostRecord, TagRecord, VulnerabilityRecord } from '../model/vm.ts'

/** A module bound to its client and configuration: what is left to say is what to read. */
export interface BoundModule<Item> {
  id: string
  read(request: ReadRequest, signal: AbortSignal): AsyncIterable<SourceMessage<Item>>
}

/** What the VM run needs of a source. The engine is given it and knows neither vendor nor transport. */
export interface VmSource {
  hostIds: BoundModule<string>
  hosts: BoundModule<HostRecord>
  detections: BoundModule<HostDetections>
  vulnerabilities: BoundModule<VulnerabilityRecord>
  tags: BoundModule<TagRecord>
  /**
   * What decides what this account can see, by name: user, tag filter, pull filter, modules with versions. When it
   * changes, what is missing is not gone.
   */
  scope: Readonly<Record<string, string>>
  /** When information gathered is asked for. */
  showIgs: 'never' | 'weekly' | 'always'
  showResults: boolean
  /** What of the knowledge base is kept: what findings use, or all of it. */
  knowledge: 'used' | 'all'
  /** How long until the next run by itself; null when there is none. */
  syncIntervalMs: number | null
  /** Ends its connections. */
  close(): Promise<void>
}

export const HOSTS_MODULE = 'qualys.hosts'
export const DETECTIONS_MODULE = 'qualys.detections'
